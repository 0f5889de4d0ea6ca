//! Descriptors: what a document says about other content.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{self, Extra, read_members};
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
    /// A member has a value of the wrong type; the text names it.
    #[error("{0}")]
    Shape(String),
    /// A member that every descriptor has is missing or empty.
    #[error("it has no {0:?}")]
    Missing(&'static str),
    /// The digest is not one.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The size is negative, fractional, larger than a signed 64-bit number, or not a number; as it was written.
    #[error("its size is {0}; sizes are whole numbers from 0 to {MAX_SIZE}")]
    Size(String),
    /// A platform feature list is not a list of strings.
    #[error("its platform has \"features\" that are not a list of strings")]
    Features,
}

/// A descriptor as it stands in JSON; nothing in it is checked yet.
#[derive(Default)]
struct RawDescriptor<'de> {
    media_type: Option<Text<'de>>,
    digest: Option<Text<'de>>,
    size: Option<&'de RawValue>,
    urls: Option<Vec<String>>,
    annotations: Option<Annotations>,
    data: Option<String>,
    platform: Option<RawPlatform<'de>>,
    artifact_type: Option<String>,
    extra: Extra,
}

/// A text that is borrowed from the document where it holds no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Whether "features" of a platform are Docker's list or an unknown member.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Features {
    Known,
    Unknown,
}

impl Descriptor {
    /// Reads a descriptor out of a document that is known to be valid JSON.
    pub(crate) fn read(json: &RawValue, features: Features) -> Result<Self, DescriptorError> {
        let raw: RawDescriptor<'_> = serde_json::from_str(json.get())
            .map_err(|error| DescriptorError::Shape(json::complaint(&error)))?;
        raw.check(features)
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

impl RawDescriptor<'_> {
    fn check(self, features: Features) -> Result<Descriptor, DescriptorError> {
        let media_type = self.media_type.filter(|text| !text.0.is_empty());
        let media_type = media_type.ok_or(DescriptorError::Missing("mediaType"))?;
        let digest = self.digest.ok_or(DescriptorError::Missing("digest"))?.0.parse()?;
        let size = self.size.ok_or(DescriptorError::Missing("size"))?.get();
        let bytes = size.parse().ok().filter(|bytes| *bytes <= MAX_SIZE);
        Ok(Descriptor {
            media_type: MediaType::from(&*media_type.0),
            digest,
            size: bytes.ok_or_else(|| DescriptorError::Size(json::brief(size)))?,
            urls: self.urls.unwrap_or_default(),
            annotations: self.annotations.unwrap_or_default(),
            data: filled(self.data),
            platform: self.platform.map(|platform| platform.check(features)).transpose()?,
            artifact_type: filled(self.artifact_type).map(MediaType::from),
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
