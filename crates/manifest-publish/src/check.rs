//! Whether a list tells the truth: its descriptors against the manifests, these against their configurations, and
//! every blob where it should be.
//!
//! [`check`] looks at a [`Subject`] and changes nothing. [`check_programs`] is its look into layers, for those who have
//! an image and want no more than that; [`machine_of`] and [`Fit`] are the pure part of it.

mod compare;
mod deep;
mod finding;
mod judge;
mod layer;
mod machine;
mod problem;
mod walk;

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Digest, ImageManifest, Platform};
use manifest_transport::{Place, TransportError};

pub use self::deep::{CheckedPrograms, DeepLimits, check_programs};
pub use self::finding::{About, Checked, Counts, Finding, Severity, Unchecked};
pub use self::judge::{Fit, Program, judge};
pub use self::machine::{HEAD, Machine, ProgramFormat, machine_of};
use self::problem::problem;
use self::walk::Walk;
use crate::error::PublishError;
use crate::subject::Subject;

/// Images that are looked into at once; each may take the window of a compression in memory.
pub(crate) const LOOKED_INTO_AT_ONCE: usize = 2;

/// How much is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct CheckOptions {
    /// Whether, and how far, programs in the layers are looked at.
    pub deep: Option<DeepLimits>,
    /// Requests that are under way at once.
    pub jobs: usize,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self { deep: None, jobs: manifest_transport::DEFAULT_JOBS }
    }
}

/// Checks a list or an image with everything in it.
///
/// Manifests and configurations are read, each once. Of other blobs a registry is asked whether it has them, each once;
/// what lies in files or in the store is read. Lists in lists are followed. What is wrong is a finding, and what could
/// not be looked at is told too.
///
/// # Errors
/// What keeps content from being looked at and says nothing of it, such as a registry that is out of reach.
pub async fn check(subject: &Subject, options: &CheckOptions) -> Result<Checked, PublishError> {
    let mut walk = Walk::new(subject, options.jobs);
    walk.manifests(subject).await?;
    let Walk { mut checked, blobs, images, .. } = walk;
    look_at_blobs(&mut checked, blobs, options.jobs).await?;
    if let Some(limits) = &options.deep {
        look_into(&mut checked, images, limits).await?;
    }
    Ok(checked)
}

/// What the list says an image is for, where its configuration contradicts that.
pub(crate) fn contradiction(entry: &Descriptor, config: &Platform) -> Option<Finding> {
    let findings = compare::platform(entry, Some(config)).into_iter();
    findings
        .filter(|finding| finding.severity == Severity::Fault)
        .find(|finding| finding.about == About::Platform)
}

/// Content that should be at a place.
#[derive(Debug)]
struct Blob {
    blob: Descriptor,
    place: Place,
    /// The first entry that needs it.
    entry: Descriptor,
}

/// An image that can be looked into.
#[derive(Debug)]
struct Image {
    entry: Descriptor,
    image: ImageManifest,
    platform: Platform,
    place: Place,
}

/// Blobs by place, digest and size, each with the position at which it was found first.
type Blobs = BTreeMap<(String, Digest, u64), (usize, Blob)>;

async fn look_at_blobs(checked: &mut Checked, blobs: Blobs, jobs: usize) -> Result<(), PublishError> {
    let mut blobs: Vec<(usize, Blob)> = blobs.into_values().collect();
    blobs.sort_by_key(|(at, _)| *at);
    let looked: Vec<(Blob, Option<TransportError>)> = stream::iter(blobs)
        .map(|(_, blob)| async move {
            let failed = blob.place.look_at_blob(&blob.blob).await.err();
            (blob, failed)
        })
        .buffered(jobs)
        .collect()
        .await;
    for (blob, failed) in looked {
        match failed.map(problem).transpose()? {
            None => checked.counts.blob(blob.blob.size),
            Some((about, what)) => checked.findings.push(Finding::fault(about, what).of(&blob.entry)),
        }
    }
    Ok(())
}

async fn look_into(
    checked: &mut Checked,
    images: Vec<Image>,
    limits: &DeepLimits,
) -> Result<(), PublishError> {
    let looked: Vec<CheckedPrograms> =
        stream::iter(images)
            .map(|one| async move {
                check_programs(&one.entry, &one.image, &one.platform, &one.place, limits).await
            })
            .buffered(LOOKED_INTO_AT_ONCE)
            .try_collect()
            .await?;
    for one in looked {
        for finding in one.findings {
            // What is not there was told of when it was asked for.
            if !checked.findings.contains(&finding) {
                checked.findings.push(finding);
            }
        }
        checked.unchecked.extend(one.unchecked);
        checked.counts.programs += one.programs;
    }
    Ok(())
}
