//! Entries in a transparency log that come along with a signature.
//!
//! Nothing is believed because of them, since the log itself is not asked. But an entry that is about something else was put
//! there by somebody who hopes that it is not looked at.
//!
//! Spec: Rekor's types `hashedrekord` and `dsse`, 0.0.1 and 0.0.2.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{Members, Shape, base64};
use crate::error::Refusal;

/// Where the signature stands in the body of an entry, by its kind and version.
const SIGNATURES: &[(&str, &str, &str)] = &[
    ("hashedrekord", "0.0.1", "/spec/signature/content"),
    ("hashedrekord", "0.0.2", "/spec/hashedRekordV002/signature/content"),
    ("dsse", "0.0.1", "/spec/signatures/0/signature"),
    ("dsse", "0.0.2", "/spec/dsseV002/signatures/0/content"),
];

/// Checks that an entry, whose body is given in base64, is about this very signature.
fn check(body: &str, signature: &[u8]) -> Result<(), Refusal> {
    let body = base64(body, "the body of a log entry")?;
    manifest_core::check_json(&body).map_err(|error| Shape(format!("the body of a log entry is {error}")))?;
    let body: Value =
        serde_json::from_slice(&body).map_err(|error| Shape(format!("the body of a log entry: {error}")))?;
    let text = |at: &str| body.pointer(at).and_then(Value::as_str);
    let place = SIGNATURES
        .iter()
        .find(|(kind, version, _)| text("/kind") == Some(kind) && text("/apiVersion") == Some(version));
    let (_, _, place) = place.ok_or_else(|| Shape("the log entry is of no known kind".to_owned()))?;
    if text(place) == Some(&STANDARD.encode(signature)) {
        return Ok(());
    }
    Err(Refusal::Bad("the entry of a log that comes with it is of another signature".to_owned()))
}

/// Checks the entries of a bundle.
pub(super) fn check_entries(entries: &[&RawValue], signature: &[u8]) -> Result<(), Refusal> {
    for entry in entries {
        let body = Members::of(entry, "a log entry")?.text("canonicalizedBody")?;
        check(&body, signature)?;
    }
    Ok(())
}

/// Checks the entry in an annotation of the old form.
pub(super) fn check_annotation(annotation: &str, signature: &[u8]) -> Result<(), Refusal> {
    let mut entry = Members::of_document(annotation.as_bytes(), "the log entry")?;
    let body = entry.object("Payload")?.text("body")?;
    check(&body, signature)
}
