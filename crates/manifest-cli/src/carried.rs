//! What was brought to where it should be, for people and programs.

use std::collections::BTreeMap;

use manifest_publish::{Action, Outcome};
use serde::Serialize;

use crate::words::counted;

/// Manifests that were brought along.
#[derive(Debug, Serialize)]
pub(crate) struct Manifests {
    pub(crate) present: usize,
    pub(crate) written: usize,
}

/// Blobs for which the same was done.
#[derive(Debug, Serialize)]
pub(crate) struct Blobs {
    pub(crate) action: &'static str,
    pub(crate) count: usize,
    pub(crate) bytes: u64,
}

impl From<&Outcome> for Manifests {
    fn from(outcome: &Outcome) -> Self {
        Self { present: outcome.present, written: outcome.manifests }
    }
}

/// Blobs and their bytes, by what was done for them.
pub(crate) fn blobs(by_action: &BTreeMap<Action, (usize, u64)>) -> Vec<Blobs> {
    let one = |(action, (count, bytes)): (&Action, &(usize, u64))| Blobs {
        action: action.as_str(),
        count: *count,
        bytes: *bytes,
    };
    by_action.iter().map(one).collect()
}

/// What a publication did, in a line.
pub(crate) fn summary(outcome: &Outcome) -> String {
    if outcome.short_way {
        return format!("one request; {} in it known to be there", counted(outcome.present, "manifest"));
    }
    let mut parts = vec![format!("{} written", counted(outcome.manifests, "manifest"))];
    if outcome.present > 0 {
        parts.push(format!("{} already there", outcome.present));
    }
    parts.extend(blob_parts(&outcome.blobs));
    parts.join(", ")
}

/// What was done for blobs, in words.
pub(crate) fn blob_parts(by_action: &BTreeMap<Action, (usize, u64)>) -> Vec<String> {
    let one = |(action, (count, bytes)): (&Action, &(usize, u64))| {
        let word = match action {
            Action::Skip => "already there",
            Action::Mount => "mounted",
            Action::Copy => "copied",
            _ => "left out",
        };
        format!("{} ({bytes} bytes) {word}", counted(*count, "blob"))
    };
    by_action.iter().map(one).collect()
}
