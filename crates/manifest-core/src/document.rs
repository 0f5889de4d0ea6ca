//! Manifests of any kind: the one way from bytes to a list or an image.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::descriptor::{Annotations, Descriptor, DescriptorError, Features};
use crate::json::{self, Extra, JsonError, read_members};
use crate::{Format, ImageManifest, List, MediaType};

/// The largest manifest that is read or written, in bytes (4 MiB, which registries accept at least).
///
/// Spec: OCI distribution-spec v1.1.1, "Pushing Manifests".
pub const MAX_MANIFEST_SIZE: usize = 4 << 20;

/// A manifest: what a registry keeps under a tag or a digest.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
#[allow(clippy::exhaustive_enums, reason = "a manifest is of many images or of one; there is no third")]
pub enum Document {
    /// An OCI image index or a Docker manifest list, with the format it was written in.
    List(List, Format),
    /// A manifest of one image or artifact.
    Image(ImageManifest),
}

/// Why bytes are not a manifest that can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are more bytes than any manifest may have.
    #[error("{0} bytes are more than a manifest may have ({MAX_MANIFEST_SIZE})")]
    TooLarge(usize),
    /// Not JSON, or JSON with duplicate keys or too much depth.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A known member has a value of the wrong type; the text names it.
    #[error("not a manifest: {0}")]
    Shape(String),
    /// The schema version is missing or not 2.
    #[error("schemaVersion is {}; only 2 is supported", .0.as_deref().unwrap_or("missing"))]
    SchemaVersion(Option<String>),
    /// The body says that it is of another type than the server or the caller said.
    #[error("the document calls itself {document}, but was announced as {announced}")]
    TypeMismatch {
        /// The type in the document.
        document: MediaType,
        /// The type that was announced, such as a Content-Type.
        announced: MediaType,
    },
    /// The type is none that is known here.
    #[error("{0} is not a manifest type that is supported here")]
    UnsupportedType(MediaType),
    /// There is no media type, and no member tells the kind.
    #[error("neither a list nor an image: it has no mediaType, no manifests and no config")]
    UnknownKind,
    /// A list was wanted and this is a single image.
    #[error("a single image ({0}), not a list")]
    NotAList(MediaType),
    /// An image was wanted and this is a list.
    #[error("a list ({0}), not a single image")]
    NotAnImage(MediaType),
    /// A member belongs to another kind of document, so that two readers could see two documents.
    #[error("ambiguous document: {kind} cannot have {field:?}")]
    Ambiguous {
        /// What the document otherwise is.
        kind: &'static str,
        /// The member that does not belong there.
        field: &'static str,
    },
    /// A member that this kind of document must have is missing.
    #[error("it has no {0:?}")]
    Missing(&'static str),
    /// A descriptor is not acceptable.
    #[error("{at} is not valid")]
    Descriptor {
        /// Where it stands, as in `manifests[3]`.
        at: String,
        /// What is wrong with it.
        source: DescriptorError,
    },
}

impl Document {
    /// Reads a manifest of any kind.
    ///
    /// `announced` is the type that somebody else named, such as the Content-Type of a response or the
    /// mediaType of a descriptor; it must agree with the document.
    ///
    /// # Errors
    /// [`DecodeError`] names the first thing that is wrong.
    ///
    /// Spec: OCI image-spec v1.1.1 `image-index.md`, `manifest.md`; Docker "Image Manifest V2, Schema 2".
    pub fn decode(bytes: &[u8], announced: Option<&MediaType>) -> Result<Self, DecodeError> {
        check_size(bytes)?;
        json::check(bytes)?;
        Self::read(bytes, announced)
    }

    /// Reads a manifest whose JSON is known to be without duplicate keys and too much depth.
    fn read(bytes: &[u8], announced: Option<&MediaType>) -> Result<Self, DecodeError> {
        let raw: RawDocument<'_> =
            serde_json::from_slice(bytes).map_err(|error| DecodeError::Shape(json::complaint(&error)))?;
        let media_type = raw.media_type(announced)?;
        match Format::of_list(&media_type) {
            Some(format) => Ok(Self::List(raw.into_list(format, bytes)?, format)),
            None if media_type == MediaType::OCI_MANIFEST || media_type == MediaType::DOCKER_MANIFEST => {
                Ok(Self::Image(raw.into_image(media_type)?))
            }
            None => Err(DecodeError::UnsupportedType(media_type)),
        }
    }
}

