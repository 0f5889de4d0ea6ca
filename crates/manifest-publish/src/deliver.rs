//! A list and everything in it, brought to one place.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join;
use futures_util::stream::{self, FuturesUnordered, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Digest, Tag};
use manifest_transport::{Carriers, Guard, Mounted, Place, Source, TransportError};

use crate::attached::Attached;
use crate::course::Course;
use crate::error::PublishError;
use crate::plan::{Action, BlobStep, ManifestStep, Plan};
use crate::progress::{Progress, Step};
use crate::push::{Outcome, PushOptions};
use crate::survey::{Manifests, Origins, Survey, all_from};
use crate::tags::Before;
use crate::together::{Promised, Seat};

/// Of so many steps that are under way at once, one may carry the bytes of a large blob. By default three of these are
/// carried at once; small ones share a place.
const STEPS_PER_CARRIER: usize = 8;

/// How often everything is looked for again when a registry lacks what it should have.
pub(crate) const ROUNDS: u32 = 3;

/// What a delivery needs, whatever its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) course: Course<'a>,
    /// How many blobs may be carried at once, to all places together.
    pub(crate) carriers: &'a Carriers,
    /// What one target has read of manifests, for the others.
    pub(crate) manifests: &'a Manifests,
    /// Where it says what it lacks, when there are several targets.
    pub(crate) seat: Option<&'a Seat>,
    /// What goes along with the list and its entries.
    pub(crate) attached: &'a Attached,
    /// Whether nothing is known of the place that it must have had something for.
    pub(crate) may_be_new: bool,
}

