//! Waiting for locks and for the disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::StoreOptions;
use crate::StoreError;
use crate::backend::{Backend, LockKey, Stop};
use crate::catalog::Catalog;
use crate::lock::{Attempt, Guard, Holder};

/// The longest and shortest pause between two tries to get a lock.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(25));

/// How long it is waited for a lock before somebody is told.
const PATIENCE: Duration = Duration::from_millis(500);

/// The first and the longest pause before a change starts again; the real one is a random part of it.
const AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(1000));

/// How often a change starts again even where nothing may be waited for.
const FREE_TRIES: u32 = 3;

/// Locks that are wanted or held.
///
/// They are taken in one order by everybody, so that no two wait for each other.
#[derive(Debug)]
pub(crate) struct Locks {
    backend: Arc<dyn Backend>,
    options: Arc<StoreOptions>,
    wanted: Vec<LockKey>,
    held: Vec<Guard>,
    /// What messages say is locked.
    subject: String,
    /// When the waiting began.
    since: Instant,
    /// Whether somebody was told of the waiting.
    is_told: bool,
}

/// One change that may have to start again, because others change the same things.
#[derive(Debug)]
pub(crate) struct Turn {
    options: Arc<StoreOptions>,
    subject: String,
    since: Instant,
    tries: u32,
}

impl Turn {
    pub(crate) fn new(options: Arc<StoreOptions>, subject: String) -> Self {
        Self { options, subject, since: Instant::now(), tries: 0 }
    }

    /// Whether nothing had to start again so far.
    pub(crate) const fn is_first(&self) -> bool {
        self.tries == 0
    }

    /// What was done; `None` after a pause when it must start again.
    pub(crate) async fn settle<T>(&mut self, done: Result<T, Stop>) -> Result<Option<T>, StoreError> {
        match done {
            Ok(value) => return Ok(Some(value)),
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Again) => {}
        }
        let waited = self.since.elapsed();
        let left = self.options.lock_timeout.saturating_sub(waited);
        if left.is_zero() && self.tries >= FREE_TRIES {
            return Err(StoreError::Busy(std::mem::take(&mut self.subject), Holder::default(), waited));
        }
        let longest = AGAIN.0.saturating_mul(1 << self.tries.min(16)).min(AGAIN.1);
        self.tries += 1;
        tokio::time::sleep(part_of(longest).min(left)).await;
        Ok(None)
    }
}

impl Locks {
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        keys: impl IntoIterator<Item = LockKey>,
        turn: &Turn,
    ) -> Self {
        // Taken from the end.
        let wanted = keys.into_iter().collect::<BTreeSet<_>>().into_iter().rev().collect();
        let (options, subject) = (turn.options.clone(), turn.subject.clone());
        Self { backend, options, wanted, held: Vec::new(), subject, since: turn.since, is_told: false }
    }

    /// Gets the locks that are not held yet and does `work` at once; the locks come back with what it gave.
    ///
    /// Should the caller go away meanwhile, the locks are held until the work is done.
    pub(crate) async fn run<T: Send + 'static>(
        mut self,
        work: impl FnOnce(Catalog<'_>) -> Result<T, Stop> + Send + 'static,
    ) -> Result<(Self, T), Stop> {
        let mut work = Some(work);
        loop {
            let (locks, unused, outcome) = blocking(move || {
                let mut locks = self;
                let busy = locks.take()?;
                let done = match (busy, work.take()) {
                    (None, Some(work)) => Outcome::Done(work(Catalog(&*locks.backend))),
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
                Outcome::Done(done) => return done.map(|value| (self, value)),
                Outcome::Busy(holder) => holder,
            };
            let waited = self.since.elapsed();
            let left = self.options.lock_timeout.saturating_sub(waited);
            if left.is_zero() {
                return Err(StoreError::Busy(self.subject, holder, waited).into());
            }
            if waited >= PATIENCE && !std::mem::replace(&mut self.is_told, true) {
                self.options.waiting.tell(&self.subject, &holder);
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
            match self.backend.lock(key, &note)? {
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
    Done(Result<T, Stop>),
    Busy(Holder),
}

/// A pause of random length, so that those who wait do not all come back at once.
pub(crate) fn pause() -> Duration {
    let (shortest, longest) = PAUSES;
    shortest + part_of(longest.saturating_sub(shortest))
}

/// A random part of a time.
pub(crate) fn part_of(time: Duration) -> Duration {
    // Without randomness the parts are equal, and every wait still ends.
    time * (getrandom::u32().unwrap_or_default() % 1000) / 1000
}

/// Does work that may block, on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    joined(tokio::task::spawn_blocking(work)).await?
}

/// What work that was given to a thread gave.
pub(crate) async fn joined<T>(
    work: impl Future<Output = Result<T, tokio::task::JoinError>>,
) -> Result<T, StoreError> {
    match work.await {
        Ok(result) => Ok(result),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down; the work may have been done or not.
            Err(error) => {
                Err(StoreError::Io("finish work on", std::path::PathBuf::from("the store"), error.into()))
            }
        },
    }
}
