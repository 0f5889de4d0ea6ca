//! What `--progress json` prints: an object a line.

use manifest_core::Descriptor;
use manifest_publish::{Action, Plan};
use serde::Serialize;

use super::meter::{Bytes, Reading};
use crate::carried::Blobs;

/// An event, as one line of JSON.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    schema: &'static str,
    #[serde(flatten)]
    told: Told<'a>,
}

/// What happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub(super) enum Told<'a> {
    Planned { target: String, manifests: usize, present: usize, blobs: Vec<Blobs> },
    BlobStarted { target: String, digest: String, size: u64 },
    BlobProgress { digest: String, bytes: u64, size: u64, total_bytes: u64, total_size: u64, speed: u64 },
    BlobDone { target: String, digest: String, size: u64, action: &'static str },
    ManifestWritten { target: String, digest: String, media_type: String, size: u64 },
    Retry { request: &'a str, host: &'a str, retry: u32, pause_ms: u64, cause: &'a str },
    Waiting { r#for: Awaited, what: &'a str, who: String },
    Signed { target: String, digest: String, key: String, form: &'static str },
    TagMoved { target: String, tag: &'a str },
    TargetDone { target: String, took_ms: u64 },
    TargetFailed { target: String, why: String },
}

/// What for something is waited.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Awaited {
    Lock,
    Shown,
}

impl<'a> Told<'a> {
    pub(super) const fn line(self) -> Line<'a> {
        Line { schema: "progress/1", told: self }
    }

    pub(super) fn planned(target: String, plan: &Plan) -> Self {
        let counts = Action::ALL.into_iter().map(|action| {
            let (count, bytes) = plan.count(action);
            Blobs { action: action.as_str(), count, bytes }
        });
        let blobs = counts.filter(|blobs| blobs.count > 0).collect();
        Self::Planned { target, manifests: plan.manifests.len(), present: plan.present.len(), blobs }
    }

    pub(super) fn reading(digest: String, reading: &Reading) -> Self {
        let Reading { blob, all, speed } = *reading;
        let (Bytes { done: bytes, size }, Bytes { done: total_bytes, size: total_size }) = (blob, all);
        Self::BlobProgress { digest, bytes, size, total_bytes, total_size, speed }
    }

    pub(super) fn manifest(target: String, manifest: &Descriptor) -> Self {
        let (digest, media_type) = (manifest.digest.to_string(), manifest.media_type.to_string());
        Self::ManifestWritten { target, digest, media_type, size: manifest.size }
    }
}
