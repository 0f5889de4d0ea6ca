//! Single images: their manifests, and the platform that a configuration tells.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::descriptor::{Annotations, Descriptor};
use crate::json::{self, JsonError};
use crate::{Digest, MediaType, Platform};

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

    /// Each layer with its diff ID, the digest of what it is when unpacked, as this configuration tells; nothing when it
    /// tells of another number of layers.
    ///
    /// Spec: OCI image-spec v1.1.1 `config.md`.
    pub fn layers_with_ids(&self, config: &[u8]) -> impl Iterator<Item = (&Descriptor, Digest)> {
        let ids = serde_json::from_slice(config).map(|config: Unpacked| config.rootfs.diff_ids);
        let ids = ids.ok().filter(|ids| ids.len() == self.layers.len()).unwrap_or_default();
        self.layers.iter().zip(ids)
    }

    /// Whether its configuration tells the platform: artifacts have none.
    pub fn has_platform(&self) -> bool {
        self.artifact_type.is_none() && self.config.media_type.is_image_config()
    }
}

/// Bytes of a list of features that are read; millions of empty ones would fit into a configuration.
const MAX_FEATURES: usize = 64 << 10;

/// What a configuration tells of layers.
#[derive(Deserialize)]
struct Unpacked {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

#[derive(Deserialize)]
struct Config<'a> {
    architecture: Option<String>,
    os: Option<String>,
    #[serde(rename = "os.version")]
    os_version: Option<String>,
    #[serde(rename = "os.features", borrow)]
    os_features: Option<&'a RawValue>,
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
        let syntax = |error: serde_json::Error| JsonError::Syntax(error.to_string());
        let config: Config<'_> = serde_json::from_slice(bytes).map_err(syntax)?;
        let os_features = match config.os_features {
            Some(raw) if raw.get().len() > MAX_FEATURES => {
                return Err(JsonError::Syntax(format!("os.features has more than {MAX_FEATURES} bytes")));
            }
            Some(raw) => {
                serde_json::from_str::<Option<Vec<String>>>(raw.get()).map_err(syntax)?.unwrap_or_default()
            }
            None => Vec::new(),
        };
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (architecture, os) = (filled(config.architecture), filled(config.os));
        if architecture.is_none() && os.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            architecture: architecture.unwrap_or_default(),
            os: os.unwrap_or_default(),
            os_version: filled(config.os_version),
            os_features,
            variant: filled(config.variant),
            ..Self::default()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_tells_its_platform() {
        let config = br#"{"architecture":"arm64","os":"windows","os.version":"10.0","os.features":["a","b"],"variant":"v8","x":[]}"#;
        let platform = Platform::from_config(config).unwrap().unwrap();
        assert_eq!(platform.to_string(), "windows(10.0+a+b)/arm64/v8");
        for nothing in ["{}", r#"{"os":"","architecture":null,"os.features":null}"#] {
            assert_eq!(Platform::from_config(nothing.as_bytes()), Ok(None));
        }
    }

    #[test]
    fn a_configuration_of_nothing_but_features_takes_no_memory() {
        let config = format!(
            r#"{{"os":"linux","architecture":"amd64","os.features":[""{}]}}"#,
            r#","""#.repeat(100_000)
        );
        let error = Platform::from_config(config.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("os.features has more than 65536 bytes"), "{error}");
    }
}
