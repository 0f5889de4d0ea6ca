//! Signatures in cosign's old form: the bytes of a payload, and the signature in an annotation of its layer.
//!
//! Spec: cosign `specs/SIGNATURE_SPEC.md`, as of cosign 2; containers/image 5.40 for what lies in a directory.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use manifest_core::{Annotations, Descriptor, Digest, MediaType};
use serde_json::json;

use super::json::{Members, Shape, base64, brief};
use super::log;
use super::public::SigstoreVerifier;
use crate::error::{Refusal, SignError};
use crate::payload::{MAX_PAYLOAD_SIZE, Payload, PayloadType};
use crate::signer::{KeyId, Signer};

/// The media type of a payload that is signed.
pub const PAYLOAD_MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation that holds the signature, in base64.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// The annotation that holds the certificate of who signed without a key of their own, in PEM.
pub const CERTIFICATE_ANNOTATION: &str = "dev.sigstore.cosign/certificate";
/// The annotation that holds the entry in a log.
pub const LOG_ANNOTATION: &str = "dev.sigstore.cosign/bundle";

/// What a stored signature begins with, before its JSON.
const STORED: &[u8] = b"\0sigstore-json\n";

/// One signature: a layer of an attachment, or a file beside an image in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosignSignature {
    payload: Vec<u8>,
    annotations: Annotations,
}

/// Signs the bytes of a payload.
///
/// # Errors
/// [`SignError`] when the key cannot sign.
pub fn cosign_signature(signer: &dyn Signer, payload: Vec<u8>) -> Result<CosignSignature, SignError> {
    let signature = STANDARD.encode(signer.sign(&payload)?);
    let annotations = Annotations::from([(SIGNATURE_ANNOTATION.to_owned(), signature)]);
    Ok(CosignSignature { payload, annotations })
}

impl CosignSignature {
    /// Takes a layer of an attachment with its content.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`] when it is no signature, and [`Refusal::Bad`] when the content is not that of the layer.
    pub fn from_layer(layer: &Descriptor, payload: Vec<u8>) -> Result<Self, Refusal> {
        let signature = Self::new(layer.media_type.as_str(), payload, layer.annotations.clone())?;
        let size = u64::try_from(signature.payload.len()).ok();
        if size != Some(layer.size) || !layer.digest.verifies(&signature.payload) {
            return Err(Refusal::Bad(format!("its payload is not {}", layer.digest)));
        }
        Ok(signature)
    }

    /// Reads a signature as containers/image keeps it in a directory: a line that says what it is, then JSON.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`], which says why.
    pub fn from_stored(file: &[u8]) -> Result<Self, Refusal> {
        let document = file.strip_prefix(STORED);
        let document = document.ok_or_else(|| Shape("it is no stored signature of sigstore".to_owned()))?;
        if document.len() > 2 * MAX_PAYLOAD_SIZE {
            return Err(Shape(format!("a signature of {} bytes is not read", document.len())).into());
        }
        let mut members = Members::of_document(document, "the stored signature")?;
        let (media_type, payload) = (members.text("mimeType")?, members.bytes("payload")?);
        let annotations = serde_json::from_str(members.take("annotations")?.get());
        let annotations = annotations.map_err(|_other| Shape("`annotations` are not texts".to_owned()))?;
        members.end()?;
        Self::new(&media_type, payload, annotations)
    }

    fn new(media_type: &str, payload: Vec<u8>, annotations: Annotations) -> Result<Self, Refusal> {
        if media_type != PAYLOAD_MEDIA_TYPE {
            let found = brief(media_type);
            return Err(Shape(format!("it is of type {found:?}, not {PAYLOAD_MEDIA_TYPE:?}")).into());
        }
        if payload.len() > MAX_PAYLOAD_SIZE {
            return Err(Shape(format!("a payload of {} bytes is not read", payload.len())).into());
        }
        Ok(Self { payload, annotations })
    }

    /// The signature as containers/image keeps it in a directory.
    pub fn to_stored(&self) -> Vec<u8> {
        let document = json!({
            "mimeType": PAYLOAD_MEDIA_TYPE,
            "payload": STANDARD.encode(&self.payload),
            "annotations": self.annotations,
        });
        [STORED, document.to_string().as_bytes()].concat()
    }

    /// The layer, whose content is the payload.
    pub fn layer(&self) -> Descriptor {
        let size = u64::try_from(self.payload.len()).unwrap_or(u64::MAX);
        let mut layer =
            Descriptor::new(MediaType::from(PAYLOAD_MEDIA_TYPE), Digest::sha256(&self.payload), size);
        layer.annotations.clone_from(&self.annotations);
        layer
    }

    /// The bytes that are signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What stands beside the payload.
    pub const fn annotations(&self) -> &Annotations {
        &self.annotations
    }

    /// Verifies the signature, and only then reads what it says. What it says is for the caller to compare.
    ///
    /// # Errors
    /// [`Refusal::Bad`] when none of the keys made it, [`Refusal::Unreadable`] when it is no signature, was made without a
    /// key, or vouches for bytes that are no payload.
    pub fn verify(&self, verifier: &SigstoreVerifier) -> Result<(KeyId, Payload), Refusal> {
        let signature = self.signature()?;
        let key = verifier.verify(&self.payload, &signature).map_err(|refusal| {
            if self.annotations.contains_key(CERTIFICATE_ANNOTATION) { without_a_key() } else { refusal }
        })?;
        if let Some(entry) = self.annotations.get(LOG_ANNOTATION) {
            log::check_annotation(entry, &signature)?;
        }
        Ok((key, Payload::decode(&self.payload, PayloadType::Cosign)?))
    }

    /// The bare signature, of which nothing is verified but that a log entry which comes with it is about it.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`] when there is none that a key could have made, [`Refusal::Bad`] when the entry is of another.
    pub fn bare(&self) -> Result<Vec<u8>, Refusal> {
        let signature = self.signature()?;
        if let Some(entry) = self.annotations.get(LOG_ANNOTATION) {
            log::check_annotation(entry, &signature)?;
        }
        Ok(signature)
    }

    fn signature(&self) -> Result<Vec<u8>, Refusal> {
        match self.annotations.get(SIGNATURE_ANNOTATION).map(String::as_str) {
            None => Err(Shape(format!("it has no annotation {SIGNATURE_ANNOTATION}")).into()),
            Some("") => Err(without_a_key()),
            Some(text) => Ok(base64(text, SIGNATURE_ANNOTATION)?),
        }
    }
}

/// The answer to a signature of somebody who has no key that lasts.
pub(super) fn without_a_key() -> Refusal {
    Refusal::Unreadable("it was made without a key, with a certificate, which is not supported".to_owned())
}
