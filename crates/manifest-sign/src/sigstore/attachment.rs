//! The image `sha256-….sig`, whose layers are the signatures of another image.
//!
//! Spec: cosign `specs/SIGNATURE_SPEC.md`, "Storage"; OCI image-spec v1.1.1 `manifest.md`.

use manifest_core::{Descriptor, Digest, Document, MediaType};
use serde_json::{Map, Value, json};

use super::cosign::CosignSignature;
use crate::error::Refusal;

/// More signatures are not read.
const MAX_SIGNATURES: usize = 4096;

/// Whether a signature was new to an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Added {
    /// It is there now.
    Appended,
    /// It was there already, with the same content and annotations.
    Unchanged,
}

/// An attachment that can be added to. Members that nobody knows stay as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    manifest: Map<String, Value>,
    config: Map<String, Value>,
    layers: Vec<Value>,
    signatures: Vec<Descriptor>,
}

impl Default for Attachment {
    fn default() -> Self {
        Self::new()
    }
}

impl Attachment {
    /// An attachment without signatures.
    pub fn new() -> Self {
        let object = |value| if let Value::Object(map) = value { map } else { Map::new() };
        Self {
            manifest: object(json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST })),
            config: object(json!({ "architecture": "", "os": "", "config": {} })),
            layers: Vec::new(),
            signatures: Vec::new(),
        }
    }

    /// Reads an attachment that is there, with its configuration.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`] when it is not a manifest of an image, or has too many layers.
    pub fn read(manifest: &[u8], config: &[u8]) -> Result<Self, Refusal> {
        let signatures = Self::signatures_in(manifest)?;
        let mut manifest = object(manifest, "the attachment")?;
        let layers = match manifest.remove("layers") {
            Some(Value::Array(layers)) => layers,
            _ => Vec::new(),
        };
        // A configuration of another tool may be anything; what it lacks is written.
        let config =
            object(config, "the configuration of the attachment").unwrap_or_else(|_other| Self::new().config);
        Ok(Self { manifest, config, layers, signatures })
    }

    /// The layers of an attachment, each of which should be a signature; enough to verify them.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn signatures_in(manifest: &[u8]) -> Result<Vec<Descriptor>, Refusal> {
        let image = match Document::decode(manifest, None) {
            Ok(Document::Image(image)) => image,
            Ok(Document::List(..)) => return Err(Refusal::Unreadable("the attachment is a list".to_owned())),
            Err(error) => return Err(Refusal::Unreadable(format!("the attachment is no manifest: {error}"))),
        };
        match image.layers.len() {
            0..=MAX_SIGNATURES => Ok(image.layers),
            more => {
                Err(Refusal::Unreadable(format!("{more} signatures are not read, only {MAX_SIGNATURES}")))
            }
        }
    }

    /// The layers, the oldest first.
    pub fn signatures(&self) -> &[Descriptor] {
        &self.signatures
    }

    /// Adds a signature behind the others, unless the very same is there.
    pub fn add(&mut self, signature: &CosignSignature) -> Added {
        let layer = signature.layer();
        if self.signatures.contains(&layer) {
            return Added::Unchanged;
        }
        self.layers.push(json!({
            "mediaType": layer.media_type,
            "digest": layer.digest,
            "size": layer.size,
            "annotations": layer.annotations,
        }));
        self.signatures.push(layer);
        Added::Appended
    }

    /// The manifest and its configuration, both to be stored; the configuration first.
    pub fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let config = self.config();
        let mut manifest = self.manifest.clone();
        // All of it anew: what else stood there, such as a copy of the content, is of the configuration before.
        manifest.insert(
            "config".to_owned(),
            json!({
                "mediaType": MediaType::OCI_CONFIG,
                "digest": Digest::sha256(&config),
                "size": config.len(),
            }),
        );
        manifest.insert("layers".to_owned(), Value::Array(self.layers.clone()));
        (Value::Object(manifest).to_string().into_bytes(), config)
    }

    /// The configuration: it names each layer, which unpacked is what it is packed.
    fn config(&self) -> Vec<u8> {
        let mut config = self.config.clone();
        let ids: Vec<&Digest> = self.signatures.iter().map(|layer| &layer.digest).collect();
        config.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": ids }));
        if let Some(Value::Array(history)) = config.get_mut("history") {
            history.resize(ids.len(), json!({}));
        }
        Value::Object(config).to_string().into_bytes()
    }
}

fn object(bytes: &[u8], of: &str) -> Result<Map<String, Value>, Refusal> {
    let wrong = |error: &dyn std::fmt::Display| Refusal::Unreadable(format!("{of} is {error}"));
    manifest_core::check_json(bytes).map_err(|error| wrong(&error))?;
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(wrong(&"not an object")),
        Err(error) => Err(wrong(&error)),
    }
}
