//! How many of the requests to one host may be retries: a host that is down is found out by a few, and not asked by all.

use std::sync::{Mutex, PoisonError};

/// So many requests allow for one retry more.
const REQUESTS_PER_RETRY: u32 = 5;
/// Retries that a host has in any case.
const FLOOR: u32 = 20;
/// Requests whose retries a host has in any case, where they may be repeated more often than usual.
const FLOOR_REQUESTS: u32 = 4;

/// What came of the requests to one host.
#[derive(Debug)]
pub(crate) struct Ratio {
    floor: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Requests that were sent, with all their retries.
    sent: u32,
    /// Those that failed by a fault that may pass.
    failed: u32,
    /// Those that were sent for the first time.
    first: u32,
    /// Those that will be sent again after a pause.
    pausing: u32,
    /// Retries that count: not where the host itself said when to come back, or went on.
    retries: u32,
}

/// A host that fails as a whole: so many requests failed, of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a pair of numbers")]
pub struct Failing {
    /// Requests that failed by a fault that may pass.
    pub failed: u32,
    /// Requests that were sent, with all their retries.
    pub sent: u32,
}

impl Ratio {
    /// Where one request may be repeated so often.
    pub(crate) fn new(retries: u32) -> Self {
        let floor = retries.saturating_mul(FLOOR_REQUESTS).max(FLOOR);
        Self { floor, state: Mutex::default() }
    }

    /// A request is sent.
    pub(crate) fn sent(&self) {
        self.with(|state| {
            state.sent = state.sent.saturating_add(1);
            match state.pausing.checked_sub(1) {
                Some(others) => state.pausing = others,
                None => state.first = state.first.saturating_add(1),
            }
        });
    }

    /// A request failed by a fault that may pass.
    pub(crate) fn failed(&self) {
        self.with(|state| state.failed = state.failed.saturating_add(1));
    }

    /// A request is sent again because the host said so: it is alive.
    pub(crate) fn put_off(&self) {
        self.with(|state| state.pausing = state.pausing.saturating_add(1));
    }

    /// A request is to be sent again.
    pub(crate) fn retry(&self) -> Result<(), Failing> {
        self.with(|state| {
            if state.retries >= self.floor.saturating_add(state.first / REQUESTS_PER_RETRY) {
                return Err(Failing { failed: state.failed, sent: state.sent });
            }
            state.pausing = state.pausing.saturating_add(1);
            state.retries += 1;
            Ok(())
        })
    }

    /// What was repeated has come on: that was no retry in vain.
    pub(crate) fn came_on(&self) {
        self.with(|state| state.retries = state.retries.saturating_sub(1));
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of many failing requests are sent again, after so many good ones.
    fn retries(ratio: &Ratio, good: u32) -> usize {
        (0..good).for_each(|_| ratio.sent());
        let fails = |ratio: &Ratio| {
            ratio.sent();
            ratio.failed();
            ratio.retry()
        };
        (0..).take_while(|_| fails(ratio).is_ok()).count()
    }

    #[test]
    fn beyond_a_floor_a_fifth_of_the_requests_may_be_retries() {
        // Each retry is sent, too, and is no first attempt.
        for (good, expected) in [(0, 20), (4, 21), (5, 21), (99, 40), (1000, 220)] {
            assert_eq!(retries(&Ratio::new(5), good), expected, "{good}");
        }
    }

    #[test]
    fn four_requests_may_be_repeated_as_often_as_one_may() {
        for (allowed, floor) in [(0, 20), (5, 20), (6, 24), (50, 200), (u32::MAX, u32::MAX)] {
            assert_eq!(Ratio::new(allowed).floor, floor, "{allowed}");
        }
    }

    #[test]
    fn what_the_host_put_off_and_what_came_on_does_not_count() {
        let ratio = Ratio::new(5);
        for _ in 0..1000 {
            ratio.sent();
            ratio.put_off();
            ratio.sent();
            ratio.failed();
            ratio.retry().unwrap();
            ratio.came_on();
        }
        assert_eq!(retries(&ratio, 0), 20);
        assert_eq!(ratio.retry(), Err(Failing { failed: 1021, sent: 2021 }));
    }
}
