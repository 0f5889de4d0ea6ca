//! The list that is edited, and its edits.

use std::collections::BTreeSet;

use crate::descriptor::{Annotations, Descriptor};
use crate::json::Extra;
use crate::platform::PlatformKey;
use crate::{Digest, Format, MediaType};

mod annotate;

pub use annotate::{Annotate, AnnotateList};

/// The annotation that marks an entry whose layers are compressed with zstd.
pub const ZSTD_ANNOTATION: &str = "io.github.containers.compression.zstd";
/// The annotation that ties an attestation to the entry it describes; its value is that entry's digest.
pub const ATTESTED_ANNOTATION: &str = "vnd.docker.reference.digest";
/// The annotation that tells what kind of attestation an entry is.
pub const ATTESTATION_TYPE_ANNOTATION: &str = "vnd.docker.reference.type";

/// A list of images: the model of both an OCI image index and a Docker manifest list.
///
/// A list remembers the bytes it was decoded from until it is edited, so that what nobody touched is
/// written back as it was.
///
/// Spec: OCI image-spec v1.1.1 `image-index.md`; Docker "Image Manifest V2, Schema 2", "Manifest List".
#[derive(Clone, Debug, Default)]
pub struct List {
    entries: Vec<Descriptor>,
    subject: Option<Descriptor>,
    artifact_type: Option<MediaType>,
    annotations: Annotations,
    extra: Extra,
    original: Option<(Format, Vec<u8>)>,
}

/// Equal lists say the same; which bytes they came from does not count.
impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
            && self.subject == other.subject
            && self.artifact_type == other.artifact_type
            && self.annotations == other.annotations
            && self.extra == other.extra
    }
}

/// What to do when a new entry has the platform of one that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnConflict {
    /// Refuse the new entry.
    #[default]
    Refuse,
    /// Put the new entry where the old one stood, and drop the attestations of what is gone.
    Replace,
    /// Keep both.
    Allow,
}

/// What became of an entry that was added.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Added {
    /// It stands at the end of the list.
    Appended,
    /// It stands where the first of these stood, and all of them gave way to it.
    Replaced(Vec<Digest>),
    /// The list has it already; nothing changed.
    Unchanged,
}

/// Why an edit was refused; the list is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// There is no entry with this digest.
    #[error("the list has no entry {0}")]
    NoSuchEntry(Digest),
    /// Another entry stands for the same platform.
    #[error("the list has an entry for {platform} already: {digest}")]
    PlatformTaken {
        /// The platform of both.
        platform: String,
        /// The entry that is there.
        digest: Digest,
    },
    /// A platform was to be set on an entry, but its architecture or operating system is missing.
    #[error("a platform needs an architecture and an operating system; {0} would lack one")]
    HalfPlatform(Digest),
}

/// What an entry stands for in a list: two entries with equal slots compete for the same hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    platform: PlatformKey,
    zstd: bool,
}

impl Descriptor {
    /// The slot that this entry takes in a list; none for attestations, artifacts and entries without a platform.
    pub fn slot(&self) -> Option<Slot> {
        let platform = self.platform.as_ref().filter(|_| self.artifact_type.is_none())?;
        if self.is_attestation() || platform.os.is_empty() || platform.architecture.is_empty() {
            return None;
        }
        let zstd = self.annotations.get(ZSTD_ANNOTATION).is_some_and(|value| value == "true");
        Some(Slot { platform: platform.key(), zstd })
    }

    /// Whether this entry describes another entry rather than being an image.
    pub fn is_attestation(&self) -> bool {
        self.annotations.contains_key(ATTESTATION_TYPE_ANNOTATION)
            || self.annotations.contains_key(ATTESTED_ANNOTATION)
            || self.platform.as_ref().is_some_and(|p| p.os == "unknown" && p.architecture == "unknown")
    }

    /// The digest of the entry that this attestation describes.
    pub fn attested(&self) -> Option<Digest> {
        self.annotations.get(ATTESTED_ANNOTATION)?.parse().ok()
    }
}

