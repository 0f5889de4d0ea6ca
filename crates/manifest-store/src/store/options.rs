//! Settings of a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// Settings of a store.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct StoreOptions {
    /// How long to wait for a lock; zero tries once.
    pub lock_timeout: Duration,
    /// What is being done, shown to those who wait for it, and in the history.
    pub command: String,
    /// What time it is; it decides nothing but what is printed.
    pub clock: Clock,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_secs(30),
            command: "manifest".to_owned(),
            clock: Clock::default(),
        }
    }
}

/// What tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}
