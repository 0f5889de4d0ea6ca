//! What was signed, for people and programs.

use std::collections::BTreeSet;

use manifest_core::Descriptor;
use manifest_publish::{RemovedSignatures, Signed, Signing};
use serde::Serialize;

use super::super::push::signed::SignedReport;
use super::spot::Spot;
use crate::report::PlatformReport;

/// What was done at one place.
#[derive(Debug)]
pub(super) struct Done {
    target: String,
    images: Vec<Descriptor>,
    pub(super) signed: Signed,
    pub(super) removed: Option<RemovedSignatures>,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema: &'static str,
    keys: Vec<KeyReport>,
    targets: Vec<TargetReport>,
}

#[derive(Debug, Serialize)]
struct KeyReport {
    key: String,
    form: &'static str,
}

#[derive(Debug, Serialize)]
struct TargetReport {
    target: String,
    images: Vec<ImageReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<SignedReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stays: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageReport {
    digest: String,
    media_type: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<PlatformReport>,
}

impl Done {
    pub(super) fn at(spot: &Spot) -> Self {
        Self { target: spot.target.clone(), images: Vec::new(), signed: Signed::default(), removed: None }
    }

    /// Something that was named is signed, with what is in it.
    pub(super) fn add(&mut self, image: &Descriptor, signed: Signed) {
        self.images.push(image.clone());
        self.signed.written += signed.written;
        self.signed.present += signed.present;
    }

    /// Something that was named has lost signatures.
    pub(super) fn remove(&mut self, image: &Descriptor, removed: RemovedSignatures) {
        if !self.images.iter().any(|known| known.digest == image.digest) {
            self.images.push(image.clone());
        }
        let all = self.removed.get_or_insert_default();
        all.removed += removed.removed;
        all.others += removed.others;
        all.stays.extend(removed.stays);
    }
}

impl Report {
    pub(super) fn new(done: &[Done], signing: &Signing) -> Self {
        let key = |by: &manifest_publish::SignBy| KeyReport {
            key: by.vouch.key().to_string(),
            form: by.vouch.form().as_str(),
        };
        Self {
            schema: "sign/1",
            keys: signing.by.iter().map(key).collect(),
            targets: done.iter().map(TargetReport::from).collect(),
        }
    }

    /// The digests of what was named, each once.
    pub(super) fn text(&self) -> String {
        let mut seen = BTreeSet::new();
        let digests = self.targets.iter().flat_map(|target| &target.images).map(|image| &image.digest);
        digests.filter(|digest| seen.insert(*digest)).map(|digest| format!("{digest}\n")).collect()
    }
}

impl From<&Done> for TargetReport {
    fn from(done: &Done) -> Self {
        let image = |image: &Descriptor| ImageReport {
            digest: image.digest.to_string(),
            media_type: image.media_type.to_string(),
            size: image.size,
            platform: image.platform.as_ref().map(PlatformReport::from),
        };
        Self {
            target: done.target.clone(),
            images: done.images.iter().map(image).collect(),
            signed: done.removed.is_none().then(|| SignedReport::from(done.signed)),
            removed: done.removed.as_ref().map(|removed| removed.removed),
            stays: done.removed.as_ref().map(|removed| removed.stays.clone()).unwrap_or_default(),
        }
    }
}
