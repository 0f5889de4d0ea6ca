//! Why something is not signed, and why a signature is not accepted.

use crate::payload::PayloadError;
use crate::signer::KeyId;

/// Why a key cannot be read, made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The bytes are not a key of the kind that was asked for; the field says why.
    #[error("not a key that can be used: {0}")]
    NotAKey(String),
    /// There are several keys in the file, and none was chosen.
    #[error("the file holds several keys, and none was chosen: {}", .0.iter().map(KeyId::as_str).collect::<Vec<_>>().join(", "))]
    SeveralKeys(Vec<KeyId>),
    /// The key is locked, and no passphrase was given.
    #[error("the key {0} is locked by a passphrase, and none was given")]
    Locked(KeyId),
    /// The passphrase does not open the key.
    #[error("the passphrase does not open the key {0}")]
    WrongPassphrase(KeyId),
    /// There is no key in it that may sign now; the field says why.
    #[error("the key {0} cannot sign: {1}")]
    CannotSign(KeyId, String),
    /// Another program was asked to sign, and did not.
    #[error("{program} did not sign: {what}")]
    Program {
        /// The program, such as `gpg`.
        program: String,
        /// What it said.
        what: String,
    },
    /// Making the signature failed; the field says why.
    #[error("cannot sign with the key {0}: {1}")]
    Failed(KeyId, String),
}

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no signature.
    #[error("it is not signed")]
    Unsigned,
    /// It is signed by a key that is not one of those that are accepted.
    #[error("it is signed by {0}, which is not an accepted key")]
    UnknownKey(KeyId),
    /// The signature does not fit what it signs, or what it says is not about this.
    #[error("the signature is bad: {0}")]
    Bad(String),
    /// The key, or the signature, is not valid at this time, or was revoked.
    #[error("the signature is no longer valid: {0}")]
    Expired(String),
    /// The bytes are not a signature as it must be made.
    #[error("the signature cannot be read: {0}")]
    Unreadable(String),
}

impl Refusal {
    /// The word for it, as reports have it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::UnknownKey(_) => "unknown-key",
            Self::Bad(_) => "bad",
            Self::Expired(_) => "expired",
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// The one that came nearest to being none; the first of those.
    pub fn nearest(refusals: impl IntoIterator<Item = Self>) -> Option<Self> {
        refusals.into_iter().min_by_key(|refusal| match refusal {
            Self::Expired(_) => 0,
            Self::Bad(_) => 1,
            Self::UnknownKey(_) => 2,
            Self::Unreadable(_) => 3,
            Self::Unsigned => 4,
        })
    }
}

impl From<PayloadError> for Refusal {
    /// A payload that cannot be read is no reason to believe what signed it.
    fn from(error: PayloadError) -> Self {
        Self::Unreadable(error.to_string())
    }
}
