//! A target on its way through a course.

mod recheck;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use manifest_core::{Digest, Tag};
use manifest_transport::{Archive, TagState, TransportError};

use crate::conflict::{Conflict, Past};
use crate::course::Course;
use crate::deliver::{Delivery, Last, may_be_short};
use crate::error::PublishError;
use crate::journal::{Publication, PublishedTag, PublishedTarget, Was};
use crate::parcel::{self, Packing, Parcel, archive, directory};
use crate::progress::{Progress, Step};
use crate::push::{Effort, Expectations, Outcome, TagMoved, Target};
use crate::signing::{check_target, sign_brought};
use crate::survey::announce;
use crate::tags::{Before, Expected, Found, Undone, put_back, read, try_back, undone, written};

/// A target on its way.
#[derive(Debug)]
pub(crate) struct Lot<'a> {
    target: &'a Target,
    tags: Vec<Moving>,
    /// The archive or directory, if the target is one; then there is no tag that moves.
    parcel: Parcel,
    outcome: Outcome,
    /// Whether something may have arrived here when the publication was cut off.
    is_again: bool,
    /// Why it fell behind, if it did and need not succeed.
    failed: Option<PublishError>,
}

/// A tag on its way.
#[derive(Debug)]
struct Moving {
    before: Before,
    /// What it means just before it is moved, where that matters.
    now: Option<Option<TagState>>,
    /// Whether it was tried to move it, which may have been done even when that failed.
    is_touched: bool,
    is_moved: bool,
}

/// In which order tags move: by whether there was one before. Archives and directories come last, since they go back least gladly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    Old,
    New,
    Archive,
}

impl Moving {
    /// Whether it has to be moved yet.
    fn is_due(&self, list: Digest) -> bool {
        !self.is_moved && self.before.seen.flatten() != Some(list)
    }
}

impl<'a> Lot<'a> {
    pub(crate) fn new(target: &'a Target, expected: &Expectations) -> Self {
        let moving = |name: &String| Moving {
            before: Before {
                name: name.clone(),
                expected: expected.of(name),
                found: None,
                seen: None,
                is_contested: false,
            },
            now: None,
            is_touched: false,
            is_moved: false,
        };
        let tags = target.names.iter().map(moving).collect();
        Self {
            target,
            tags,
            parcel: Parcel::None,
            outcome: Outcome::default(),
            is_again: false,
            failed: None,
        }
    }

    /// The same target in a publication that was cut off.
    pub(crate) fn again(target: &'a Target, planned: &PublishedTarget, publication: &Publication) -> Self {
        let mut lot = Self { is_again: true, ..Self::new(target, &Expectations::default()) };
        for tag in &mut lot.tags {
            let was = planned.tags.iter().find(|known| known.name == tag.before.name);
            let Some(was) = was.and_then(|known| known.before.as_ref()) else { continue };
            (tag.before.expected, tag.before.found) = match was {
                Was::Absent => (Expected::Absent, Some(None)),
                Was::Manifest { digest, media_type } => {
                    let bytes = publication.documents.get(digest).map(|text| Bytes::from(text.clone()));
                    let (digest, media_type) = (*digest, media_type.clone());
                    let found = Found { digest, media_type, bytes, entries: Vec::new(), is_list: false };
                    (Expected::Digest(digest), Some(Some(found)))
                }
            };
        }
        lot
    }

    /// As it is written down; the manifests by which tags can go back are kept with the publication.
    pub(crate) fn planned(&self, publication: &mut Publication) -> PublishedTarget {
        let tag = |Moving { before, .. }: &Moving| {
            let was = before.found.as_ref().map(|found| match found {
                None => Was::Absent,
                Some(Found { digest, media_type, bytes, .. }) => {
                    if let Some(bytes) = bytes {
                        publication.keep(*digest, bytes);
                    }
                    Was::Manifest { digest: *digest, media_type: media_type.clone() }
                }
            });
            PublishedTag { name: before.name.clone(), before: was }
        };
        let tags = self.tags.iter().map(tag).collect();
        PublishedTarget { target: self.shown(), effort: self.target.effort, failed: None, tags }
    }

