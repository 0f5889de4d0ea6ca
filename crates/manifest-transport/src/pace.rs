//! How fast a host is asked: as fast as we can, until it says that this is too fast.

use std::sync::Mutex;
use std::time::Duration;

/// The rate at which one host is asked.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Requests a second; none is no limit.
    rate: Option<f64>,
    /// When the next request may start.
    next: Duration,
    /// Good answers since the rate last changed.
    good: u32,
}

/// The rate that the first "too many requests" brings; afterwards it halves, but not below one a second.
const FIRST_RATE: f64 = 16.0;
/// Good answers in a row after which one more request a second is tried.
const RECOVERY: u32 = 10;
/// Above this rate there is no limit any more.
const FREE_RATE: f64 = 64.0;

impl Pace {
    /// Takes the next place in the row: how long to wait for it.
    pub(crate) fn wait(&self, now: Duration) -> Duration {
        let Ok(mut state) = self.0.lock() else { return Duration::ZERO };
        let Some(rate) = state.rate else { return state.next.saturating_sub(now) };
        let start = state.next.max(now);
        state.next = start + Duration::from_secs_f64(1.0 / rate);
        start.saturating_sub(now)
    }

    /// The host said that it is asked too often, and how long to leave it alone.
    pub(crate) fn slow_down(&self, now: Duration, pause: Duration) {
        let Ok(mut state) = self.0.lock() else { return };
        state.rate = Some(state.rate.map_or(FIRST_RATE, |rate| (rate / 2.0).max(1.0)));
        state.next = state.next.max(now + pause);
        state.good = 0;
    }

    /// The host answered well.
    pub(crate) fn good(&self) {
        let Ok(mut state) = self.0.lock() else { return };
        let Some(rate) = state.rate else { return };
        state.good += 1;
        if state.good >= RECOVERY {
            state.good = 0;
            state.rate = Some(rate + 1.0).filter(|rate| *rate <= FREE_RATE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_host_that_never_complains_is_never_kept_waiting() {
        let pace = Pace::default();
        assert!((0..1000).all(|_| pace.wait(SECOND) == Duration::ZERO));
    }

    #[test]
    fn the_rate_halves_on_complaints_and_recovers_with_good_answers() {
        let pace = Pace::default();
        pace.slow_down(Duration::ZERO, SECOND);
        assert_eq!(pace.wait(Duration::ZERO), SECOND, "everybody waits, not only who was told");
        assert_eq!(pace.wait(Duration::ZERO), SECOND + SECOND / 16);
        (0..9).for_each(|_| pace.slow_down(Duration::ZERO, Duration::ZERO));
        let before = pace.wait(Duration::ZERO);
        assert_eq!(pace.wait(Duration::ZERO), before + SECOND, "one a second is the slowest");
        (0..RECOVERY).for_each(|_| pace.good());
        let before = pace.wait(Duration::ZERO);
        assert_eq!(pace.wait(Duration::ZERO), before + SECOND / 2);
    }
}
