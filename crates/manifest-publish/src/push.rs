//! One publication: a list and everything in it, to one place, under one name.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Digest, Encoded};
use manifest_store::{Record, Sources};
use manifest_transport::{Guard, Mounted, Place, Transport, TransportError};
use tokio::sync::Semaphore;

use crate::error::PublishError;
use crate::plan::{Action, BlobStep, ManifestStep, Plan};
use crate::survey::{Origins, all_from, survey};

/// Of so many steps that are under way at once, one may carry the bytes of a blob: each such stream has buffers of
/// about a megabyte, so this bounds memory. By default three blobs are carried at once.
const STEPS_PER_CARRIER: usize = 8;

/// What is to be published.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "the parts of a record, named")]
pub struct Content<'a> {
    /// The list, as the bytes that will stand at the target; or the manifest of an image.
    pub list: &'a Encoded,
    /// Its entries; of an image the image itself ([`entries_of`]).
    pub entries: &'a [Descriptor],
    /// Where the entries can be read.
    pub sources: &'a Sources,
    /// What the store holds itself ([`pool`](crate::pool())), for entries that are read there.
    pub here: Option<&'a Place>,
}

/// The entries of a record that a publication brings along: those of a list; an image is its own.
pub fn entries_of(record: &Record) -> Cow<'_, [Descriptor]> {
    let Some(image) = record.image() else { return Cow::Borrowed(record.entries()) };
    let document = record.encoded();
    let mut entry =
        Descriptor::new(document.media_type.clone(), document.digest, document.bytes.len() as u64);
    entry.artifact_type = image.artifact_type.clone();
    Cow::Owned(vec![entry])
}

/// Where it is to be published.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "a pair of values that anybody may make")]
pub struct Target {
    /// The repository or layout.
    pub place: Place,
    /// The tag in a repository, or the name in a layout; a layout can do without.
    pub name: Option<String>,
}

/// How it is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct PushOptions {
    /// Whether the entries are brought along, or the list only.
    pub entries: bool,
    /// Steps that are under way at once.
    pub jobs: usize,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self { entries: true, jobs: manifest_transport::DEFAULT_JOBS }
    }
}

/// Who is told how a publication goes on.
pub trait Progress: Send + Sync {
    /// The work is known.
    fn planned(&self, plan: &Plan);
    /// A blob has arrived, or was there; `how` is what it took in the end.
    fn blob(&self, blob: &Descriptor, how: Action);
}

/// What a publication has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Whether the list was sent at once, because everything in it was known to be there.
    pub short_way: bool,
    /// Manifests that were written, without the list.
    pub manifests: usize,
    /// Manifests that were there.
    pub present: usize,
    /// Blobs and their bytes, by what it took to have them at the target.
    pub blobs: std::collections::BTreeMap<Action, (usize, u64)>,
}

/// Publishes: content first, all of it by digest, and then the name.
///
/// The short way, when every entry was taken from the very repository: the list is sent at once, and only when
/// the registry misses something is it looked for.
///
/// # Errors
/// [`PublishError`]; until the last step nothing that anybody sees has changed.
pub async fn push(
    transport: &Transport,
    content: Content<'_>,
    target: &Target,
    options: &PushOptions,
    progress: &dyn Progress,
) -> Result<Outcome, PublishError> {
    let entries = if options.entries { content.entries } else { &[] };
    let bytes = Bytes::from(content.list.bytes.clone());
    let media_type = &content.list.media_type;
    let name = target.name.as_deref();
    let origins = Origins { transport, sources: content.sources, here: content.here };
    if target.place.registry_host().is_some()
        && (!options.entries || all_from(entries, origins, &target.place)?)
    {
        target.place.expect_copies([]).await?;
        match target.place.put_named(name, media_type, bytes.clone(), &Guard::default()).await {
            Ok(()) => return Ok(Outcome { short_way: true, present: entries.len(), ..Outcome::default() }),
            Err(error) if !options.entries || !misses_something(&error) => return Err(error.into()),
            Err(_) => {}
        }
    }
    let plan = survey(entries, origins, &target.place, options.jobs).await?;
    progress.planned(&plan);
    let mut outcome = carry(&plan, &target.place, options.jobs, progress).await?;
    outcome.present = plan.present.len();
    target.place.put_named(name, media_type, bytes, &Guard::default()).await?;
    Ok(outcome)
}