    /// As it can be given again, with its tags.
    fn shown(&self) -> String {
        let Target { place, names, .. } = self.target;
        if names.is_empty() { place.to_string() } else { written(place, &names.join(",")) }
    }

    /// Makes all tags of a publication that was cut off what they were before, and takes away an archive.
    pub(crate) async fn abort(&self, list: Digest) -> Result<Vec<Undone>, TransportError> {
        let place = &self.target.place;
        if let Some(archive) = archive(place) {
            let stays = parcel::take_back(archive, list).await?.map(str::to_owned);
            return Ok(vec![Undone { tag: self.shown(), stays }]);
        }
        if let Some(directory) = directory(place) {
            let means = directory.means(&list).await?;
            let stays =
                means.then(|| "what it meant before is kept there, but was not written down".to_owned());
            return Ok(vec![Undone { tag: self.shown(), stays }]);
        }
        let tags = join_all(self.tags.iter().map(|Moving { before, .. }| async move {
            let stays = try_back(place, before, list).await?;
            Ok(Undone { tag: written(place, &before.name), stays: stays.map(str::to_owned) })
        }));
        tags.await.into_iter().collect()
    }

    /// The tags as they were before.
    fn before(&self) -> impl Iterator<Item = &Before> {
        self.tags.iter().map(|tag| &tag.before)
    }

    /// Whether all that is to be there should be there already.
    pub(crate) fn may_be_short(&self, course: &Course<'_>) -> bool {
        may_be_short(course.brought(), course.origins(), &self.target.place, course.options).unwrap_or(false)
    }

