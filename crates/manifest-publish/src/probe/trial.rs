//! Trying one thing after another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use manifest_core::{Descriptor, Digest, MediaType, Tag};
use manifest_transport::{Deleted, Expect, Guard, Mounted, Place, TransportError};
use serde_json::{Value, json};

use super::{Ability, Answer, Remote, Verdict};
use crate::error::PublishError;

/// A manifest that was written, or was to be.
struct Document {
    bytes: Bytes,
    descriptor: Descriptor,
}

impl Document {
    fn new(media_type: MediaType, value: &Value) -> Self {
        let bytes = Bytes::from(value.to_string());
        let descriptor = Descriptor::new(media_type, Digest::sha256(&bytes), bytes.len() as u64);
        Self { bytes, descriptor }
    }

    /// As an entry of a list.
    fn entry(&self) -> Value {
        let Descriptor { media_type, digest, size, .. } = &self.descriptor;
        json!({
            "mediaType": media_type, "digest": digest, "size": size,
            "platform": { "os": "linux", "architecture": "amd64" },
        })
    }
}

/// A registry that is tried.
pub(super) struct Trial<'a> {
    place: &'a Place,
    remote: &'a Remote,
    prefix: &'a str,
    answers: BTreeMap<Ability, (Verdict, Option<String>)>,
    least_piece: Option<u64>,
    /// What may have been written, in that order.
    tags: Vec<Tag>,
    manifests: Vec<Digest>,
    blobs: Vec<Descriptor>,
    left: Vec<String>,
    /// Whether nothing more is to be written.
    is_stopped: &'a AtomicBool,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        place: &'a Place,
        remote: &'a Remote,
        prefix: &'a str,
        is_stopped: &'a AtomicBool,
    ) -> Self {
        let (answers, least_piece) = (BTreeMap::new(), None);
        let (tags, manifests, blobs, left) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { place, remote, prefix, answers, least_piece, tags, manifests, blobs, left, is_stopped }
    }

    pub(super) fn finish(mut self) -> (Vec<Answer>, Option<u64>, Vec<String>) {
        let answer = |ability| {
            let (verdict, why) = self.answers.remove(&ability).unwrap_or((Verdict::Unknown, None));
            Answer { ability, verdict, why }
        };
        (Ability::ALL.map(answer).into(), self.least_piece, self.left)
    }

    /// Asks what reading requests tell.
    pub(super) async fn read(&mut self) -> Result<(), PublishError> {
        let serves = self.remote.serves_referrers().await?;
        self.say(Ability::Referrers, serves);
        Ok(())
    }

    /// Tries everything. What is needed by the rest has to work.
    pub(super) async fn write(&mut self) -> Result<(), PublishError> {
        let (image, docker) = self.images().await?;
        self.lists(&image, docker.as_ref()).await?;
        self.read().await?;
        self.move_tags(&image).await?;
        self.many_tags(&image).await
    }

    /// Writes an image twice: as OCI and as Docker write it.
    async fn images(&mut self) -> Result<(Document, Option<Document>), PublishError> {
        let layer = Bytes::from(format!("{} layer", self.prefix));
        let described = described(MediaType::from("application/vnd.oci.image.layer.v1.tar"), &layer);
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": { "Labels": { "probe": self.prefix } },
            "rootfs": { "type": "layers", "diff_ids": [described.digest] },
        });
        let config = Bytes::from(config.to_string());
        self.in_pieces(&described, layer).await?;
        let config_of = self::described(MediaType::OCI_CONFIG, &config);
        self.go_on()?;
        self.blobs.push(config_of.clone());
        self.place.put_bytes(&config_of, Mounted::Refused, &config).await?;
        self.mount(&config_of, config).await?;
        let plain = |blob: &Descriptor, media_type: &str| json!({ "mediaType": media_type, "digest": blob.digest, "size": blob.size });
        let mut value = json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST,
            "config": plain(&config_of, config_of.media_type.as_str()),
            "layers": [plain(&described, described.media_type.as_str())],
            "annotations": { "probe": self.prefix },
        });
        let image = Document::new(MediaType::OCI_MANIFEST, &value);
        self.put(&image).await?;
        add(&mut value, "artifactType", json!("application/vnd.example.probe"));
        self.accepts(Ability::ArtifactType, &Document::new(MediaType::OCI_MANIFEST, &value)).await?;
        let docker = json!({
            "schemaVersion": 2, "mediaType": MediaType::DOCKER_MANIFEST,
            "config": plain(&config_of, MediaType::DOCKER_CONFIG.as_str()),
            "layers": [plain(&described, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
        });
        let docker = Document::new(MediaType::DOCKER_MANIFEST, &docker);
        let docker = match self.put(&docker).await {
            Ok(()) => Some(docker),
            Err(error) => {
                self.answer(Ability::DockerList, Err(error))?;
                None
            }
        };
        Ok((image, docker))
    }

    /// Writes the first blob, in pieces if the registry takes them.
    async fn in_pieces(&mut self, blob: &Descriptor, bytes: Bytes) -> Result<(), PublishError> {
        self.blobs.push(blob.clone());
        let pieced = self.remote.try_pieces(blob, &bytes).await?;
        self.least_piece = pieced.least;
        self.say(Ability::Pieces, pieced.taken);
        if !pieced.taken {
            self.go_on()?;
            self.place.put_bytes(blob, Mounted::Refused, &bytes).await?;
        }
        Ok(())
    }

    /// Mounts a blob from the repository itself: no other one is touched.
    async fn mount(&mut self, blob: &Descriptor, bytes: Bytes) -> Result<(), PublishError> {
        self.go_on()?;
        let mounted = self.place.mount(blob, self.place).await?;
        self.say(Ability::Mount, mounted == Mounted::Done);
        if let session @ Mounted::Session(_) = mounted {
            // So that no upload stays open.
            self.place.put_bytes(blob, session, &bytes).await?;
        }
        Ok(())
    }

    async fn lists(&mut self, image: &Document, docker: Option<&Document>) -> Result<(), PublishError> {
        let oci = |what: &str, entries: Vec<Value>| {
            json!({
                "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": entries,
                "annotations": { "probe": format!("{} {what}", self.prefix) },
            })
        };
        let index = Document::new(MediaType::OCI_INDEX, &oci("index", vec![image.entry()]));
        let nested = Document::new(MediaType::OCI_INDEX, &oci("nested", vec![index.entry()]));
        let empty = Document::new(MediaType::OCI_INDEX, &oci("empty", Vec::new()));
        let nowhere = Document::new(MediaType::OCI_MANIFEST, &json!({ "nowhere": self.prefix }));
        let sparse = Document::new(MediaType::OCI_INDEX, &oci("sparse", vec![nowhere.entry()]));
        let mut typed = oci("typed", vec![image.entry()]);
        add(&mut typed, "artifactType", json!("application/vnd.example.probe"));
        let typed = Document::new(MediaType::OCI_INDEX, &typed);
        let mixed =
            docker.map(|docker| Document::new(MediaType::OCI_INDEX, &oci("mixed", vec![docker.entry()])));
        let list = docker.map(|docker| {
            let value = json!({
                "schemaVersion": 2, "mediaType": MediaType::DOCKER_LIST, "manifests": [docker.entry()],
            });
            Document::new(MediaType::DOCKER_LIST, &value)
        });
        if self.accepts(Ability::OciIndex, &index).await? {
            self.accepts(Ability::NestedIndex, &nested).await?;
            self.accepts(Ability::EmptyIndex, &empty).await?;
            self.accepts(Ability::SparseIndex, &sparse).await?;
            self.accepts(Ability::IndexArtifactType, &typed).await?;
            if let Some(mixed) = mixed {
                self.accepts(Ability::DockerInOci, &mixed).await?;
            }
        }
        if let Some(list) = list {
            self.accepts(Ability::DockerList, &list).await?;
        }
        Ok(())
    }

    /// Sets a tag of our own, with and without conditions that do not hold.
    async fn move_tags(&mut self, image: &Document) -> Result<(), PublishError> {
        let Some(tag) = self.own_tag("a").await? else { return Ok(()) };
        self.tags.push(tag.clone());
        let name = Some(tag.as_str());
        let other = json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [image.entry()],
            "annotations": { "probe": format!("{} moved", self.prefix) },
        });
        let other = Document::new(MediaType::OCI_INDEX, &other);
        self.manifests.push(other.descriptor.digest);
        let this = &*self;
        let put = async |document: &Document, expect: Expect| {
            this.go_on()?;
            let guard = Guard { expect, before: None };
            let (media_type, bytes) = (&document.descriptor.media_type, document.bytes.clone());
            this.place.put_named(name, media_type, bytes, &guard).await
        };
        put(image, Expect::Absent).await?;
        let wrong = Expect::ETag(format!("\"{}\"", Digest::sha256(self.prefix.as_bytes())));
        let moved = put(&other, Expect::Any).await;
        let back = put(image, Expect::Any).await;
        let (absent, wrong) = match (&moved, &back) {
            (Ok(()), Ok(())) => (put(&other, Expect::Absent).await, put(&other, wrong).await),
            // Then nobody can tell why a tag is not set.
            _ => {
                self.answer(Ability::MoveTags, moved.and(back))?;
                return Ok(());
            }
        };
        self.say(Ability::MoveTags, true);
        for (ability, tried) in [(Ability::IfNoneMatch, absent), (Ability::IfMatch, wrong)] {
            match tried {
                Err(TransportError::Moved { .. }) => self.say(ability, true),
                Ok(()) => self.say(ability, false),
                Err(error) => drop(self.answer(ability, Err(error))?),
            }
        }
        Ok(())
    }

    async fn many_tags(&mut self, image: &Document) -> Result<(), PublishError> {
        let (Some(one), Some(two)) = (self.own_tag("b").await?, self.own_tag("c").await?) else {
            return Ok(());
        };
        let tags = [one, two];
        self.go_on()?;
        self.tags.extend(tags.clone());
        let Document { bytes, descriptor: Descriptor { digest, media_type, .. } } = image;
        match self.place.put_tags(digest, media_type, bytes.clone(), &tags).await {
            Ok(set) => self.say(Ability::ManyTags, set.len() == tags.len()),
            Err(error) => drop(self.answer(Ability::ManyTags, Err(error))?),
        }
        Ok(())
    }

    /// A tag with the prefix, unless there is one already.
    async fn own_tag(&self, name: &str) -> Result<Option<Tag>, PublishError> {
        self.go_on()?;
        let text = format!("{}-{name}", self.prefix);
        let is_there = self.place.tag_state(&text).await?.is_some();
        Ok(text.parse().ok().filter(|_| !is_there))
    }

    async fn put(&mut self, document: &Document) -> Result<(), TransportError> {
        let Descriptor { digest, media_type, .. } = &document.descriptor;
        self.go_on()?;
        self.manifests.push(*digest);
        self.place.put_manifest(digest, media_type, document.bytes.clone()).await
    }

    /// An error that ends everything when nothing more is to be written.
    fn go_on(&self) -> Result<(), TransportError> {
        if !self.is_stopped.load(Ordering::Relaxed) {
            return Ok(());
        }
        let host = self.place.registry_host().unwrap_or_default().to_owned();
        Err(TransportError::Unreachable { host, message: "the probe was stopped".to_owned() })
    }

    /// Whether a document is taken.
    async fn accepts(&mut self, ability: Ability, document: &Document) -> Result<bool, PublishError> {
        let put = self.put(document).await;
        self.answer(ability, put)
    }

    fn say(&mut self, ability: Ability, can: bool) {
        let verdict = if can { Verdict::Yes } else { Verdict::No };
        self.answers.insert(ability, (verdict, None));
    }

    /// Notes what an outcome tells; one that tells nothing of anything is an error.
    fn answer(
        &mut self,
        ability: Ability,
        outcome: Result<(), TransportError>,
    ) -> Result<bool, PublishError> {
        let (verdict, why) = match outcome {
            Ok(()) => (Verdict::Yes, None),
            Err(error @ TransportError::Unreachable { .. }) => return Err(error.into()),
            Err(
                error @ (TransportError::Refused { .. }
                | TransportError::NotFound(_)
                | TransportError::Moved { .. }),
            ) => (Verdict::No, Some(error.to_string())),
            Err(error) => (Verdict::Unknown, Some(error.to_string())),
        };
        let is_yes = verdict == Verdict::Yes;
        self.answers.insert(ability, (verdict, why));
        Ok(is_yes)
    }

    /// Deletes all that was written, and learns from that what can be deleted.
    pub(super) async fn clean_up(&mut self) {
        while let Some(tag) = self.tags.first().cloned() {
            let is_there = async || !matches!(self.place.tag_state(tag.as_str()).await, Ok(None));
            if is_there().await {
                let deleted = self.place.delete_tag(tag.as_str()).await;
                let stays = is_there().await;
                self.deleted(Ability::DeleteTags, deleted, stays, format!("tag {tag}"));
            }
            self.tags.remove(0);
        }
        while let Some(digest) = self.manifests.last().copied() {
            let is_there = async || !matches!(self.place.has_manifest(&digest).await, Ok(false));
            if is_there().await {
                let deleted = self.remote.delete_manifest(&digest).await;
                let stays = is_there().await;
                self.deleted(Ability::DeleteManifests, deleted, stays, format!("manifest {digest}"));
            }
            self.manifests.pop();
        }
        // With their manifests tags may be gone, too.
        let mut left = Vec::new();
        for what in &self.left {
            let tag = what.strip_prefix("tag ");
            if !matches!(tag, Some(tag) if matches!(self.place.tag_state(tag).await, Ok(None))) {
                left.push(what.clone());
            }
        }
        self.left = left;
        while let Some(blob) = self.blobs.first().cloned() {
            let is_there = async || !matches!(self.place.has_blob(&blob).await, Ok(false));
            if is_there().await {
                let deleted = self.remote.delete_blob(&blob.digest).await;
                let stays = is_there().await;
                self.deleted(Ability::DeleteBlobs, deleted, stays, format!("blob {}", blob.digest));
            }
            self.blobs.remove(0);
        }
    }

    /// What may have been written and is not known to be gone: what could not be deleted, and what [`Self::clean_up`] has not
    /// come to.
    pub(super) fn not_deleted(&self) -> Vec<String> {
        let tags = self.tags.iter().map(|tag| format!("tag {tag}"));
        let manifests = self.manifests.iter().rev().map(|digest| format!("manifest {digest}"));
        let blobs = self.blobs.iter().map(|blob| format!("blob {}", blob.digest));
        self.left.iter().cloned().chain(tags).chain(manifests).chain(blobs).collect()
    }

    /// Notes whether something was deleted; the first answer counts.
    fn deleted(
        &mut self,
        ability: Ability,
        outcome: Result<Deleted, TransportError>,
        stays: bool,
        what: String,
    ) {
        let why = outcome.err().map(|error| error.to_string());
        let verdict = if stays { Verdict::No } else { Verdict::Yes };
        self.answers.entry(ability).or_insert((verdict, why.filter(|_| stays)));
        if stays {
            self.left.push(what);
        }
    }
}

fn add(document: &mut Value, member: &str, value: Value) {
    if let Some(members) = document.as_object_mut() {
        members.insert(member.to_owned(), value);
    }
}

fn described(media_type: MediaType, bytes: &Bytes) -> Descriptor {
    Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
}
