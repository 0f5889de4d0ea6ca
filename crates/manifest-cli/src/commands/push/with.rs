//! What goes along with a list: what refers to it, and its signatures.

use clap::ValueEnum;
use manifest_core::Digest;
use manifest_publish::{AttachedOutcome, AttachedStep, Brought, Effort, With};
use manifest_store::Record;
use manifest_transport::Transport;
use serde::Serialize;

use super::target::named;
use crate::words::counted;

/// What can go along with a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Along {
    /// Manifests whose subject is the list or one of its images, and what refers to these in turn
    Referrers,
    /// What cosign keeps under the tags sha256-….sig, .att and .sbom of the list and its images
    Signatures,
}

/// What is to go along with a list. The list itself may have been signed where it was pushed last.
pub(super) fn with(along: &[Along], record: &Record, list: Digest, transport: &Transport) -> With {
    let pushed = record.pushed().filter(|pushed| pushed.digest == list && !along.is_empty());
    let targets = pushed.iter().flat_map(|pushed| pushed.target.split(' '));
    let place =
        |text: &str| Some(named(text, Effort::Best, false).ok()?.open(transport).ok()?.place.to_string());
    With {
        referrers: along.contains(&Along::Referrers),
        signatures: along.contains(&Along::Signatures),
        list_at: targets.filter_map(place).collect(),
        ..With::default()
    }
}

/// What went along to one target.
#[derive(Debug, Serialize)]
pub(super) struct AttachedReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    referrers: Option<BroughtReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signatures: Option<BroughtReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    plan: Vec<AttachedStepReport>,
}

#[derive(Debug, Serialize)]
struct BroughtReport {
    present: usize,
    written: usize,
    merged: usize,
    kept: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AttachedStepReport {
    action: &'static str,
    digest: String,
    media_type: String,
    size: u64,
    of: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    from: String,
}

impl AttachedReport {
    /// What was done, if anything was asked for.
    pub(super) fn done(outcome: &AttachedOutcome) -> Option<Self> {
        let AttachedOutcome { referrers, signatures, .. } = outcome;
        let report = |brought: &Brought| BroughtReport {
            present: brought.present,
            written: brought.written,
            merged: brought.merged,
            kept: brought.kept,
        };
        let is_any = referrers.is_some() || signatures.is_some();
        let (referrers, signatures) = (referrers.as_ref().map(report), signatures.as_ref().map(report));
        is_any.then_some(Self { referrers, signatures, plan: Vec::new() })
    }

    /// What would be done, if there is anything.
    pub(super) fn planned(steps: &[AttachedStep]) -> Option<Self> {
        let step = |step: &AttachedStep| AttachedStepReport {
            action: step.action.as_str(),
            digest: step.manifest.digest.to_string(),
            media_type: step.manifest.media_type.to_string(),
            size: step.manifest.size,
            of: step.of.to_string(),
            tag: step.tag.clone(),
            from: step.from.to_string(),
        };
        let plan: Vec<_> = steps.iter().map(step).collect();
        (!plan.is_empty()).then_some(Self { referrers: None, signatures: None, plan })
    }
}

/// What would go along, a line a thing.
pub(super) fn lines(steps: &[AttachedStep]) -> String {
    let line = |step: &AttachedStep| {
        let (action, digest, of, from) = (step.action.as_str(), step.manifest.digest, step.of, &step.from);
        match &step.tag {
            Some(tag) => format!("{action:9} {digest} signature of {of}, as {tag}, from {from}\n"),
            None => format!("{action:9} {digest} referrer of {of}, from {from}\n"),
        }
    };
    steps.iter().map(line).collect()
}

/// What went along, in words.
pub(super) fn summary(outcome: &AttachedOutcome) -> String {
    let one = |brought: &Option<Brought>, what: &str| {
        let Brought { present, written, merged, kept, .. } = (*brought)?;
        let mut text = format!(", {} written", counted(written, what));
        for (count, how) in [(present, "already there"), (merged, "merged"), (kept, "left out")] {
            if count > 0 {
                text.push_str(&format!(", {count} {how}"));
            }
        }
        Some(text)
    };
    let parts = [one(&outcome.referrers, "referrer"), one(&outcome.signatures, "signature manifest")];
    parts.into_iter().flatten().collect()
}
