//! Making keys.

use std::time::{Duration, SystemTime};

use sequoia_openpgp::cert::prelude::*;
use sequoia_openpgp::crypto::Password;
use sequoia_openpgp::serialize::SerializeInto as _;
use sequoia_openpgp::types::KeyFlags;
use sequoia_openpgp::{Profile, anyhow};
use zeroize::Zeroizing;

use super::key_id;
use crate::error::SignError;
use crate::passphrase::Passphrase;
use crate::signer::KeyId;

/// The key to make.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "it is filled in by who wants a key")]
pub struct NewKey<'a> {
    /// Whose it is, such as `Ann <ann@example.com>`.
    pub user_id: &'a str,
    /// How long its modulus is.
    pub bits: RsaBits,
    /// What locks it; `None` leaves it open to whoever reads the file.
    pub passphrase: Option<&'a Passphrase>,
    /// When it is made.
    pub created: SystemTime,
    /// After what time it expires; `None` if it does not.
    pub valid_for: Option<Duration>,
}

/// The sizes of RSA keys that are made.
///
/// There is no Ed25519: readers of the field that are built without GnuPG refuse it, and a signature is worth as much as it
/// has readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RsaBits {
    /// Good beyond 2030, as NIST sees it, and the faster one.
    #[default]
    Rsa3072,
    /// For those whom a rule tells to.
    Rsa4096,
}

/// A key that was made.
#[derive(Clone)]
#[non_exhaustive]
pub struct GeneratedKey {
    /// Its fingerprint.
    pub key: KeyId,
    /// The armoured secret key.
    pub secret: Zeroizing<Vec<u8>>,
    /// The armoured certificate, for everybody.
    pub certificate: Vec<u8>,
}

impl std::fmt::Debug for GeneratedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GeneratedKey").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Makes a key of version 4 whose primary key signs. It has no subkeys: see [`super::OpenPgpSigner::open`].
///
/// # Errors
/// [`SignError::Failed`], which names the user id.
pub fn generate(new: &NewKey<'_>) -> Result<GeneratedKey, SignError> {
    build(new).map_err(|error| SignError::Failed(KeyId::new(new.user_id), format!("{error:#}")))
}

fn build(new: &NewKey<'_>) -> anyhow::Result<GeneratedKey> {
    let suite = match new.bits {
        RsaBits::Rsa3072 => CipherSuite::RSA3k,
        RsaBits::Rsa4096 => CipherSuite::RSA4k,
    };
    let (cert, _revocation) = CertBuilder::new()
        .set_profile(Profile::RFC4880)?
        .set_cipher_suite(suite)
        .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
        .set_creation_time(new.created)
        .set_validity_period(new.valid_for)
        .set_password(new.passphrase.map(|passphrase| Password::from(passphrase.expose())))
        .add_userid(new.user_id)
        .generate()?;
    Ok(GeneratedKey {
        key: key_id(&cert.fingerprint()),
        secret: Zeroizing::new(cert.as_tsk().armored().to_vec()?),
        certificate: cert.armored().export_to_vec()?,
    })
}
