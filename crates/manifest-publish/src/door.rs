//! The door to the tags: one publication of a store at a time goes through it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use manifest_store::{Lease, StoreError};
use manifest_transport::Place;
use tokio::sync::Mutex;

use crate::error::PublishError;
use crate::journal::Journal;
use crate::progress::Progress;
use crate::tags::written;

/// What keeps the other publications of the store away from the tags, from when they are read until they are set.
pub(crate) struct Door<'a> {
    journal: Option<&'a Journal>,
    progress: &'a dyn Progress,
    /// Whether it is no good to go on where the store keeps nobody away.
    is_needed: bool,
    leases: Mutex<Option<Vec<Lease>>>,
    /// Whether it was shut before the tags were read first.
    is_early: AtomicBool,
    /// Whether a tag was set under a condition that its registry does not honour.
    is_unguarded: AtomicBool,
    /// Whether that was told in an earlier round.
    is_told: bool,
}

impl<'a> Door<'a> {
    /// `is_needed` when it is no good to go on where nobody can be kept away.
    pub(crate) fn new(journal: Option<&'a Journal>, progress: &'a dyn Progress, is_needed: bool) -> Self {
        Self {
            journal,
            progress,
            is_needed,
            leases: Mutex::default(),
            is_early: AtomicBool::new(false),
            is_unguarded: AtomicBool::new(false),
            is_told: false,
        }
    }

    /// The same where nobody needs to be told, or was told before, that a registry compares nothing.
    pub(crate) fn told(self, is_told: bool) -> Self {
        Self { is_told, ..self }
    }

    /// Keeps others away from tags of registries, unless they are kept away already; layouts look after themselves.
    pub(crate) async fn shut<'t>(
        &self,
        tags: impl Iterator<Item = (&'t Place, &'t str)>,
    ) -> Result<(), PublishError> {
        let mut leases = self.leases.lock().await;
        let Some(journal) = self.journal.filter(|_| leases.is_none()) else { return Ok(()) };
        let tags = tags.filter(|(place, _)| place.registry_host().is_some());
        let tags: BTreeSet<String> = tags.map(|(place, name)| written(place, name)).collect();
        if tags.is_empty() {
            return Ok(());
        }
        *leases = Some(match journal.lease_tags(tags).await {
            Err(error) if !self.is_needed && !matches!(error, StoreError::Busy(..)) => {
                self.progress.not_alone(&error);
                Vec::new()
            }
            taken => taken?,
        });
        Ok(())
    }

    /// The same before the tags are read first.
    pub(crate) async fn shut_early<'t>(
        &self,
        tags: impl Iterator<Item = (&'t Place, &'t str)>,
    ) -> Result<(), PublishError> {
        self.is_early.store(true, Ordering::Relaxed);
        self.shut(tags).await
    }

    /// Whether nobody was let in since the tags were read first.
    pub(crate) fn is_shut_since_look(&self) -> bool {
        self.is_early.load(Ordering::Relaxed)
    }

    /// Makes sure that nobody has taken a tag over.
    pub(crate) async fn confirm(&self) -> Result<(), PublishError> {
        for lease in self.leases.lock().await.iter().flatten() {
            lease.confirm().await?;
        }
        Ok(())
    }

    /// Lets the others in.
    pub(crate) async fn open(&self) {
        self.is_early.store(false, Ordering::Relaxed);
        for lease in self.leases.lock().await.take().into_iter().flatten() {
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
