//! Envelopes: a statement and the signature over it, which names what was signed.
//!
//! Spec: DSSE v1.0.2 `protocol.md`, `envelope.md`.

use manifest_core::Digest;

use super::bundle::MAX_BUNDLE_SIZE;
use super::json::{Members, Shape, brief};
use super::public::SigstoreVerifier;
use super::statement::{STATEMENT_MEDIA_TYPE, Statement};
use crate::error::{Refusal, SignError};
use crate::signer::{KeyId, Signer};

/// The media type of an envelope that lies by itself, as in cosign's attachments `sha256-….att`.
pub const ENVELOPE_MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";

/// A statement and one signature over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// What the signer calls the key. It is for finding a key and proves nothing.
    pub(super) keyid: Option<String>,
    /// The bytes of the statement, as they were signed.
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

impl Envelope {
    /// Signs a statement.
    ///
    /// # Errors
    /// [`SignError`] when the key cannot sign.
    pub fn sign(signer: &dyn Signer, statement: &Statement) -> Result<Self, SignError> {
        let payload = statement.encode();
        let signature = signer.sign(&encoded_for_signing(&payload))?;
        Ok(Self { keyid: Some(signer.key().to_string()), payload, signature })
    }

    /// Reads an envelope strictly; nothing in it is verified.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`] when it is not an envelope with one signature over a statement.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_BUNDLE_SIZE {
            return Err(Shape(format!("an envelope of {} bytes is not read", bytes.len())).into());
        }
        Ok(Self::of(Members::of_document(bytes, "the envelope")?)?)
    }

    pub(super) fn of(mut envelope: Members<'_>) -> Result<Self, Shape> {
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
        Ok(Self { keyid, payload, signature: bytes })
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
    /// [`Refusal::Bad`] when the signature or what is stated is not right, [`Refusal::UnknownKey`] when the envelope names a
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
        statement.expect(digest, predicate_type)?;
        Ok((key, statement))
    }

    /// The better answer to a signature that is of none of the keys, if it says that it is of another.
    fn unknown_key(&self, verifier: &SigstoreVerifier) -> Option<Refusal> {
        let keyid = self.keyid.as_deref()?;
        let is_known = verifier.keys().iter().any(|key| key.is_called(keyid));
        (!is_known).then(|| Refusal::UnknownKey(KeyId::new(brief(keyid))))
    }
}

/// What is signed of a statement, so that nothing signed for another purpose is taken for one.
fn encoded_for_signing(payload: &[u8]) -> Vec<u8> {
    let start = format!("DSSEv1 {} {STATEMENT_MEDIA_TYPE} {} ", STATEMENT_MEDIA_TYPE.len(), payload.len());
    [start.as_bytes(), payload].concat()
}

pub(super) fn expect(found: &str, wanted: &str, of: &str) -> Result<(), Shape> {
    if found == wanted {
        return Ok(());
    }
    Err(Shape(format!("{of} is of type {:?}, not {wanted:?}", brief(found))))
}
