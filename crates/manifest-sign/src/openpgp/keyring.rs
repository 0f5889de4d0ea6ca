//! Reading certificates and keys from files, and what is told about them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::time::SystemTime;

use sequoia_openpgp::cert::prelude::*;
use sequoia_openpgp::packet::Key;
use sequoia_openpgp::packet::key::{KeyParts, KeyRole, SecretKeyMaterial};
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::serialize::SerializeInto as _;
use sequoia_openpgp::types::{PublicKeyAlgorithm, RevocationStatus};
use sequoia_openpgp::{Cert, Error, Fingerprint, anyhow, armor};
use zeroize::Zeroizing;

use super::{POLICY, key_id};
use crate::error::SignError;
use crate::signer::KeyId;

/// What begins a block of armour, of whatever kind.
const ARMOR: &str = "-----BEGIN PGP ";

/// What is public about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// The fingerprint of its primary key.
    pub key: KeyId,
    /// Whose it is, as its owner says.
    pub user_ids: Vec<String>,
    /// Its algorithm with its size, such as `rsa3072`.
    pub algorithm: String,
    /// When it was made.
    pub created: SystemTime,
    /// When it expires; `None` if it does not.
    pub expires: Option<SystemTime>,
    /// Whether its owner revoked it.
    pub revoked: bool,
    /// The fingerprints of those of its keys that may sign, now or when they were valid; the primary key among them.
    pub signing_keys: Vec<KeyId>,
    /// Whether the file has a secret of it.
    pub secret: bool,
    /// Why nothing that it signed is accepted, such as that it vouches for itself by SHA-1 only.
    pub unusable: Option<String>,
}

/// Tells what is public about the keys in a file, armoured or binary, as of `now`.
///
/// # Errors
/// [`SignError::NotAKey`].
pub fn certificates(file: &[u8], now: SystemTime) -> Result<Vec<Certificate>, SignError> {
    Ok(read(file)?.values().map(|cert| describe(cert, now)).collect())
}

/// The armoured certificates of the secret keys in a file: what others need to verify, and nothing secret.
///
/// # Errors
/// [`SignError::NotAKey`].
pub fn public_certificate(file: &[u8]) -> Result<Vec<u8>, SignError> {
    let mut all = Vec::new();
    for cert in read(file)?.values() {
        all.extend(cert.armored().export_to_vec().map_err(not_a_key)?);
    }
    Ok(all)
}

/// Reads the keys of a file, armoured or binary, one or several behind each other. One that is there twice is one.
pub(super) fn read(file: &[u8]) -> Result<BTreeMap<Fingerprint, Cert>, SignError> {
    let mut found = BTreeMap::new();
    let mut unsupported = None;
    for block in blocks(file)? {
        for cert in CertParser::from_bytes(block.as_slice()).map_err(not_a_key)? {
            match cert {
                Ok(cert) => insert(&mut found, cert)?,
                // Rings of newer programs hold keys of newer versions; the others are still good.
                Err(error) if is_unsupported(&error) => unsupported = Some(error),
                Err(error) => return Err(not_a_key(error)),
            }
        }
    }
    match unsupported {
        _ if !found.is_empty() => Ok(found),
        Some(error) => Err(not_a_key(error)),
        None => Err(SignError::NotAKey("there is no OpenPGP key in it".to_owned())),
    }
}

/// Whether its secret is here: that of a stub is on a card, or in another file.
pub(super) fn has_secret<P: KeyParts, R: KeyRole>(key: &Key<P, R>) -> bool {
    match key.optional_secret() {
        Some(SecretKeyMaterial::Encrypted(secret)) => secret.s2k().is_supported(),
        Some(SecretKeyMaterial::Unencrypted(_)) => true,
        None => false,
    }
}

/// A file that is not binary is text with blocks of armour; what stands between them is for people.
fn blocks(file: &[u8]) -> Result<Vec<Zeroizing<Vec<u8>>>, SignError> {
    if file.first().is_some_and(|first| first & 0x80 != 0) {
        return Ok(vec![Zeroizing::new(file.to_vec())]);
    }
    let not_text = |_| SignError::NotAKey("it is neither OpenPGP nor text".to_owned());
    let text = std::str::from_utf8(file).map_err(not_text)?;
    let starts: Vec<usize> = text.match_indices(ARMOR).map(|(at, _)| at).collect();
    let ends = starts.iter().copied().skip(1).chain([text.len()]);
    starts.iter().zip(ends).map(|(start, end)| dearmor(text.get(*start..end).unwrap_or_default())).collect()
}

fn dearmor(block: &str) -> Result<Zeroizing<Vec<u8>>, SignError> {
    // Room for all of it, so that no copy stays behind where the memory grew.
    let mut bytes = Zeroizing::new(Vec::with_capacity(block.len()));
    let mode = armor::ReaderMode::Tolerant(None);
    armor::Reader::from_bytes(block.as_bytes(), mode).read_to_end(&mut bytes).map_err(not_a_key)?;
    Ok(bytes)
}

/// Adds a certificate, or what is new in it.
pub(super) fn insert(found: &mut BTreeMap<Fingerprint, Cert>, cert: Cert) -> Result<(), SignError> {
    let fingerprint = cert.fingerprint();
    let cert = match found.remove(&fingerprint) {
        Some(known) => known.merge_public_and_secret(cert).map_err(not_a_key)?,
        None => cert,
    };
    found.insert(fingerprint, cert);
    Ok(())
}

fn describe(cert: &Cert, now: SystemTime) -> Certificate {
    let primary = cert.primary_key();
    let valid = cert.with_policy(&POLICY, now);
    let signing_keys = match &valid {
        Ok(valid) => valid.keys().for_signing().map(|key| key_id(&key.key().fingerprint())).collect(),
        Err(_) => Vec::new(),
    };
    Certificate {
        key: key_id(&cert.fingerprint()),
        user_ids: cert
            .userids()
            .map(|id| String::from_utf8_lossy(id.userid().value()).into_owned())
            .collect(),
        algorithm: algorithm(primary.key()),
        created: primary.key().creation_time(),
        expires: valid.as_ref().ok().and_then(|valid| valid.primary_key().key_expiration_time()),
        revoked: matches!(cert.revocation_status(&POLICY, now), RevocationStatus::Revoked(_)),
        signing_keys,
        secret: cert.keys().any(|key| has_secret(key.key())),
        unusable: valid.err().map(|error| format!("{error:#}")),
    }
}

fn algorithm<P: KeyParts, R: KeyRole>(key: &Key<P, R>) -> String {
    match (key.pk_algo(), key.mpis().bits()) {
        (PublicKeyAlgorithm::RSAEncryptSign, Some(bits)) => {
            format!("rsa{bits}")
        }
        // In version 4 there is no other curve for it.
        (PublicKeyAlgorithm::EdDSA | PublicKeyAlgorithm::Ed25519, _) => "ed25519".to_owned(),
        (PublicKeyAlgorithm::ECDSA, Some(bits)) => format!("ecdsa{bits}"),
        (other, _) => other.to_string(),
    }
}

fn is_unsupported(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::UnsupportedCert(..)))
}

fn not_a_key(error: impl fmt::Display) -> SignError {
    SignError::NotAKey(format!("{error:#}"))
}
