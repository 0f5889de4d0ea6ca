//! What is attached to a list and everything in it, and goes along with that: referrers, and signatures under tags.

mod bring;
mod find;
mod merge;
mod sign;

use std::fmt;

use bytes::Bytes;
use manifest_core::{Descriptor, Digest, MediaType};
use manifest_sign::sigstore::{BUNDLE_MEDIA_TYPE, PREDICATE_ANNOTATION, SIGNED_PREDICATE};
use manifest_transport::{Fetched, Place, TransportError};
use serde::{Deserialize, Serialize};

use crate::survey::Manifests;
use crate::tags::Found;

pub(crate) use sign::{config, put_config};

/// How many manifests may hang on one another: what refers to what refers … to the list.
pub const MAX_REFERRER_DEPTH: usize = 4;
/// Referrers that one publication takes along.
pub const MAX_REFERRERS: usize = 10_000;

/// What a publication takes along beside the list and what it names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct With {
    /// Manifests whose `subject` is the list or something in it, and what refers to these in turn.
    pub referrers: bool,
    /// cosign's signatures, attestations and bills of materials of the list and everything in it, which stand under the tags
    /// `sha256-….sig`, `.att` and `.sbom`.
    pub signatures: bool,
    /// Whether signatures stay behind all the same: the tags `sha256-….sig`, and referrers that are signatures.
    pub without_signatures: bool,
    /// Where the list itself can be read beside the sources of its entries, as [`Source::place`] is written.
    ///
    /// [`Source::place`]: manifest_store::Source::place
    pub list_at: Vec<String>,
}

impl With {
    /// Whether nothing is taken along.
    pub const fn is_nothing(&self) -> bool {
        !self.referrers && !self.signatures
    }
}

/// What became of referrers or signatures at a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Brought {
    /// They were there.
    pub present: usize,
    /// They were written.
    pub written: usize,
    /// Signatures that were added to those that the target had.
    pub merged: usize,
    /// They were left out, because the target has another one under the tag that cannot be added to.
    pub kept: usize,
}

/// What became of all that is attached, as far as it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttachedOutcome {
    /// Referrers.
    pub referrers: Option<Brought>,
    /// Signatures.
    pub signatures: Option<Brought>,
}

/// Something attached that would be taken along.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttachedStep {
    /// The manifest, as it is where it is read.
    pub manifest: Descriptor,
    /// What it is attached to.
    pub of: Digest,
    /// The tag of a signature; none for a referrer.
    pub tag: Option<String>,
    /// Where it is.
    pub from: Place,
    /// What has to be done.
    pub action: AttachedAction,
}

/// What has to be done for something attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachedAction {
    /// Nothing: it is there.
    Skip,
    /// It is written.
    Write,
    /// The target has another one under the tag, to which it is added if that can be.
    Merge,
}

impl AttachedAction {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Write => "write",
            Self::Merge => "merge",
        }
    }
}

/// Something attached that is not taken along, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeftOut {
    /// It is listed as a referrer, but there is no such manifest.
    Gone {
        /// The manifest.
        referrer: Digest,
        /// Where it should be.
        from: String,
    },
    /// It is listed as a referrer, but has another subject.
    NotOfIt {
        /// The manifest.
        referrer: Digest,
        /// What it was listed under.
        subject: Digest,
        /// Where it is.
        from: String,
    },
    /// The target has no tags, and no other place for it.
    NoPlace {
        /// The tag at the source.
        tag: String,
        /// The target.
        target: String,
    },
    /// The target has something else under the tag, to which it cannot be added.
    Kept {
        /// The tag, with its place.
        tag: String,
    },
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { referrer, from } => {
                write!(f, "{from} lists {referrer} as a referrer and does not have it")
            }
            Self::NoPlace { tag, target } => write!(f, "{target} has no place for {tag}"),
            Self::NotOfIt { referrer, subject, from } => {
                write!(f, "{from} lists {referrer} as a referrer of {subject}, which it is not")
            }
            Self::Kept { tag } => {
                write!(f, "{tag} is something else already and stays, since signatures cannot be added to it")
            }
        }
    }
}

/// All that is attached to the list and everything in it at their sources.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    manifests: Manifests,
    /// Those that refer to others come after them.
    referrers: Vec<Referrer>,
    signatures: Vec<Signature>,
    left_out: Vec<LeftOut>,
}

#[derive(Debug)]
struct Referrer {
    manifest: Descriptor,
    subject: Digest,
    from: Place,
    /// The manifest as it was read, unless all of them would take too much memory.
    kept: Option<Fetched>,
}

/// The artifact types of signatures that are no bundles: of notation, and of an earlier cosign.
const SIGNATURES: [&str; 2] =
    ["application/vnd.cncf.notary.signature", "application/vnd.dev.cosign.artifact.sig.v1+json"];

impl Referrer {
    /// Whether it is a signature: a bundle that does not say that it is an attestation, or of a form that has no other use.
    fn is_signature(&self) -> bool {
        let Some((_, listed)) = self.kept.as_ref().and_then(Fetched::as_referrer) else { return false };
        let artifact_type = listed.artifact_type.as_ref().map_or("", MediaType::as_str);
        let predicate = listed.annotations.get(PREDICATE_ANNOTATION);
        SIGNATURES.contains(&artifact_type)
            || (artifact_type == BUNDLE_MEDIA_TYPE
                && predicate.is_none_or(|predicate| predicate == SIGNED_PREDICATE))
    }

    async fn fetched(&self) -> Result<Fetched, TransportError> {
        match &self.kept {
            Some(fetched) => Ok(fetched.clone()),
            None => self.from.manifest(&self.manifest.digest.into()).await,
        }
    }
}

#[derive(Debug)]
struct Signature {
    tag: String,
    of: Digest,
    /// What stands under the tag; without its bytes where those of all would take too much memory.
    found: Found,
    size: u64,
    from: Place,
}

impl Signature {
    fn manifest(&self) -> Descriptor {
        Descriptor::new(self.found.media_type.clone(), self.found.digest, self.size)
    }

    async fn bytes(&self) -> Result<Bytes, TransportError> {
        match &self.found.bytes {
            Some(bytes) => Ok(bytes.clone()),
            None => Ok(self.from.manifest(&self.found.digest.into()).await?.bytes),
        }
    }
}
