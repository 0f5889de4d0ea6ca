//! One publication: a list and everything in it, to all places where it should be, and then the tags.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use manifest_core::{Descriptor, Digest, Encoded};
use manifest_store::{Record, Sources};
use manifest_transport::{Place, Transport};
use serde::{Deserialize, Serialize};

use crate::attached::{Attached, AttachedOutcome, AttachedStep, With};
use crate::conflict::{Conflict, Past, Pushed, Rounds};
use crate::course::Course;
use crate::door::Door;
use crate::error::PublishError;
use crate::gate::Gates;
use crate::journal::Journal;
use crate::parcel::surveyed;
use crate::plan::{Action, Plan};
use crate::progress::{Progress, Step};
use crate::signing::{SignStep, Signed, Signing, plan_signing};
use crate::survey::Survey;
use crate::tags::Expected;

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
#[allow(clippy::exhaustive_structs, reason = "values that anybody may make")]
pub struct Target {
    /// The repository or layout.
    pub place: Place,
    /// The tags in a repository, or the names in a layout. Without any the list is there by its digest only.
    pub names: Vec<String>,
    /// Whether the publication fails when this target does.
    pub effort: Effort,
}

/// Whether a publication fails when one of its targets does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "either it is needed or it is not")]
pub enum Effort {
    /// All of the publication fails, and no tag moves anywhere.
    #[default]
    Required,
    /// The other targets do not care.
    Best,
}

/// How it is to be published.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct PushOptions {
    /// Whether the entries are brought along, or the list only.
    pub entries: bool,
    /// Whether layers come along that their licence keeps elsewhere; where their source lacks them, from the addresses in their
    /// manifests.
    pub foreign_layers: bool,
    /// Steps that are under way at once, at each target.
    pub jobs: usize,
    /// What the list must be.
    pub gates: Gates,
    /// What the tags must mean.
    pub expected: Expectations,
    /// What to do when they do not, or hold platforms that the list has not.
    pub conflict: Conflict,
    /// What goes along with the list and its entries.
    pub with: With,
    /// Who signs what is brought, before a tag moves.
    pub signing: Signing,
    /// How long a registry may take to read what it has just taken.
    pub settle: Duration,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self {
            entries: true,
            foreign_layers: false,
            jobs: manifest_transport::DEFAULT_JOBS,
            gates: Gates::default(),
            expected: Expectations::default(),
            conflict: Conflict::default(),
            with: With::default(),
            signing: Signing::default(),
            settle: Duration::from_secs(30),
        }
    }
}

impl PushOptions {
    /// Whether it matters that nobody else moves a tag of which this is expected.
    pub(crate) fn is_careful_of(&self, expected: Expected) -> bool {
        self.conflict == Conflict::Merge || expected != Expected::Any
    }

    /// Whether it matters for any tag.
    pub(crate) fn is_careful(&self) -> bool {
        let mut all = self.expected.of.values().chain([&self.expected.all]);
        all.any(|expected| self.is_careful_of(*expected))
    }
}

/// What tags must mean before they are moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct Expectations {
    /// Each tag that is not named below.
    pub all: Expected,
    /// Single tags.
    pub of: BTreeMap<String, Expected>,
}

impl Expectations {
    pub(crate) fn of(&self, name: &str) -> Expected {
        self.of.get(name).copied().unwrap_or(self.all)
    }
}

/// What a publication has done at one target.
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
    pub blobs: BTreeMap<Action, (usize, u64)>,
    /// What went along with the list and its entries.
    pub attached: AttachedOutcome,
    /// What was signed, if anything was to be.
    pub signed: Option<Signed>,
    /// The tags, in the order in which they were given.
    pub tags: Vec<TagMoved>,
}

impl Outcome {
    /// Adds what was carried for something else.
    pub(crate) fn add(&mut self, other: &Self) {
        self.manifests += other.manifests;
        self.present += other.present;
        for (action, (count, bytes)) in &other.blobs {
            let sum = self.blobs.entry(*action).or_default();
            *sum = (sum.0 + count, sum.1.saturating_add(*bytes));
        }
    }
}

