//! What the tags of a target mean by now: before they are set, and after.

use manifest_core::Descriptor;
use manifest_transport::{Place, TagState};

use super::Lot;
use crate::conflict::{Conflict, Past};
use crate::course::Course;
use crate::error::PublishError;
use crate::parcel::archive;
use crate::tags::{Before, Found, read, written};

impl<'a> Lot<'a> {
    /// The tags as they were read, with their places.
    pub(crate) fn began(&self) -> impl Iterator<Item = (String, Option<Found>)> {
        let place = &self.target().place;
        self.before().filter_map(move |tag| Some((written(place, &tag.name), tag.found.clone()?)))
    }

    /// The tags from which something may have to be taken over, and what they mean.
    pub(crate) fn contested(&self) -> impl Iterator<Item = (&'a Place, String, Option<&Found>)> {
        let place: &'a Place = &self.target().place;
        let contested = self.before().filter(|tag| tag.is_contested);
        contested
            .map(move |tag| (place, written(place, &tag.name), tag.found.as_ref().and_then(Option::as_ref)))
    }

    /// What a tag goes back to is what it meant before an earlier round set it.
    pub(crate) fn remember(&mut self, past: &Past) {
        let place = &self.target.place;
        for tag in &mut self.tags {
            let before = &mut tag.before;
            if before.digest().is_some_and(|digest| past.ours.contains(&digest))
                && let Some(began) = past.began.get(&written(place, &before.name))
            {
                before.found = Some(began.clone());
            }
        }
    }

    /// The tags that are to be set, with their place.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&'a Place, &'a str)> {
        let target = self.target();
        target.names.iter().map(|name| (&target.place, name.as_str()))
    }

    /// Looks at each tag once more, and refuses those that have been moved.
    pub(crate) async fn recheck(&mut self, course: &Course<'_>) -> Result<(), PublishError> {
        if archive(&self.target.place).is_some() {
            return Ok(());
        }
        for tag in &mut self.tags {
            tag.now = course.recheck(&self.target.place, &tag.before).await?;
        }
        Ok(())
    }

    /// Reads tags back that were set where nobody compares: each means the list, or a list with all of it.
    pub(crate) async fn verify(&self, course: &Course<'_>) -> Result<(), PublishError> {
        let place = &self.target.place;
        let list = course.content.list.digest;
        for tag in self.tags.iter().filter(|tag| tag.is_moved && course.compares(place, &tag.before)) {
            let now = place.tag_state(&tag.before.name).await?.map(|now| now.digest);
            if now == Some(list) {
                continue;
            }
            let is_in =
                |found: Option<Found>| found.is_some_and(|found| holds(&found, course.content.entries));
            if course.options.conflict == Conflict::Fail || !is_in(read(place, &tag.before.name).await?) {
                return Err(PublishError::Overtaken { tag: written(place, &tag.before.name), found: now });
            }
        }
        Ok(())
    }
}

/// Whether all of these are in a list.
fn holds(found: &Found, entries: &[Descriptor]) -> bool {
    entries.iter().all(|entry| found.entries.contains(entry))
}

impl Course<'_> {
    /// Whether a tag is set only if it means what it is believed to mean.
    pub(crate) fn compares(&self, place: &Place, before: &Before) -> bool {
        self.options.is_careful_of(before.expected)
            || (place.registry_host().is_none() && before.seen.is_some())
    }

    /// What a tag means now, where that matters.
    ///
    /// # Errors
    /// [`PublishError::Unexpected`]; [`PublishError::Overtaken`] when it has been moved since it was read.
    pub(crate) async fn recheck(
        &self,
        place: &Place,
        before: &Before,
    ) -> Result<Option<Option<TagState>>, PublishError> {
        let is_known = before.seen.is_none() || self.door.is_shut_since_look();
        if is_known && !self.compares(place, before) {
            return Ok(None);
        }
        let now = place.tag_state(&before.name).await?;
        let (digest, list) = (now.as_ref().map(|now| now.digest), self.content.list.digest);
        if self.options.conflict == Conflict::Fail {
            before.check(place, digest, list)?;
        }
        if let Some(seen) = before.seen.filter(|seen| *seen != digest && digest != Some(list)) {
            // As it was read before: some registries show different things to different questions.
            let found = read(place, &before.name).await?.map(|found| found.digest);
            if found != seen {
                return Err(PublishError::Overtaken { tag: written(place, &before.name), found });
            }
        }
        Ok(Some(now))
    }
}
