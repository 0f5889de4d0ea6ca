//! Signatures in cosign's new form: a statement in an envelope, in a bundle with a word on the key.
//!
//! Spec: sigstore `protobuf-specs` v0.5 `sigstore_bundle.proto` (bundle v0.3); DSSE v1.0.2 `protocol.md`, `envelope.md`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use manifest_core::Digest;
use serde_json::json;
use serde_json::value::RawValue;

use super::cosign::without_a_key;
use super::json::{Members, Shape, brief};
use super::log;
use super::public::SigstoreVerifier;
use super::statement::{STATEMENT_MEDIA_TYPE, Statement};
use crate::error::{Refusal, SignError};
use crate::signer::{KeyId, Signer};

/// The media type of a bundle, and the artifact type of the manifest that attaches it.
pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// A larger bundle is not read, in bytes; predicates such as bills of materials may be long.
pub const MAX_BUNDLE_SIZE: usize = 8 * 1024 * 1024;

/// A statement and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// What the signer calls the key. It is for finding a key and proves nothing.
    hint: Option<String>,
    /// The bytes of the statement, as they were signed.
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Bundle {
    /// Signs a statement.
    ///
    /// # Errors
    /// [`SignError`] when the key cannot sign.
    pub fn sign(signer: &dyn Signer, statement: &Statement) -> Result<Self, SignError> {
        let payload = statement.encode();
        let signature = signer.sign(&encoded_for_signing(&payload))?;
        Ok(Self { hint: Some(signer.key().to_string()), payload, signature })
    }

    /// Writes it: one object without spaces.
    pub fn encode(&self) -> Vec<u8> {
        let mut public_key = json!({});
        let mut signature = json!({ "sig": STANDARD.encode(&self.signature) });
        if let Some(hint) = &self.hint {
            public_key = json!({ "hint": hint });
            signature = json!({ "sig": STANDARD.encode(&self.signature), "keyid": hint });
        }
        json!({
            "mediaType": BUNDLE_MEDIA_TYPE,
            "verificationMaterial": { "publicKey": public_key, "tlogEntries": [] },
            "dsseEnvelope": {
                "payload": STANDARD.encode(&self.payload),
                "payloadType": STATEMENT_MEDIA_TYPE,
                "signatures": [signature],
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
        if bytes.len() > MAX_BUNDLE_SIZE {
            return Err(Shape(format!("a bundle of {} bytes is not read", bytes.len())).into());
        }
        let mut top = Members::of_document(bytes, "the bundle")?;
        expect(&top.text("mediaType")?, BUNDLE_MEDIA_TYPE, "the bundle")?;
        if top.take_if("messageSignature").is_some() {
            return Err(Shape("it signs bytes, and not a statement about an image".to_owned()).into());
        }
        let (hint, entries) = material(top.object("verificationMaterial")?)?;
        let (payload, signature) = envelope(top.object("dsseEnvelope")?, hint.as_deref())?;
        top.end()?;
        log::check_entries(&entries, &signature)?;
        Ok(Self { hint, payload, signature })
    }

    /// What the signer calls the key, which proves nothing.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What it says, with nobody vouching for it.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`] when it does not hold a statement.
    pub fn unverified(&self) -> Result<Statement, Refusal> {
        Statement::decode(&self.payload)
    }

    /// Verifies the signature, and only then reads the statement, which must be of `predicate_type` and about `digest`.
    ///
    /// # Errors
    /// [`Refusal::Bad`] when the signature or what is stated is not right, [`Refusal::UnknownKey`] when the bundle names a
    /// key that is not accepted, and [`Refusal::Unreadable`] when what is signed is no statement.
    pub fn verify(
        &self,
        verifier: &SigstoreVerifier,
        digest: &Digest,
        predicate_type: &str,
    ) -> Result<(KeyId, Statement), Refusal> {
        let message = encoded_for_signing(&self.payload);
        let key = verifier.verify(&message, &self.signature);
        let key = key.map_err(|refusal| self.unknown_key(verifier).unwrap_or(refusal))?;
        let statement = Statement::decode(&self.payload)?;
        if statement.predicate_type() != predicate_type {
            let found = brief(statement.predicate_type());
            return Err(Refusal::Bad(format!("its predicate is of type {found:?}, not {predicate_type:?}")));
        }
        if !statement.is_about(digest) {
            return Err(Refusal::Bad(format!("it is not about {digest}")));
        }
        Ok((key, statement))
    }

    /// The better answer to a signature that is of none of the keys, if it says that it is of another.
    fn unknown_key(&self, verifier: &SigstoreVerifier) -> Option<Refusal> {
        let hint = self.hint.as_deref()?;
        let is_known = verifier.keys().iter().any(|key| key.is_called(hint));
        (!is_known).then(|| Refusal::UnknownKey(KeyId::new(brief(hint))))
    }
}

/// What is signed of a statement, so that nothing signed for another purpose is taken for one.
fn encoded_for_signing(payload: &[u8]) -> Vec<u8> {
    let start = format!("DSSEv1 {} {STATEMENT_MEDIA_TYPE} {} ", STATEMENT_MEDIA_TYPE.len(), payload.len());
    [start.as_bytes(), payload].concat()
}

/// The hint of the key, and the entries of a log.
fn material(mut material: Members<'_>) -> Result<(Option<String>, Vec<&RawValue>), Refusal> {
    if ["certificate", "x509CertificateChain"].into_iter().any(|name| material.take_if(name).is_some()) {
        return Err(without_a_key());
    }
    let mut public_key = material.object("publicKey")?;
    let hint = public_key.text_if("hint")?.filter(|hint| !hint.is_empty());
    public_key.end()?;
    let entries = material.list_if("tlogEntries")?;
    material.take_if("timestampVerificationData");
    material.end()?;
    Ok((hint, entries))
}

/// The payload and its signature, whose key must be called there as it is outside.
fn envelope(mut envelope: Members<'_>, hint: Option<&str>) -> Result<(Vec<u8>, Vec<u8>), Shape> {
    expect(&envelope.text("payloadType")?, STATEMENT_MEDIA_TYPE, "what is signed")?;
    let payload = envelope.bytes("payload")?;
    let signatures = envelope.list("signatures")?;
    envelope.end()?;
    let [signature] = signatures[..] else {
        return Err(Shape(format!("it has {} signatures instead of one", signatures.len())));
    };
    let mut signature = Members::of(signature, "the signature")?;
    let keyid = signature.text_if("keyid")?.filter(|keyid| !keyid.is_empty());
    let bytes = signature.bytes("sig")?;
    signature.end()?;
    if keyid.is_some() && keyid.as_deref() != hint {
        return Err(Shape("its `keyid` is not the `hint` of its key".to_owned()));
    }
    Ok((payload, bytes))
}

fn expect(found: &str, wanted: &str, of: &str) -> Result<(), Shape> {
    if found == wanted {
        return Ok(());
    }
    Err(Shape(format!("{of} is of type {:?}, not {wanted:?}", brief(found))))
}
