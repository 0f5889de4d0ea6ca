//! What a record is of, and how it came into the store.

use jiff::Timestamp;
use manifest_core::{DecodeError, Digest, Document, Encoded, Format, ImageManifest, List, MediaType};
use serde::{Deserialize, Serialize};

use super::{Header, Record, digests, read_back, wanted_format};
use crate::{Base, Draft, Source, Sources, StoreError, text};

/// What a record is of.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there is one in a record, and either is the bulk of it")]
#[allow(clippy::exhaustive_enums, reason = "a record is of one or the other; there is no third")]
pub enum Content {
    /// A list, which is what is edited.
    List(List),
    /// A single image, which is kept as it is.
    Image(ImageManifest),
}

/// How a record came into the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Origin {
    /// It was written here.
    #[default]
    Created,
    /// It came out of an archive or a layout, with all that belongs to it.
    Imported,
    /// It came out of a registry, with all that belongs to it.
    Pulled,
}

/// The last time that a record was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pushed {
    /// When it was done.
    #[serde(with = "text")]
    pub when: Timestamp,
    /// Where it went.
    pub target: String,
    /// The digest of what was pushed.
    pub digest: Digest,
}

/// A record that is about to be saved for the first time.
#[derive(Clone, Debug)]
pub struct NewRecord {
    pub(super) content: Content,
    pub(super) document: Encoded,
    pub(super) format: Option<Format>,
    pub(super) sources: Sources,
    pub(super) base: Option<Base>,
    pub(super) origin: Origin,
}

impl Content {
    pub(crate) const fn list(&self) -> Option<&List> {
        match self {
            Self::List(list) => Some(list),
            Self::Image(_) => None,
        }
    }

    /// The entries of a list; an image has none.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Digest> {
        self.list().into_iter().flat_map(digests)
    }

    /// What can have a source: the entries of a list, or the image itself.
    pub(super) fn digests(&self, document: &Encoded) -> impl Iterator<Item = Digest> {
        let image = self.list().is_none().then_some(document.digest);
        self.entries().chain(image)
    }

    /// Reads what was kept.
    pub(super) fn decode_again(bytes: &[u8], media_type: &MediaType) -> Result<(Self, Format), DecodeError> {
        if Format::of_list(media_type).is_some() {
            return List::decode_again(bytes).map(|(list, format)| (Self::List(list), format));
        }
        let image = ImageManifest::decode(bytes)?;
        let format = if image.media_type.is_docker() { Format::Docker } else { Format::Oci };
        Ok((Self::Image(image), format))
    }
}

impl Origin {
    /// Whether it was written here, which is not worth noting.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
    pub(super) const fn is_created(&self) -> bool {
        matches!(self, Self::Created)
    }
}

impl NewRecord {
    /// A document as it came from elsewhere, byte for byte: a list or an image.
    ///
    /// # Errors
    /// [`StoreError::NoManifest`] when it is neither.
    pub fn kept(bytes: Vec<u8>, announced: Option<&MediaType>, origin: Origin) -> Result<Self, StoreError> {
        let digest = Digest::sha256(&bytes);
        let (content, document, format) =
            match Document::decode(&bytes, announced).map_err(StoreError::NoManifest)? {
                Document::List(list, format) => {
                    (Content::List(list), Encoded::kept(bytes, digest, format), Some(format))
                }
                Document::Image(image) => {
                    let document = Encoded::kept_image(bytes, digest, image.media_type.clone());
                    (Content::Image(image), document, None)
                }
            };
        Ok(Self { content, document, format, sources: Sources::default(), base: None, origin })
    }

    /// What makes a copy of a record.
    pub(crate) fn copy_of(record: &Record) -> Self {
        let Record { header, content, document } = record.clone();
        let Header { format, sources, base, origin, .. } = header;
        Self { content, document, format, sources, base, origin }
    }

    /// The same, with where its entries, or the image itself, can be read again.
    #[must_use]
    pub fn with_source(mut self, source: Source) -> Self {
        self.sources.add(source);
        self
    }

    /// What it is of.
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// Its document.
    pub const fn document(&self) -> &Encoded {
        &self.document
    }
}

impl TryFrom<Draft> for NewRecord {
    type Error = StoreError;

    fn try_from(draft: Draft) -> Result<Self, StoreError> {
        let document = draft.list.encode(wanted_format(&draft))?;
        read_back(&document, &draft.list)?;
        let Draft { list, format, sources, base } = draft;
        Ok(Self { content: Content::List(list), document, format, sources, base, origin: Origin::Created })
    }
}
