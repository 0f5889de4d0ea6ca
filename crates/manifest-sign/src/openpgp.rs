//! Simple signing: the payload inside a signed OpenPGP message.
//!
//! Keys are RSA where we make them and of whatever kind the reader knows where we read them, always version 4: GnuPG 2.2
//! refuses anything newer. What is weak, expired or revoked is told by Sequoia's standard policy.
//!
//! Spec: RFC 4880; containers/image `docs/containers-signature.5.md`, "Signature format".

mod envelope;
mod generate;
mod gpg;
mod keyring;
mod program;
mod signer;
mod verifier;

use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::{Fingerprint, KeyHandle};

use crate::error::SignError;
use crate::signer::KeyId;

pub use envelope::MAX_ENVELOPE_SIZE;
pub use generate::{GeneratedKey, NewKey, RsaBits, generate};
pub use gpg::{GpgSettings, GpgSigner};
pub use keyring::{Certificate, certificates, public_certificate};
pub use signer::OpenPgpSigner;
pub use verifier::{OpenPgpVerifier, Opened};
pub(crate) use verifier::{Unverified, unverified};

/// Which algorithms are still good enough.
static POLICY: StandardPolicy<'static> = StandardPolicy::new();

/// How people and programs write a fingerprint: 40 capital hexadecimal digits.
fn key_id(fingerprint: &Fingerprint) -> KeyId {
    KeyId::new(fingerprint.to_hex())
}

/// Reads what somebody calls a key: a fingerprint or a long key id, with spaces and `0x` as they like.
fn handle(name: &str) -> Result<KeyHandle, SignError> {
    let unclear = || SignError::NotAKey(format!("{name:?} is no fingerprint: it has 40 hexadecimal digits"));
    match name.parse() {
        Ok(KeyHandle::Fingerprint(fingerprint @ Fingerprint::V4(_))) => Ok(fingerprint.into()),
        Ok(KeyHandle::KeyID(id)) if id.as_bytes().len() == 8 => Ok(id.into()),
        _ => Err(unclear()),
    }
}
