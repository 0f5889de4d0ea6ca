//! Checking simple signatures with the keys of a ring.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use sequoia_openpgp::cert::amalgamation::key::ErasedKeyAmalgamation;
use sequoia_openpgp::cert::prelude::*;
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::packet::key::PublicParts;
use sequoia_openpgp::policy::{HashAlgoSecurity, Policy as _};
use sequoia_openpgp::types::RevocationStatus;
use sequoia_openpgp::{Cert, Fingerprint, KeyHandle};

use super::envelope::{self, Envelope};
use super::{POLICY, key_id, keyring};
use crate::error::{Refusal, SignError};
use crate::signer::KeyId;

/// How far the clock of who signed may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(30 * 60);

/// The certificates that are accepted, and no others.
#[derive(Clone, Default)]
pub struct OpenPgpVerifier {
    certs: BTreeMap<Fingerprint, Cert>,
}

/// An envelope whose signature is good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// What was signed.
    pub payload: Vec<u8>,
    /// The fingerprint of the primary key of who signed.
    pub key: KeyId,
    /// The fingerprint of the key that signed: the primary key, or one of its subkeys.
    pub signing_key: KeyId,
    /// When it was signed, as the signature says.
    pub made: SystemTime,
}

impl OpenPgpVerifier {
    /// Reads the certificates of a key ring: armoured or binary, one or several behind each other. Of secret keys, the
    /// public half is taken.
    ///
    /// # Errors
    /// [`SignError::NotAKey`] when something in it is damaged, or there is none.
    pub fn from_keyring(file: &[u8]) -> Result<Self, SignError> {
        let public = |(fingerprint, cert): (_, Cert)| (fingerprint, cert.strip_secret_key_material());
        Ok(Self { certs: keyring::read(file)?.into_iter().map(public).collect() })
    }

    /// Accepts the keys of `other` too.
    ///
    /// # Errors
    /// [`SignError::NotAKey`] when a certificate of both cannot be made one.
    pub fn merge(&mut self, other: Self) -> Result<(), SignError> {
        other.certs.into_values().try_for_each(|cert| keyring::insert(&mut self.certs, cert))
    }

    /// The fingerprints of the primary keys that are accepted.
    pub fn keys(&self) -> impl Iterator<Item = KeyId> {
        self.certs.keys().map(key_id)
    }

    /// Opens an envelope and checks its signature, in every respect but what the payload says.
    ///
    /// A key that has expired or was revoked since is no longer good for what it signed before: when it signed is only its
    /// own word. Signatures by SHA-1 and what else has become weak are bad.
    ///
    /// # Errors
    /// [`Refusal`], never [`Refusal::Unsigned`].
    pub fn open(&self, envelope: &[u8], now: SystemTime) -> Result<Opened, Refusal> {
        let Envelope { payload, signature } = envelope::read(envelope)?;
        let made = signature
            .signature_creation_time()
            .ok_or_else(|| Refusal::Unreadable("it does not say when it was signed".to_owned()))?;
        let issuers = signature.get_issuers();
        let name =
            name(&issuers).ok_or_else(|| Refusal::Unreadable("it does not say whose it is".to_owned()))?;
        let mut refusal = Refusal::UnknownKey(name);
        // A key may be a subkey of several certificates.
        for key in self.certs.values().flat_map(|cert| cert.keys().key_handles(issuers.iter())) {
            match check(&signature, &key, made, now) {
                Ok(()) => {
                    let (signing_key, key) =
                        (key_id(&key.key().fingerprint()), key_id(&key.cert().fingerprint()));
                    return Ok(Opened { payload, key, signing_key, made });
                }
                Err(reason) => refusal = reason,
            }
        }
        Err(refusal)
    }
}

impl fmt::Debug for OpenPgpVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys()).finish()
    }
}

/// What an envelope says, with nobody vouching for it.
pub(crate) struct Unverified {
    pub(crate) payload: Vec<u8>,
    /// The key that it names.
    pub(crate) key: Option<KeyId>,
    /// When it was made.
    pub(crate) made: Option<SystemTime>,
}

pub(crate) fn unverified(envelope: &[u8]) -> Result<Unverified, Refusal> {
    let Envelope { payload, signature } = envelope::read(envelope)?;
    let (key, made) = (name(&signature.get_issuers()), signature.signature_creation_time());
    Ok(Unverified { payload, key, made })
}

/// What a signature calls the key that made it: by fingerprint, if it tells it.
fn name(issuers: &[KeyHandle]) -> Option<KeyId> {
    let fingerprint = issuers.iter().find(|issuer| matches!(issuer, KeyHandle::Fingerprint(_)));
    fingerprint.or(issuers.first()).map(|issuer| KeyId::new(issuer.to_hex()))
}

/// Checks the bytes first, so that a forger learns nothing about keys, and the key for both times after.
fn check(
    signature: &Signature,
    key: &ErasedKeyAmalgamation<'_, PublicParts>,
    made: SystemTime,
    now: SystemTime,
) -> Result<(), Refusal> {
    let bad = |error| Refusal::Bad(format!("{error:#}"));
    signature.verify_document(key.key()).map_err(bad)?;
    POLICY.signature(signature, HashAlgoSecurity::CollisionResistance).map_err(bad)?;
    signature.signature_alive(now, AHEAD).map_err(|error| Refusal::Expired(format!("{error:#}")))?;
    check_key(key, made, "when it signed")?;
    // The clock of who signed may be ahead, and so may the birth of the key.
    check_key(key, now.max(made), "now")
}

/// Checks that a key could sign at a time.
fn check_key(
    key: &ErasedKeyAmalgamation<'_, PublicParts>,
    at: SystemTime,
    when: &str,
) -> Result<(), Refusal> {
    let name = key_id(&key.cert().fingerprint());
    let expired = |error| Refusal::Expired(format!("the key {name} was not valid {when}: {error:#}"));
    let key = key
        .clone()
        .with_policy(&POLICY, at)
        .map_err(|error| Refusal::Bad(format!("the key {name} does not count {when}: {error:#}")))?;
    key.valid_cert().alive().map_err(expired)?;
    key.alive().map_err(expired)?;
    let is_revoked = |status| matches!(status, RevocationStatus::Revoked(_));
    if is_revoked(key.valid_cert().revocation_status()) || is_revoked(key.revocation_status()) {
        return Err(Refusal::Expired(format!("the key {name} was revoked")));
    }
    if !key.for_signing() {
        return Err(Refusal::Bad(format!("the key {name} is not for signing")));
    }
    Ok(())
}
