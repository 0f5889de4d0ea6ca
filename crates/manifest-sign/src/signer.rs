//! Whatever can sign.

use std::fmt;

use crate::error::SignError;

/// What names a key to people and in reports, such as the fingerprint of an OpenPGP key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// Names a key.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One key that signs. It is unlocked once, however much it signs.
pub trait Signer: fmt::Debug + Send + Sync {
    /// What the key is called.
    fn key(&self) -> &KeyId;

    /// Signs `message`.
    ///
    /// An OpenPGP key gives the whole binary message that simple signing wants, with `message` inside; a sigstore key the
    /// bare signature over it.
    ///
    /// # Errors
    /// [`SignError`] when the key cannot sign.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}
