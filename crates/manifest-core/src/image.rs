//! Single images: their manifests, and the platform that a configuration tells.

use serde::Deserialize;

use crate::descriptor::{Annotations, Descriptor};
use crate::json::{self, JsonError};
use crate::{MediaType, Platform};

/// The largest image configuration that is read, in bytes (8 MiB).
pub const MAX_CONFIG_SIZE: usize = 8 << 20;

/// The manifest of one image or artifact, as far as copying it needs to know.
///
/// It is only read: what is copied is always the bytes it came from.
///
/// Spec: OCI image-spec v1.1.1 `manifest.md`; Docker "Image Manifest V2, Schema 2", "Image Manifest".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageManifest {
    /// Its own media type; an OCI manifest when the document does not say.
    pub media_type: MediaType,
    /// The type of an artifact.
    pub artifact_type: Option<MediaType>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is about.
    pub subject: Option<Descriptor>,
    /// Annotations of the image.
    pub annotations: Annotations,
}

impl ImageManifest {
    /// The blobs that the manifest needs in its repository: configuration first, then layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }

    /// Whether its configuration tells the platform: artifacts have none.
    pub fn has_platform(&self) -> bool {
        self.artifact_type.is_none() && self.config.media_type.is_image_config()
    }
}

#[derive(Deserialize)]
struct Config {
    architecture: Option<String>,
    os: Option<String>,
    #[serde(rename = "os.version")]
    os_version: Option<String>,
    #[serde(rename = "os.features")]
    os_features: Option<Vec<String>>,
    variant: Option<String>,
}

impl Platform {
    /// Reads the platform from an image configuration.
    ///
    /// Values are taken as they are, neither normalised nor checked; `None` when there is neither an
    /// architecture nor an operating system.
    ///
    /// # Errors
    /// [`JsonError`] when the configuration is not JSON that can be trusted.
    ///
    /// Spec: OCI image-spec v1.1.1 `config.md`.
    pub fn from_config(bytes: &[u8]) -> Result<Option<Self>, JsonError> {
        json::check(bytes)?;
        let config: Config =
            serde_json::from_slice(bytes).map_err(|error| JsonError::Syntax(error.to_string()))?;
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (architecture, os) = (filled(config.architecture), filled(config.os));
        if architecture.is_none() && os.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            architecture: architecture.unwrap_or_default(),
            os: os.unwrap_or_default(),
            os_version: filled(config.os_version),
            os_features: config.os_features.unwrap_or_default(),
            variant: filled(config.variant),
            ..Self::default()
        }))
    }
}