impl List {
    /// Reads an OCI image index or a Docker manifest list, and tells which of the two it was.
    ///
    /// The bytes are kept: as long as nothing is edited, [`List::encode`] in the same format gives them back.
    ///
    /// # Errors
    /// [`DecodeError`] names the first thing that is wrong.
    ///
    /// Spec: OCI image-spec v1.1.1 `image-index.md`; Docker "Image Manifest V2, Schema 2", "Manifest List".
    pub fn decode(bytes: &[u8]) -> Result<(Self, Format), DecodeError> {
        Self::of(Document::decode(bytes, None)?)
    }

    /// Reads a list that [`List::decode`] accepted before, such as one that was kept under a checksum since.
    ///
    /// It spares the walk for duplicate keys and depth, a third of the time; on other bytes it may take one reading
    /// of an ambiguous document for the only one.
    ///
    /// # Errors
    /// As [`List::decode`], but for [`JsonError::DuplicateKey`] and [`JsonError::TooDeep`].
    pub fn decode_again(bytes: &[u8]) -> Result<(Self, Format), DecodeError> {
        check_size(bytes)?;
        Self::of(Document::read(bytes, None)?)
    }

    fn of(document: Document) -> Result<(Self, Format), DecodeError> {
        match document {
            Document::List(list, format) => Ok((list, format)),
            Document::Image(image) => Err(DecodeError::NotAList(image.media_type)),
        }
    }
}

impl ImageManifest {
    /// Reads the manifest of one image or artifact.
    ///
    /// # Errors
    /// [`DecodeError`] names the first thing that is wrong.
    ///
    /// Spec: OCI image-spec v1.1.1 `manifest.md`; Docker "Image Manifest V2, Schema 2".
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match Document::decode(bytes, None)? {
            Document::Image(image) => Ok(image),
            Document::List(_, format) => Err(DecodeError::NotAnImage(format.media_type())),
        }
    }
}

fn check_size(bytes: &[u8]) -> Result<(), DecodeError> {
    if bytes.len() > MAX_MANIFEST_SIZE { Err(DecodeError::TooLarge(bytes.len())) } else { Ok(()) }
}

/// A member that may be absent, null, or there.
#[derive(Default)]
enum Member<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

impl<T> Member<T> {
    const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Member<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

/// A manifest of any kind as it stands in JSON; only the JSON is checked yet.
#[derive(Default)]
struct RawDocument<'de> {
    schema_version: Option<&'de RawValue>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    manifests: Member<Vec<&'de RawValue>>,
    config: Member<&'de RawValue>,
    layers: Member<Vec<&'de RawValue>>,
    fs_layers: Member<IgnoredAny>,
    history: Member<IgnoredAny>,
    subject: Option<&'de RawValue>,
    annotations: Option<Annotations>,
    extra: Extra,
}

