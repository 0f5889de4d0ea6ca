//! Settings of a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::lock::Holder;

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
    /// Who is told when it has to be waited for a lock for a while.
    pub waiting: Waiting,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_secs(30),
            command: "manifest".to_owned(),
            clock: Clock::default(),
            waiting: Waiting::default(),
        }
    }
}

/// Who is told when it has to be waited for a lock for a while: what is locked, and who holds it. By default nobody is.
#[derive(Clone, Default)]
pub struct Waiting(Option<Arc<Tell>>);

type Tell = dyn Fn(&str, &Holder) + Send + Sync;

impl Waiting {
    /// Tells `tell`, which must not block, once for each change that waits.
    pub fn new(tell: impl Fn(&str, &Holder) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(crate) fn tell(&self, what: &str, holder: &Holder) {
        if let Some(tell) = &self.0 {
            tell(what, holder);
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
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
