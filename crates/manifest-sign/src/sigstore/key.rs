//! Private keys that sign.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use zeroize::Zeroizing;

use super::key_file;
use super::pem;
use super::public::{KeyKind, PublicKey, SigstoreVerifier};
use crate::error::SignError;
use crate::passphrase::Passphrase;
use crate::signer::{KeyId, Signer};

/// How cosign calls an encrypted key since version 2, and how one is written.
const SEALED: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
/// How cosign called it before, and `skopeo generate-sigstore-key` still does.
const SEALED_BEFORE: &str = "ENCRYPTED COSIGN PRIVATE KEY";
/// What `openssl ecparam` writes before the key; it says nothing that the key does not.
const PARAMETERS: &str = "EC PARAMETERS";

/// How a key that nobody could look into is called.
const THIS_FILE: &str = "of this file";

/// A private key, unlocked.
///
/// It signs with the bare signature that [`KeyKind`] tells of. Its memory is cleared when it is dropped.
///
/// Spec: the key files of cosign 2 and containers/image 5.40; RFC 5208, RFC 5915, RFC 8017.
pub struct SigstoreSigner {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<rsa::KeyPair>),
}

impl SigstoreSigner {
    /// Makes a new key; one of RSA has 3072 bits.
    ///
    /// # Errors
    /// [`SignError::Failed`] when the system gives no random numbers.
    pub fn generate(kind: KeyKind) -> Result<Self, SignError> {
        let made = match kind {
            KeyKind::EcdsaP256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map(|pair| Pair::Ecdsa(pair.into()))
            }
            KeyKind::Ed25519 => Ed25519KeyPair::generate().map(|pair| Pair::Ed25519(pair.into())),
            KeyKind::Rsa => rsa::KeyPair::generate(KeySize::Rsa3072).map(|pair| Pair::Rsa(pair.into())),
        };
        let made = made.map_err(|_unspecified| key_file::failed("no key could be made"))?;
        Self::of(made)
    }

    /// Whether a passphrase, which may be empty, is needed to open a key.
    ///
    /// # Errors
    /// [`SignError::NotAKey`] when it is not a private key.
    pub fn is_encrypted(file: &[u8]) -> Result<bool, SignError> {
        let block = block(file)?;
        Ok(matches!(block.label.as_str(), SEALED | SEALED_BEFORE))
    }

    /// Opens a key file: encrypted as cosign does it, or plain (PKCS#8, or the forms of RSA and EC keys before it).
    ///
    /// Opening an encrypted one takes a third of a second and 32 to 128 MiB, which is what protects it.
    ///
    /// # Errors
    /// [`SignError::Locked`] without a passphrase for an encrypted key, [`SignError::WrongPassphrase`] when it does not
    /// open it, and [`SignError::NotAKey`] for anything else; before any memory is spent where the file asks for more than
    /// cosign's own parameters.
    pub fn open(file: &[u8], passphrase: Option<&Passphrase>) -> Result<Self, SignError> {
        let block = block(file)?;
        match (block.label.as_str(), passphrase) {
            (SEALED | SEALED_BEFORE, Some(passphrase)) => {
                let sealed = key_file::Sealed::decode(&block.content)?;
                let pkcs8 = sealed.open(passphrase)?;
                let pkcs8 = pkcs8.ok_or_else(|| SignError::WrongPassphrase(KeyId::new(THIS_FILE)))?;
                Self::of(pkcs8_pair(&pkcs8)?)
            }
            (SEALED | SEALED_BEFORE, None) => {
                key_file::Sealed::decode(&block.content)?;
                Err(SignError::Locked(KeyId::new(THIS_FILE)))
            }
            (label, _) => Self::of(plain(label, &block.content)?),
        }
    }

    /// The key as a file that only `passphrase` opens, which may be empty: a block `ENCRYPTED SIGSTORE PRIVATE KEY`.
    ///
    /// # Errors
    /// [`SignError::Failed`] when the system gives no random numbers.
    pub fn seal(&self, passphrase: &Passphrase) -> Result<String, SignError> {
        let pkcs8 = self.pair.pkcs8().map_err(|_unspecified| key_file::failed("it cannot be written"))?;
        let sealed = key_file::Sealed::seal(&pkcs8, passphrase)?;
        Ok(pem::encode(SEALED, &sealed.encode()))
    }

    /// Its public half.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// What accepts its own signatures, so that nothing is signed twice.
    pub fn verifier(&self) -> SigstoreVerifier {
        SigstoreVerifier::new([self.public.clone()])
    }

    fn of(pair: Pair) -> Result<Self, SignError> {
        let der = pair.public_der().map_err(|_unspecified| key_file::failed("it has no public half"))?;
        Ok(Self { public: PublicKey::from_der(&der)?, pair })
    }
}

