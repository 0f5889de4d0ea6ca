//! The door to the tags: one publication of a store at a time goes through it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use manifest_store::{Lease, StoreError};
use manifest_transport::Place;
use tokio::sync::Mutex;

use crate::error::PublishError;
use crate::journal::Journal;
use crate::lot::Lot;
use crate::progress::{Progress, Step};
use crate::tags::written;

/// What keeps the other publications of the store away from the tags, from when they are read until they are set.
pub(crate) struct Door<'a> {
    journal: Option<&'a Journal>,
    progress: &'a dyn Progress,
    /// Whether it is no good to go on where the store keeps nobody away.
    is_needed: bool,
    kept: Mutex<Kept>,
    /// Whether it was shut before the tags were read first.
    is_early: AtomicBool,
    /// Whether a tag was set under a condition that its registry does not honour.
    is_unguarded: AtomicBool,
    /// Whether that was told in an earlier round.
    is_told: bool,
}

/// The tags from which others are kept away.
#[derive(Debug, Default)]
struct Kept {
    leases: BTreeMap<String, Lease>,
    /// Whether the store keeps nobody away, which was told.
    is_vain: bool,
}

impl<'a> Door<'a> {
    /// `is_needed` when it is no good to go on where nobody can be kept away.
    pub(crate) fn new(journal: Option<&'a Journal>, progress: &'a dyn Progress, is_needed: bool) -> Self {
        Self {
            journal,
            progress,
            is_needed,
            kept: Mutex::default(),
            is_early: AtomicBool::new(false),
            is_unguarded: AtomicBool::new(false),
            is_told: false,
        }
    }

    /// The same where nobody needs to be told, or was told before, that a registry compares nothing.
    pub(crate) fn told(self, is_told: bool) -> Self {
        Self { is_told, ..self }
    }

    /// Keeps others away from the tags of these targets, all in an order that is the same for everybody, so that nobody waits
    /// for somebody who waits for him. A target that need not succeed falls behind when one of its tags is not to be had.
    pub(crate) async fn shut(&self, lots: &mut [Lot<'_>]) -> Result<(), PublishError> {
        let names = |(at, lot): (usize, &Lot<'_>)| {
            lot.names().map(move |(place, name)| (written(place, name), at)).collect::<Vec<_>>()
        };
        let is_kept = |lot: &Lot<'_>| lot.is_on() && lot.target().place.registry_host().is_some();
        let lots_kept = lots.iter().enumerate().filter(|(_, lot)| is_kept(lot));
        let tags: BTreeSet<(String, usize)> = lots_kept.flat_map(names).collect();
        for (tag, at) in tags {
            let Some(lot) = lots.get_mut(at).filter(|lot| lot.is_on()) else { continue };
            let Err(error) = self.keep(tag).await else { continue };
            self.progress.step(&lot.target().place, Step::Failed(&error));
            lot.settle(Err(error))?;
        }
        Ok(())
    }

    /// The same before the tags are read first.
    pub(crate) async fn shut_early(&self, lots: &mut [Lot<'_>]) -> Result<(), PublishError> {
        self.is_early.store(true, Ordering::Relaxed);
        self.shut(lots).await
    }

    /// Keeps others away from these tags of one place.
    pub(crate) async fn shut_at(
        &self,
        place: &Place,
        names: impl Iterator<Item = &str>,
    ) -> Result<(), PublishError> {
        // Layouts look after themselves.
        if place.registry_host().is_none() {
            return Ok(());
        }
        for tag in names.map(|name| written(place, name)).collect::<BTreeSet<_>>() {
            self.keep(tag).await?;
        }
        Ok(())
    }

    /// Keeps others away from a tag, unless they are kept away already.
    async fn keep(&self, tag: String) -> Result<(), PublishError> {
        let mut kept = self.kept.lock().await;
        let Some(journal) = self.journal else { return Ok(()) };
        if kept.is_vain || kept.leases.contains_key(&tag) {
            return Ok(());
        }
        match journal.lease_tag(tag.clone()).await {
            Ok(lease) => drop(kept.leases.insert(tag, lease)),
            Err(error) if !self.is_needed && !matches!(error, StoreError::Busy(..)) => {
                self.progress.not_alone(&error);
                kept.is_vain = true;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Whether nobody was let in since the tags were read first.
    pub(crate) fn is_shut_since_look(&self) -> bool {
        self.is_early.load(Ordering::Relaxed)
    }

    /// Makes sure that nobody has taken a tag over.
    pub(crate) async fn confirm(&self) -> Result<(), PublishError> {
        for lease in self.kept.lock().await.leases.values() {
            lease.confirm().await?;
        }
        Ok(())
    }

    /// Lets the others in.
    pub(crate) async fn open(&self) {
        self.is_early.store(false, Ordering::Relaxed);
        for lease in std::mem::take(&mut *self.kept.lock().await).leases.into_values() {
            lease.release().await;
        }
    }

    /// Notes that a tag was set as if nothing had been asked of it.
    pub(crate) fn unguarded(&self, place: &Place) {
        if !self.is_unguarded.swap(true, Ordering::Relaxed) && !self.is_told {
            self.progress.not_compared(place);
        }
    }

    pub(crate) fn is_unguarded(&self) -> bool {
        self.is_unguarded.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Door<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("is_needed", &self.is_needed).finish_non_exhaustive()
    }
}
