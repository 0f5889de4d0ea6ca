//! What a publication has to do, worked out before anything is sent.

use std::collections::{BTreeMap, BTreeSet};

use manifest_core::{Descriptor, Digest};
use manifest_transport::{Fetched, Place};

/// What has to be done for one blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Action {
    /// Nothing: it is there.
    Skip,
    /// The registry can take it over from a repository of its own.
    Mount,
    /// Its bytes have to be carried.
    Copy,
    /// It stays where it is: its licence does not allow to distribute it.
    Leave,
}

impl Action {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Mount => "mount",
            Self::Copy => "copy",
            Self::Leave => "leave",
        }
    }
}

/// A blob that a publication needs at its target.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BlobStep {
    /// The blob.
    pub blob: Descriptor,
    /// Where it is.
    pub from: Place,
    /// What has to be done.
    pub action: Action,
}

/// A manifest that a publication needs at its target.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ManifestStep {
    /// The manifest.
    pub manifest: Fetched,
    /// How deep it lies: children of the list are 0, children of a nested list 1.
    pub depth: usize,
}

/// What a publication has to do: blobs first, then manifests from the deepest up, then the list.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Plan {
    /// The blobs, each once.
    pub blobs: BTreeMap<Digest, BlobStep>,
    /// The manifests to be written, the deepest first.
    pub manifests: Vec<ManifestStep>,
    /// The manifests that are there already.
    pub present: Vec<Digest>,
}

/// What is known of one manifest before planning.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "most are the large one: what is there already needs no survey")]
pub(crate) enum Surveyed {
    /// The target has it, and with it everything below.
    Present(Digest),
    /// The target lacks it; it was read from its source.
    Missing { manifest: Fetched, from: Place, depth: usize },
}

impl Plan {
    /// Works out the steps from what is there (`known` blobs) and what is not.
    pub(crate) fn new(surveyed: Vec<Surveyed>, known: &dyn Fn(&Digest) -> bool, target: &Place) -> Self {
        let (mut plan, mut planned) = (Self::default(), BTreeSet::new());
        for found in surveyed {
            match found {
                Surveyed::Present(digest) => plan.present.push(digest),
                Surveyed::Missing { manifest, from, depth } => {
                    for blob in blobs(&manifest) {
                        let action = action(blob, known(&blob.digest), &from, target);
                        let step = || BlobStep { blob: blob.clone(), from: from.clone(), action };
                        let known = plan.blobs.entry(blob.digest).or_insert_with(step);
                        if action < known.action {
                            *known = step();
                        }
                    }
                    if planned.insert(manifest.digest) {
                        plan.manifests.push(ManifestStep { manifest, depth });
                    }
                }
            }
        }
        plan.manifests.sort_by_key(|step| std::cmp::Reverse(step.depth));
        plan
    }

    /// How many blobs need this action, and how many bytes they have.
    pub fn count(&self, action: Action) -> (usize, u64) {
        let of_action = || self.blobs.values().filter(|step| step.action == action);
        (of_action().count(), of_action().map(|step| step.blob.size).sum())
    }
}

fn action(blob: &Descriptor, known: bool, from: &Place, target: &Place) -> Action {
    let foreign = blob.media_type.as_str();
    if known || from == target {
        Action::Skip
    } else if foreign.contains(".nondistributable.") || foreign.contains(".foreign.") {
        Action::Leave
    } else if target.registry_host().is_some() && target.registry_host() == from.registry_host() {
        Action::Mount
    } else {
        Action::Copy
    }
}

/// The blobs that a manifest needs beside it.
pub(crate) fn blobs(manifest: &Fetched) -> Vec<&Descriptor> {
    match &manifest.document {
        manifest_core::Document::Image(image) => image.blobs().collect(),
        _ => Vec::new(),
    }
}
