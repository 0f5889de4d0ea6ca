//! Public keys, and verifying with them.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use manifest_core::Digest;

use super::json::Shape;
use super::pem;
use crate::error::{Refusal, SignError};
use crate::signer::KeyId;

const PEM_LABEL: &str = "PUBLIC KEY";

/// What a key of P-256 begins with; behind it is one point, uncompressed, of 64 bytes.
const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04";
/// What a key of Ed25519 begins with; behind it are its 32 bytes.
const EDWARDS: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// `rsaEncryption` without parameters, which stands behind the length of the whole.
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// How a key signs. The key decides, never the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// ECDSA over P-256 with SHA-256, its signature in ASN.1; what cosign makes.
    EcdsaP256,
    /// Ed25519, not prehashed.
    Ed25519,
    /// RSA of 2048 to 8192 bits, PKCS#1 v1.5 with SHA-256.
    Rsa,
}

impl KeyKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Ed25519 => "ed25519",
            Self::Rsa => "rsa",
        }
    }

    /// Looks at what the key says it is. There is one way only to write each key, so that one key has one name.
    fn of(der: &[u8]) -> Option<Self> {
        if der.starts_with(P256) && der.len() == P256.len() + 64 {
            return Some(Self::EcdsaP256);
        }
        if der.starts_with(EDWARDS) && der.len() == EDWARDS.len() + 32 {
            return Some(Self::Ed25519);
        }
        let is_rsa = der.get(4..).is_some_and(|behind| behind.starts_with(RSA));
        (is_rsa && rsa_again(der)? == der).then_some(Self::Rsa)
    }

    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            Self::Ed25519 => &ED25519,
            Self::Rsa => &RSA_PKCS1_2048_8192_SHA256,
        }
    }
}

/// An RSA key as it must be written.
fn rsa_again(der: &[u8]) -> Option<Vec<u8>> {
    let key = rsa::PublicKey::from_der(der).ok()?;
    let again: PublicKeyX509Der<'_> = key.as_der().ok()?;
    Some(again.as_ref().to_vec())
}

/// A public key: PKIX, as `openssl` and cosign write it.
///
/// Spec: RFC 5280 section 4.1.2.7, RFC 5480, RFC 8410, RFC 3279.
#[derive(Clone)]
pub struct PublicKey {
    id: KeyId,
    kind: KeyKind,
    der: Arc<[u8]>,
    parsed: Arc<ParsedPublicKey>,
}

impl PublicKey {
    /// Reads a key from its PEM form, a file with one block `PUBLIC KEY`.
    ///
    /// # Errors
    /// [`SignError::NotAKey`], which says why.
    pub fn from_pem(file: &[u8]) -> Result<Self, SignError> {
        let block = pem::single(pem::decode(file)?)?;
        Self::of_block(&block)
    }

    fn of_block(block: &pem::Block) -> Result<Self, SignError> {
        match block.label.as_str() {
            PEM_LABEL => Ok(Self::from_der(&block.content)?),
            label if label.contains("PRIVATE KEY") => {
                Err(SignError::NotAKey("it is a private key, and a public one is wanted".to_owned()))
            }
            label => Err(SignError::NotAKey(format!(
                "it is a {:?}, and a {PEM_LABEL:?} is wanted",
                super::json::brief(label)
            ))),
        }
    }

    pub(super) fn from_der(der: &[u8]) -> Result<Self, Shape> {
        let not = || Shape("it is none of ECDSA P-256, Ed25519 and RSA of 2048 to 8192 bits".to_owned());
        let kind = KeyKind::of(der).ok_or_else(not)?;
        let parsed = ParsedPublicKey::new(kind.algorithm(), der).map_err(|_rejected| not())?;
        let id = KeyId::new(Digest::sha256(der).hex());
        Ok(Self { id, kind, der: der.into(), parsed: Arc::new(parsed) })
    }

    /// What the key is called: the SHA-256 of its DER form in hex.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// How it signs.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key as a file, one block `PUBLIC KEY`.
    pub fn to_pem(&self) -> String {
        pem::encode(PEM_LABEL, &self.der)
    }

    /// Whether a bundle means this key: by our name for it, or by that of sigstore's libraries, the same in base64.
    pub(super) fn is_called(&self, hint: &str) -> bool {
        hint == self.id.as_str() || hint == STANDARD.encode(digest(&SHA256, &self.der))
    }

    fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.kind.as_str(), self.id)
    }
}

/// The keys whose signatures are accepted.
#[derive(Clone, Debug, Default)]
pub struct SigstoreVerifier {
    /// Each once: whoever counts signers counts keys.
    keys: Vec<PublicKey>,
}

impl SigstoreVerifier {
    /// Accepts any of these keys. A key that stands there twice is one key.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let mut accepted: Vec<PublicKey> = Vec::new();
        for key in keys {
            if !accepted.contains(&key) {
                accepted.push(key);
            }
        }
        Self { keys: accepted }
    }

    /// Accepts all the keys in a PEM file, of which there must be one at least.
    ///
    /// # Errors
    /// [`SignError::NotAKey`] when one of them is not a key.
    pub fn from_pem(file: &[u8]) -> Result<Self, SignError> {
        let blocks = pem::decode(file)?;
        if blocks.is_empty() {
            return Err(SignError::NotAKey("it has no line -----BEGIN PUBLIC KEY-----".to_owned()));
        }
        let keys: Result<Vec<PublicKey>, SignError> = blocks.iter().map(PublicKey::of_block).collect();
        Ok(Self::new(keys?))
    }

    /// The keys, each once.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Finds the key that made a bare signature over `message`.
    ///
    /// # Errors
    /// [`Refusal::Bad`] when none of the keys did. A bare signature does not say whose it is: that of a key which is not
    /// accepted looks the same as one over other bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<KeyId, Refusal> {
        let key = self.keys.iter().find(|key| key.accepts(message, signature));
        key.map(|key| key.id.clone()).ok_or_else(|| {
            Refusal::Bad("it is of none of the accepted keys, or not over these bytes".to_owned())
        })
    }
}
