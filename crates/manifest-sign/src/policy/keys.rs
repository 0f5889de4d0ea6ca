//! Checking with the keys of this crate.

use std::time::SystemTime;

use super::check::{CheckError, KeyCheck, Opened};
use crate::signer::KeyId;
use crate::sigstore::SigstoreVerifier;

/// Checks signatures with OpenPGP certificates and public keys.
#[derive(Clone, Copy, Debug)]
#[allow(
    clippy::exhaustive_structs,
    reason = "all there is to say but the keys, which come with the question"
)]
pub struct Keys {
    /// The time at which keys must be valid.
    pub now: SystemTime,
}

impl KeyCheck for Keys {
    #[cfg(feature = "openpgp")]
    fn open_simple(&self, keyrings: &[&[u8]], envelope: &[u8]) -> Result<Opened, CheckError> {
        use crate::openpgp::OpenPgpVerifier;
        let mut verifier = OpenPgpVerifier::default();
        for ring in keyrings {
            verifier.merge(OpenPgpVerifier::from_keyring(ring)?)?;
        }
        let opened = verifier.open(envelope, self.now)?;
        Ok(Opened { payload: opened.payload, key: opened.key })
    }

    #[cfg(not(feature = "openpgp"))]
    fn open_simple(&self, _: &[&[u8]], _: &[u8]) -> Result<Opened, CheckError> {
        let what = "this program was built without OpenPGP".to_owned();
        Err(crate::error::SignError::NotAKey(what).into())
    }

    fn check_sigstore(&self, key: &[u8], payload: &[u8], signature: &[u8]) -> Result<KeyId, CheckError> {
        Ok(SigstoreVerifier::from_pem(key)?.verify(payload, signature)?)
    }
}
