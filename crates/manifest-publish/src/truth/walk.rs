//! The way through a list and the lists in it, level by level.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Digest, Kind, Platform};
use manifest_transport::Place;

use super::look::{Looking, Seen};
use crate::check::Unchecked;
use crate::error::{MAX_NESTING, PublishError};
use crate::gate::{Within, has};

/// An entry that runs somewhere, or a list in which there may be some.
pub(super) struct Entry {
    pub(super) entry: Descriptor,
    /// The lists in the list that it lies in, the outermost first.
    within: Vec<Digest>,
    /// Where it is read, if that is known.
    pub(super) place: Option<Place>,
}

/// All that is in a list, as far as it was followed.
pub(super) struct Walked {
    /// Level by level.
    pub(super) entries: Vec<Entry>,
    /// The lists in the list, each with the way to it, itself last.
    pub(super) lists: Vec<(Vec<Digest>, Vec<Descriptor>)>,
    seen: BTreeMap<Digest, Seen>,
}

impl Entry {
    pub(super) fn is_list(&self) -> bool {
        self.entry.media_type.kind() == Kind::List
    }

    /// The entry, and the lists that it lies in.
    pub(super) fn way(&self) -> (Digest, Vec<Digest>) {
        (self.entry.digest, self.within.clone())
    }

    pub(super) fn unchecked(&self, why: &str) -> Unchecked {
        let why = format!("{} {why}", Within(&self.within));
        Unchecked::new(self.entry.digest, &self.entry, why.trim_start())
    }
}

impl Walked {
    pub(super) fn seen_of(&self, entry: &Entry) -> Option<&Seen> {
        self.seen.get(&entry.entry.digest)
    }

    /// The way to the first list in the list that has a platform; none if there is no such list.
    pub(super) fn list_with(&self, platform: &Platform) -> Vec<Digest> {
        let list = self.lists.iter().find(|(_, entries)| has(entries, platform));
        list.map(|(way, _)| way.clone()).unwrap_or_default()
    }
}

impl Looking<'_> {
    /// Looks at all entries, and at those of the lists among them, at each once; where nothing is compared, at lists only.
    pub(super) async fn walk(mut self, entries: &[Descriptor], jobs: usize) -> Result<Walked, PublishError> {
        let mut walked = Walked { entries: Vec::new(), lists: Vec::new(), seen: BTreeMap::new() };
        let origins = self.origins;
        let mut level = self.level(entries, &[], &|entry| origins.of(&entry.digest).ok());
        for _ in 0..=MAX_NESTING {
            let below = self.below(&level, &mut walked, jobs).await?;
            walked.entries.append(&mut level);
            level = below;
            if level.is_empty() {
                return Ok(walked);
            }
        }
        match level.first() {
            Some(deepest) if self.options.reads() => Err(PublishError::TooDeep(deepest.entry.digest)),
            _ => {
                for one in &level {
                    let too_deep = || Seen::Not("lies too deep in lists in lists".to_owned());
                    walked.seen.entry(one.entry.digest).or_insert_with(too_deep);
                }
                walked.entries.append(&mut level);
                Ok(walked)
            }
        }
    }

    /// Looks at a level; what is in the lists among it.
    async fn below(
        &mut self,
        level: &[Entry],
        walked: &mut Walked,
        jobs: usize,
    ) -> Result<Vec<Entry>, PublishError> {
        let new = level.iter().map(|one| (one.entry.digest, one));
        let new: BTreeMap<_, _> = new.filter(|(digest, _)| !walked.seen.contains_key(digest)).collect();
        self.recall(new.values().copied()).await;
        let looking = &*self;
        let mut seen: BTreeMap<Digest, Seen> = stream::iter(new)
            .map(|(digest, one)| {
                let look = Box::pin(looking.look(one));
                async move { Ok::<_, PublishError>((digest, look.await?)) }
            })
            .buffer_unordered(jobs.max(1))
            .try_collect()
            .await?;
        let mut below = Vec::new();
        for one in level {
            let Some(seen) = seen.remove(&one.entry.digest) else { continue };
            if let Seen::List(inner) = &seen {
                let way = [&one.within[..], &[one.entry.digest]].concat();
                below.extend(self.level(inner, &way, &|_| one.place.clone()));
                walked.lists.push((way, inner.clone()));
            }
            walked.seen.insert(one.entry.digest, seen);
        }
        Ok(below)
    }

    fn level(
        &self,
        entries: &[Descriptor],
        within: &[Digest],
        place_of: &dyn Fn(&Descriptor) -> Option<Place>,
    ) -> Vec<Entry> {
        let may_have_images = |entry: &Descriptor| {
            entry.media_type.kind() == Kind::List && entry.artifact_type.is_none() && !entry.is_attestation()
        };
        let counts = |entry: &&Descriptor| {
            may_have_images(entry) || (!self.options.is_nothing() && entry.slot().is_some())
        };
        let entries = entries.iter().filter(counts);
        let one = |entry: &Descriptor| {
            let (entry, within, place) = (entry.clone(), within.to_vec(), place_of(entry));
            Entry { entry, within, place }
        };
        entries.map(one).collect()
    }
}
