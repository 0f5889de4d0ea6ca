//! Media types of manifests, configs and layers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A media type, kept as it was written.
///
/// Any text is accepted when reading, since a list may hold types nobody has heard of; the constants
/// are those that mean something to this workspace.
///
/// Spec: OCI image-spec v1.1.1 `media-types.md`; Docker "Image Manifest V2, Schema 2", "Media Types".
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(std::borrow::Cow<'static, str>);

macro_rules! media_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl MediaType {
            $($(#[$doc])* pub const $name: Self = Self(std::borrow::Cow::Borrowed($text));)*

            /// The constant with this text, so that the types of a long list take no memory of their own.
            fn known(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

media_types! {
    /// An OCI image index.
    OCI_INDEX = "application/vnd.oci.image.index.v1+json";
    /// An OCI image manifest.
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image configuration.
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json";
    /// The OCI empty JSON object.
    OCI_EMPTY = "application/vnd.oci.empty.v1+json";
    /// A Docker manifest list.
    DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// A Docker image manifest, version 2 schema 2.
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker image configuration.
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";
}

/// What kind of document a media type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// An OCI image index or a Docker manifest list.
    List,
    /// A manifest of one image or artifact.
    Image,
    /// Anything else.
    Other,
}

impl MediaType {
    /// The text, as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What this type stands for.
    pub fn kind(&self) -> Kind {
        match self {
            t if *t == Self::OCI_INDEX || *t == Self::DOCKER_LIST => Kind::List,
            t if *t == Self::OCI_MANIFEST || *t == Self::DOCKER_MANIFEST => Kind::Image,
            _ => Kind::Other,
        }
    }

    /// Whether this is the configuration of an image that runs, and so tells its platform.
    pub fn is_image_config(&self) -> bool {
        *self == Self::OCI_CONFIG || *self == Self::DOCKER_CONFIG
    }

    /// Whether this is a layer that stays where it is: its licence does not let it be distributed.
    ///
    /// Spec: OCI image-spec v1.1.1 `layer.md`, "Non-Distributable Layers"; Docker "Image Manifest V2, Schema 2".
    pub fn is_foreign(&self) -> bool {
        self.0.contains(".nondistributable.") || self.0.contains(".foreign.")
    }

    /// Whether this is one of OCI's own types.
    pub fn is_oci(&self) -> bool {
        self.0.starts_with("application/vnd.oci.")
    }

    /// Whether this is one of Docker's own types.
    pub fn is_docker(&self) -> bool {
        self.0.starts_with("application/vnd.docker.")
    }
}

impl From<String> for MediaType {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        Self::known(text).unwrap_or_else(|| Self(text.to_owned().into()))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_may_not_be_distributed_are_told_by_their_type() {
        for (text, expected) in [
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", true),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", true),
            ("application/vnd.oci.image.layer.v1.tar+gzip", false),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", false),
            ("", false),
        ] {
            assert_eq!(MediaType::from(text).is_foreign(), expected, "{text}");
        }
    }
}