/// What became of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagMoved {
    /// The tag.
    pub name: String,
    /// What it meant before; unless that did not matter, and so was not asked.
    pub before: Option<Option<Digest>>,
}

/// What was done at each target, in their order; at one that need not succeed, why it was not.
pub type Published = Vec<Result<Outcome, PublishError>>;

/// What a publication would do at one target.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Planned {
    /// What would be brought there.
    pub plan: Plan,
    /// What would go along with it.
    pub attached: Vec<AttachedStep>,
    /// What would be signed there.
    pub signed: Vec<SignStep>,
    /// The tags, in the order in which they were given.
    pub tags: Vec<TagMoved>,
}

/// Publishes at all targets, or at none that is required: content first, all of it by digest, and when that is
/// everywhere the tags.
///
/// The short way, when every entry was taken from the very repository: the list is sent at once, and only when
/// the registry misses something is it looked for.
///
/// Whether the list tells the truth of its entries is judged before, by [`judge_truth`](crate::judge_truth()).
/// When somebody else moves a tag meanwhile it begins again from what is there then, a few times: the gates are judged again, and
/// with [`Conflict::Merge`] what the tag holds for other platforms is taken over. With a journal all publications of its store
/// take turns: a tag is nobody else's from when it is looked at for the last time until it is set.
///
/// With a journal it can be resumed when it is cut off; the caller says when it is done ([`Journal::finish`]). The short way
/// with one tag needs none: it is one request.
///
/// # Errors
/// [`PublishError`]. Until the first tag moves nothing that anybody sees has changed; when one cannot be moved those
/// that moved go back ([`PublishError::TagStuck`]).
pub async fn push(
    transport: &Transport,
    content: Content<'_>,
    targets: &[Target],
    options: &PushOptions,
    progress: &dyn Progress,
    journal: Option<&Journal>,
) -> Result<Pushed, PublishError> {
    Rounds { transport, content, targets, options, progress, journal }.run().await
}

/// Works out what a publication would do at each target, with reading requests only.
///
/// # Errors
/// As [`push`], as far as that is seen without writing anything.
pub async fn dry_run(
    transport: &Transport,
    content: Content<'_>,
    targets: &[Target],
    options: &PushOptions,
) -> Result<Pushed<Planned>, PublishError> {
    let door = Door::new(None, &Untold, false);
    let course = Course::new(transport, content, targets, options, None, &door);
    let (lots, union) = course.prepare(targets, &mut Past::default()).await?;
    let content = union.as_ref().map_or(content, |union| union.content(content.here));
    let course = Course { content, ..course };
    let attached = &Box::pin(Attached::find(content, course.origins(), options)).await?;
    let manifests = attached.manifests();
    let survey = Survey { origins: course.origins(), options, manifests, may_be_new: false };
    let (course, survey) = (&course, &survey);
    let plans = lots.into_iter().map(|lot| async move {
        let (target, tags) = (lot.target(), lot.finish().map(|outcome| outcome.tags));
        let planned = async {
            let place = surveyed(&target.place);
            let (tags, plan) = (tags?, survey.of(course.brought(), &place).await?);
            let attached = attached.plan(&place, options.jobs).await?;
            let signed = Box::pin(plan_signing(course, (target, &place))).await?;
            Ok(Planned { plan, attached, signed, tags })
        };
        match planned.await {
            Err(error) if target.effort == Effort::Required => Err(error),
            planned => Ok(planned),
        }
    });
    let targets = try_join_all(plans).await?;
    Ok(Pushed {
        list: content.list.clone(),
        merged: union.map(|union| union.merged).unwrap_or_default(),
        targets,
    })
}

/// Nobody is told anything.
struct Untold;

impl Progress for Untold {
    fn step(&self, _target: &Place, _step: Step<'_>) {}
}
