//! The manifests that attach bundles and statements to what they are about.
//!
//! Spec: OCI image-spec v1.1.1 `manifest.md`, "Guidelines for Artifact Usage"; what cosign 3 writes.

use manifest_core::{Annotations, Descriptor, Digest, Document, MediaType};
use serde_json::json;

use super::bundle::BUNDLE_MEDIA_TYPE;
use super::json::{Shape, brief};
use super::statement::STATEMENT_MEDIA_TYPE;
use crate::error::Refusal;

/// The configuration of a manifest that needs none: its content.
pub const EMPTY_CONFIG: &[u8] = b"{}";

const CONTENT: &str = "dev.sigstore.bundle.content";
/// The annotation that tells the type of the predicate before the bundle is read.
pub const PREDICATE_ANNOTATION: &str = "dev.sigstore.bundle.predicateType";
/// The annotation that tells the same of a statement that lies by itself.
pub const STATEMENT_PREDICATE_ANNOTATION: &str = "in-toto.io/predicate-type";
/// The annotation that tells when a manifest was made.
pub const CREATED_ANNOTATION: &str = "org.opencontainers.image.created";

/// Writes the manifest that attaches a bundle to `subject`. `created` is a time as RFC 3339 has it.
///
/// The manifest needs two blobs: the bundle, and [`EMPTY_CONFIG`].
pub fn bundle_manifest(
    subject: &Descriptor,
    bundle: &[u8],
    predicate_type: &str,
    created: Option<&str>,
) -> Vec<u8> {
    attaching(
        subject,
        (BUNDLE_MEDIA_TYPE, bundle),
        &bundle_annotations(predicate_type, created),
        &Annotations::new(),
    )
}

/// Writes the manifest that attaches a statement which nobody signed to `subject`, as `oras attach` would and with the annotation of
/// BuildKit. `created` is a time as RFC 3339 has it.
///
/// The manifest needs two blobs: the statement, and [`EMPTY_CONFIG`].
pub fn statement_manifest(
    subject: &Descriptor,
    statement: &[u8],
    predicate_type: &str,
    created: Option<&str>,
) -> Vec<u8> {
    let of_layer =
        Annotations::from([(STATEMENT_PREDICATE_ANNOTATION.to_owned(), predicate_type.to_owned())]);
    let mut annotations = of_layer.clone();
    annotations.extend(created.map(|created| (CREATED_ANNOTATION.to_owned(), created.to_owned())));
    attaching(subject, (STATEMENT_MEDIA_TYPE, statement), &annotations, &of_layer)
}

/// A manifest without a configuration and with one layer, of the same type as itself.
fn attaching(
    subject: &Descriptor,
    (media_type, content): (&str, &[u8]),
    annotations: &Annotations,
    of_layer: &Annotations,
) -> Vec<u8> {
    let mut layer = json!({
        "mediaType": media_type,
        "digest": Digest::sha256(content),
        "size": content.len(),
    });
    if let (Some(layer), false) = (layer.as_object_mut(), of_layer.is_empty()) {
        layer.insert("annotations".to_owned(), json!(of_layer));
    }
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "artifactType": media_type,
        "config": {
            "mediaType": MediaType::OCI_EMPTY,
            "digest": Digest::sha256(EMPTY_CONFIG),
            "size": EMPTY_CONFIG.len(),
        },
        "layers": [layer],
        "subject": {
            "mediaType": subject.media_type,
            "digest": subject.digest,
            "size": subject.size,
        },
        "annotations": annotations,
    })
    .to_string()
    .into_bytes()
}

/// The annotations of that manifest, which stand in lists of referrers too.
pub fn bundle_annotations(predicate_type: &str, created: Option<&str>) -> Annotations {
    let mut annotations = Annotations::from([
        (CONTENT.to_owned(), "dsse-envelope".to_owned()),
        (PREDICATE_ANNOTATION.to_owned(), predicate_type.to_owned()),
    ]);
    annotations.extend(created.map(|created| (CREATED_ANNOTATION.to_owned(), created.to_owned())));
    annotations
}

/// Finds the bundle in a manifest, which must be attached to `subject`.
///
/// # Errors
/// [`Refusal::Unreadable`] when the manifest does not attach a bundle, [`Refusal::Bad`] when it attaches it to something
/// else.
pub fn bundle_layer(manifest: &[u8], subject: &Digest) -> Result<Descriptor, Refusal> {
    let image = match Document::decode(manifest, None) {
        Ok(Document::Image(image)) => image,
        Ok(Document::List(..)) => return Err(Shape("a list attaches no bundle".to_owned()).into()),
        Err(error) => return Err(Shape(format!("what attaches it is no manifest: {error}")).into()),
    };
    if image.subject.is_none_or(|found| found.digest != *subject) {
        return Err(Refusal::Bad(format!("it is not attached to {subject}")));
    }
    let artifact_type = image.artifact_type.as_ref().map_or("", MediaType::as_str);
    if artifact_type != BUNDLE_MEDIA_TYPE {
        return Err(
            Shape(format!("it is of type {:?}, not {BUNDLE_MEDIA_TYPE:?}", brief(artifact_type))).into()
        );
    }
    let count = image.layers.len();
    let mut layers = image.layers.into_iter().filter(|layer| layer.media_type.as_str() == BUNDLE_MEDIA_TYPE);
    match (layers.next(), count) {
        (Some(layer), 1) => Ok(layer),
        _ => Err(Shape(format!("it has {count} layers, and one bundle is wanted")).into()),
    }
}
