//! How fast a host is asked: as fast as we can, until it says that this is too fast.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;

/// The rate at which one host is asked.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    state: Mutex<State>,
    /// Those who wait for their turn, in the order in which they came.
    queue: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Requests a second; none is no limit.
    rate: Option<f64>,
    /// When the next request may start.
    next: Duration,
    /// When the rate was last lowered.
    lowered: Duration,
    /// Good answers since the rate last changed.
    good: u32,
    answered: Answered,
}

/// Good answers in this second, and in the one before.
#[derive(Debug, Default)]
struct Answered {
    second: u64,
    now: u32,
    before: u32,
}

/// No host is asked less often than once a second.
const LEAST_RATE: f64 = 1.0;
/// The least rate that the first complaint brings, which may be about what others have asked.
const LEAST_FIRST_RATE: f64 = 8.0;
/// Good answers in a row after which one more request a second is tried.
const RECOVERY: u32 = 10;
/// Complaints within this time are about the same haste: what was under way when the first of them came.
const ONE_HASTE: Duration = Duration::from_secs(1);

impl Pace {
    /// Waits until the host may be asked.
    pub(crate) async fn turn(&self, clock: &dyn Clock) {
        if !self.with(|state| state.rate.is_some()) {
            return;
        }
        let _first = self.queue.lock().await;
        loop {
            // It may have complained again meanwhile, and then it is left alone for longer.
            let wait = self.with(|state| state.take(clock.elapsed()));
            if wait.is_zero() {
                return;
            }
            clock.pause(wait).await;
        }
    }

    /// The host said that it is asked too often, and how long to leave it alone. Its rate becomes half of what it was: at
    /// first half of what the host has lately answered in a second.
    pub(crate) fn slow_down(&self, now: Duration, pause: Duration) {
        self.with(|state| {
            state.next = state.next.max(now + pause);
            state.good = 0;
            let rate = match state.rate {
                Some(_) if now < state.lowered + ONE_HASTE => return,
                Some(rate) => (rate / 2.0).max(LEAST_RATE),
                None => (f64::from(state.answered.most(now)) / 2.0).max(LEAST_FIRST_RATE),
            };
            (state.rate, state.lowered) = (Some(rate), now);
        });
    }

    /// The host answered well.
    pub(crate) fn good(&self, now: Duration) {
        self.with(|state| {
            let Some(rate) = state.rate else { return state.answered.add(now) };
            state.good += 1;
            if state.good >= RECOVERY {
                (state.good, state.rate) = (0, Some(rate + 1.0));
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// Takes the turn, or says how long it is until then.
    fn take(&mut self, now: Duration) -> Duration {
        let wait = self.next.saturating_sub(now);
        if let (true, Some(rate)) = (wait.is_zero(), self.rate) {
            self.next = now + Duration::from_secs_f64(1.0 / rate);
        }
        wait
    }
}

impl Answered {
    fn add(&mut self, now: Duration) {
        self.turn_to(now);
        self.now = self.now.saturating_add(1);
    }

    /// The most in one of the two seconds.
    fn most(&mut self, now: Duration) -> u32 {
        self.turn_to(now);
        self.now.max(self.before)
    }

    fn turn_to(&mut self, now: Duration) {
        let second = now.as_secs();
        if second != self.second {
            self.before = if second == self.second + 1 { self.now } else { 0 };
            (self.second, self.now) = (second, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BinaryHeap;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A host that takes ten requests in each second, and clients that ask it as fast as they may.
    struct Strict {
        taken: (u64, u32),
        asked: Vec<Duration>,
    }

    impl Strict {
        fn ask(&mut self, now: Duration) -> bool {
            self.asked.push(now);
            if self.taken.0 != now.as_secs() {
                self.taken = (now.as_secs(), 0);
            }
            self.taken.1 += 1;
            self.taken.1 <= 10
        }
    }

    fn rate(pace: &Pace) -> Option<f64> {
        pace.with(|state| state.rate)
    }

    #[test]
    fn a_host_that_never_complains_is_never_kept_waiting() {
        let pace = Pace::default();
        assert!((0..1000).all(|_| pace.with(|state| state.take(SECOND)).is_zero()));
    }

    #[test]
    fn the_rate_halves_on_complaints_and_recovers_with_good_answers() {
        let pace = Pace::default();
        (0..32).for_each(|_| pace.good(Duration::ZERO));
        pace.slow_down(Duration::ZERO, SECOND);
        assert_eq!(rate(&pace), Some(16.0), "half of what it answered in a second");
        assert_eq!(pace.with(|state| state.take(Duration::ZERO)), SECOND, "everybody waits");
        assert_eq!(pace.with(|state| state.take(SECOND)), Duration::ZERO);
        assert_eq!(pace.with(|state| state.take(SECOND)), SECOND / 16);
        (1..9).for_each(|second| pace.slow_down(SECOND * second, Duration::ZERO));
        assert_eq!(rate(&pace), Some(1.0), "one a second is the slowest");
        (0..RECOVERY).for_each(|_| pace.good(SECOND));
        assert_eq!(rate(&pace), Some(2.0));
    }

    #[test]
    fn complaints_about_what_was_under_way_count_once() {
        let pace = Pace::default();
        (0..40).for_each(|_| pace.good(Duration::ZERO));
        (0..24).for_each(|_| pace.slow_down(Duration::ZERO, SECOND / 4));
        assert_eq!(rate(&pace), Some(20.0));
        pace.slow_down(SECOND / 2, SECOND);
        assert_eq!(rate(&pace), Some(20.0), "the pause counts all the same");
        assert_eq!(pace.with(|state| state.take(SECOND)), SECOND / 2);
    }

    #[test]
    fn a_host_that_takes_ten_a_second_is_never_asked_more_than_twelve_times_in_one_once_it_complained() {
        let (pace, mut host) = (Pace::default(), Strict { taken: (0, 0), asked: Vec::new() });
        // 24 clients; each asks again when its answer came, which takes 5 ms.
        let mut answers: BinaryHeap<_> = BinaryHeap::new();
        let mut now = Duration::from_millis(990);
        let mut complained = None;
        (0..24).for_each(|_| answers.push(std::cmp::Reverse((now, None))));
        while host.asked.len() < 1_000 {
            let std::cmp::Reverse((at, answer)) = answers.pop().unwrap();
            now = at;
            match answer {
                Some(true) => pace.good(now),
                Some(false) => {
                    complained.get_or_insert(now);
                    pace.slow_down(now, SECOND / 4);
                }
                None => {}
            }
            let wait = pace.with(|state| state.take(now));
            let next = if wait.is_zero() {
                (now + Duration::from_millis(5), Some(host.ask(now)))
            } else {
                (now + wait, None)
            };
            answers.push(std::cmp::Reverse(next));
        }
        let since: Vec<_> = host.asked.iter().filter(|at| **at >= complained.unwrap()).collect();
        let busiest = since
            .iter()
            .map(|from| since.iter().filter(|at| ***at >= **from && ***at < **from + SECOND).count());
        assert!(busiest.max().unwrap() <= 12);
        let took = now - complained.unwrap();
        assert!(took < SECOND * 140, "and yet nearly as often as it allows: {took:?} for {}", since.len());
    }
}
