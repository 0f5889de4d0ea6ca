//! Descriptors: what a document says about other content.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{Extra, read_members};
use crate::{Digest, DigestError, MediaType, Platform};

/// Annotations: keys and values are any text, sorted by key.
///
/// Spec: OCI image-spec v1.1.1 `annotations.md`.
pub type Annotations = BTreeMap<String, String>;

/// The largest size that can be written, in bytes: sizes are signed 64-bit numbers in the formats.
pub const MAX_SIZE: u64 = i64::MAX as u64;

/// What a document says about some other content: type, digest, size, and what else it carries.
///
/// Spec: OCI image-spec v1.1.1 `descriptor.md`; Docker "Image Manifest V2, Schema 2".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Descriptor {
    /// The media type of the content.
    pub media_type: MediaType,
    /// The digest of the content.
    pub digest: Digest,
    /// The size of the content in bytes; for a manifest its own bytes, not those of its layers.
    pub size: u64,
    /// Other places from where the content may be fetched.
    pub urls: Vec<String>,
    /// Annotations of this use of the content.
    pub annotations: Annotations,
    /// The content itself, in base64.
    pub data: Option<String>,
    /// The platform that the content runs on.
    pub platform: Option<Platform>,
    /// The type of an artifact.
    pub artifact_type: Option<MediaType>,
    /// Members that this workspace does not know.
    pub extra: Extra,
}

impl Descriptor {
    /// A descriptor with nothing but the three members that all have.
    pub const fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            data: None,
            platform: None,
            artifact_type: None,
            extra: Extra::NONE,
        }
    }
}

/// Why a descriptor in a document is not acceptable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// A member that every descriptor has is missing.
    #[error("it has no {0:?}")]
    Missing(&'static str),
    /// The digest is not one.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The size is negative, fractional or larger than a signed 64-bit number.
    #[error("its size is {0}; sizes are whole numbers from 0 to {MAX_SIZE}")]
    Size(String),
    /// A platform feature list is not a list of strings.
    #[error("its platform has \"features\" that are not a list of strings")]
    Features,
}

/// A descriptor as it stands in JSON; nothing in it is checked yet.
#[derive(Default)]
pub(crate) struct RawDescriptor<'de> {
    media_type: Option<String>,
    digest: Option<String>,
    size: Option<Size>,
    urls: Option<Vec<String>>,
    annotations: Option<Annotations>,
    data: Option<String>,
    platform: Option<RawPlatform<'de>>,
    artifact_type: Option<String>,
    extra: Extra,
}

/// Whether "features" of a platform are Docker's list or an unknown member.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Features {
    Known,
    Unknown,
}

impl RawDescriptor<'_> {
    pub(crate) fn check(self, features: Features) -> Result<Descriptor, DescriptorError> {
        let media_type = self.media_type.ok_or(DescriptorError::Missing("mediaType"))?;
        let digest = self.digest.ok_or(DescriptorError::Missing("digest"))?.parse()?;
        let size = match self.size.ok_or(DescriptorError::Missing("size"))? {
            Size::Valid(size) if size <= MAX_SIZE => size,
            Size::Valid(size) => return Err(DescriptorError::Size(size.to_string())),
            Size::Invalid(text) => return Err(DescriptorError::Size(text)),
        };
        Ok(Descriptor {
            media_type: media_type.into(),
            digest,
            size,
            urls: self.urls.unwrap_or_default(),
            annotations: self.annotations.unwrap_or_default(),
            data: self.data,
            platform: self.platform.map(|platform| platform.check(features)).transpose()?,
            artifact_type: self.artifact_type.filter(|text| !text.is_empty()).map(MediaType::from),
            extra: self.extra,
        })
    }
}

impl<'de> Deserialize<'de> for RawDescriptor<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = RawDescriptor<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a descriptor")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut raw = RawDescriptor::default();
                read_members!(map, raw.extra;
                    "mediaType" => raw.media_type,
                    "digest" => raw.digest,
                    "size" => raw.size,
                    "urls" => raw.urls,
                    "annotations" => raw.annotations,
                    "data" => raw.data,
                    "platform" => raw.platform,
                    "artifactType" => raw.artifact_type,
                );
                Ok(raw)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[derive(Default)]
struct RawPlatform<'de> {
    architecture: Option<String>,
    os: Option<String>,
    os_version: Option<String>,
    os_features: Option<Vec<String>>,
    variant: Option<String>,
    features: Option<&'de RawValue>,
    extra: Extra,
}

impl RawPlatform<'_> {
    fn check(mut self, features: Features) -> Result<Platform, DescriptorError> {
        let listed = match self.features {
            Some(raw) if features == Features::Unknown => {
                self.extra.push("features", raw);
                Vec::new()
            }
            Some(raw) => serde_json::from_str::<Option<Vec<String>>>(raw.get())
                .map_err(|_not_a_list| DescriptorError::Features)?
                .unwrap_or_default(),
            None => Vec::new(),
        };
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Platform {
            architecture: self.architecture.unwrap_or_default(),
            os: self.os.unwrap_or_default(),
            os_version: filled(self.os_version),
            os_features: self.os_features.unwrap_or_default(),
            variant: filled(self.variant),
            features: listed,
            extra: self.extra,
        })
    }
}

impl<'de> Deserialize<'de> for RawPlatform<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = RawPlatform<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a platform")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut raw = RawPlatform::default();
                read_members!(map, raw.extra;
                    "architecture" => raw.architecture,
                    "os" => raw.os,
                    "os.version" => raw.os_version,
                    "os.features" => raw.os_features,
                    "variant" => raw.variant,
                    "features" => raw.features,
                );
                Ok(raw)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A size, which may be a number that is none.
enum Size {
    Valid(u64),
    Invalid(String),
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size in bytes")
            }
            fn visit_u64<E: de::Error>(self, size: u64) -> Result<Size, E> {
                Ok(Size::Valid(size))
            }
            fn visit_i64<E: de::Error>(self, size: i64) -> Result<Size, E> {
                Ok(u64::try_from(size).map_or_else(|_| Size::Invalid(size.to_string()), Size::Valid))
            }
            fn visit_f64<E: de::Error>(self, size: f64) -> Result<Size, E> {
                Ok(Size::Invalid(size.to_string()))
            }
        }
        deserializer.deserialize_any(Number)
    }
}
