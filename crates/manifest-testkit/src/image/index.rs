//! An index of tiny images.

use std::path::Path;

use manifest_core::{Digest, MediaType};

use super::deliver::{Content, Manifest};
use super::document::{Descriptor, IndexDocument, to_json};
use super::{Blob, Format, Image, OwnType};
use crate::{FakeRegistry, Http};

/// An index of tiny images: an OCI image index, or a Docker manifest list.
#[derive(Clone, Debug)]
pub struct Index {
    images: Vec<Image>,
    format: Format,
    own_type: OwnType,
    annotations: Vec<(String, String)>,
}

impl Index {
    /// An OCI index of these images, in this order, each with its platform.
    pub fn of(images: &[&Image]) -> Self {
        let images = images.iter().map(|image| (*image).clone()).collect();
        Self { images, format: Format::Oci, own_type: OwnType::Named, annotations: Vec::new() }
    }

    /// Makes it a Docker manifest list; the images stay as they are.
    pub fn docker(mut self) -> Self {
        self.format = Format::Docker;
        self
    }

    /// Leaves `mediaType` out of the index.
    pub fn without_media_type(mut self) -> Self {
        self.own_type = OwnType::LeftOut;
        self
    }

    /// Adds an annotation to the index.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The bytes of the index.
    pub fn manifest(&self) -> Vec<u8> {
        let entry = |image: &Image| Descriptor {
            platform: Some(image.platform.clone()),
            ..Descriptor::of(image.media_type().as_str(), &Blob::new(image.manifest()))
        };
        to_json(&IndexDocument {
            schema_version: 2,
            media_type: (self.own_type == OwnType::Named).then(|| self.media_type().to_string()),
            manifests: self.images.iter().map(entry).collect(),
            annotations: self.annotations.iter().cloned().collect(),
        })
    }

    /// The media type of the index.
    pub fn media_type(&self) -> MediaType {
        match self.format {
            Format::Oci => MediaType::OCI_INDEX,
            Format::Docker => MediaType::DOCKER_LIST,
        }
    }

    /// The digest of the index.
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest())
    }

    /// Stores the index with its images in the fake registry without a request.
    pub fn push_to(&self, registry: &FakeRegistry, repository: &str, tag: &str) -> Digest {
        self.content().push_to(registry, repository, tag)
    }

    /// Pushes the index with its images to a plain HTTP registry that asks for no login.
    pub fn push_http(&self, address: &str, repository: &str, tag: &str) -> Digest {
        self.push_with(&Http::to(address), repository, tag)
    }

    /// Pushes the index with its images with this client, its login included.
    ///
    /// # Panics
    /// If the registry refuses something.
    pub fn push_with(&self, client: &Http, repository: &str, tag: &str) -> Digest {
        self.content().push_with(client, repository, tag)
    }

    /// Appends the index to an OCI layout, which is made if there is none, under this reference name.
    ///
    /// # Panics
    /// If a file cannot be written.
    pub fn write_layout(&self, dir: &Path, ref_name: &str) -> Digest {
        self.content().write_layout(dir, ref_name)
    }

    fn content(&self) -> Content {
        Content {
            blobs: self.images.iter().flat_map(Image::blobs).collect(),
            children: self.images.iter().map(Image::as_child).collect(),
            top: Manifest { media_type: self.media_type(), blob: Blob::new(self.manifest()) },
        }
    }
}
