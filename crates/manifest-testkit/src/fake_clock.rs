//! Time and chance as a test wants them.

use std::future::ready;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use manifest_transport::{Clock, Pause};

#[derive(Debug, Default)]
struct State {
    elapsed: Duration,
    pauses: Vec<Duration>,
    chance: f64,
}

/// A clock that stands still between pauses, ends each of them at once, and writes them down.
///
/// Chance always gives the same number, at first one half, so that pauses are golden values.
#[derive(Debug)]
pub struct FakeClock(Mutex<State>);

impl Default for FakeClock {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeClock {
    /// A clock at zero.
    pub fn new() -> Self {
        Self(Mutex::new(State { chance: 0.5, ..State::default() }))
    }

    /// Gives this number as chance from now on, from 0 up to, but not including, 1.
    pub fn set_chance(&self, chance: f64) {
        self.state().chance = chance;
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.state().elapsed += by;
    }

    /// All pauses so far, in the order in which they began.
    pub fn pauses(&self) -> Vec<Duration> {
        self.state().pauses.clone()
    }

    /// The pauses in milliseconds, cut down to whole ones.
    pub fn pauses_in_ms(&self) -> Vec<u128> {
        self.state().pauses.iter().map(Duration::as_millis).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for FakeClock {
    fn elapsed(&self) -> Duration {
        self.state().elapsed
    }

    fn pause(&self, length: Duration) -> Pause {
        let mut state = self.state();
        state.elapsed += length;
        state.pauses.push(length);
        Box::pin(ready(()))
    }

    fn chance(&self) -> f64 {
        self.state().chance
    }
}
