//! cosign's encrypted private keys: a key made of a passphrase by scrypt, and a secret box.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::Aead;
use crypto_secretbox::{Key, KeyInit, Nonce, XSalsa20Poly1305};
use scrypt::{Params, scrypt};
use serde_json::json;
use zeroize::Zeroizing;

use super::json::{Members, Shape, brief};
use crate::error::SignError;
use crate::passphrase::Passphrase;
use crate::signer::KeyId;

const KDF: &str = "scrypt";
const CIPHER: &str = "nacl/secretbox";
const SALT_LEN: usize = 32;
const NONCE_LEN: usize = 24;
/// The parameters of scrypt beside the cost, which is one of a few.
const R: u32 = 8;
const P: u32 = 1;

/// How much work a guess at a passphrase is: the binary logarithm of scrypt's N.
///
/// Only what cosign and its like have written: a file must not make who opens it spend more, and less protects nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost(u8);

impl Cost {
    /// What cosign 2 writes; every reader in the field takes it.
    const WRITTEN: Self = Self(16);

    fn of(n: u64, r: u64, p: u64) -> Result<Self, Shape> {
        let cost = [15, 16, 17].into_iter().find(|log_n| n == 1 << log_n);
        match cost {
            Some(cost) if r == u64::from(R) && p == u64::from(P) => Ok(Self(cost)),
            _ => Err(Shape(format!(
                "it asks scrypt for N {n}, r {r}, p {p}; N may be 32768, 65536 or 131072, r 8 and p 1"
            ))),
        }
    }
}

/// A key as it lies in a file.
#[derive(Debug)]
pub(super) struct Sealed {
    cost: Cost,
    salt: [u8; SALT_LEN],
    nonce: [u8; NONCE_LEN],
    ciphertext: Vec<u8>,
}

impl Sealed {
    pub(super) fn decode(json: &[u8]) -> Result<Self, Shape> {
        let mut top = Members::of_document(json, "the encrypted key")?;
        let (mut kdf, mut cipher) = (top.object("kdf")?, top.object("cipher")?);
        let mut params = kdf.object("params")?;
        is(&kdf.text("name")?, KDF)?;
        is(&cipher.text("name")?, CIPHER)?;
        let sealed = Self {
            cost: Cost::of(params.number("N")?, params.number("r")?, params.number("p")?)?,
            salt: exactly(&kdf.bytes("salt")?, "salt")?,
            nonce: exactly(&cipher.bytes("nonce")?, "nonce")?,
            ciphertext: top.bytes("ciphertext")?,
        };
        for members in [top, kdf, cipher, params] {
            members.end()?;
        }
        Ok(sealed)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        json!({
            "kdf": {
                "name": KDF,
                "params": { "N": 1_u64 << self.cost.0, "r": R, "p": P },
                "salt": STANDARD.encode(self.salt),
            },
            "cipher": { "name": CIPHER, "nonce": STANDARD.encode(self.nonce) },
            "ciphertext": STANDARD.encode(&self.ciphertext),
        })
        .to_string()
        .into_bytes()
    }

    /// What is inside; nothing when the passphrase is another one, or the file was changed.
    pub(super) fn open(&self, passphrase: &Passphrase) -> Result<Option<Zeroizing<Vec<u8>>>, SignError> {
        let opened = self.secret_box(passphrase)?.decrypt(&Nonce::from(self.nonce), &*self.ciphertext);
        Ok(opened.ok().map(Zeroizing::new))
    }

    pub(super) fn seal(pkcs8: &[u8], passphrase: &Passphrase) -> Result<Self, SignError> {
        let mut sealed =
            Self { cost: Cost::WRITTEN, salt: [0; SALT_LEN], nonce: [0; NONCE_LEN], ciphertext: Vec::new() };
        for random in [&mut sealed.salt[..], &mut sealed.nonce[..]] {
            getrandom::fill(random).map_err(|error| failed(&format!("no random numbers: {error}")))?;
        }
        let secret_box = sealed.secret_box(passphrase)?;
        sealed.ciphertext = secret_box
            .encrypt(&Nonce::from(sealed.nonce), pkcs8)
            .map_err(|_opaque| failed("it cannot be encrypted"))?;
        Ok(sealed)
    }

    fn secret_box(&self, passphrase: &Passphrase) -> Result<XSalsa20Poly1305, SignError> {
        let mut key = Zeroizing::new([0; 32]);
        let params = Params::new(self.cost.0, R, P, key.len()).map_err(|error| failed(&error.to_string()))?;
        scrypt(passphrase.expose(), &self.salt, &params, &mut *key)
            .map_err(|error| failed(&error.to_string()))?;
        Ok(XSalsa20Poly1305::new(Key::from_slice(&*key)))
    }
}

/// A failure that is no fault of the file.
pub(super) fn failed(why: &str) -> SignError {
    SignError::Failed(KeyId::new("of this file"), why.to_owned())
}

fn is(found: &str, wanted: &str) -> Result<(), Shape> {
    if found == wanted {
        return Ok(());
    }
    Err(Shape(format!("it is made with {:?}, and only {wanted:?} is read", brief(found))))
}

fn exactly<const N: usize>(bytes: &[u8], name: &str) -> Result<[u8; N], Shape> {
    bytes.try_into().map_err(|_other| Shape(format!("its {name} has {} bytes instead of {N}", bytes.len())))
}