    pub(crate) const fn target(&self) -> &'a Target {
        self.target
    }

    /// Whether it goes on.
    pub(crate) const fn is_on(&self) -> bool {
        self.failed.is_none()
    }

    /// Why it fell behind, if it did.
    pub(crate) const fn failure(&self) -> Option<&PublishError> {
        self.failed.as_ref()
    }

    /// What fails where it need not succeed is kept; what fails where it must is the end.
    pub(crate) fn settle(&mut self, done: Result<(), PublishError>) -> Result<(), PublishError> {
        match (done, self.target.effort) {
            (Err(error), Effort::Best) => {
                self.failed.get_or_insert(error);
                Ok(())
            }
            (done, _) => done,
        }
    }

    pub(crate) fn finish(self) -> Result<Outcome, PublishError> {
        let moved = |tag: Moving| TagMoved {
            before: tag.before.found.as_ref().map(|_| tag.before.digest()),
            name: tag.before.name,
        };
        let tags = self.tags.into_iter().map(moved).collect();
        self.failed.map_or(Ok(Outcome { tags, ..self.outcome }), Err)
    }

    /// Reads what the tags mean, where that matters, and refuses what must not be done to them, or tells which of them hold
    /// what may have to be taken over.
    pub(crate) async fn look(&mut self, course: &Course<'_>, past: &Past) -> Result<(), PublishError> {
        let Course { content, options, is_single, .. } = course;
        check_target(course, self.target).await?;
        let (place, list) = (&self.target.place, content.list.digest);
        if let Some(directory) = directory(place) {
            directory.check_ours().await?;
        }
        if let Some(archive) = archive(place) {
            parcel::look(archive)?;
            return self.tags.iter_mut().try_for_each(|tag| {
                tag.before.found = Some(None);
                tag.before.check(place, None, list)
            });
        }
        // To go back, it must be known to what; the short way needs no way back.
        let may_go_back = course.journal.is_some() && !self.may_be_short(course);
        let matters = |tag: &Before| {
            !is_single || may_go_back || !options.gates.allow_shrink || options.is_careful_of(tag.expected)
        };
        let tags: Vec<_> =
            self.tags.iter_mut().map(|tag| &mut tag.before).filter(|tag| matters(tag)).collect();
        if !tags.is_empty() {
            announce(course.brought(), course.origins(), place).await?;
        }
        let looking = tags.into_iter().map(|tag| async {
            let (name, found) = (written(place, &tag.name), read(place, &tag.name).await?);
            let digest = found.as_ref().map(|found| found.digest);
            let checked = tag.check(place, digest, list);
            let now = found.as_ref().map(|found| found.entries.as_slice()).unwrap_or_default();
            let refusal = options.gates.judge_change(&name, now, content.entries);
            let began = past.began.get(&name).map(|began| began.as_ref().map(|began| began.digest));
            (tag.found, tag.seen) = (Some(found), Some(digest));
            if options.conflict == Conflict::Merge {
                let is_moved = began.is_some_and(|began| began != digest);
                tag.is_contested = checked.is_err() || refusal.is_some() || is_moved;
                return Ok(None);
            }
            checked?;
            Ok::<_, PublishError>(refusal)
        });
        let refusals: Vec<_> = try_join_all(looking).await?.into_iter().flatten().collect();
        if refusals.is_empty() { Ok(()) } else { Err(PublishError::Refused(refusals)) }
    }

    /// Looks which tags have moved already, and refuses those that somebody else has moved.
    pub(crate) async fn look_again(&mut self, course: &Course<'_>) -> Result<(), PublishError> {
        check_target(course, self.target).await?;
        let (place, list) = (&self.target.place, course.content.list.digest);
        if let Some(archive) = archive(place) {
            self.parcel = parcel::look_again(archive, list).await?;
            return Ok(());
        }
        try_join_all(self.tags.iter_mut().map(|tag| async {
            if tag.before.found.is_none() {
                tag.before.found = Some(read(place, &tag.before.name).await?);
                tag.before.seen = Some(tag.before.digest());
                return Ok(());
            }
            let now = place.tag_state(&tag.before.name).await?.map(|now| now.digest);
            tag.before.seen = Some(now);
            tag.before.check(place, now, list)?;
            tag.is_moved = now == Some(list) && tag.before.digest() != now;
            Ok::<_, PublishError>(())
        }))
        .await
        .map(drop)
    }

    /// Brings everything to the target; in a single publication its tag moves, too. Tags that came with the list go back
    /// when something is not as it should be then.
    pub(crate) async fn deliver(
        &mut self,
        course: &Course<'_>,
        delivery: Delivery<'_>,
        progress: &dyn Progress,
    ) -> Result<(), PublishError> {
        if let Some(archive) = archive(&self.target.place) {
            return self.pack(archive, delivery, progress).await;
        }
        let at_once = self.at_once(course);
        for tag in &mut self.tags {
            tag.is_touched |= at_once.iter().any(|tag_now| tag_now.as_str() == tag.before.name);
        }
        let Err(error) = self.bring(course, delivery, &at_once, progress).await else { return Ok(()) };
        if at_once.is_empty() {
            return Err(error);
        }
        let undone = self.put_back(course.content.list.digest).await;
        let tags = at_once.iter().map(Tag::as_str).collect::<Vec<_>>().join(",");
        let tag = written(&self.target.place, &tags);
        Err(PublishError::TagStuck { tag, source: Box::new(error), undone })
    }

    /// Whether the target may be one that has never had anything: none of its tags is there.
    pub(crate) fn may_be_new(&self) -> bool {
        let is_absent = |tag: &Moving| matches!(tag.before.found, Some(None));
        !self.is_again && self.tags.iter().all(is_absent)
    }

    /// Makes the archive beside its place.
    async fn pack(
        &mut self,
        archive: &Archive,
        delivery: Delivery<'_>,
        progress: &dyn Progress,
    ) -> Result<(), PublishError> {
        if let Parcel::Shown = self.parcel {
            return Ok(());
        }
        let packing = Packing::begin(archive)?;
        let name = self.tags.first().map(|tag| tag.before.name.as_str());
        (self.outcome, _) = Box::pin(delivery.to(packing.place(), Last::Unseen(name), progress)).await?;
        Box::pin(delivery.attached.bring(delivery, packing.place(), &mut self.outcome, progress)).await?;
        let signing = sign_brought(&delivery.course, (self.target, packing.place()), progress);
        self.outcome.signed = Box::pin(signing).await?;
        self.parcel = packing.finish(archive).await?;
        Ok(())
    }

    async fn bring(
        &mut self,
        course: &Course<'_>,
        delivery: Delivery<'_>,
        at_once: &[Tag],
        progress: &dyn Progress,
    ) -> Result<(), PublishError> {
        let (place, list) = (&self.target.place, course.content.list.digest);
        let is_at_once = |tag: &&Before| at_once.iter().any(|name| name.as_str() == tag.name);
        let several: Vec<&Before> = self.tags.iter().map(|tag| &tag.before).filter(is_at_once).collect();
        let last = match (course.is_single, self.tags.as_slice()) {
            (true, [tag]) if !tag.is_due(list) => Last::There,
            (true, [tag]) => Last::Named(&tag.before),
            (_, []) if place.registry_host().is_none() && directory(place).is_none() => Last::Unnamed,
            _ => Last::Digest(at_once, &several),
        };
        let (outcome, set) = Box::pin(delivery.to(place, last, progress)).await?;
        self.outcome = outcome;
        Box::pin(delivery.attached.bring(delivery, place, &mut self.outcome, progress)).await?;
        for tag in &mut self.tags {
            let is_set = set.iter().any(|set| set.as_str() == tag.before.name);
            if is_set || (course.is_single && tag.is_due(list)) {
                progress.step(place, Step::Tag(&tag.before.name));
            }
            tag.is_moved |= course.is_single || is_set;
        }
        let limit = course.options.settle;
        if !course.is_single && !place.shows(&list, limit).await? {
            return Err(PublishError::Unsettled { target: place.to_string(), digest: list, waited: limit });
        }
        let signing = sign_brought(course, (self.target, place), progress);
        self.outcome.signed = Box::pin(signing).await?;
        Ok(())
    }

    /// The tags that can come with the list: several of the only target, when nothing is expected of them.
    fn at_once(&self, course: &Course<'_>) -> Vec<Tag> {
        let is_free = |tag: &Moving| !course.compares(&self.target.place, &tag.before);
        if !course.is_one || self.target.place.registry_host().is_none() || !self.tags.iter().all(is_free) {
            return Vec::new();
        }
        let due = self.tags.iter().filter(|tag| tag.is_due(course.content.list.digest));
        let due: Vec<Tag> = due.filter_map(|tag| tag.before.name.parse().ok()).collect();
        if due.len() > 1 { due } else { Vec::new() }
    }

    /// Moves the tags that were there before, or the new ones; which of them cannot be, and why.
    pub(crate) async fn move_tags(
        &mut self,
        age: Age,
        course: &Course<'_>,
        progress: &dyn Progress,
    ) -> Result<(), (String, PublishError)> {
        let (place, list) = (&self.target.place, course.content.list);
        if archive(place).is_some() {
            let shown = if age == Age::Archive { self.parcel.show().await } else { Ok(()) };
            return shown.map_err(|error| (self.shown(), error.into()));
        }
        if let (Some(directory), Age::Archive) = (directory(place), age) {
            let bytes = Bytes::from(list.bytes.clone());
            let before = directory.publish(&list.digest, &bytes).await;
            let before = before.map_err(|error| (self.shown(), error.into()))?;
            self.parcel = Parcel::Means(before);
        }
        let is_meant =
            |tag: &&mut Moving| tag.is_due(list.digest) && tag.before.is_absent() == (age == Age::New);
        for tag in self.tags.iter_mut().filter(is_meant) {
            let set = async {
                course.door.confirm().await?;
                tag.is_touched = true;
                course.set(place, &tag.before, tag.now.as_ref()).await
            };
            if let Err(error) = set.await {
                return Err((written(place, &tag.before.name), error));
            }
            tag.is_moved = true;
            progress.step(place, Step::Tag(&tag.before.name));
        }
        Ok(())
    }

    /// Makes all tags that may have moved what they were before.
    pub(crate) async fn put_back(&self, ours: Digest) -> Vec<Undone> {
        if let (Some(archive), Parcel::Shown) = (archive(&self.target.place), &self.parcel) {
            return vec![undone(self.shown(), parcel::take_back(archive, ours).await)];
        }
        if let (Some(directory), Parcel::Means(before)) = (directory(&self.target.place), &self.parcel) {
            return vec![undone(self.shown(), directory.take_back(&ours, before.as_ref()).await)];
        }
        let touched = self.tags.iter().filter(|tag| tag.is_touched || tag.is_moved);
        join_all(touched.map(|tag| put_back(&self.target.place, &tag.before, ours))).await
    }
}
