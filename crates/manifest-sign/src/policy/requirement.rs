//! What a policy demands.

use std::path::PathBuf;

use super::identity::Identity;

/// One thing that a policy demands of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requirement {
    /// `insecureAcceptAnything`: nothing.
    Accept,
    /// `reject`: what no image has.
    Reject,
    /// `signedBy`: a simple signature by one of these keys, each of which may be a whole keyring.
    SignedBy(Vec<KeySource>, Identity),
    /// `sigstoreSigned`: a sigstore signature by one of these public keys.
    SigstoreSigned(Vec<KeySource>, Identity),
    /// Something that can be demanded, but not decided here, so that no image has it.
    Unsupported(Unsupported),
}

impl Requirement {
    /// As policies name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Accept => "insecureAcceptAnything",
            Self::Reject => "reject",
            Self::SignedBy(..) => "signedBy",
            Self::SigstoreSigned(..) => "sigstoreSigned",
            Self::Unsupported(what) => what.kind(),
        }
    }

    /// The keys that it names.
    pub(super) fn keys(&self) -> &[KeySource] {
        match self {
            Self::SignedBy(keys, _) | Self::SigstoreSigned(keys, _) => keys,
            Self::Accept | Self::Reject | Self::Unsupported(_) => &[],
        }
    }
}

/// What can be demanded, but not decided here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// `signedBy` with keys of another type than `GPGKeys`.
    #[error("keys of the type {0:?} are not supported, only `GPGKeys` are")]
    KeyType(String),
    /// `signedBaseLayer`, which no program decides.
    #[error("it is not supported")]
    BaseLayer,
    /// `sigstoreSigned` with `fulcio`.
    #[error("certificates of fulcio are not supported: to check them needs a network")]
    Fulcio,
    /// `sigstoreSigned` with `pki`.
    #[error("certificates are not supported, only keys are")]
    Pki,
    /// `sigstoreSigned` with a key of rekor.
    #[error("the log of rekor is not supported: to check it needs a network")]
    Rekor,
}

impl Unsupported {
    const fn kind(&self) -> &'static str {
        match self {
            Self::KeyType(_) => "signedBy",
            Self::BaseLayer => "signedBaseLayer",
            Self::Fulcio | Self::Pki | Self::Rekor => "sigstoreSigned",
        }
    }
}

/// Where a key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySource {
    /// In a file.
    File(PathBuf),
    /// In the policy itself.
    Data(Vec<u8>),
}
