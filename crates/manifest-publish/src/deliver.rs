//! A list and everything in it, brought to one place.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Digest, Tag};
use manifest_transport::{Guard, Mounted, Place, Transport, TransportError};
use tokio::sync::Semaphore;

use crate::error::PublishError;
use crate::journal::Journal;
use crate::plan::{Action, BlobStep, ManifestStep, Plan};
use crate::progress::{Progress, Step};
use crate::push::{Content, Outcome, PushOptions};
use crate::survey::{Origins, all_from, survey};
use crate::tags::{Before, set};

/// Of so many steps that are under way at once, one may carry the bytes of a blob: each such stream has buffers of
/// about a megabyte, so this bounds memory. By default three blobs are carried at once.
const STEPS_PER_CARRIER: usize = 8;

/// How often everything is looked for again when a registry lacks what it should have.
const ROUNDS: u32 = 3;

/// What a delivery needs, whatever its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) content: Content<'a>,
    pub(crate) options: &'a PushOptions,
    /// How many blobs may be carried at once, to all places together.
    pub(crate) carriers: &'a Semaphore,
    pub(crate) journal: Option<&'a Journal>,
}

/// How the list itself is written once everything in it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Last<'a> {
    /// Not at all: its tag means it already.
    There,
    /// By its digest, and with these tags if the registry sets several at once.
    Digest(&'a [Tag]),
    /// Under a name.
    Named(&'a Before),
    /// Without a name, which a layout can do with.
    Unnamed,
}

/// The places for those who carry blobs, when so many steps may be under way.
pub(crate) fn carriers(jobs: usize) -> Semaphore {
    Semaphore::new((jobs / STEPS_PER_CARRIER).max(1))
}

impl Delivery<'_> {
    /// Brings everything that the place lacks, by digest, and then writes the list.
    ///
    /// The short way, when every entry was taken from the very repository: the list is sent at once, and only when
    /// the registry misses something is it looked for.
    ///
    /// A registry that lacks what it has just taken is asked for everything again, and sent what it does not have.
    pub(crate) async fn to(
        self,
        place: &Place,
        last: Last<'_>,
        progress: &dyn Progress,
    ) -> Result<(Outcome, Vec<Tag>), PublishError> {
        let Self { transport, content, options, .. } = self;
        let entries = if options.entries { content.entries } else { &[] };
        let origins = Origins { transport, sources: content.sources, here: content.here };
        if may_be_short(entries, origins, place)? {
            place.expect_copies([]).await?;
            match self.write(place, last, progress).await {
                Ok(set) => {
                    let outcome = Outcome { short_way: true, present: entries.len(), ..Outcome::default() };
                    return Ok((outcome, set));
                }
                Err(PublishError::Transport(error)) if options.entries && misses_something(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(journal) = self.journal {
            journal.begin(progress).await;
        }
        let mut round = 0;
        loop {
            let plan = survey(entries, origins, place, options.jobs).await?;
            progress.step(place, Step::Planned(&plan));
            match self.send(&plan, place, last, progress).await {
                Err(PublishError::Transport(error)) if round < ROUNDS && has_lost_something(&error) => {
                    place.pause_for_lost(round, error).await?;
                }
                sent => return sent,
            }
            round += 1;
        }
    }

    async fn send(
        self,
        plan: &Plan,
        place: &Place,
        last: Last<'_>,
        progress: &dyn Progress,
    ) -> Result<(Outcome, Vec<Tag>), PublishError> {
        let mut outcome = carry(plan, place, self.options.jobs, self.carriers, progress).await?;
        outcome.present = plan.present.len();
        Ok((outcome, self.write(place, last, progress).await?))
    }

    /// Writes the list itself; the tags that came with its digest.
    async fn write(
        self,
        place: &Place,
        last: Last<'_>,
        progress: &dyn Progress,
    ) -> Result<Vec<Tag>, PublishError> {
        let list = self.content.list;
        let bytes = || Bytes::from(list.bytes.clone());
        let moves = !matches!(last, Last::There | Last::Digest([]));
        if let Some(journal) = self.journal.filter(|_| moves) {
            journal.moves().await;
        }
        let mut set_with_it = Vec::new();
        match last {
            Last::There => return Ok(set_with_it),
            Last::Digest(tags) => {
                set_with_it = place.put_tags(&list.digest, &list.media_type, bytes(), tags).await?;
            }
            Last::Named(before) => set(place, before, list).await?,
            Last::Unnamed => {
                place.put_named(None, &list.media_type, bytes(), &Guard::default()).await?;
            }
        }
        let written = Descriptor::new(list.media_type.clone(), list.digest, list.bytes.len() as u64);
        progress.step(place, Step::Manifest(&written));
        Ok(set_with_it)
    }
}

/// Whether everything in a list should be there already.
pub(crate) fn may_be_short(
    entries: &[Descriptor],
    origins: Origins<'_>,
    place: &Place,
) -> Result<bool, PublishError> {
    Ok(place.registry_host().is_some() && all_from(entries, origins, place)?)
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

/// Whether a registry lacks something that it has taken or said to have; it may be late, or have lost it.
fn has_lost_something(error: &TransportError) -> bool {
    matches!(error, TransportError::Refused { code, .. }
        if matches!(code.as_str(), "MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN" | "MANIFEST_UNKNOWN"))
}

/// Brings blobs and then manifests to the target, the deepest first.
async fn carry(
    plan: &Plan,
    target: &Place,
    jobs: usize,
    carriers: &Semaphore,
    progress: &dyn Progress,
) -> Result<Outcome, PublishError> {
    let blobs: Vec<(Action, u64)> = stream::iter(plan.blobs.values())
        .map(|step| async move {
            let how = bring(step, target, carriers, progress).await?;
            progress.step(target, Step::Blob(&step.blob, how));
            Ok::<_, PublishError>((how, step.blob.size))
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
            .map(|step| async move {
                write(step, target).await?;
                progress.step(target, Step::Manifest(&step.manifest));
                Ok::<_, PublishError>(())
            })
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
async fn bring(
    step: &BlobStep,
    target: &Place,
    carriers: &Semaphore,
    progress: &dyn Progress,
) -> Result<Action, PublishError> {
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
    progress.step(target, Step::Carries(blob));
    target
        .put_blob(blob, mounted, &|start| Box::pin(async move { from.blob_from(blob, &start).await }))
        .await
        .map_err(failed)?;
    Ok(Action::Copy)
}

fn copy_error(digest: Digest, from: &Place, source: TransportError) -> PublishError {
    PublishError::Copy { digest, from: from.to_string(), source }
}
