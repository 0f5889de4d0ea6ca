//! The ways an image or an index gets to where a test wants it.

use std::fs;
use std::path::Path;

use manifest_core::{Digest, MediaType};
use serde_json::{Value, json};

use super::Blob;
use crate::{FakeRegistry, Http};

/// A manifest with its type.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) media_type: MediaType,
    pub(super) blob: Blob,
}

/// All that belongs to an image or an index, children before parents.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) blobs: Vec<Blob>,
    pub(super) children: Vec<Manifest>,
    pub(super) top: Manifest,
}

impl Content {
    pub(super) fn push_to(&self, registry: &FakeRegistry, repository: &str, tag: &str) -> Digest {
        for blob in &self.blobs {
            registry.put_blob(repository, blob.bytes.clone());
        }
        for (reference, manifest) in self.manifests(tag) {
            registry.put_manifest(
                repository,
                &reference,
                manifest.media_type.as_str(),
                manifest.blob.bytes.clone(),
            );
        }
        self.top.blob.digest
    }

    pub(super) fn push_with(&self, client: &Http, repository: &str, tag: &str) -> Digest {
        for blob in &self.blobs {
            client.put_blob(repository, &blob.digest.to_string(), &blob.bytes);
        }
        for (reference, manifest) in self.manifests(tag) {
            client.put_manifest(repository, &reference, manifest.media_type.as_str(), &manifest.blob.bytes);
        }
        self.top.blob.digest
    }

    pub(super) fn write_layout(&self, dir: &Path, ref_name: &str) -> Digest {
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("a directory for blobs");
        let manifests = self.children.iter().chain([&self.top]).map(|manifest| &manifest.blob);
        for blob in self.blobs.iter().chain(manifests) {
            fs::write(blobs.join(blob.digest.hex()), &blob.bytes).expect("a blob");
        }
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("the mark of a layout");
        let path = dir.join("index.json");
        let mut index: Value = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).expect("the index of a layout is JSON"),
            Err(_) => json!({ "schemaVersion": 2, "manifests": [] }),
        };
        let descriptor = json!({
            "mediaType": self.top.media_type, "digest": self.top.blob.digest, "size": self.top.blob.bytes.len(),
            "annotations": { "org.opencontainers.image.ref.name": ref_name },
        });
        index["manifests"].as_array_mut().expect("the index of a layout has manifests").push(descriptor);
        fs::write(path, index.to_string()).expect("the index of a layout");
        self.top.blob.digest
    }

    /// The manifests and what they are called: children by digest, the top by tag.
    fn manifests(&self, tag: &str) -> impl Iterator<Item = (String, &Manifest)> {
        let children = self.children.iter().map(|child| (child.blob.digest.to_string(), child));
        children.chain([(tag.to_owned(), &self.top)])
    }
}
