//! What was attached, for people and programs.

use manifest_core::Descriptor;
use manifest_publish::{Attested, Attesting};
use serde::Serialize;

use crate::report::PlatformReport;
use crate::table::{clean, table};

/// What was attached at one place.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    target: String,
    attached: Vec<AttachedReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    schema: &'static str,
    predicate_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    targets: Vec<Done>,
}

#[derive(Debug, Serialize)]
struct AttachedReport {
    outcome: &'static str,
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<PlatformReport>,
    /// The same in words.
    #[serde(skip)]
    what: String,
    manifest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
}

impl Done {
    pub(super) fn new(target: String, attached: Vec<Attested>, subjects: &[Descriptor]) -> Self {
        let report = |attested: Attested| {
            let subject = subjects.iter().find(|subject| subject.digest == attested.subject.digest);
            let platform = subject.and_then(|subject| subject.platform.as_ref());
            AttachedReport {
                outcome: if attested.is_new { "written" } else { "present" },
                subject: attested.subject.digest.to_string(),
                platform: platform.map(PlatformReport::from),
                what: platform.map_or_else(|| "-".to_owned(), ToString::to_string),
                manifest: attested.manifest.to_string(),
                tag: attested.noted.map(|tag| tag.to_string()),
            }
        };
        Self { target, attached: attached.into_iter().map(report).collect() }
    }
}

impl Report {
    pub(super) fn new(attesting: &Attesting, targets: Vec<Done>) -> Self {
        Self {
            schema: "attest/1",
            predicate_type: attesting.predicate.kind().to_owned(),
            key: attesting.by.as_ref().map(|by| by.signer.key().to_string()),
            targets,
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for Done { target, attached } in &self.targets {
            text.push_str(&format!("{}\n", clean(target)));
            let mut rows =
                vec![["PLATFORM", "DESCRIBED", "ATTESTATION", "OUTCOME"].map(str::to_owned).to_vec()];
            rows.extend(attached.iter().map(|one| {
                vec![clean(&one.what), one.subject.clone(), one.manifest.clone(), one.outcome.to_owned()]
            }));
            text.push_str(&table(&rows));
        }
        text
    }
}