/// How the list itself is written once everything in it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Last<'a> {
    /// Not at all: its tag means it already.
    There,
    /// By its digest, and with these tags if the registry sets several at once.
    Digest(&'a [Tag], &'a [&'a Before]),
    /// Under a name.
    Named(&'a Before),
    /// Without a name, which a layout can do with.
    Unnamed,
    /// Under a name or without one, where nobody sees it yet.
    Unseen(Option<&'a str>),
}

/// The places for those who carry blobs, when so many steps may be under way.
pub(crate) fn carriers(jobs: usize) -> Carriers {
    Carriers::new(jobs / STEPS_PER_CARRIER)
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
        let Course { options, journal, door, .. } = self.course;
        let (entries, survey) = (self.course.brought(), self.survey());
        if may_be_short(entries, survey.origins, place, options)? {
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
        if let Some(journal) = journal {
            journal.begin(progress).await;
        }
        let mut round = 0;
        loop {
            // The others need not wait for content.
            if self.course.is_single {
                door.open().await;
            }
            let may_be_new = self.may_be_new && round == 0;
            let plan = Survey { may_be_new, ..survey }.of(entries, place).await?;
            progress.step(place, Step::Planned(&plan));
            let promised = match self.seat {
                Some(seat) => seat.say(place, plan.blobs.values()).await,
                None => Promised::new(),
            };
            match self.send(&plan, promised, place, last, progress).await {
                Err(PublishError::Transport(error)) if round < ROUNDS && has_lost_something(&error) => {
                    place.pause_for_lost(round, error).await?;
                }
                sent => return sent,
            }
            round += 1;
        }
    }

    /// How the place is asked what it has.
    pub(crate) const fn survey(&self) -> Survey<'_> {
        let (course, manifests) = (self.course, self.manifests);
        Survey { origins: course.origins(), options: course.options, manifests, may_be_new: false }
    }

    async fn send(
        self,
        plan: &Plan,
        promised: Promised,
        place: &Place,
        last: Last<'_>,
        progress: &dyn Progress,
    ) -> Result<(Outcome, Vec<Tag>), PublishError> {
        let mut outcome = self.carry(plan, promised, place, progress).await?;
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
        let course = self.course;
        let list = course.content.list;
        let bytes = || Bytes::from(list.bytes.clone());
        let tags = match &last {
            Last::Digest(_, tags) => tags,
            Last::Named(tag) => std::slice::from_ref(tag),
            Last::There | Last::Unnamed | Last::Unseen(_) => &[],
        };
        course.door.shut_at(place, tags.iter().map(|tag| tag.name.as_str())).await?;
        let mut now = None;
        for tag in tags {
            now = course.recheck(place, tag).await?;
        }
        course.door.confirm().await?;
        let moves = !matches!(last, Last::There | Last::Digest(_, []) | Last::Unseen(_));
        if let Some(journal) = course.journal.filter(|_| moves) {
            journal.moves().await;
        }
        let mut set_with_it = Vec::new();
        match last {
            Last::There => return Ok(Vec::new()),
            Last::Digest(tags, _) => {
                set_with_it = place.put_tags(&list.digest, &list.media_type, bytes(), tags).await?;
            }
            Last::Named(before) => course.set(place, before, now.as_ref()).await?,
            Last::Unnamed => place.put_named(None, &list.media_type, bytes(), &Guard::default()).await?,
            Last::Unseen(name) => {
                place.put_named(name, &list.media_type, bytes(), &Guard::default()).await?;
            }
        }
        let written = Descriptor::new(list.media_type.clone(), list.digest, list.bytes.len() as u64);
        progress.step(place, Step::Manifest(&written));
        Ok(set_with_it)
    }

    /// Brings blobs and then manifests to the target, the deepest first. What is promised is carried for several targets at
    /// once.
    pub(crate) async fn carry(
        self,
        plan: &Plan,
        mut promised: Promised,
        target: &Place,
        progress: &dyn Progress,
    ) -> Result<Outcome, PublishError> {
        let jobs = self.course.options.jobs;
        let (shared, own): (Vec<&BlobStep>, Vec<&BlobStep>) =
            plan.blobs.values().partition(|step| promised.contains_key(&step.blob.digest));
        let settled = |step: &BlobStep, how| {
            progress.step(target, Step::Blob(&step.blob, how));
            (how, step.blob.size)
        };
        let own = stream::iter(own)
            .map(|step| async move {
                Ok::<_, PublishError>(settled(step, self.bring(step, target, progress).await?))
            })
            .buffer_unordered(jobs)
            .try_collect::<Vec<_>>();
        let shared: FuturesUnordered<_> = shared
            .into_iter()
            .filter_map(|step| Some((step, promised.remove(&step.blob.digest)?)))
            .map(|(step, promise)| async move {
                let how = match promise.await {
                    Ok(done) => done.map(|()| Action::Copy)?,
                    Err(_) => self.bring(step, target, progress).await?,
                };
                Ok::<_, PublishError>(settled(step, how))
            })
            .collect();
        let (own, shared): (_, Vec<_>) = try_join(own, shared.try_collect()).await?;
        let mut outcome = Outcome { manifests: plan.manifests.len(), ..Outcome::default() };
        for (how, size) in own.into_iter().chain(shared) {
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

    /// Brings one blob to the target; a mount that the registry does not grant becomes a copy.
    async fn bring(
        self,
        step: &BlobStep,
        target: &Place,
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
        let _carrier = self.carriers.take(blob.size).await;
        progress.step(target, Step::Carries(blob));
        let open = self.source(step);
        target
            .put_blob(blob, mounted, &|start| open(start))
            .await
            .map_err(|error| copy_error(blob.digest, from, error))?;
        Ok(Action::Copy)
    }

    /// Where the bytes of a blob come from.
    pub(crate) fn source(self, step: &BlobStep) -> Source {
        let (transport, from, blob) = (self.course.transport.clone(), step.from.clone(), step.blob.clone());
        Arc::new(move |start| {
            let (transport, from, blob) = (transport.clone(), from.clone(), blob.clone());
            Box::pin(async move { transport.blob_or_elsewhere(&from, &blob, &start).await })
        })
    }
}

/// Whether everything in a list should be there already.
pub(crate) fn may_be_short(
    entries: &[Descriptor],
    origins: Origins<'_>,
    place: &Place,
    options: &PushOptions,
) -> Result<bool, PublishError> {
    // What a registry names of layers that lie elsewhere it need not have.
    let is_asked = options.foreign_layers && options.entries;
    // Nothing is signed that was not seen to be there.
    let is_asked = is_asked || !options.signing.is_nothing();
    Ok(place.registry_host().is_some() && !is_asked && all_from(entries, origins, place)?)
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
pub(crate) fn has_lost_something(error: &TransportError) -> bool {
    matches!(error, TransportError::Refused { code, .. }
        if matches!(code.as_str(), "MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN" | "MANIFEST_UNKNOWN"))
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

pub(crate) fn copy_error(digest: Digest, from: &Place, source: TransportError) -> PublishError {
    PublishError::Copy { digest, from: from.to_string(), source }
}
