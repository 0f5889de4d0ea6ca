//! What a check tells.

use manifest_core::{Descriptor, Digest, MediaType};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Something is not true, or not there: somebody who uses the list will meet it.
    Fault,
    /// Worth knowing, and no fault.
    Note,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum About {
    /// The list has no entries.
    Empty,
    /// Content is not as long as a descriptor says.
    Size,
    /// Content is not what its digest says.
    Digest,
    /// A descriptor names another media type than the document.
    MediaType,
    /// A descriptor names another artifact type than the manifest.
    ArtifactType,
    /// Something is not where it should be.
    Missing,
    /// Nobody knows where an entry could be read.
    NoSource,
    /// A document cannot be read, or not be trusted.
    Unreadable,
    /// The list and the configuration of an image tell different platforms.
    Platform,
    /// The list, or the configuration, does not tell a platform.
    NoPlatform,
    /// The configuration of an image counts other layers than its manifest.
    Layers,
    /// Two entries are for one platform.
    Duplicate,
    /// A media type that is not known here.
    UnknownType,
    /// An attestation describes nothing that is in the list.
    Attestation,
    /// Images of one format stand in a list of the other.
    MixedFormats,
    /// A list stands in a list.
    Nested,
    /// Lists in lists are not followed any further.
    TooDeep,
    /// Programs are built for another machine than the image.
    Program,
}

impl About {
    /// A word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Size => "size",
            Self::Digest => "digest",
            Self::MediaType => "media_type",
            Self::ArtifactType => "artifact_type",
            Self::Missing => "missing",
            Self::NoSource => "no_source",
            Self::Unreadable => "unreadable",
            Self::Platform => "platform",
            Self::NoPlatform => "no_platform",
            Self::Layers => "layers",
            Self::Duplicate => "duplicate",
            Self::UnknownType => "unknown_type",
            Self::Attestation => "attestation",
            Self::MixedFormats => "mixed_formats",
            Self::Nested => "nested",
            Self::TooDeep => "too_deep",
            Self::Program => "program",
        }
    }
}

/// Something that is not as it should be, or is worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub about: About,
    /// The entry that it belongs to; none for the list as a whole.
    pub entry: Option<Digest>,
    /// What that entry is for, as people write it.
    pub platform: Option<String>,
    /// A sentence without a full stop.
    pub what: String,
    /// The programs, where it is about programs.
    pub files: Vec<String>,
}

impl Finding {
    fn new(severity: Severity, about: About, what: impl Into<String>) -> Self {
        Self { severity, about, entry: None, platform: None, what: what.into(), files: Vec::new() }
    }

    pub(super) fn fault(about: About, what: impl Into<String>) -> Self {
        Self::new(Severity::Fault, about, what)
    }

    pub(super) fn note(about: About, what: impl Into<String>) -> Self {
        Self::new(Severity::Note, about, what)
    }

    /// Says which entry it belongs to.
    pub(super) fn of(mut self, entry: &Descriptor) -> Self {
        self.entry = Some(entry.digest);
        self.platform = entry.platform.as_ref().map(ToString::to_string);
        self
    }
}

/// Something that was not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unchecked {
    /// The content.
    pub digest: Digest,
    /// What the entry is for that it belongs to, as people write it.
    pub platform: Option<String>,
    /// Why not, as the rest of a sentence that begins with the digest.
    pub why: String,
}

impl Unchecked {
    pub(crate) fn new(digest: Digest, entry: &Descriptor, why: impl Into<String>) -> Self {
        Self { digest, platform: entry.platform.as_ref().map(ToString::to_string), why: why.into() }
    }
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Lists, the one that was named among them.
    pub lists: usize,
    /// Manifests of images and artifacts.
    pub images: usize,
    /// Configurations that were read.
    pub configs: usize,
    /// Blobs that are there, configurations among them; each once.
    pub blobs: usize,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// Programs whose machine was compared with the platform.
    pub programs: usize,
}

impl Counts {
    pub(super) const fn blob(&mut self, size: u64) {
        self.blobs += 1;
        self.bytes = self.bytes.saturating_add(size);
    }
}

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// The digest of the list or image.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// What is not as it should be: first of the list as a whole, then in the order of the entries, blobs and
    /// programs last.
    pub findings: Vec<Finding>,
    /// What was looked at.
    pub counts: Counts,
    /// What was not.
    pub unchecked: Vec<Unchecked>,
}

impl Checked {
    /// Whether a finding is a fault.
    pub fn has_faults(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Fault)
    }
}
