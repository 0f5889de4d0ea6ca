//! Signing with a key from a file.

use std::fmt;
use std::io::Write as _;
use std::time::SystemTime;

use sequoia_openpgp::crypto::{KeyPair, Password};
use sequoia_openpgp::packet::Key;
use sequoia_openpgp::packet::key::{SecretParts, UnspecifiedRole};
use sequoia_openpgp::serialize::stream::{LiteralWriter, Message, Signer as SignedMessage};
use sequoia_openpgp::types::{DataFormat, HashAlgorithm, RevocationStatus};
use sequoia_openpgp::{Cert, anyhow};

use super::{POLICY, handle, key_id, keyring};
use crate::error::SignError;
use crate::passphrase::Passphrase;
use crate::signer::{KeyId, Signer};

/// A secret key from a file, unlocked.
pub struct OpenPgpSigner {
    key: KeyId,
    signing_key: KeyId,
    pair: KeyPair,
}

impl OpenPgpSigner {
    /// Takes a key from the bytes of a file, armoured or binary, and unlocks it.
    ///
    /// `choice` is the fingerprint of the key, or of one of its subkeys; it may be left out when there is only one. The
    /// primary key signs if it may, else the first of its subkeys that may: skopeo 1.9 compares the fingerprint of
    /// the key that signed with the one that is asked for, and knows nothing of subkeys. `now` tells whether the key is valid.
    ///
    /// # Errors
    /// [`SignError::NotAKey`], [`SignError::SeveralKeys`], [`SignError::CannotSign`], [`SignError::Locked`],
    /// [`SignError::WrongPassphrase`].
    pub fn open(
        file: &[u8],
        choice: Option<&str>,
        passphrase: Option<&Passphrase>,
        now: SystemTime,
    ) -> Result<Self, SignError> {
        let cert = choose(file, choice)?;
        let key = key_id(&cert.fingerprint());
        let locked = signing_key(&cert, now).map_err(|why| SignError::CannotSign(key.clone(), why))?;
        let signing_key = key_id(&locked.fingerprint());
        let unlocked = unlock(locked, passphrase, &key)?;
        let pair = unlocked
            .into_keypair()
            .map_err(|error| SignError::CannotSign(key.clone(), format!("{error:#}")))?;
        Ok(Self { key, signing_key, pair })
    }

    /// The fingerprint of the key that signs: the primary key, or a subkey.
    pub fn signing_key(&self) -> &KeyId {
        &self.signing_key
    }

    /// The message: one-pass signature, literal packet without a name, signature. The digest is SHA-512, as in what the field's
    /// own tools write. The time in it is the system's.
    fn message(&self, payload: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let message = Message::new(&mut bytes);
        let message =
            SignedMessage::new(message, self.pair.clone())?.hash_algo(HashAlgorithm::SHA512)?.build()?;
        let mut message = LiteralWriter::new(message).format(DataFormat::Binary).build()?;
        message.write_all(payload)?;
        message.finalize()?;
        Ok(bytes)
    }
}

impl Signer for OpenPgpSigner {
    fn key(&self) -> &KeyId {
        &self.key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.message(message).map_err(|error| SignError::Failed(self.key.clone(), format!("{error:#}")))
    }
}

impl fmt::Debug for OpenPgpSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenPgpSigner")
            .field("key", &self.key)
            .field("signing_key", &self.signing_key)
            .finish_non_exhaustive()
    }
}

/// Finds the key that is meant.
fn choose(file: &[u8], choice: Option<&str>) -> Result<Cert, SignError> {
    let mut certs = keyring::read(file)?;
    let Some(choice) = choice else {
        return match (certs.len(), certs.pop_first()) {
            (1, Some((_, cert))) => Ok(cert),
            (_, first) => {
                let first = first.map(|(fingerprint, _)| fingerprint);
                Err(SignError::SeveralKeys(first.iter().chain(certs.keys()).map(key_id).collect()))
            }
        };
    };
    let wanted = handle(choice)?;
    let is_wanted = |cert: &Cert| cert.keys().any(|key| key.key().key_handle().aliases(&wanted));
    let found = certs.into_values().find(is_wanted);
    found.ok_or_else(|| SignError::CannotSign(KeyId::new(choice), "it is not in the file".to_owned()))
}

/// The key of a certificate that signs now, or why there is none. The primary key comes first.
fn signing_key(cert: &Cert, now: SystemTime) -> Result<Key<SecretParts, UnspecifiedRole>, String> {
    if !cert.is_tsk() {
        return Err("the file has its public half only".to_owned());
    }
    let valid = cert.with_policy(&POLICY, now).map_err(|error| format!("{error:#}"))?;
    if matches!(valid.revocation_status(), RevocationStatus::Revoked(_)) {
        return Err("it was revoked".to_owned());
    }
    valid.alive().map_err(|error| format!("{error:#}"))?;
    let mut usable = valid.keys().supported().alive().revoked(false).for_signing().secret();
    match usable.find(|key| keyring::has_secret(key.key())) {
        Some(key) => Ok(key.key().clone()),
        None => Err("none of the secret keys that are in the file may sign now".to_owned()),
    }
}

fn unlock(
    key: Key<SecretParts, UnspecifiedRole>,
    passphrase: Option<&Passphrase>,
    name: &KeyId,
) -> Result<Key<SecretParts, UnspecifiedRole>, SignError> {
    if !key.secret().is_encrypted() {
        return Ok(key);
    }
    let passphrase = passphrase.ok_or_else(|| SignError::Locked(name.clone()))?;
    let password = Password::from(passphrase.expose());
    key.decrypt_secret(&password).map_err(|_wrong| SignError::WrongPassphrase(name.clone()))
}
