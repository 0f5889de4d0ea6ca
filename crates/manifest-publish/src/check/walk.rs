//! The way through the manifests of a list, level by level.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Digest, Document, Format, ImageManifest, Kind, Platform};
use manifest_transport::{Fetched, Place, TransportError};

use super::compare::{self, Found};
use super::finding::{About, Checked, Counts, Finding, Unchecked};
use super::problem::problem;
use super::{Blob, Blobs, Image};
use crate::error::{MAX_NESTING, PublishError};
use crate::resolve::describe;
use crate::subject::Subject;

/// What is known so far, and what is to be looked at next.
pub(super) struct Walk {
    pub(super) checked: Checked,
    pub(super) blobs: Blobs,
    pub(super) images: Vec<Image>,
    lists: BTreeSet<Digest>,
    /// Configurations that were read.
    configs: BTreeSet<(String, Digest, u64)>,
    jobs: usize,
}

/// Whether a list says what an image is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    InList,
    Alone,
}

/// An entry, and where its manifest is.
struct Entry {
    entry: Descriptor,
    place: Place,
}

/// What a manifest turned out to be.
enum Seen {
    List(Found, Vec<Descriptor>, Format),
    Image(Found, Box<SeenImage>),
    /// Something that is no manifest known here, and is there.
    Other,
    /// It is not there, or not what it should be.
    Bad(About, String),
}

struct SeenImage {
    image: ImageManifest,
    /// What its configuration tells; none when there is none that would tell a platform.
    config: Option<Result<SeenConfig, (About, String)>>,
}

struct SeenConfig {
    platform: Option<Platform>,
    layers: Option<Finding>,
}

impl Walk {
    pub(super) fn new(subject: &Subject, jobs: usize) -> Self {
        let fetched = subject.fetched();
        let (digest, media_type) = (fetched.digest, fetched.media_type.clone());
        let (findings, unchecked, counts) = (Vec::new(), Vec::new(), Counts::default());
        let checked = Checked { digest, media_type, findings, counts, unchecked };
        let (blobs, images) = (Blobs::new(), Vec::new());
        Self { checked, blobs, images, lists: BTreeSet::new(), configs: BTreeSet::new(), jobs }
    }

    /// Reads all manifests and configurations.
    pub(super) async fn manifests(&mut self, subject: &Subject) -> Result<(), PublishError> {
        let fetched = subject.fetched();
        let mut level = match &fetched.document {
            Document::Image(image) => {
                let (entry, place) = (describe(fetched), subject.place_of(&fetched.digest)?);
                let seen = see_image(&place, image.clone()).await?;
                self.image(Entry { entry, place }, &seen, Named::Alone);
                return Ok(());
            }
            Document::List(list, format) => {
                self.lists.insert(fetched.digest);
                self.list(list.entries(), *format);
                self.with_places(list.entries(), subject)?
            }
        };
        for _ in 0..=MAX_NESTING {
            let seen = self.see(&level).await?;
            let mut next = Vec::new();
            for entry in level {
                if let Some(seen) = seen.get(&key(&entry)) {
                    self.entry(entry, seen, &mut next);
                }
            }
            if next.is_empty() {
                return Ok(());
            }
            level = next;
        }
        for Entry { entry, .. } in level {
            let what =
                format!("lists in lists are followed for {MAX_NESTING} levels, and this is further down");
            self.checked.findings.push(Finding::fault(About::TooDeep, what).of(&entry));
            let unchecked = Unchecked::new(entry.digest, &entry, "lies too deep in lists in lists");
            self.checked.unchecked.push(unchecked);
        }
        Ok(())
    }

    fn list(&mut self, entries: &[Descriptor], format: Format) {
        self.checked.counts.lists += 1;
        self.checked.findings.extend(compare::list(entries, format));
    }

