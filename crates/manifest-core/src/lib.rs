//! The model of image lists.
//!
//! An image list is an OCI image index or a Docker manifest list: a document that names one manifest
//! for each platform. [`List`] is the one model of both; the two formats exist only where bytes are
//! read and written. Around it stand the values that lists are made of: [`Digest`], [`MediaType`],
//! [`Platform`], [`Descriptor`] and the [`Reference`]s that say where images live.
//!
//! This crate opens no files and no sockets, reads no clock, holds no keys and prints nothing.

mod digest;
mod media_type;
mod platform;
mod reference;

pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use media_type::{Kind, MediaType};
