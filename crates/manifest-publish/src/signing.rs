//! Signing as a part of a publication: when everything is there by digest, and before a tag moves.
//!
//! What a signature says and how it is made is the business of whoever [vouches](Vouch); where and how signatures are kept
//! is that of this module.

mod find;
mod keep;
mod plan;
mod remove;
mod step;
mod vouch;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use manifest_core::Descriptor;
use manifest_sign::sigstore::CosignSignature;
use manifest_sign::{KeyId, SignError};
use serde::{Deserialize, Serialize};

pub(crate) use find::is_about_content;
pub use find::{FoundSignature, signatures_of};
pub(crate) use find::{Room, Share, find};
pub(crate) use keep::Keeper;
pub use plan::SignStep;
pub(crate) use plan::plan as plan_signing;
pub use remove::{RemovedSignatures, remove_signatures};
pub(crate) use step::{check_target, sign_brought};
pub use step::{sign, subjects_of};
pub use vouch::{Open, SigstoreVouch, SimpleVouch};

/// How a signature is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SignatureForm {
    /// An OpenPGP message in a lookaside store, or where the registry itself keeps it.
    Simple,
    /// A layer of the manifest under the tag `sha256-….sig`.
    Cosign,
    /// A sigstore bundle in a manifest that refers to what is signed.
    Bundle,
}

impl SignatureForm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Simple, Self::Cosign, Self::Bundle];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Cosign => "cosign",
            Self::Bundle => "bundle",
        }
    }
}

impl fmt::Display for SignatureForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the word for a form of signatures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the forms of signatures are simple, cosign and bundle")]
pub struct UnknownSignatureForm;

impl FromStr for SignatureForm {
    type Err = UnknownSignatureForm;

    fn from_str(text: &str) -> Result<Self, UnknownSignatureForm> {
        Self::ALL.into_iter().find(|form| form.as_str() == text).ok_or(UnknownSignatureForm)
    }
}

/// What a signature is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// What is signed.
    pub subject: Descriptor,
    /// What the signer says that it is, such as `registry.example.com/app:1.0`; none where the form has no place for it and
    /// the target no name.
    pub identity: Option<String>,
    /// Which program signs.
    pub creator: Option<String>,
    /// When, in seconds since 1970.
    pub timestamp: Option<i64>,
}

/// A signature as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signature {
    /// The OpenPGP message.
    Simple(Bytes),
    /// The payload with the annotations of its layer, in which the signature is.
    Cosign(CosignSignature),
    /// The bundle, as JSON.
    Bundle(Bytes),
}

impl Signature {
    /// How it is kept.
    pub const fn form(&self) -> SignatureForm {
        match self {
            Self::Simple(_) => SignatureForm::Simple,
            Self::Cosign(_) => SignatureForm::Cosign,
            Self::Bundle(_) => SignatureForm::Bundle,
        }
    }
}

/// A key that signs, and knows its own signatures again.
pub trait Vouch: fmt::Debug + Send + Sync {
    /// What the key is called.
    fn key(&self) -> &KeyId;

    /// How its signatures are kept.
    fn form(&self) -> SignatureForm;

    /// Makes a signature of its form. It may take a while, and is called where that is no harm.
    ///
    /// # Errors
    /// [`SignError`] when the key cannot sign.
    fn sign(&self, claim: &Claim) -> Result<Signature, SignError>;

    /// Whether `found` is a good signature of this key which says what `claim` says, whenever and by whichever program it was
    /// made.
    fn has(&self, found: &Signature, claim: &Claim) -> bool;
}

/// Who signs, and how that was said.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "values that anybody may make")]
pub struct SignBy {
    /// The key.
    pub vouch: Arc<dyn Vouch>,
    /// How it can be given again, such as `--sign-key cosign.key`; nothing secret.
    pub given: String,
}

/// How a publication signs; by default it does not.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct Signing {
    /// The keys.
    pub by: Vec<SignBy>,
    /// Whether everything that is brought along is signed, or the list only.
    pub children: bool,
    /// What signatures say that the images are; by default what the first tag of the target is called.
    pub identity: Option<String>,
    /// Which program signs.
    pub creator: Option<String>,
    /// When, in seconds since 1970.
    pub timestamp: Option<i64>,
}

impl Default for Signing {
    fn default() -> Self {
        Self { by: Vec::new(), children: true, identity: None, creator: None, timestamp: None }
    }
}

impl Signing {
    /// Whether nothing is signed.
    pub const fn is_nothing(&self) -> bool {
        self.by.is_empty()
    }

    /// Those who sign in this form.
    pub(crate) fn of_form(&self, form: SignatureForm) -> impl Iterator<Item = &SignBy> {
        self.by.iter().filter(move |by| by.vouch.form() == form)
    }

    /// What is written down of it.
    pub(crate) fn noted(&self) -> Option<NotedSigning> {
        let by = self.by.iter().map(|by| NotedSigner {
            key: by.vouch.key().to_string(),
            form: by.vouch.form(),
            given: by.given.clone(),
        });
        let noted = || NotedSigning {
            by: by.collect(),
            children: self.children,
            identity: self.identity.clone(),
            creator: self.creator.clone(),
            timestamp: self.timestamp,
        };
        (!self.is_nothing()).then(noted)
    }

    /// The same keys for a publication that was begun with these settings; `None` when they are not those.
    pub(crate) fn again(&self, noted: Option<&NotedSigning>) -> Option<Self> {
        let Some(noted) = noted else { return self.is_nothing().then(Self::default) };
        let is_noted = |by: &SignBy| {
            noted.by.iter().any(|one| one.key == by.vouch.key().as_str() && one.form == by.vouch.form())
        };
        let is_given = |one: &NotedSigner| {
            self.by.iter().any(|by| one.key == by.vouch.key().as_str() && one.form == by.vouch.form())
        };
        (self.by.iter().all(is_noted) && noted.by.iter().all(is_given)).then(|| Self {
            by: self.by.clone(),
            children: noted.children,
            identity: noted.identity.clone(),
            creator: noted.creator.clone(),
            timestamp: noted.timestamp,
        })
    }
}

/// How a publication signs, as it is written down: who and how, and nothing that is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct NotedSigning {
    /// The keys.
    pub by: Vec<NotedSigner>,
    /// Whether everything that is brought along is signed.
    pub children: bool,
    /// What signatures say that the images are, unless that is what the targets are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Which program signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// When, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
}

/// A key of a publication, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct NotedSigner {
    /// What the key is called.
    pub key: String,
    /// How its signatures are kept.
    pub form: SignatureForm,
    /// How it was given.
    pub given: String,
}

impl fmt::Display for NotedSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {} ({})", self.form, self.key, self.given)
    }
}

/// What became of signatures at a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signed {
    /// They were made and written.
    pub written: usize,
    /// They were there.
    pub present: usize,
}

impl Signed {
    pub(crate) const fn add(&mut self, other: Self) {
        self.written += other.written;
        self.present += other.present;
    }
}