impl List {
    /// A list without entries.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn from_parts(
        entries: Vec<Descriptor>,
        subject: Option<Descriptor>,
        artifact_type: Option<MediaType>,
        annotations: Annotations,
        extra: Extra,
        (format, bytes): (Format, &[u8]),
    ) -> Self {
        let original = Some((format, bytes.to_vec()));
        Self { entries, subject, artifact_type, annotations, extra, original }
    }

    /// The entries, in their order.
    pub fn entries(&self) -> &[Descriptor] {
        &self.entries
    }

    /// The first entry with this digest.
    pub fn entry(&self, digest: &Digest) -> Option<&Descriptor> {
        self.entries.iter().find(|entry| entry.digest == *digest)
    }

    /// The manifest that the whole list is about.
    pub const fn subject(&self) -> Option<&Descriptor> {
        self.subject.as_ref()
    }

    /// The artifact type of the whole list.
    pub const fn artifact_type(&self) -> Option<&MediaType> {
        self.artifact_type.as_ref()
    }

    /// The annotations of the whole list.
    pub const fn annotations(&self) -> &Annotations {
        &self.annotations
    }

    /// The members of the document that this workspace does not know.
    pub const fn extra(&self) -> &Extra {
        &self.extra
    }

    /// The bytes that the list was decoded from, if they were of this format and nothing was edited since.
    pub(crate) fn original(&self, format: Format) -> Option<&[u8]> {
        self.original.as_ref().filter(|(of, _)| *of == format).map(|(_, bytes)| bytes.as_slice())
    }

    /// Adds an entry.
    ///
    /// Two entries for one platform conflict unless they differ in os.version, os.features or compression.
    /// Artifacts, attestations and entries without a platform never do.
    ///
    /// A digest that is in the list already stays as it is and where it is: with [`OnConflict::Allow`] when it
    /// stands for the same platform, with [`OnConflict::Refuse`] whatever it stands for. With
    /// [`OnConflict::Replace`] the new entry takes the place of those for its platform or, when there are none,
    /// of those with its digest.
    ///
    /// # Errors
    /// [`EditError::PlatformTaken`] with [`OnConflict::Refuse`].
    pub fn add(&mut self, entry: Descriptor, on_conflict: OnConflict) -> Result<Added, EditError> {
        let slot = entry.slot();
        let same = self.positions(|there| there.digest == entry.digest);
        let rivals = self.positions(|there| slot.is_some() && there.slot() == slot);
        let yielding = match on_conflict {
            OnConflict::Refuse if !same.is_empty() => return Ok(Added::Unchanged),
            OnConflict::Refuse => {
                self.at(&rivals).next().map_or(Ok(Vec::new()), |there| Err(taken(there)))?
            }
            OnConflict::Allow if self.at(&same).any(|there| there.slot() == slot) => {
                return Ok(Added::Unchanged);
            }
            OnConflict::Allow => Vec::new(),
            OnConflict::Replace if rivals.is_empty() => same,
            OnConflict::Replace => rivals,
        };
        if yielding.is_empty() {
            self.touch().entries.push(entry);
            return Ok(Added::Appended);
        }
        if yielding.len() == 1 && self.at(&yielding).all(|there| *there == entry) {
            return Ok(Added::Unchanged);
        }
        Ok(Added::Replaced(self.replace(&yielding, entry)))
    }

    /// Adds many entries, all of them or none; what [`List::add`] says of one holds for each, in their order.
    ///
    /// # Errors
    /// [`EditError::PlatformTaken`] with [`OnConflict::Refuse`].
    pub fn add_all(
        &mut self,
        entries: impl IntoIterator<Item = Descriptor>,
        on_conflict: OnConflict,
    ) -> Result<Vec<Added>, EditError> {
        let entries: Vec<Descriptor> = entries.into_iter().collect();
        if let [one] = entries.as_slice() {
            // The usual case by far: what serves many would only cost here.
            return Ok(vec![self.add(one.clone(), on_conflict)?]);
        }
        let mut list = self.clone();
        let mut digests: BTreeSet<Digest> = list.entries.iter().map(|entry| entry.digest).collect();
        let mut slots: BTreeSet<Slot> = list.entries.iter().filter_map(Descriptor::slot).collect();
        let mut outcome = Vec::new();
        for entry in entries {
            let new_digest = digests.insert(entry.digest);
            let new_slot = entry.slot().is_none_or(|slot| slots.insert(slot));
            outcome.push(if new_digest && new_slot {
                // Nothing can be in its way: spares the walk over all entries that `add` makes.
                list.touch().entries.push(entry);
                Added::Appended
            } else {
                list.add(entry, on_conflict)?
            });
        }
        *self = list;
        Ok(outcome)
    }

    fn positions(&self, is: impl Fn(&Descriptor) -> bool) -> Vec<usize> {
        self.entries.iter().enumerate().filter(|(_, there)| is(there)).map(|(at, _)| at).collect()
    }

    fn at(&self, positions: &[usize]) -> impl Iterator<Item = &Descriptor> {
        positions.iter().filter_map(|at| self.entries.get(*at))
    }

    /// Puts `entry` at the first of `positions` and removes the others, with the attestations of what is gone.
    fn replace(&mut self, positions: &[usize], entry: Descriptor) -> Vec<Digest> {
        let replaced: Vec<Digest> = self.at(positions).map(|old| old.digest).collect();
        let mut entry = Some(entry);
        let old = std::mem::take(&mut self.touch().entries);
        for (position, there) in old.into_iter().enumerate() {
            match positions.contains(&position) {
                true => self.entries.extend(entry.take()),
                false => self.entries.push(there),
            }
        }
        let gone: Vec<Digest> =
            replaced.iter().copied().filter(|digest| self.entry(digest).is_none()).collect();
        self.entries.retain(|there| there.attested().is_none_or(|digest| !gone.contains(&digest)));
        replaced
    }

    /// Removes every entry with this digest, and the attestations that describe it.
    ///
    /// # Errors
    /// [`EditError::NoSuchEntry`] when there is none.
    pub fn remove(&mut self, digest: &Digest) -> Result<Vec<Descriptor>, EditError> {
        if self.entry(digest).is_none() {
            return Err(EditError::NoSuchEntry(*digest));
        }
        let leaves = |entry: &Descriptor| entry.digest == *digest || entry.attested() == Some(*digest);
        let (gone, kept) = std::mem::take(&mut self.touch().entries).into_iter().partition(leaves);
        self.entries = kept;
        Ok(gone)
    }

    /// Puts an entry at the end as it is, whatever else the list holds.
    ///
    /// For lists whose entries do not stand for platforms, such as the `index.json` of an image layout.
    pub fn append(&mut self, entry: Descriptor) {
        self.touch().entries.push(entry);
    }

    /// Keeps only the entries that `keep` says.
    pub fn retain(&mut self, keep: impl FnMut(&Descriptor) -> bool) {
        let before = self.entries.len();
        self.entries.retain(keep);
        if self.entries.len() != before {
            self.original = None;
        }
    }

    /// Sets or clears the manifest that the whole list is about.
    pub fn set_subject(&mut self, subject: Option<Descriptor>) {
        if self.subject != subject {
            self.touch().subject = subject;
        }
    }

    /// Sets or clears the artifact type of the whole list.
    pub fn set_artifact_type(&mut self, artifact_type: Option<MediaType>) {
        if self.artifact_type != artifact_type {
            self.touch().artifact_type = artifact_type;
        }
    }

    /// Forgets the bytes that the list came from, since it is about to differ from them.
    fn touch(&mut self) -> &mut Self {
        self.original = None;
        self
    }
}

fn taken(there: &Descriptor) -> EditError {
    let platform = there.platform.as_ref().map(ToString::to_string).unwrap_or_default();
    EditError::PlatformTaken { platform, digest: there.digest }
}
