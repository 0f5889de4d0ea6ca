//! The documents in which signatures are kept.
//!
//! Spec: cosign `specs/SIGNATURE_SPEC.md`, "Storage"; cosign `specs/BUNDLE_SPEC.md`; OCI image-spec v1.1.1 `manifest.md`.

use bytes::Bytes;
use manifest_core::{Annotations, Descriptor, Digest, MediaType};
use serde_json::{Map, Value, json};

/// The media type of a layer that is the payload of a signature.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The media type of a sigstore bundle, and the artifact type of the manifest that holds it.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// What a bundle in a manifest is about, of a signature and not an attestation.
pub const PREDICATE_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// The annotation that says so.
pub(super) const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";

/// The configuration of a manifest that needs none.
pub(super) const EMPTY: &[u8] = b"{}";

/// A manifest of signatures, and its configuration.
#[derive(Clone, Debug)]
pub(super) struct Attachment {
    pub(super) manifest: Bytes,
    pub(super) config: Bytes,
}

/// The manifest of signatures, each a payload and the annotations of its layer.
pub(super) fn attachment(signatures: &[(Bytes, Annotations)]) -> Attachment {
    let diff_ids: Vec<Digest> = signatures.iter().map(|(payload, _)| Digest::sha256(payload)).collect();
    let history = vec![json!({ "created": "0001-01-01T00:00:00Z" }); signatures.len()];
    let config = json!({
        "architecture": "", "created": "0001-01-01T00:00:00Z", "history": history, "os": "",
        "rootfs": { "type": "layers", "diff_ids": diff_ids }, "config": {},
    });
    let config = Bytes::from(config.to_string());
    let layers = signatures.iter().map(|(payload, annotations)| {
        let mut layer = described(SIMPLE_SIGNING, payload);
        layer.insert("annotations".to_owned(), json!(annotations));
        Value::Object(layer)
    });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST,
        "config": described(MediaType::OCI_CONFIG.as_str(), &config),
        "layers": layers.collect::<Vec<_>>(),
    });
    Attachment { manifest: manifest.to_string().into(), config }
}

/// The manifest that holds a bundle and refers to what is signed.
pub(super) fn referrer(subject: &Descriptor, bundle: &[u8], annotations: &Annotations) -> Bytes {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "artifactType": BUNDLE,
        "config": described(MediaType::OCI_EMPTY.as_str(), EMPTY),
        "layers": [described(BUNDLE, bundle)],
        "subject": { "mediaType": subject.media_type, "digest": subject.digest, "size": subject.size },
        "annotations": annotations,
    });
    manifest.to_string().into()
}

fn described(media_type: &str, bytes: &[u8]) -> Map<String, Value> {
    let members = [
        ("mediaType", json!(media_type)),
        ("digest", json!(Digest::sha256(bytes))),
        ("size", json!(bytes.len())),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
