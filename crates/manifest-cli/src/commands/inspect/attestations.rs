//! The attestations of a list or an image and who is said to have made them.

use std::path::PathBuf;

use manifest_core::{Digest, Document};
use manifest_publish::{Effort, FoundAttestation, Subject, attestations_of, pool};
use manifest_sign::sigstore::{SignedBy, SigstoreVerifier};
use manifest_sign::{KeyId, Refusal};
use manifest_store::{Record, Store};
use manifest_transport::{Location, Place};
use serde::Serialize;

use super::super::push::target::named;
use super::Inspect;
use crate::context::Context;
use crate::error::CliError;
use crate::keyfile;
use crate::report::PlatformReport;
use crate::table::{clean, table};

/// An attestation, as far as it can be told without believing it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttestationReport {
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<PlatformReport>,
    /// What it describes, in words.
    #[serde(skip)]
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    predicate_type: Option<String>,
    form: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    place: String,
    manifest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    blob: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<Verification>,
}

/// What the keys that were given say of it.
#[derive(Debug, Serialize)]
struct Verification {
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Inspect {
    /// Those of a record: where its entries come from, and where it was pushed last as it is.
    pub(super) async fn attestations_of_record(
        &self,
        context: &Context,
        store: &Store,
        record: &Record,
    ) -> Result<Vec<AttestationReport>, CliError> {
        let pushed = record.pushed().filter(|pushed| pushed.digest == record.encoded().digest);
        let targets = pushed.iter().flat_map(|pushed| pushed.target.split(' '));
        let locations: Vec<Location> = targets
            .map(|text| named(text, Effort::Best, false).map(|target| target.location))
            .collect::<Result<_, _>>()?;
        let transport = context.transport(&self.registry, &locations.iter().collect::<Vec<_>>())?;
        let places = locations.iter().filter_map(|location| transport.open(location));
        let places: Vec<Place> = places.map(|(place, _)| place).collect();
        let subject = Subject::of_record(record, &transport, &pool(store))?;
        self.attestations_at(&subject, &places).await
    }

    pub(super) async fn attestations_at(
        &self,
        subject: &Subject,
        also: &[Place],
    ) -> Result<Vec<AttestationReport>, CliError> {
        let verifier = verifier(&self.key)?;
        let found = attestations_of(subject, also, verifier.as_ref(), self.registry.connection.jobs).await?;
        Ok(found.into_iter().map(|one| AttestationReport::new(one, &subject.fetched().document)).collect())
    }
}

/// What accepts the keys in these files, if there are any.
fn verifier(files: &[PathBuf]) -> Result<Option<SigstoreVerifier>, CliError> {
    let mut keys = Vec::new();
    for path in files {
        let read = SigstoreVerifier::from_pem(&keyfile::read(path)?);
        let read = read.map_err(|error| CliError::Key("verify with", path.clone(), error))?;
        keys.extend(read.keys().iter().cloned());
    }
    Ok((!files.is_empty()).then(|| SigstoreVerifier::new(keys)))
}

impl AttestationReport {
    fn new(found: FoundAttestation, document: &Document) -> Self {
        let (signed_by, key) = match found.signed_by {
            None => (None, None),
            Some(SignedBy::Nobody) => (Some("nobody"), None),
            Some(SignedBy::Key(hint)) => (Some("key"), hint),
            Some(SignedBy::Certificate) => (Some("certificate"), None),
            Some(_) => (None, None),
        };
        let platform = platform(document, &found.subject);
        Self {
            subject: found.subject.to_string(),
            what: match (&platform, document) {
                (Some(platform), _) => platform.to_string(),
                (None, Document::List(list, _)) if list.entry(&found.subject).is_some() => "-".to_owned(),
                (None, Document::List(..)) => "the list".to_owned(),
                (None, Document::Image(_)) => "the image".to_owned(),
            },
            platform: platform.map(PlatformReport::from),
            predicate_type: found.predicate_type,
            form: found.form.as_str(),
            signed_by,
            key,
            created: found.created,
            place: found.place,
            manifest: found.manifest.to_string(),
            tag: found.tag.map(|tag| tag.to_string()),
            blob: found.blob.digest.to_string(),
            size: found.blob.size,
            problem: found.problem.map(|problem| problem.to_string()),
            verification: found.verified.map(Verification::from),
        }
    }
}

fn platform<'a>(document: &'a Document, subject: &Digest) -> Option<&'a manifest_core::Platform> {
    match document {
        Document::List(list, _) => list.entry(subject)?.platform.as_ref(),
        Document::Image(_) => None,
    }
}

impl From<Result<KeyId, Refusal>> for Verification {
    fn from(verified: Result<KeyId, Refusal>) -> Self {
        match verified {
            Ok(key) => Self { answer: "verified", key: Some(key.to_string()), why: None },
            Err(refusal) => Self { answer: refusal.kind(), key: None, why: Some(refusal.to_string()) },
        }
    }
}

/// The table of them, and below it what is wrong.
pub(super) fn text(attestations: &[AttestationReport]) -> String {
    let is_asked = attestations.iter().any(|one| one.verification.is_some());
    let mut head = vec!["DESCRIBES", "PREDICATE", "FORM", "SIGNED BY", "CREATED", "MANIFEST"];
    head.extend(is_asked.then_some("VERIFICATION"));
    let mut rows = vec![head.into_iter().map(str::to_owned).collect()];
    let or_none = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), clean);
    for one in attestations {
        let signed_by = match (one.signed_by, &one.key) {
            (Some("key"), Some(key)) => format!("key {}", key.chars().take(16).collect::<String>()),
            (Some("certificate"), _) => "a certificate".to_owned(),
            (Some("key"), None) => "a key".to_owned(),
            (Some(other), _) => other.to_owned(),
            (None, _) => "-".to_owned(),
        };
        let mut row = vec![
            clean(&one.what),
            or_none(one.predicate_type.as_deref()),
            one.form.to_owned(),
            clean(&signed_by),
            or_none(one.created.as_deref()),
            one.manifest.clone(),
        ];
        row.extend(one.verification.as_ref().map(|verification| verification.answer.to_owned()));
        rows.push(row);
    }
    let mut text = table(&rows);
    for one in attestations {
        let why = one.verification.as_ref().and_then(|verification| verification.why.as_ref());
        if let Some(why) = one.problem.as_ref().or(why) {
            text.push_str(&clean(&format!("{} in {}: {why}", one.blob, one.manifest)));
            text.push('\n');
        }
    }
    text
}
