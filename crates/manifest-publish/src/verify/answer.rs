//! Answers.

use manifest_sign::policy::Denied;
use manifest_sign::{KeyId, Refusal};

use crate::signing::SignatureForm;

/// Whether something is signed as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing between")]
pub enum Answer {
    /// It is.
    Verified(Verified),
    /// It is not.
    Refused(Refused),
}

/// Something is signed as it must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The signatures that count; none where a policy demands none.
    pub by: Vec<Voucher>,
    /// Those that do not count although others do, which is worth a warning.
    pub passed_over: Vec<PassedOver>,
}

/// A signature that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Voucher {
    /// The key that made it.
    pub key: KeyId,
    /// How it is kept.
    pub form: SignatureForm,
    /// Where it stands.
    pub at: String,
    /// What it says that the image is, where its form has a place for that.
    pub identity: Option<String>,
    /// When it was made, as it says, in seconds since 1970.
    pub timestamp: Option<i64>,
}

/// A signature that does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PassedOver {
    /// How it is kept.
    pub form: SignatureForm,
    /// Where it stands.
    pub at: String,
    /// Why it does not count.
    pub refusal: Refusal,
}

/// Something is not signed as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The answer; none where a policy allows it to nobody, whoever has signed.
    pub refusal: Option<Refusal>,
    /// In words, where there is more to say than the answer does.
    pub why: Option<String>,
    /// The signatures that were looked at.
    pub looked: Vec<PassedOver>,
}

impl Refused {
    /// Nothing counts: the answer is that of the signature that came nearest.
    pub(super) fn of(looked: Vec<PassedOver>, why: Option<String>) -> Self {
        let nearest = Refusal::nearest(looked.iter().map(|one| one.refusal.clone()));
        Self { refusal: Some(nearest.unwrap_or(Refusal::Unsigned)), why, looked }
    }

    /// A policy denies it.
    pub(super) fn denied(denied: &Denied, looked: Vec<PassedOver>) -> Self {
        Self { refusal: denied.refusal(), why: Some(denied.to_string()), looked }
    }

    /// A policy lets it in without any signature, and whoever verifies wants one.
    pub fn unasked() -> Self {
        let why = "the policy demands no signature of it, so that none was looked at".to_owned();
        Self { refusal: Some(Refusal::Unsigned), why: Some(why), looked: Vec::new() }
    }

    /// The answer in a word: `rejected` where no signature would have helped.
    pub fn kind(&self) -> &'static str {
        self.refusal.as_ref().map_or("rejected", Refusal::kind)
    }

    /// The answer in words.
    pub fn text(&self) -> String {
        match (&self.why, &self.refusal) {
            (Some(why), _) => why.clone(),
            (None, Some(refusal)) => refusal.to_string(),
            (None, None) => String::new(),
        }
    }
}

impl Answer {
    /// Whether a key vouches for it.
    pub fn is_signed(&self) -> bool {
        matches!(self, Self::Verified(verified) if !verified.by.is_empty())
    }
}
