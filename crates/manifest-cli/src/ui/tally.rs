//! What a report tells of the course of a command: retries, and how long things took.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use manifest_transport::Place;

/// Counts retries, and keeps when something was done last at each target.
#[derive(Debug)]
pub(crate) struct Tally {
    begun: Instant,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    hosts: BTreeMap<String, Waited>,
    targets: BTreeMap<String, Duration>,
}

/// What was waited for one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waited {
    /// Requests that were sent again.
    pub(crate) retries: u64,
    /// The pauses before that, and those for what was not shown yet.
    pub(crate) pauses: Duration,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), counts: Mutex::default() }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the command runs.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(super) fn waited(&self, host: &str, retries: u64, pause: Duration) {
        let mut counts = self.counts();
        let waited = counts.hosts.entry(host.to_owned()).or_default();
        waited.retries += retries;
        waited.pauses = waited.pauses.saturating_add(pause);
    }

    /// What was waited for each host, sorted by its name.
    pub(crate) fn hosts(&self) -> Vec<(String, Waited)> {
        self.counts().hosts.iter().map(|(host, waited)| (host.clone(), *waited)).collect()
    }

    pub(super) fn seen(&self, target: &Place) {
        let elapsed = self.elapsed();
        self.counts().targets.insert(target.to_string(), elapsed);
    }

    /// When something was done last at a target.
    pub(crate) fn target(&self, target: &Place) -> Option<Duration> {
        self.counts().targets.get(&target.to_string()).copied()
    }
}
