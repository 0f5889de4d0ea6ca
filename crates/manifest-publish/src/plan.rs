//! What a publication has to do, worked out before anything is sent.

use std::collections::BTreeMap;

use bytes::Bytes;
use manifest_core::{Descriptor, Digest};
use manifest_transport::Place;

use crate::error::MAX_NESTING;

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
    /// It stays where it is: its licence does not allow to distribute it ([`PushOptions::foreign_layers`](crate::PushOptions)).
    Leave,
}

impl Action {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 4] = [Self::Skip, Self::Mount, Self::Copy, Self::Leave];

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
    /// Its type, digest and size.
    pub manifest: Descriptor,
    /// Where it is.
    pub from: Place,
    /// How deep it lies: children of the list are 0, children of a nested list 1.
    pub depth: usize,
    /// Its bytes, unless they would have taken too much memory; then they are read again.
    pub(crate) bytes: Option<Bytes>,
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
    /// The target lacks it, or something below it; it was read from its source.
    Missing(Missing),
}

/// A manifest that has to be brought to the target, and what it needs beside it.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    pub(crate) manifest: Descriptor,
    pub(crate) bytes: Option<Bytes>,
    pub(crate) blobs: Vec<Descriptor>,
    pub(crate) children: Vec<Descriptor>,
    pub(crate) from: Place,
}

impl Plan {
    /// Works out the steps from what is there (`known` blobs) and what is not; `foreign` layers stay where they are, unless
    /// they are wanted.
    pub(crate) fn new(
        surveyed: Vec<Surveyed>,
        known: &dyn Fn(&Digest) -> bool,
        target: &Place,
        foreign: bool,
    ) -> Self {
        let depths = depths(&surveyed);
        let mut plan = Self::default();
        for found in surveyed {
            match found {
                Surveyed::Present(digest) => plan.present.push(digest),
                Surveyed::Missing(Missing { manifest, bytes, blobs, from, .. }) => {
                    let depth = depths.get(&manifest.digest).copied().unwrap_or_default();
                    for blob in blobs {
                        let action = action(&blob, known(&blob.digest), (&from, target), foreign);
                        let step = BlobStep { blob, from: from.clone(), action };
                        let known = plan.blobs.entry(step.blob.digest).or_insert_with(|| step.clone());
                        if action < known.action {
                            *known = step;
                        }
                    }
                    plan.manifests.push(ManifestStep { manifest, from, depth, bytes });
                }
            }
        }
        plan.manifests.sort_by_key(|step| std::cmp::Reverse(step.depth));
        plan
    }

    /// How many blobs need this action, and how many bytes they have.
    pub fn count(&self, action: Action) -> (usize, u64) {
        let of_action = || self.blobs.values().filter(|step| step.action == action);
        (of_action().count(), of_action().fold(0, |sum, step| step.blob.size.saturating_add(sum)))
    }
}

/// How deep each manifest lies at its deepest, since a list can be named beside and within others at once.
fn depths(surveyed: &[Surveyed]) -> BTreeMap<Digest, usize> {
    let mut depths = BTreeMap::new();
    // Digests cannot form a circle, so this ends: each round settles at least one level more.
    for _ in 0..=MAX_NESTING {
        for found in surveyed {
            if let Surveyed::Missing(Missing { manifest, children, .. }) = found {
                let below = *depths.entry(manifest.digest).or_insert(0) + 1;
                for child in children {
                    let depth = depths.entry(child.digest).or_insert(below);
                    *depth = below.max(*depth);
                }
            }
        }
    }
    depths
}

fn action(blob: &Descriptor, known: bool, (from, target): (&Place, &Place), foreign: bool) -> Action {
    let host = target.registry_host();
    // What a registry names in a repository it has there, but for layers that lie elsewhere; a layout may have lost it.
    let is_its_own = from == target && host.is_some();
    if known {
        Action::Skip
    } else if blob.media_type.is_foreign() {
        match foreign {
            true if is_its_own || host.is_none() || host != from.registry_host() => Action::Copy,
            true => Action::Mount,
            false if is_its_own => Action::Skip,
            false => Action::Leave,
        }
    } else if is_its_own {
        Action::Skip
    } else if host.is_some() && host == from.registry_host() {
        Action::Mount
    } else {
        Action::Copy
    }
}