impl RawDocument<'_> {
    fn media_type(&self, announced: Option<&MediaType>) -> Result<MediaType, DecodeError> {
        let own = self.media_type.as_deref().filter(|text| !text.is_empty()).map(MediaType::from);
        match (own, announced.map(without_parameters)) {
            (Some(document), Some(announced)) if document != announced => {
                Err(DecodeError::TypeMismatch { document, announced })
            }
            (Some(media_type), _) | (None, Some(media_type)) => Ok(media_type),
            (None, None) if !self.manifests.is_absent() => Ok(MediaType::OCI_INDEX),
            (None, None) if !self.config.is_absent() => Ok(MediaType::OCI_MANIFEST),
            // What else has a version is of another one, and that is the better answer.
            (None, None) if self.schema_version.is_some() => {
                self.check_schema().and(Err(DecodeError::UnknownKind))
            }
            (None, None) => Err(DecodeError::UnknownKind),
        }
    }

    fn check_schema(&self) -> Result<(), DecodeError> {
        match self.schema_version.map(RawValue::get) {
            Some("2") => Ok(()),
            other => Err(DecodeError::SchemaVersion(other.map(json::brief))),
        }
    }

    fn refuse(kind: &'static str, present: &[(bool, &'static str)]) -> Result<(), DecodeError> {
        match present.iter().find(|(present, _)| *present) {
            Some((_, field)) => Err(DecodeError::Ambiguous { kind, field }),
            None => Ok(()),
        }
    }

    fn into_list(self, format: Format, bytes: &[u8]) -> Result<List, DecodeError> {
        self.check_schema()?;
        Self::refuse(
            "a list",
            &[
                (!self.config.is_absent(), "config"),
                (!self.layers.is_absent(), "layers"),
                (!self.fs_layers.is_absent(), "fsLayers"),
                (!self.history.is_absent(), "history"),
            ],
        )?;
        let features = match format {
            Format::Docker => Features::Known,
            Format::Oci => Features::Unknown,
        };
        let entries = match self.manifests {
            Member::Absent => return Err(DecodeError::Missing("manifests")),
            Member::Null => Vec::new(),
            Member::Value(raw) => descriptors("manifests", raw, features)?,
        };
        Ok(List::from_parts(
            entries,
            self.subject.map(|raw| descriptor("subject", raw, features)).transpose()?,
            self.artifact_type.filter(|text| !text.is_empty()).map(MediaType::from),
            self.annotations.unwrap_or_default(),
            self.extra,
            (format, bytes),
        ))
    }

    fn into_image(self, media_type: MediaType) -> Result<ImageManifest, DecodeError> {
        self.check_schema()?;
        Self::refuse(
            "an image manifest",
            &[
                (!self.manifests.is_absent(), "manifests"),
                (!self.fs_layers.is_absent(), "fsLayers"),
                (!self.history.is_absent(), "history"),
            ],
        )?;
        let Member::Value(config) = self.config else { return Err(DecodeError::Missing("config")) };
        let layers = match self.layers {
            Member::Absent => return Err(DecodeError::Missing("layers")),
            Member::Null => Vec::new(),
            Member::Value(raw) => descriptors("layers", raw, Features::Unknown)?,
        };
        Ok(ImageManifest {
            media_type,
            artifact_type: self.artifact_type.filter(|text| !text.is_empty()).map(MediaType::from),
            config: descriptor("config", config, Features::Unknown)?,
            layers,
            subject: self.subject.map(|raw| descriptor("subject", raw, Features::Unknown)).transpose()?,
            annotations: self.annotations.unwrap_or_default(),
        })
    }
}

/// A Content-Type may have parameters, such as a charset; the type in a document has none.
fn without_parameters(announced: &MediaType) -> MediaType {
    announced.as_str().split_once(';').map_or_else(|| announced.clone(), |(name, _)| name.trim().into())
}

fn descriptors(at: &str, raw: Vec<&RawValue>, features: Features) -> Result<Vec<Descriptor>, DecodeError> {
    // Room for all at once: growing a long list on the way takes a third of the time.
    let mut read = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let descriptor = Descriptor::read(raw, features);
        read.push(
            descriptor.map_err(|source| DecodeError::Descriptor { at: format!("{at}[{index}]"), source })?,
        );
    }
    Ok(read)
}

fn descriptor(at: &str, raw: &RawValue, features: Features) -> Result<Descriptor, DecodeError> {
    Descriptor::read(raw, features).map_err(|source| DecodeError::Descriptor { at: at.to_owned(), source })
}

impl<'de> Deserialize<'de> for RawDocument<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = RawDocument<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a manifest")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut raw = RawDocument::default();
                read_members!(map, raw.extra;
                    "schemaVersion" => raw.schema_version,
                    "mediaType" => raw.media_type,
                    "artifactType" => raw.artifact_type,
                    "manifests" => raw.manifests,
                    "config" => raw.config,
                    "layers" => raw.layers,
                    "fsLayers" => raw.fs_layers,
                    "history" => raw.history,
                    "subject" => raw.subject,
                    "annotations" => raw.annotations,
                );
                Ok(raw)
            }
        }
        deserializer.deserialize_map(Members)
    }
}
