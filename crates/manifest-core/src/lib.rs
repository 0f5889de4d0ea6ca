//! The model of image lists.
//!
//! An image list is an OCI image index or a Docker manifest list: a document that names one manifest
//! for each platform. [`List`] is the one model of both; the two formats exist only where bytes are
//! read and written. Around it stand the values that lists are made of: [`Digest`], [`MediaType`],
//! [`Platform`], [`Descriptor`] and the [`Reference`]s that say where images live.
//!
//! From nothing to the bytes of an index:
//!
//! ```
//! use manifest_core::{Descriptor, Digest, Format, List, MediaType, OnConflict};
//!
//! let manifest = br#"{"schemaVersion":2,"config":{},"layers":[]}"#;
//! let mut entry = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(manifest), manifest.len() as u64);
//! entry.platform = Some("linux/arm64/v8".parse()?);
//!
//! let mut list = List::new();
//! list.add(entry, OnConflict::Refuse)?;
//! let index = list.encode(Format::Oci)?;
//!
//! assert_eq!(index.media_type, MediaType::OCI_INDEX);
//! assert!(index.digest.verifies(&index.bytes));
//! assert_eq!(List::decode(&index.bytes)?, (list, Format::Oci));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate opens no files and no sockets, reads no clock, holds no keys and prints nothing.

mod descriptor;
mod digest;
mod document;
mod format;
mod image;
mod interop;
mod json;
mod list;
mod media_type;
mod platform;
mod reference;

pub use descriptor::{Annotations, Descriptor, DescriptorError, MAX_SIZE};
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use document::{DecodeError, Document, MAX_MANIFEST_SIZE};
pub use format::{EncodeError, Encoded, Format, UnknownFormat};
pub use image::{ImageManifest, MAX_CONFIG_SIZE};
pub use interop::InteropError;
pub use json::{Extra, JsonError, MAX_DEPTH, check as check_json};
pub use list::{
    ATTESTATION_TYPE_ANNOTATION, ATTESTED_ANNOTATION, Added, Annotate, AnnotateList, EditError, List,
    OnConflict, Slot, ZSTD_ANNOTATION,
};
pub use media_type::{Kind, MediaType};
pub use platform::{Match, Platform, PlatformError, PlatformKey};
pub use reference::{ListName, Reference, ReferenceError, Repository, Tag, TagError};