    /// Pairs the entries of the list itself with their places.
    fn with_places(&mut self, entries: &[Descriptor], subject: &Subject) -> Result<Vec<Entry>, PublishError> {
        let mut level = Vec::with_capacity(entries.len());
        for entry in entries {
            match subject.place_of(&entry.digest) {
                Ok(place) => level.push(Entry { entry: entry.clone(), place }),
                Err(error @ PublishError::NoSource(_)) => {
                    let finding = Finding::fault(About::NoSource, error.to_string());
                    self.checked.findings.push(finding.of(entry));
                    self.leave(entry, "cannot be read, since nothing is known of where it comes from");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(level)
    }

    fn leave(&mut self, entry: &Descriptor, why: &str) {
        self.checked.unchecked.push(Unchecked::new(entry.digest, entry, why));
    }

    /// Reads the manifests of a level, each once.
    async fn see(&self, level: &[Entry]) -> Result<BTreeMap<Key, Seen>, PublishError> {
        let ask: BTreeMap<_, &Entry> = level.iter().map(|entry| (key(entry), entry)).collect();
        stream::iter(ask)
            .map(|(key, entry)| async move { Ok((key, see(entry).await?)) })
            .buffer_unordered(self.jobs)
            .try_collect()
            .await
    }

    /// Compares an entry with what it stands for.
    fn entry(&mut self, entry: Entry, seen: &Seen, next: &mut Vec<Entry>) {
        match seen {
            Seen::Bad(about, what) => {
                self.checked.findings.push(Finding::fault(*about, what).of(&entry.entry));
                self.leave(&entry.entry, "cannot be read, so that nothing below it was looked at");
            }
            Seen::Other => {
                self.checked.counts.blob(entry.entry.size);
            }
            Seen::List(found, entries, format) => {
                self.checked.findings.extend(compare::descriptor(&entry.entry, found));
                let what = format!(
                    "a list of {} entries in the list; some clients do not look into it",
                    entries.len()
                );
                self.checked.findings.push(Finding::note(About::Nested, what).of(&entry.entry));
                if self.lists.insert(entry.entry.digest) {
                    self.list(entries, *format);
                    let inner = entries.iter().cloned();
                    next.extend(inner.map(|inner| Entry { entry: inner, place: entry.place.clone() }));
                }
            }
            Seen::Image(found, image) => {
                self.checked.findings.extend(compare::descriptor(&entry.entry, found));
                self.image(entry, image, Named::InList);
            }
        }
    }

    fn image(&mut self, entry: Entry, seen: &SeenImage, named: Named) {
        let Entry { mut entry, place } = entry;
        self.checked.counts.images += 1;
        match &seen.config {
            Some(Ok(config)) => {
                match named {
                    Named::Alone => entry.platform.clone_from(&config.platform),
                    Named::InList if entry.is_attestation() => {}
                    Named::InList => {
                        self.checked.findings.extend(compare::platform(&entry, config.platform.as_ref()));
                    }
                }
                self.checked.findings.extend(config.layers.clone().map(|finding| finding.of(&entry)));
                self.config(&seen.image.config, &place);
            }
            Some(Err((about, what))) => {
                self.checked.findings.push(Finding::fault(*about, what).of(&entry));
                self.leave(
                    &entry,
                    "has a configuration that cannot be read, so its platform was not compared",
                );
            }
            None => self.blob(&seen.image.config, &entry, &place),
        }
        for layer in &seen.image.layers {
            if layer.media_type.is_foreign() {
                let why = "is a layer that may not be distributed, and need not be there";
                self.checked.unchecked.push(Unchecked::new(layer.digest, &entry, why));
            } else {
                self.blob(layer, &entry, &place);
            }
        }
        let told = seen.config.as_ref().and_then(|config| config.as_ref().ok()?.platform.as_ref());
        let platform = entry.platform.as_ref().or(told).cloned();
        let is_image = seen.image.has_platform() && !entry.is_attestation();
        if let Some(platform) = platform.filter(|_| is_image) {
            self.images.push(Image { entry, image: seen.image.clone(), platform, place });
        }
    }

    /// Counts a configuration, which was read.
    fn config(&mut self, config: &Descriptor, place: &Place) {
        if self.configs.insert((place.to_string(), config.digest, config.size)) {
            self.checked.counts.configs += 1;
            self.checked.counts.blob(config.size);
        }
    }

    /// Something that should be there.
    fn blob(&mut self, blob: &Descriptor, entry: &Descriptor, place: &Place) {
        let (at, key) = (self.blobs.len(), (place.to_string(), blob.digest, blob.size));
        if !self.configs.contains(&key) {
            let new = || Blob { blob: blob.clone(), place: place.clone(), entry: entry.clone() };
            self.blobs.entry(key).or_insert_with(|| (at, new()));
        }
    }
}

/// What is read once, however often it is named.
fn key(entry: &Entry) -> Key {
    (entry.place.to_string(), entry.entry.digest, entry.entry.media_type.kind() == Kind::Other)
}

/// A place, a digest, and whether it is no manifest that is known here.
type Key = (String, Digest, bool);

/// Reads what an entry stands for.
async fn see(entry: &Entry) -> Result<Seen, TransportError> {
    let Entry { entry, place } = entry;
    if entry.media_type.kind() == Kind::Other {
        return see_other(entry, place).await;
    }
    let fetched = match place.manifest(&entry.digest.into()).await {
        Ok(fetched) => fetched,
        Err(error) => return problem(error).map(|(about, what)| Seen::Bad(about, what)),
    };
    let Fetched { bytes, media_type, document, .. } = fetched;
    let found = |artifact_type| Found { size: bytes.len() as u64, media_type, artifact_type };
    Ok(match document {
        Document::List(list, format) => {
            Seen::List(found(list.artifact_type().cloned()), list.entries().to_vec(), format)
        }
        Document::Image(image) => {
            let found = found(compare::artifact_type(&image));
            Seen::Image(found, Box::new(see_image(place, image).await?))
        }
    })
}

/// Looks for something of a type that nobody knows, which a registry may keep as a blob or as a manifest.
async fn see_other(entry: &Descriptor, place: &Place) -> Result<Seen, TransportError> {
    match place.look_at_blob(entry).await {
        Ok(()) => Ok(Seen::Other),
        Err(TransportError::NotFound(_)) if place.has_manifest(&entry.digest).await? => Ok(Seen::Other),
        Err(error) => problem(error).map(|(about, what)| Seen::Bad(about, what)),
    }
}

/// Reads the configuration of an image.
async fn see_image(place: &Place, image: ImageManifest) -> Result<SeenImage, TransportError> {
    if !image.has_platform() {
        return Ok(SeenImage { image, config: None });
    }
    let config = match place.config(&image.config).await {
        Err(error) => Err(problem(error)?),
        Ok(bytes) => match Platform::from_config(&bytes) {
            Ok(platform) => Ok(SeenConfig { platform, layers: compare::layers(&image, &bytes) }),
            Err(error) => {
                let what = format!("the configuration {} is not usable: {error}", image.config.digest);
                Err((About::Unreadable, what))
            }
        },
    };
    Ok(SeenImage { image, config: Some(config) })
}
