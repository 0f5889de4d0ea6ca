//! Manifests as they come from anywhere: checked against what asked for them, and parsed once.

use std::fmt;

use bytes::Bytes;
use manifest_core::{Algorithm, Digest, Document, MediaType, Tag};

use crate::error::TransportError;

/// How a manifest is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum At {
    /// By a tag, which may mean something else tomorrow.
    Tag(Tag),
    /// By its digest.
    Digest(Digest),
}

impl At {
    /// The text that stands for it in a URL.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Tag(tag) => tag.to_string(),
            Self::Digest(digest) => digest.to_string(),
        }
    }
}

/// As it stands behind a repository: `:tag` or `@digest`.
impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, ":{tag}"),
            Self::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

/// Where the bytes of a manifest come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// They were read, exactly as somebody wrote them.
    AsFound,
    /// They were made up here for an image of a Docker archive, which holds none. Whoever pushed the image elsewhere
    /// wrote other bytes, so its digest there is another one.
    Synthesised,
}

/// A manifest that was read and is what it says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fetched {
    /// The bytes, exactly as they were.
    pub bytes: Bytes,
    /// Their digest, computed here.
    pub digest: Digest,
    /// Their media type.
    pub media_type: MediaType,
    /// What they say.
    pub document: Document,
    /// Where they come from.
    pub origin: Origin,
}

impl Fetched {
    /// A manifest that somebody kept, under its digest and with its media type.
    ///
    /// # Errors
    /// [`TransportError::DigestMismatch`] and [`TransportError::Decode`], which name it `what`.
    pub fn kept(
        what: &str,
        digest: &Digest,
        bytes: Bytes,
        media_type: &MediaType,
    ) -> Result<Self, TransportError> {
        Self::check(what.to_owned(), &At::Digest(*digest), bytes, Some(media_type), None)
    }

    /// Checks bytes against the digest that asked for them and against what the server said.
    pub(crate) fn check(
        what: String,
        at: &At,
        bytes: Bytes,
        announced: Option<&MediaType>,
        told: Option<Digest>,
    ) -> Result<Self, TransportError> {
        let algorithm = match at {
            At::Digest(digest) => digest.algorithm(),
            At::Tag(_) => Algorithm::Sha256,
        };
        let digest = algorithm.digest(&bytes);
        let asked = match at {
            At::Digest(asked) => Some(*asked),
            At::Tag(_) => None,
        };
        let told = told.filter(|told| told.algorithm() == algorithm);
        if let Some(expected) = asked.into_iter().chain(told).find(|expected| *expected != digest) {
            return Err(TransportError::DigestMismatch { what, expected, found: digest });
        }
        let document =
            Document::decode(&bytes, announced).map_err(|source| TransportError::Decode { what, source })?;
        let media_type = match &document {
            Document::List(_, format) => format.media_type(),
            Document::Image(image) => image.media_type.clone(),
        };
        Ok(Self { bytes, digest, media_type, document, origin: Origin::AsFound })
    }
}