impl Signer for SigstoreSigner {
    fn key(&self) -> &KeyId {
        self.public.id()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let failed = |_unspecified| SignError::Failed(self.key().clone(), "it gave no signature".to_owned());
        self.pair.sign(message).map_err(failed)
    }
}

impl fmt::Debug for SigstoreSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigstoreSigner").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Pair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match self {
            Self::Ecdsa(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Self::Ed25519(pair) => Ok(pair.try_sign(message)?.as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }

    fn public_der(&self) -> Result<Vec<u8>, Unspecified> {
        Ok(match self {
            Self::Ecdsa(pair) => {
                let der: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
                der.as_ref().to_vec()
            }
            Self::Ed25519(pair) => {
                let der: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
                der.as_ref().to_vec()
            }
            Self::Rsa(pair) => {
                let der: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
                der.as_ref().to_vec()
            }
        })
    }

    /// The key as it stands inside a file; version 1, which is what Go reads.
    fn pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        Ok(Zeroizing::new(match self {
            Self::Ecdsa(pair) => pair.to_pkcs8v1()?.as_ref().to_vec(),
            Self::Ed25519(pair) => pair.to_pkcs8v1()?.as_ref().to_vec(),
            Self::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der()?;
                der.as_ref().to_vec()
            }
        }))
    }
}

/// The one key in a file.
fn block(file: &[u8]) -> Result<pem::Block, SignError> {
    let mut blocks = pem::decode(file)?;
    blocks.retain(|block| block.label != PARAMETERS);
    Ok(pem::single(blocks)?)
}

fn plain(label: &str, der: &[u8]) -> Result<Pair, SignError> {
    match label {
        "PRIVATE KEY" => pkcs8_pair(der),
        "RSA PRIVATE KEY" => rsa::KeyPair::from_der(der).map(rsa_pair).map_err(|_rejected| not_a_key()),
        "EC PRIVATE KEY" => EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
            .map(|pair| Pair::Ecdsa(pair.into()))
            .map_err(|_rejected| not_a_key()),
        "ENCRYPTED PRIVATE KEY" => Err(SignError::NotAKey(
            "it is encrypted in the form of PKCS#8, which `openssl pkcs8` takes away; cosign's is read"
                .to_owned(),
        )),
        other => {
            Err(SignError::NotAKey(format!("it is a {:?}, not a private key", super::json::brief(other))))
        }
    }
}

fn pkcs8_pair(der: &[u8]) -> Result<Pair, SignError> {
    let pair: Result<Pair, KeyRejected> = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
        .map(|pair| Pair::Ecdsa(pair.into()))
        .or_else(|_other| Ed25519KeyPair::from_pkcs8(der).map(|pair| Pair::Ed25519(pair.into())))
        .or_else(|_other| rsa::KeyPair::from_pkcs8(der).map(rsa_pair));
    pair.map_err(|_rejected| not_a_key())
}

fn rsa_pair(pair: rsa::KeyPair) -> Pair {
    Pair::Rsa(pair.into())
}

fn not_a_key() -> SignError {
    SignError::NotAKey("it is none of ECDSA P-256, Ed25519 and RSA of 2048 to 8192 bits".to_owned())
}
