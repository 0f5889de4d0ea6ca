//! What other programs made, and a writer of key files from the description of the format alone.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::Aead;
use crypto_secretbox::{KeyInit, XSalsa20Poly1305};
use manifest_core::Digest;
use manifest_sign::sigstore::{PublicKey, SigstoreSigner, SigstoreVerifier};
use serde_json::{Value, json};

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sigstore").join(name)
}

pub fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub fn signer(name: &str) -> SigstoreSigner {
    SigstoreSigner::open(&fixture(&format!("{name}.pem")), None).unwrap()
}

pub fn public(name: &str) -> PublicKey {
    PublicKey::from_pem(&fixture(&format!("{name}.pub"))).unwrap()
}

pub fn accepting(name: &str) -> SigstoreVerifier {
    SigstoreVerifier::new([public(name)])
}

/// What the payload in the fixtures is about.
pub fn digest() -> Digest {
    Digest::sha256(b"")
}

/// The JSON inside a key file.
pub fn sealed(n: u64, pkcs8: &[u8], passphrase: &[u8]) -> Value {
    let (salt, nonce) = ([5; 32], [6; 24]);
    let params = scrypt::Params::new(u8::try_from(n.ilog2()).unwrap(), 8, 1, 32).unwrap();
    let mut key = [0; 32];
    scrypt::scrypt(passphrase, &salt, &params, &mut key).unwrap();
    let ciphertext = XSalsa20Poly1305::new(&key.into()).encrypt(&nonce.into(), pkcs8).unwrap();
    json!({
        "kdf": { "name": "scrypt", "params": { "N": n, "r": 8, "p": 1 }, "salt": STANDARD.encode(salt) },
        "cipher": { "name": "nacl/secretbox", "nonce": STANDARD.encode(nonce) },
        "ciphertext": STANDARD.encode(ciphertext),
    })
}

pub fn pem(label: &str, content: &[u8]) -> Vec<u8> {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(content)).into_bytes()
}

/// What a PEM file holds.
pub fn content(pem: &[u8]) -> Vec<u8> {
    let text = str::from_utf8(pem).unwrap();
    let lines: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(lines).unwrap()
}
