//! What the fake registry holds.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use manifest_core::{Digest, MediaType};
use serde_json::Value;

/// A manifest with the type it came with.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
}

#[derive(Debug, Default)]
struct Repository {
    blobs: BTreeMap<Digest, Bytes>,
    manifests: BTreeMap<Digest, Manifest>,
    tags: BTreeMap<String, Digest>,
}

/// An upload that is under way.
#[derive(Debug, Default)]
pub(super) struct Upload {
    pub(super) repository: String,
    pub(super) bytes: BytesMut,
}

/// Repositories, uploads and switches.
#[derive(Debug, Default)]
pub(super) struct State {
    repositories: BTreeMap<String, Repository>,
    uploads: BTreeMap<String, Upload>,
    next_upload: u64,
    pub(super) allow_missing_children: bool,
    pub(super) serve_referrers: bool,
    pub(super) hide_subjects: bool,
    pub(super) referrers_per_page: Option<usize>,
    pub(super) ignore_preconditions: bool,
    pub(super) keep_manifests: bool,
    pub(super) freeze_tags: bool,
    pub(super) never_mount: bool,
    pub(super) refused: Option<fn(&Value) -> bool>,
    pub(super) keep_tags: bool,
    pub(super) set_many_tags: bool,
    pub(super) chunk_min_length: Option<u64>,
    pub(super) body_limit: Option<u64>,
    /// Simple signatures by repository and digest, where they are kept at all.
    pub(super) signatures: Option<BTreeMap<String, Vec<Value>>>,
}

impl State {
    pub(super) fn put_blob(&mut self, repository: &str, bytes: Bytes) -> Digest {
        let digest = Digest::sha256(&bytes);
        self.put_blob_as(repository, digest, bytes);
        digest
    }

    pub(super) fn put_blob_as(&mut self, repository: &str, digest: Digest, bytes: Bytes) {
        self.repository(repository).blobs.insert(digest, bytes);
    }

    pub(super) fn blob(&self, repository: &str, digest: &Digest) -> Option<Bytes> {
        self.repositories.get(repository)?.blobs.get(digest).cloned()
    }

    pub(super) fn remove_blob(&mut self, repository: &str, digest: &Digest) {
        self.repository(repository).blobs.remove(digest);
    }

    /// Stores a manifest under a digest, or a tag and its sha256.
    pub(super) fn put_manifest(
        &mut self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: Bytes,
    ) -> Digest {
        let named = reference.parse::<Digest>().ok();
        let digest = named.unwrap_or_else(|| Digest::sha256(&bytes));
        let manifest = Manifest { media_type: media_type.to_owned(), bytes };
        let to = self.repository(repository);
        to.manifests.insert(digest, manifest);
        if named.is_none() {
            to.tags.insert(reference.to_owned(), digest);
        }
        digest
    }

    pub(super) fn manifest(&self, repository: &str, reference: &str) -> Option<(Digest, &Manifest)> {
        let from = self.repositories.get(repository)?;
        let digest = match reference.parse() {
            Ok(digest) => digest,
            Err(_) => *from.tags.get(reference)?,
        };
        Some((digest, from.manifests.get(&digest)?))
    }

    /// Removes a tag, or a manifest with all its tags; whether there was one.
    pub(super) fn remove_manifest(&mut self, repository: &str, reference: &str) -> bool {
        let from = self.repository(repository);
        match reference.parse::<Digest>() {
            Ok(digest) => {
                from.tags.retain(|_, tagged| *tagged != digest);
                from.manifests.remove(&digest).is_some()
            }
            Err(_) => from.tags.remove(reference).is_some(),
        }
    }

    pub(super) fn tags(&self, repository: &str) -> Vec<String> {
        self.repositories.get(repository).map(|from| from.tags.keys().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn knows(&self, repository: &str) -> bool {
        self.repositories.contains_key(repository)
    }

    pub(super) fn names(&self) -> Vec<&String> {
        self.repositories.keys().collect()
    }

    /// Manifests of a repository whose subject is `subject`, as descriptors.
    pub(super) fn referrers(&self, repository: &str, subject: &str) -> Vec<Value> {
        let manifests = self.repositories.get(repository).map(|from| &from.manifests);
        let mut found = Vec::new();
        for (digest, manifest) in manifests.into_iter().flatten() {
            let Ok(value) = serde_json::from_slice::<Value>(&manifest.bytes) else { continue };
            if value["subject"]["digest"].as_str() != Some(subject) {
                continue;
            }
            let mut descriptor = serde_json::json!({
                "mediaType": manifest.media_type, "digest": digest, "size": manifest.bytes.len(),
            });
            let config = &value["config"]["mediaType"];
            let artifact = if value["artifactType"].is_null() { config } else { &value["artifactType"] };
            for (key, value) in [("artifactType", artifact), ("annotations", &value["annotations"])] {
                if !value.is_null() {
                    descriptor[key] = value.clone();
                }
            }
            found.push(descriptor);
        }
        found
    }

    pub(super) fn open_upload(&mut self, repository: &str) -> String {
        self.next_upload += 1;
        let id = format!("upload-{}", self.next_upload);
        let upload = Upload { repository: repository.to_owned(), bytes: BytesMut::new() };
        self.uploads.insert(id.clone(), upload);
        id
    }

    pub(super) fn upload(&mut self, repository: &str, id: &str) -> Option<&mut Upload> {
        self.uploads.get_mut(id).filter(|upload| upload.repository == repository)
    }

    pub(super) fn close_upload(&mut self, id: &str) -> Option<Upload> {
        self.uploads.remove(id)
    }

    pub(super) fn open_uploads(&self) -> usize {
        self.uploads.len()
    }

    /// The digests that a manifest names and the repository lacks; none when it is not JSON at all.
    pub(super) fn missing_children(
        &self,
        repository: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Option<Vec<String>> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let listed = MediaType::from(media_type).kind() == manifest_core::Kind::List;
        let children = if listed {
            value["manifests"].as_array().cloned().unwrap_or_default()
        } else {
            let layers = value["layers"].as_array().cloned().unwrap_or_default();
            layers.into_iter().chain([value["config"].clone()]).collect()
        };
        let from = self.repositories.get(repository);
        let present = |digest: &Digest| {
            from.is_some_and(|from| match listed {
                true => from.manifests.contains_key(digest),
                false => from.blobs.contains_key(digest),
            })
        };
        // A layer with addresses of its own lies elsewhere, and is not the registry's business.
        let own = children.iter().filter(|child| child["urls"].is_null() && !child["digest"].is_null());
        let digests = own.map(|child| child["digest"].as_str().unwrap_or_default());
        Some(digests.filter(|text| !text.parse().is_ok_and(|d| present(&d))).map(str::to_owned).collect())
    }

    fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }
}
