//! The two formats of a list, and what each cannot carry.

use std::fmt;
use std::str::FromStr;

use crate::json::{unless, unless_empty};
use crate::{Digest, List, MAX_MANIFEST_SIZE, MediaType};

mod docker;
mod oci;

/// A format in which a list can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Format {
    /// An OCI image index.
    Oci,
    /// A Docker manifest list.
    Docker,
}

impl Format {
    /// The media type of a list in this format.
    pub const fn media_type(self) -> MediaType {
        match self {
            Self::Oci => MediaType::OCI_INDEX,
            Self::Docker => MediaType::DOCKER_LIST,
        }
    }

    /// The format whose lists have this media type.
    pub fn of_list(media_type: &MediaType) -> Option<Self> {
        [Self::Oci, Self::Docker].into_iter().find(|format| format.media_type() == *media_type)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Oci => "oci",
            Self::Docker => "v2s2",
        })
    }
}

/// The text names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {0:?}: it is oci, or v2s2 (also called docker)")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "oci" => Ok(Self::Oci),
            "v2s2" | "docker" => Ok(Self::Docker),
            _ => Err(UnknownFormat(text.to_owned())),
        }
    }
}

/// A list as bytes, with all that names them.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Encoded {
    /// The document: UTF-8 JSON, no newline at the end.
    pub bytes: Vec<u8>,
    /// The sha256 digest of the bytes.
    pub digest: Digest,
    /// The media type of the document.
    pub media_type: MediaType,
    /// The format of the document.
    pub format: Format,
}

impl Encoded {
    /// A document that was read and hashed already; whether `digest` is its sha256 is not looked at again.
    pub const fn kept(bytes: Vec<u8>, digest: Digest, format: Format) -> Self {
        Self { bytes, digest, media_type: format.media_type(), format }
    }

    /// The same for the manifest of a single image.
    pub fn kept_image(bytes: Vec<u8>, digest: Digest, media_type: MediaType) -> Self {
        let format = if media_type.is_docker() { Format::Docker } else { Format::Oci };
        Self { bytes, digest, media_type, format }
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded")
            .field("bytes", &String::from_utf8_lossy(&self.bytes))
            .field("digest", &self.digest)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// Why a list cannot be written in a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The format has no place for a field that is in use.
    #[error("{} has no place for {field} of {at}", .format.noun())]
    NotRepresentable {
        /// The format asked for.
        format: Format,
        /// The field.
        field: &'static str,
        /// Whose field it is: the list itself, or the digest of an entry.
        at: String,
    },
    /// A Docker manifest list would hold an OCI child, which Docker's readers do not take.
    #[error("a Docker manifest list cannot hold {digest}, which is {media_type}")]
    OciChild {
        /// The digest of the child.
        digest: Digest,
        /// The type of the child.
        media_type: MediaType,
    },
    /// The document would be larger than any manifest that is read.
    #[error("the list would have {0} bytes; a manifest may have {MAX_MANIFEST_SIZE}")]
    TooLarge(usize),
    /// The list refused to become JSON.
    #[error("cannot write the list as JSON: {0}")]
    Json(String),
}

impl Format {
    const fn noun(self) -> &'static str {
        match self {
            Self::Oci => "an OCI image index",
            Self::Docker => "a Docker manifest list",
        }
    }
}

impl List {
    /// Encodes the list as one JSON document.
    ///
    /// Shape: one object, keys in the order of the spec, annotations sorted, entries as added; UTF-8, no
    /// newline at the end; the same bytes that the Go tools of the field write. A list that was decoded from
    /// this format and not edited since gives back the very bytes it came from.
    ///
    /// # Errors
    /// [`EncodeError::NotRepresentable`] names the first field that `format` has no place for, such as an
    /// annotation on a Docker entry; nothing is dropped silently. [`EncodeError::OciChild`] and
    /// [`EncodeError::TooLarge`] where the result would not be accepted by readers.
    ///
    /// Spec: OCI image-spec v1.1.1 `image-index.md`; Docker "Image Manifest V2, Schema 2", "Manifest List".
    pub fn encode(&self, format: Format) -> Result<Encoded, EncodeError> {
        let bytes = match self.original(format) {
            Some(bytes) => bytes.to_vec(),
            None => self.write(format)?,
        };
        let digest = Digest::sha256(&bytes);
        Ok(Encoded { digest, media_type: format.media_type(), format, bytes })
    }

    /// The format that suits the list when nobody asks for one.
    ///
    /// Docker when there are entries, all of them have Docker types and nothing needs OCI; else OCI.
    pub fn natural_format(&self) -> Format {
        let all_docker =
            !self.entries().is_empty() && self.entries().iter().all(|entry| entry.media_type.is_docker());
        if all_docker && docker::unrepresentable(self).is_none() { Format::Docker } else { Format::Oci }
    }

    fn write(&self, format: Format) -> Result<Vec<u8>, EncodeError> {
        let bytes = match format {
            Format::Oci => oci::write(self)?,
            Format::Docker => docker::write(self)?,
        };
        if bytes.len() > MAX_MANIFEST_SIZE {
            return Err(EncodeError::TooLarge(bytes.len()));
        }
        Ok(bytes)
    }
}

/// About how many bytes a list has: entries without annotations have some 220.
fn about(list: &List) -> usize {
    1024 + 256 * list.entries().len()
}

/// Writes the members that a platform has in both formats.
fn write_platform<M: serde::ser::SerializeMap>(
    platform: &crate::Platform,
    map: &mut M,
) -> Result<(), M::Error> {
    map.serialize_entry("architecture", &platform.architecture)?;
    map.serialize_entry("os", &platform.os)?;
    unless_empty(map, "os.version", platform.os_version.as_deref())?;
    unless(platform.os_features.is_empty(), map, "os.features", &platform.os_features)?;
    unless_empty(map, "variant", platform.variant.as_deref())
}
