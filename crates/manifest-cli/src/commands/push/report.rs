//! What a push did, or would do, for people and programs.

use std::time::Duration;

use manifest_core::{Descriptor, Encoded, Format};
use manifest_publish::{Action, Merged, Outcome, Planned, PublishError, TagMoved};
use serde::Serialize;

use super::signed::{self, SignedReport};
use super::target::Named;
use super::truth::TruthReport;
use super::with::{AttachedReport, lines};
use crate::carried::{Blobs, Manifests, blobs};
use crate::error::{CliError, chain};
use crate::report::PlatformReport;
use crate::table::clean;
use crate::ui::{Tally, Waited, milliseconds};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    schema: &'static str,
    digest: String,
    media_type: String,
    size: u64,
    pub(super) dry_run: bool,
    pub(super) converted: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    merged: Vec<MergedReport>,
    children: Vec<Child>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) truth: Option<TruthReport<'a>>,
    targets: Vec<Delivered>,
    retries: Vec<Retried>,
    took_ms: u64,
}

/// Something that the list names.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Child {
    digest: String,
    media_type: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<PlatformReport>,
}

/// What was waited for one host.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Retried {
    host: String,
    count: u64,
    waited_ms: u64,
}

/// An entry that came from a tag.
#[derive(Serialize)]
struct MergedReport {
    tag: String,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
}

/// What was done at one target.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delivered {
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    tags: Vec<TagReport>,
    manifests: Manifests,
    blobs: Vec<Blobs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attached: Option<AttachedReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<SignedReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    plan: Vec<Step>,
}

#[derive(Serialize)]
struct TagReport {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
}

#[derive(Serialize)]
struct Step {
    action: &'static str,
    digest: String,
    size: u64,
    from: String,
}

impl Report<'_> {
    /// What became of a list with these entries, beside those that were taken over from tags.
    pub(super) fn new(
        list: &Descriptor,
        entries: &[Descriptor],
        tally: &Tally,
        (merged, targets): (&[Merged], Vec<Delivered>),
    ) -> Self {
        let child = |entry: &Descriptor| Child {
            digest: entry.digest.to_string(),
            media_type: entry.media_type.to_string(),
            size: entry.size,
            platform: entry.platform.as_ref().map(PlatformReport::from),
        };
        let retried = |(host, Waited { retries: count, pauses })| Retried {
            host,
            count,
            waited_ms: milliseconds(pauses),
        };
        let children = entries.iter().chain(merged.iter().map(|merged| &merged.entry)).map(child).collect();
        let merged = merged.iter().map(|Merged { tag, entry, .. }| MergedReport {
            tag: tag.clone(),
            digest: entry.digest.to_string(),
            platform: entry.platform.as_ref().map(ToString::to_string),
        });
        Self {
            schema: "push/2",
            digest: list.digest.to_string(),
            media_type: list.media_type.to_string(),
            size: list.size,
            dry_run: false,
            converted: false,
            merged: merged.collect(),
            children,
            truth: None,
            targets,
            retries: tally.hosts().into_iter().map(retried).collect(),
            took_ms: milliseconds(tally.elapsed()),
        }
    }

    /// The digest of what was pushed.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// As one JSON document.
    pub(super) fn text(&self) -> Result<String, CliError> {
        serde_json::to_string_pretty(self)
            .map(|text| text + "\n")
            .map_err(|error| CliError::Output(error.into()))
    }
}

impl Delivered {
    fn new(to: &Named) -> Self {
        Self {
            target: to.to_string(),
            failed: None,
            tags: Vec::new(),
            manifests: Manifests { present: 0, written: 0 },
            blobs: Vec::new(),
            attached: None,
            signed: None,
            took_ms: None,
            plan: Vec::new(),
        }
    }

    fn failed(to: &Named, error: &PublishError) -> Self {
        Self { failed: Some(chain(error)), ..Self::new(to) }
    }

    /// What was done, and how long after the command began the last of it was.
    pub(super) fn done(to: &Named, done: &Result<Outcome, PublishError>, took: Option<Duration>) -> Self {
        let took_ms = took.map(milliseconds);
        match done {
            Ok(outcome) => Self {
                tags: tags(&outcome.tags),
                manifests: Manifests::from(outcome),
                blobs: blobs(&outcome.blobs),
                attached: AttachedReport::done(&outcome.attached),
                signed: outcome.signed.map(SignedReport::from),
                took_ms,
                ..Self::new(to)
            },
            Err(error) => Self { took_ms, ..Self::failed(to, error) },
        }
    }

    pub(super) fn planned(to: &Named, planned: &Result<Planned, PublishError>) -> Self {
        let Planned { plan, attached, signed, tags: moved, .. } = match planned {
            Ok(planned) => planned,
            Err(error) => return Self::failed(to, error),
        };
        let blobs = Action::ALL.into_iter().map(|action| {
            let (count, bytes) = plan.count(action);
            Blobs { action: action.as_str(), count, bytes }
        });
        let steps = plan.blobs.values().map(|step| Step {
            action: step.action.as_str(),
            digest: step.blob.digest.to_string(),
            size: step.blob.size,
            from: step.from.to_string(),
        });
        Self {
            tags: tags(moved),
            manifests: Manifests { present: plan.present.len(), written: plan.manifests.len() },
            blobs: blobs.filter(|blobs| blobs.count > 0).collect(),
            attached: AttachedReport::planned(attached),
            signed: SignedReport::planned(signed),
            plan: steps.collect(),
            ..Self::new(to)
        }
    }
}

fn tags(moved: &[TagMoved]) -> Vec<TagReport> {
    let one = |tag: &TagMoved| TagReport {
        name: tag.name.clone(),
        before: tag
            .before
            .map(|before| before.map_or_else(|| "absent".to_owned(), |digest| digest.to_string())),
    };
    moved.iter().map(one).collect()
}

/// What would be done at one target, a line a thing.
pub(super) fn plan_text(planned: &Result<Planned, PublishError>, list: &Encoded, to: &Named) -> String {
    let text = match planned {
        Ok(planned) => steps(planned, list, to),
        Err(error) => format!("skip      {to}: {}\n", chain(error)),
    };
    // The target is as it was typed, and may hold anything.
    text.lines().map(|line| clean(line) + "\n").collect()
}

fn steps(planned: &Planned, list: &Encoded, to: &Named) -> String {
    let Planned { plan, attached, signed, .. } = planned;
    let mut text = String::new();
    for digest in &plan.present {
        text.push_str(&format!("present   {digest} manifest\n"));
    }
    for step in plan.blobs.values() {
        let (action, blob) = (step.action.as_str(), &step.blob);
        text.push_str(&format!("{action:9} {} blob, {} bytes, from {}\n", blob.digest, blob.size, step.from));
    }
    for step in &plan.manifests {
        let (digest, bytes) = (step.manifest.digest, step.manifest.size);
        text.push_str(&format!("write     {digest} manifest, {bytes} bytes\n"));
    }
    let kind = if Format::of_list(&list.media_type).is_some() { "list" } else { "image" };
    text + &lines(attached)
        + &signed::lines(signed)
        + &format!("write     {} {kind}, {} bytes, as {to}\n", list.digest, list.bytes.len())
}
