//! Waiting for locks and for the disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::StoreOptions;
use crate::StoreError;
use crate::local::{Local, LockKey};
use crate::lock::{Attempt, Guard, Holder};

/// The longest and shortest pause between two tries to get a lock.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(25));

/// Locks that are wanted or held.
///
/// They are taken in one order by everybody, so that no two wait for each other.
#[derive(Debug)]
pub(super) struct Locks {
    local: Arc<Local>,
    options: Arc<StoreOptions>,
    wanted: Vec<LockKey>,
    held: Vec<Guard>,
    /// What messages say is locked.
    subject: String,
}

impl Locks {
    pub(super) fn new(
        local: Arc<Local>,
        options: Arc<StoreOptions>,
        keys: impl IntoIterator<Item = LockKey>,
        subject: String,
    ) -> Self {
        // Taken from the end.
        let wanted = keys.into_iter().collect::<BTreeSet<_>>().into_iter().rev().collect();
        Self { local, options, wanted, held: Vec::new(), subject }
    }

    /// Gets the locks that are not held yet and does `work` at once; the locks come back with what it gave.
    ///
    /// Should the caller go away meanwhile, the locks are held until the work is done.
    pub(super) async fn run<T: Send + 'static>(
        mut self,
        work: impl FnOnce(&Local) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(Self, T), StoreError> {
        let start = Instant::now();
        let mut work = Some(work);
        loop {
            let (locks, unused, outcome) = blocking(move || {
                let mut locks = self;
                let busy = locks.take()?;
                let done = match (busy, work.take()) {
                    (None, Some(work)) => Outcome::Done(work(&locks.local)?),
                    (busy, unused) => {
                        work = unused;
                        Outcome::Busy(busy.unwrap_or_default())
                    }
                };
                Ok((locks, work, done))
            })
            .await?;
            (self, work) = (locks, unused);
            let holder = match outcome {
                Outcome::Done(value) => return Ok((self, value)),
                Outcome::Busy(holder) => holder,
            };
            let waited = start.elapsed();
            let left = self.options.lock_timeout.saturating_sub(waited);
            if left.is_zero() {
                return Err(StoreError::Busy(self.subject, holder, waited));
            }
            tokio::time::sleep(pause().min(left)).await;
        }
    }

    /// Tries once to get each lock that is missing; tells who holds the first that is not to be had.
    fn take(&mut self) -> Result<Option<Holder>, StoreError> {
        if self.wanted.is_empty() {
            return Ok(None);
        }
        let note = Holder::note(&self.options.command, self.options.clock.now());
        while let Some(key) = self.wanted.last() {
            match self.local.try_lock(key, &note)? {
                Attempt::Held(guard) => self.held.push(guard),
                Attempt::Busy(holder) => return Ok(Some(holder)),
            }
            self.wanted.pop();
        }
        Ok(None)
    }
}

/// What became of one try.
enum Outcome<T> {
    Done(T),
    Busy(Holder),
}

/// A pause of random length, so that those who wait do not all come back at once.
fn pause() -> Duration {
    let (shortest, longest) = PAUSES;
    // Without randomness the pauses are equal, and the wait still ends.
    let random = getrandom::u32().unwrap_or_default() % 1000;
    shortest + longest.saturating_sub(shortest) * random / 1000
}

/// Does work that may block, on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down; the work may have been done or not.
            Err(error) => {
                Err(StoreError::Io("finish work on", std::path::PathBuf::from("the store"), error.into()))
            }
        },
    }
}
