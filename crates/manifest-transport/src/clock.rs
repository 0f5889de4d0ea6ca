//! Time and chance, handed in so that tests decide both.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// A pause that ends by itself.
pub type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where pauses, ages and jitter come from.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Time since some fixed moment; never runs backwards.
    fn elapsed(&self) -> Duration;
    /// Ends after `length`.
    fn pause(&self, length: Duration) -> Pause;
    /// A random number from 0 up to, but not including, 1.
    fn chance(&self) -> f64;
}

/// The clock of the machine and the randomness of its kernel.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn pause(&self, length: Duration) -> Pause {
        Box::pin(tokio::time::sleep(length))
    }

    fn chance(&self) -> f64 {
        // Without randomness the pause is the middle one; it is a courtesy, not a secret.
        let random = getrandom::u32().unwrap_or(1 << 31);
        f64::from(random) / (f64::from(u32::MAX) + 1.0)
    }
}
