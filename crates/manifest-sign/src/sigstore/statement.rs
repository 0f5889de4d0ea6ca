//! Statements: that a predicate holds for some subjects.
//!
//! Spec: in-toto attestation framework v1.0 `spec/v1/statement.md`, `resource_descriptor.md`; v0.1 `spec/v0.1/statement.md`, which
//! reads alike.

use std::collections::BTreeMap;

use manifest_core::{Annotations, Digest, JsonError, check_json};
use serde::Serialize;
use serde_json::value::RawValue;

use super::json::{Members, Shape, brief};
use crate::error::Refusal;

/// What an in-toto statement is called inside an envelope.
pub const STATEMENT_MEDIA_TYPE: &str = "application/vnd.in-toto+json";
/// The type of the predicate that says nothing but "signed".
pub const SIGNED_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

const TYPE: &str = "https://in-toto.io/Statement/v1";
/// What cosign and BuildKit write to this day; the members are the same.
const TYPE_BEFORE: &str = "https://in-toto.io/Statement/v0.1";

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subject {
    /// What it is called, which nobody has to believe.
    pub name: Option<String>,
    /// What it is; by several algorithms, where a reader finds them.
    pub digests: Vec<Digest>,
    /// What the signer adds; of those that are read, only texts.
    pub annotations: Annotations,
}

impl Subject {
    /// Something by its digest.
    pub fn new(digest: Digest) -> Self {
        Self { name: None, digests: vec![digest], annotations: Annotations::new() }
    }

    /// Gives it a name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Adds annotations.
    #[must_use]
    pub fn annotated(self, annotations: Annotations) -> Self {
        Self { annotations, ..self }
    }
}

/// Why a statement cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// The predicate is not JSON that two readers would understand alike.
    #[error("the predicate is {0}")]
    Predicate(#[from] JsonError),
    /// The predicate is JSON that cannot be kept as it is; the text says why.
    #[error("the predicate cannot be read: {0}")]
    Json(String),
    /// Nothing says what the predicate is.
    #[error("the type of the predicate is empty")]
    NoType,
    /// It is about nothing.
    #[error("the statement has no subject")]
    NoSubject,
}

/// That a predicate of some type holds for some subjects.
#[derive(Clone, Debug)]
pub struct Statement {
    subjects: Vec<Subject>,
    predicate_type: String,
    predicate: Box<RawValue>,
}

impl Statement {
    /// States that `predicate`, any JSON, is true of the subjects. `predicate_type` is a URI that says how it is read.
    ///
    /// # Errors
    /// [`StatementError`] when the predicate is not JSON, or one of the others is missing.
    pub fn new(
        subjects: Vec<Subject>,
        predicate_type: &str,
        predicate: &[u8],
    ) -> Result<Self, StatementError> {
        check_json(predicate)?;
        let predicate = serde_json::from_slice(predicate);
        if predicate_type.is_empty() {
            return Err(StatementError::NoType);
        }
        if subjects.is_empty() || subjects.iter().any(|subject| subject.digests.is_empty()) {
            return Err(StatementError::NoSubject);
        }
        let statement = Self {
            subjects,
            predicate_type: predicate_type.to_owned(),
            predicate: predicate.map_err(|error| StatementError::Json(error.to_string()))?,
        };
        // The predicate lies deeper in it than by itself.
        check_json(&statement.encode())?;
        Ok(statement)
    }

    /// States that an image is signed, as cosign 3 does it.
    pub fn signed(subject: Subject) -> Self {
        let predicate_type = SIGNED_PREDICATE.to_owned();
        let predicate = RawValue::from_string("{}".to_owned()).unwrap_or_default();
        Self { subjects: vec![subject], predicate_type, predicate }
    }

    /// What it is about.
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// The URI that says how the predicate is read.
    pub fn predicate_type(&self) -> &str {
        &self.predicate_type
    }

    /// The predicate, JSON as it was written.
    pub fn predicate(&self) -> &str {
        self.predicate.get()
    }

    /// Whether it is about this.
    pub fn is_about(&self, digest: &Digest) -> bool {
        self.subjects.iter().any(|subject| subject.digests.contains(digest))
    }

    /// Refuses a statement that is about something else, or says something else.
    pub(super) fn expect(&self, digest: &Digest, predicate_type: &str) -> Result<(), Refusal> {
        if self.predicate_type() != predicate_type {
            let found = brief(self.predicate_type());
            return Err(Refusal::Bad(format!("its predicate is of type {found:?}, not {predicate_type:?}")));
        }
        if !self.is_about(digest) {
            return Err(Refusal::Bad(format!("it is not about {digest}")));
        }
        Ok(())
    }

    /// The bytes that are signed: one object, without spaces but for those in the predicate.
    pub fn encode(&self) -> Vec<u8> {
        let subject = self.subjects.iter().map(|subject| WrittenSubject {
            name: subject.name.as_deref(),
            digest: subject
                .digests
                .iter()
                .map(|digest| (digest.algorithm().as_str(), digest.hex()))
                .collect(),
            annotations: Some(&subject.annotations).filter(|annotations| !annotations.is_empty()),
        });
        let written = Written {
            kind: TYPE,
            subject: subject.collect(),
            predicate_type: &self.predicate_type,
            predicate: &self.predicate,
        };
        serde_json::to_vec(&written).unwrap_or_default()
    }

    /// Reads a statement, whose signature must have been verified before anything in it is believed.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut top = Members::of_document(bytes, "the statement")?;
        let kind = top.text("_type")?;
        if ![TYPE, TYPE_BEFORE].contains(&kind.as_str()) {
            return Err(Shape(format!("the statement is of type {:?}, not {TYPE:?}", brief(&kind))).into());
        }
        let subjects: Result<Vec<Subject>, Shape> = top.list("subject")?.into_iter().map(subject).collect();
        let statement = Self {
            subjects: subjects?,
            predicate_type: top.text("predicateType")?,
            predicate: top.take("predicate")?.to_owned(),
        };
        top.end()?;
        Ok(statement)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: Vec<WrittenSubject<'a>>,
    predicate_type: &'a str,
    predicate: &'a RawValue,
}

#[derive(Serialize)]
struct WrittenSubject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    digest: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a Annotations>,
}

/// Reads a subject; by algorithms that nobody computes here it is not known.
fn subject(value: &RawValue) -> Result<Subject, Shape> {
    let mut members = Members::of(value, "a subject")?;
    let mut digests = Vec::new();
    for (algorithm, hex) in members.object("digest")?.rest() {
        let hex: String =
            serde_json::from_str(hex.get()).map_err(|_other| Shape("a digest is not a string".to_owned()))?;
        if ["sha256", "sha512"].contains(&algorithm.as_str()) {
            let digest = format!("{algorithm}:{hex}").parse();
            digests.push(digest.map_err(|error| Shape(format!("a subject has an {error}")))?);
        }
    }
    let annotations =
        members.take_if("annotations").map(|all| Members::of(all, "annotations")).transpose()?;
    let texts = annotations.map(Members::rest).unwrap_or_default().into_iter();
    let text = |(name, value): (String, &RawValue)| Some((name, serde_json::from_str(value.get()).ok()?));
    Ok(Subject { name: members.text_if("name")?, digests, annotations: texts.filter_map(text).collect() })
}
