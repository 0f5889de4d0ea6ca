//! What people attach to images: referrers, and signatures under tags.

use std::path::Path;

use manifest_core::{Descriptor, Digest, MediaType};
use serde_json::{Value, json};

use super::Blob;
use super::deliver::{Content, Manifest};
use crate::{FakeRegistry, Http};

/// A manifest about another one, with the blobs that belong to it.
#[derive(Clone, Debug)]
pub struct Attachment {
    document: Value,
    blobs: Vec<Blob>,
}

impl Attachment {
    /// A manifest whose `subject` is `subject`, of this artifact type, with one layer.
    pub fn referrer(subject: &Descriptor, artifact_type: &str, content: &str) -> Self {
        let (config, layer) = (Blob::new("{}"), Blob::new(content.to_owned()));
        let document = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": described(MediaType::OCI_EMPTY.as_str(), &config),
            "layers": [described("text/plain", &layer)],
            "subject": {
                "mediaType": subject.media_type, "digest": subject.digest, "size": subject.size,
            },
            "annotations": { "org.example.content": content },
        });
        Self { document, blobs: vec![config, layer] }
    }

    /// A manifest with cosign's signatures, each a payload and what signs it, as it stands under `sha256-….sig`.
    pub fn signatures(signatures: &[(&str, &str)]) -> Self {
        let payloads: Vec<Blob> =
            signatures.iter().map(|(payload, _)| Blob::new((*payload).to_owned())).collect();
        let digests: Vec<Digest> = payloads.iter().map(|payload| payload.digest).collect();
        let config = json!({
            "architecture": "", "os": "", "config": {}, "rootfs": { "type": "layers", "diff_ids": digests },
        });
        let config = Blob::new(config.to_string());
        let layer = |(payload, (_, signature)): (&Blob, &(&str, &str))| {
            let mut layer = described("application/vnd.dev.cosign.simplesigning.v1+json", payload);
            layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": signature });
            layer
        };
        let layers: Vec<Value> = payloads.iter().zip(signatures).map(layer).collect();
        let document = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OCI_MANIFEST,
            "config": described(MediaType::OCI_CONFIG.as_str(), &config),
            "layers": layers,
        });
        Self { document, blobs: payloads.into_iter().chain([config]).collect() }
    }

    /// The bytes of the manifest.
    pub fn manifest(&self) -> Vec<u8> {
        self.document.to_string().into_bytes()
    }

    /// The digest of the manifest.
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest())
    }

    /// What names the manifest.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(MediaType::OCI_MANIFEST, self.digest(), self.manifest().len() as u64)
    }

    /// Stores it in the fake registry without a request, under its digest or a tag.
    pub fn push_to(&self, registry: &FakeRegistry, repository: &str, tag: Option<&str>) -> Digest {
        self.content().push_to(registry, repository, &self.reference(tag))
    }

    /// Pushes it to a plain HTTP registry that asks for no login.
    ///
    /// # Panics
    /// If the registry refuses something.
    pub fn push_http(&self, address: &str, repository: &str, tag: Option<&str>) -> Digest {
        self.content().push_with(&Http::to(address), repository, &self.reference(tag))
    }

    /// Appends it to an OCI layout under this reference name.
    ///
    /// # Panics
    /// If a file cannot be written.
    pub fn write_layout(&self, dir: &Path, ref_name: &str) -> Digest {
        self.content().write_layout(dir, ref_name)
    }

    fn reference(&self, tag: Option<&str>) -> String {
        tag.map_or_else(|| self.digest().to_string(), str::to_owned)
    }

    fn content(&self) -> Content {
        let top = Manifest { media_type: MediaType::OCI_MANIFEST, blob: Blob::new(self.manifest()) };
        Content { blobs: self.blobs.clone(), children: Vec::new(), top }
    }
}

fn described(media_type: &str, blob: &Blob) -> Value {
    json!({ "mediaType": media_type, "digest": blob.digest, "size": blob.bytes.len() })
}
