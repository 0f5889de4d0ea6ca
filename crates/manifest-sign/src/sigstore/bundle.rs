//! Signatures in cosign's new form: a statement in an envelope, in a bundle with a word on the key.
//!
//! Spec: sigstore `protobuf-specs` v0.5 `sigstore_bundle.proto` (bundle v0.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use manifest_core::Digest;
use serde_json::json;
use serde_json::value::RawValue;

use super::cosign::without_a_key;
use super::envelope::{Envelope, expect};
use super::json::{Members, Shape};
use super::log;
use super::public::SigstoreVerifier;
use super::statement::{STATEMENT_MEDIA_TYPE, Statement};
use crate::error::{Refusal, SignError};
use crate::signer::{KeyId, Signer};

/// The media type of a bundle, and the artifact type of the manifest that attaches it.
pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// A larger bundle is not read, in bytes; predicates such as bills of materials may be long.
pub const MAX_BUNDLE_SIZE: usize = 8 * 1024 * 1024;

/// A statement and its signature, with a word on the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Its key is called there as it is outside; an envelope that names none gets the name from outside.
    envelope: Envelope,
}

impl Bundle {
    /// Signs a statement.
    ///
    /// # Errors
    /// [`SignError`] when the key cannot sign.
    pub fn sign(signer: &dyn Signer, statement: &Statement) -> Result<Self, SignError> {
        Ok(Self { envelope: Envelope::sign(signer, statement)? })
    }

    /// Writes it: one object without spaces.
    pub fn encode(&self) -> Vec<u8> {
        let Envelope { keyid, payload, signature } = &self.envelope;
        let mut public_key = json!({});
        let mut signed = json!({ "sig": STANDARD.encode(signature) });
        if let Some(hint) = keyid {
            public_key = json!({ "hint": hint });
            signed = json!({ "sig": STANDARD.encode(signature), "keyid": hint });
        }
        json!({
            "mediaType": BUNDLE_MEDIA_TYPE,
            "verificationMaterial": { "publicKey": public_key, "tlogEntries": [] },
            "dsseEnvelope": {
                "payload": STANDARD.encode(payload),
                "payloadType": STATEMENT_MEDIA_TYPE,
                "signatures": [signed],
            },
        })
        .to_string()
        .into_bytes()
    }

    /// Reads a bundle strictly; nothing in it is verified.
    ///
    /// Entries of a log must be about its signature, and prove nothing beyond that; times that somebody signed are not
    /// looked at.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`] when it is not a bundle of this form, or was made without a key; [`Refusal::Bad`] when what
    /// comes with it is about another signature.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut top = members(bytes)?;
        let (hint, entries) = material(top.object("verificationMaterial")?)?;
        let mut envelope = Envelope::of(top.object("dsseEnvelope")?)?;
        top.end()?;
        if envelope.keyid.is_some() && envelope.keyid != hint {
            return Err(Shape("its `keyid` is not the `hint` of its key".to_owned()).into());
        }
        log::check_entries(&entries, &envelope.signature)?;
        envelope.keyid = hint;
        Ok(Self { envelope })
    }

    /// What the signer calls the key, which proves nothing.
    pub fn hint(&self) -> Option<&str> {
        self.envelope.keyid.as_deref()
    }

    /// What it says, with nobody vouching for it.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`] when it does not hold a statement.
    pub fn unverified(&self) -> Result<Statement, Refusal> {
        self.envelope.unverified()
    }

    /// Verifies the signature, and only then reads the statement, which must be of `predicate_type` and about `digest`.
    ///
    /// # Errors
    /// As [`Envelope::verify`].
    pub fn verify(
        &self,
        verifier: &SigstoreVerifier,
        digest: &Digest,
        predicate_type: &str,
    ) -> Result<(KeyId, Statement), Refusal> {
        self.envelope.verify(verifier, digest, predicate_type)
    }
}

/// The members of a bundle behind its media type, which signs a statement.
pub(super) fn members(bytes: &[u8]) -> Result<Members<'_>, Shape> {
    if bytes.len() > MAX_BUNDLE_SIZE {
        return Err(Shape(format!("a bundle of {} bytes is not read", bytes.len())));
    }
    let mut top = Members::of_document(bytes, "the bundle")?;
    expect(&top.text("mediaType")?, BUNDLE_MEDIA_TYPE, "the bundle")?;
    if top.take_if("messageSignature").is_some() {
        return Err(Shape("it signs bytes, and not a statement about an image".to_owned()));
    }
    Ok(top)
}

/// Whether the material to verify a bundle with is a certificate.
pub(super) fn is_of_a_certificate(material: &mut Members<'_>) -> bool {
    ["certificate", "x509CertificateChain"].into_iter().any(|name| material.take_if(name).is_some())
}

/// What the key is called, if that is said.
pub(super) fn hint(material: &mut Members<'_>) -> Result<Option<String>, Shape> {
    let mut public_key = material.object("publicKey")?;
    let hint = public_key.text_if("hint")?.filter(|hint| !hint.is_empty());
    public_key.end()?;
    Ok(hint)
}

/// The hint of the key, and the entries of a log.
fn material(mut material: Members<'_>) -> Result<(Option<String>, Vec<&RawValue>), Refusal> {
    if is_of_a_certificate(&mut material) {
        return Err(without_a_key());
    }
    let hint = hint(&mut material)?;
    let entries = material.list_if("tlogEntries")?;
    material.take_if("timestampVerificationData");
    material.end()?;
    Ok((hint, entries))
}
