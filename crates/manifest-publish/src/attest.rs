//! Attestations: a statement about a list or an image, attached to what it describes, and those that are there.
//!
//! With a key a statement is signed and kept as a sigstore bundle, without one as it is; either in a manifest that refers to
//! its subject. Others keep theirs in more ways, which are all looked for. What is found is told as what it is: a claim.

mod find;
mod read;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use manifest_core::{Descriptor, Digest, Tag};
use manifest_sign::sigstore::{
    SIGNED_PREDICATE, SigstoreVerifier, Statement, StatementError, Subject as About,
};
use manifest_sign::{KeyId, Signer};

pub use find::attestations_of;
pub use read::FoundAttestation;
pub use write::attest;

/// The largest predicate that is attached, in bytes: signed and encoded it is within what is read of a bundle.
pub const MAX_PREDICATE_SIZE: usize = 6_000_000;

/// The longest type of a predicate, in bytes.
pub const MAX_PREDICATE_TYPE: usize = 1024;

/// How an attestation is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AttestationForm {
    /// A sigstore bundle in a manifest that refers to the subject.
    Bundle,
    /// A statement that nobody signed, in a manifest that refers to the subject.
    Statement,
    /// A layer of the manifest under the tag `sha256-….att`, as cosign had it before bundles.
    Cosign,
    /// A layer of an entry of the list itself, as BuildKit has it.
    Entry,
}

impl AttestationForm {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::Statement => "statement",
            Self::Cosign => "cosign",
            Self::Entry => "entry",
        }
    }
}

/// Why something is not a predicate that can be attached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PredicateError {
    /// It is too large.
    #[error("the predicate is larger than {MAX_PREDICATE_SIZE} bytes")]
    TooLarge,
    /// Its type is not a URI.
    #[error("{0:?} is no type of predicates, which is a URI of at most {MAX_PREDICATE_TYPE} bytes")]
    Type(String),
    /// It would be a signature.
    #[error("a statement of the type {SIGNED_PREDICATE} is a signature, and no attestation")]
    Signature,
    /// It is not JSON, or not such that two readers would understand it alike.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

/// What is said of a subject: JSON, and a type that says how it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predicate {
    kind: String,
    json: Bytes,
}

impl Predicate {
    /// Checks a predicate.
    ///
    /// # Errors
    /// [`PredicateError`].
    pub fn new(predicate_type: &str, json: impl Into<Bytes>) -> Result<Self, PredicateError> {
        let json = json.into();
        if !is_uri(predicate_type) {
            return Err(PredicateError::Type(predicate_type.chars().take(80).collect()));
        }
        if predicate_type == SIGNED_PREDICATE {
            return Err(PredicateError::Signature);
        }
        if json.len() > MAX_PREDICATE_SIZE {
            return Err(PredicateError::TooLarge);
        }
        let predicate = Self { kind: predicate_type.to_owned(), json };
        // Whatever it is about: a statement can be made of it.
        predicate.about(&Digest::sha256(&predicate.json), None)?;
        Ok(predicate)
    }

    /// The URI that says how it is read.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// States it of something.
    fn about(&self, digest: &Digest, name: Option<&str>) -> Result<Statement, StatementError> {
        let about = About::new(*digest);
        let about = name.into_iter().fold(about, |about, name| about.named(name));
        Statement::new(vec![about], &self.kind, &self.json)
    }
}

/// Whether it has a scheme and nothing that a URI cannot have.
fn is_uri(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let has_scheme = text.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty());
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
    has_scheme && is_plain && text.len() <= MAX_PREDICATE_TYPE
}

/// Who signs an attestation.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "values that anybody may make")]
pub struct AttestBy {
    /// The key.
    pub signer: Arc<dyn Signer>,
    /// What knows its signatures again, so that nothing is signed twice.
    pub verifier: SigstoreVerifier,
}

/// What is attached.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "values that anybody may make")]
pub struct Attesting {
    /// What is said.
    pub predicate: Predicate,
    /// Who signs it, if anybody does.
    pub by: Option<AttestBy>,
    /// When, in seconds since 1970.
    pub timestamp: Option<i64>,
}

/// What became of an attestation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attested {
    /// What it describes.
    pub subject: Descriptor,
    /// The manifest that it is in.
    pub manifest: Digest,
    /// Whether it was written, or there already.
    pub is_new: bool,
    /// The tag under which the manifest was noted, if the registry does not keep track of it itself.
    pub noted: Option<Tag>,
    /// Who signed it.
    pub key: Option<KeyId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_predicates_are_uris() {
        for uri in ["https://slsa.dev/provenance/v1", "urn:x", "tag:a@b.c,2026:x", "https://a/?b#c"] {
            assert!(Predicate::new(uri, "{}").is_ok(), "{uri}");
        }
        let long = format!("urn:{}", "x".repeat(MAX_PREDICATE_TYPE));
        for text in ["", "spdx", "urn:", ":x", "1a:x", "urn:a b", "urn:\u{e4}", "urn:\"", "urn:\n", &long] {
            assert!(matches!(Predicate::new(text, "{}"), Err(PredicateError::Type(_))), "{text:?}");
        }
        assert_eq!(Predicate::new(SIGNED_PREDICATE, "{}").unwrap_err(), PredicateError::Signature);
    }

    #[test]
    fn what_is_attached_can_be_read_again() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let largest = format!("{:?}", "x".repeat(MAX_PREDICATE_SIZE - 2));
        for json in ["{}", "null", " {\"a\": [1.50, \"\u{e4}\"]}\n", &deep(63), &largest] {
            let predicate = Predicate::new("urn:x", json.to_owned()).unwrap();
            let statement = predicate.about(&Digest::sha256(b""), Some("a")).unwrap().encode();
            let seen = manifest_sign::sigstore::Seen::statement(&statement).unwrap();
            assert_eq!(seen.statement.predicate(), json.trim());
        }
        for (json, says) in [
            ("", "not valid JSON"),
            ("{", "not valid JSON"),
            ("{} {}", "not valid JSON"),
            ("{\"a\":1,\"a\":2}", "stands twice"),
            (&deep(64), "deeper than 64 levels"),
            (&format!("{largest} "), "larger than 6000000 bytes"),
        ] {
            let error = Predicate::new("urn:x", json.to_owned()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
