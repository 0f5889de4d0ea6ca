//! A publication that begins again when somebody else has moved a tag meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use manifest_core::{Digest, Encoded};
use manifest_store::StoreError;
use manifest_transport::{Transport, TransportError};

use crate::course::Course;
use crate::door::Door;
use crate::error::PublishError;
use crate::journal::Journal;
use crate::lot::Lot;
use crate::merge::{Merged, merge};
use crate::progress::Progress;
use crate::push::{Content, Outcome, PushOptions, Target};
use crate::tags::Found;

/// How often a publication begins again.
const ROUNDS: u32 = 8;

/// The first and the longest pause before that; the real one is a random part of it.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// What to do about a tag that means something else than expected, or holds platforms that the list has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conflict {
    /// The publication fails.
    #[default]
    Fail,
    /// What the tag holds for other platforms is taken over.
    Merge,
}

/// What was published, or would be.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pushed<T = Outcome> {
    /// The list, which is another one than was given when something was taken over.
    pub list: Encoded,
    /// What was taken over.
    pub merged: Vec<Merged>,
    /// What was done at each target, in their order; at one that need not succeed, why it was not.
    pub targets: Vec<Result<T, PublishError>>,
}

/// What earlier rounds of a publication have found and done.
#[derive(Debug, Default)]
pub(crate) struct Past {
    rounds: u32,
    /// Whether it was told that a registry compares nothing.
    is_told: bool,
    /// What the tags meant in the first round.
    pub(crate) began: BTreeMap<String, Option<Found>>,
    /// The lists that tags may have been set to.
    pub(crate) ours: BTreeSet<Digest>,
}

/// A publication.
#[derive(Clone, Copy)]
pub(crate) struct Rounds<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) content: Content<'a>,
    pub(crate) targets: &'a [Target],
    pub(crate) options: &'a PushOptions,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) journal: Option<&'a Journal>,
}

impl std::fmt::Debug for Rounds<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rounds").field("targets", &self.targets).finish_non_exhaustive()
    }
}

impl Rounds<'_> {
    /// Publishes, again and again while others move the tags.
    pub(crate) async fn run(self) -> Result<Pushed, PublishError> {
        let mut past = Past::default();
        loop {
            let door = Door::new(self.journal, self.progress, self.options.is_careful()).told(past.is_told);
            // The state of a round is large, and stacks are small.
            let done = Box::pin(self.once(&door, &mut past)).await;
            door.open().await;
            past.is_told |= door.is_unguarded();
            let error = match done {
                Err(error) if past.rounds < ROUNDS && self.begins_again(&error) => error,
                Err(error) => {
                    if let Some(journal) = self.journal {
                        journal.fail(&error, self.progress).await;
                    }
                    return Err(error);
                }
                done => return done,
            };
            let clock = self.transport.clock();
            let longest = PAUSES.0.saturating_mul(1 << past.rounds).min(PAUSES.1);
            past.rounds += 1;
            self.progress.begins_again(&error);
            clock.pause(longest.mul_f64(clock.chance())).await;
        }
    }

    async fn once(self, door: &Door<'_>, past: &mut Past) -> Result<Pushed, PublishError> {
        let (transport, targets, options) = (self.transport, self.targets, self.options);
        let course = Course::new(transport, self.content, targets, options, self.journal, door);
        let (mut lots, union) = course.prepare(targets, past).await?;
        let content = union.as_ref().map_or(self.content, |union| union.content(self.content.here));
        lots.iter_mut().for_each(|lot| lot.remember(past));
        past.ours.insert(content.list.digest);
        let course = Course { content, ..course };
        let targets = Box::pin(course.run(lots, self.progress)).await?;
        let merged = union.as_ref().map(|union| union.merged.clone()).unwrap_or_default();
        Ok(Pushed { list: content.list.clone(), merged, targets })
    }

    fn begins_again(self, error: &PublishError) -> bool {
        match error {
            PublishError::Overtaken { .. } | PublishError::Store(StoreError::LeaseLost(..)) => true,
            PublishError::Transport(TransportError::Moved { .. }) => self.options.conflict == Conflict::Merge,
            PublishError::TagStuck { source, .. } => {
                self.options.conflict == Conflict::Merge && self.begins_again(source)
            }
            _ => false,
        }
    }
}

impl Course<'_> {
    /// Looks at the tags, and takes over what they hold where that is wanted; judges what is to be published.
    pub(crate) async fn prepare<'t>(
        &self,
        targets: &'t [Target],
        past: &mut Past,
    ) -> Result<(Vec<Lot<'t>>, Option<crate::merge::Union>), PublishError> {
        if self.options.conflict == Conflict::Fail {
            self.judge(self.content.entries)?;
        }
        let lots = self.look(targets, past).await?;
        if past.rounds == 0 {
            past.began.extend(lots.iter().filter(|lot| lot.is_on()).flat_map(Lot::began));
        }
        if self.options.conflict == Conflict::Fail {
            return Ok((lots, None));
        }
        let contested: Vec<_> = lots.iter().filter(|lot| lot.is_on()).flat_map(Lot::contested).collect();
        let places: Vec<String> = contested.iter().map(|(place, ..)| place.to_string()).collect();
        let theirs: Vec<_> = contested
            .iter()
            .zip(&places)
            .map(|((_, tag, found), place)| crate::merge::Theirs { tag, place, found: *found })
            .collect();
        let union = merge(self.content, &theirs)?;
        self.judge(union.as_ref().map_or(self.content.entries, |union| &union.entries))?;
        Ok((lots, union))
    }
}