/// Works out what a publication would do, with reading requests only.
///
/// # Errors
/// What asking and reading brings.
pub async fn dry_run(
    transport: &Transport,
    content: Content<'_>,
    target: &Target,
    options: &PushOptions,
) -> Result<Plan, PublishError> {
    let entries = if options.entries { content.entries } else { &[] };
    let origins = Origins { transport, sources: content.sources, here: content.here };
    survey(entries, origins, &target.place, options.jobs).await
}

/// Whether a registry refused a list because it lacks something that the list names.
fn misses_something(error: &TransportError) -> bool {
    match error {
        TransportError::Refused { code, .. } => matches!(
            code.as_str(),
            "MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN" | "MANIFEST_UNKNOWN" | "MANIFEST_INVALID" | "NOT_FOUND"
        ),
        TransportError::NotFound(_) => true,
        _ => false,
    }
}

/// Brings blobs and then manifests to the target, the deepest first.
async fn carry(
    plan: &Plan,
    target: &Place,
    jobs: usize,
    progress: &dyn Progress,
) -> Result<Outcome, PublishError> {
    let carriers = Arc::new(Semaphore::new((jobs / STEPS_PER_CARRIER).max(1)));
    let blobs: Vec<(Action, u64)> = stream::iter(plan.blobs.values())
        .map(|step| {
            let carriers = Arc::clone(&carriers);
            async move {
                let how = bring(step, target, &carriers).await?;
                progress.blob(&step.blob, how);
                Ok::<_, PublishError>((how, step.blob.size))
            }
        })
        .buffer_unordered(jobs)
        .try_collect()
        .await?;
    let mut outcome = Outcome { manifests: plan.manifests.len(), ..Outcome::default() };
    for (how, size) in blobs {
        let (count, bytes) = outcome.blobs.entry(how).or_default();
        (*count, *bytes) = (*count + 1, bytes.saturating_add(size));
    }
    for level in plan.manifests.chunk_by(|one, next| one.depth == next.depth) {
        stream::iter(level)
            .map(|step| write(step, target))
            .buffer_unordered(jobs)
            .try_collect::<Vec<()>>()
            .await?;
    }
    Ok(outcome)
}

/// Writes one manifest under its digest.
async fn write(step: &ManifestStep, target: &Place) -> Result<(), PublishError> {
    let manifest = &step.manifest;
    let bytes = match &step.bytes {
        Some(bytes) => bytes.clone(),
        None => {
            let failed = |source| copy_error(manifest.digest, &step.from, source);
            step.from.manifest(&manifest.digest.into()).await.map_err(failed)?.bytes
        }
    };
    Ok(target.put_manifest(&manifest.digest, &manifest.media_type, bytes).await?)
}

/// Brings one blob to the target; a mount that the registry does not grant becomes a copy.
async fn bring(step: &BlobStep, target: &Place, carriers: &Semaphore) -> Result<Action, PublishError> {
    let (blob, from) = (&step.blob, &step.from);
    let mounted = match step.action {
        Action::Skip | Action::Leave => return Ok(step.action),
        Action::Mount => match target.mount(blob, from).await? {
            Mounted::Done => return Ok(Action::Mount),
            Mounted::Refused if target.has_blob(blob).await? => return Ok(Action::Skip),
            other => other,
        },
        Action::Copy => Mounted::Refused,
    };
    let failed = |source| copy_error(blob.digest, from, source);
    let _carrier = carriers.acquire().await;
    target
        .put_blob(blob, mounted, &|start| Box::pin(async move { from.blob_from(blob, &start).await }))
        .await
        .map_err(failed)?;
    Ok(Action::Copy)
}

fn copy_error(digest: Digest, from: &Place, source: TransportError) -> PublishError {
    PublishError::Copy { digest, from: from.to_string(), source }
}
