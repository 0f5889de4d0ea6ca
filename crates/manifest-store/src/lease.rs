//! Leases: what one process at a time may do, wherever the store lies.
//!
//! In a directory a lease is a lock, and a process that is gone has none. In a bucket it is an object that its holder writes
//! anew again and again. Who waits for one and sees the same state of it for its whole term, by his own clock, takes it
//! over: no two machines' clocks are compared. Whoever was thought to be gone finds that out before he relies on the lease.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::backend::{Backend, Key, LockKey, Slot, Stop, Version};
use crate::lock::{Attempt, Guard, Holder};
use crate::store::{blocking, part_of, pause};
use crate::{StoreError, StoreOptions};

/// How long a lease in a bucket outlives its last renewal. Shorter than the usual wait for a lock, so that whoever comes after
/// one that died gets it.
const TERM: Duration = Duration::from_secs(15);

/// The longest term that is believed.
const LONGEST_TERM: Duration = Duration::from_secs(600);

/// How often the holder renews it within a term.
const RENEWALS: u32 = 3;

/// How often a holder tries to write the object; some services take one write a second.
const TRIES: u32 = 6;

/// The longest pause between two looks at a lease in a bucket; the real one is a random part of it, and a little.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(400));

/// The first word of the object, and the version of its format.
const MAGIC: &str = "manifest-lease 1 ";

/// How long somebody waits for a lease that another process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As long as the store may wait for a lock.
    AsLongAsAllowed,
    /// Until it is known that the holder lives: at once where the system tells, else until it renews the lease.
    WhetherAlive,
}

/// What keeps other processes away as long as it is held. One that is dropped without being [released](Self::release) is
/// that of a process that is gone: in a directory it is free at once, in a bucket after its term.
#[derive(Debug)]
pub struct Lease {
    hold: Hold,
}

#[derive(Debug)]
enum Hold {
    Lock(#[allow(dead_code, reason = "dropping it releases the lock")] Guard),
    Object(Arc<Kept>, Renewing),
}

/// What renews a lease until it is dropped.
#[derive(Debug)]
struct Renewing(JoinHandle<()>);

impl Drop for Renewing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A lease in a bucket.
#[derive(Debug)]
struct Kept {
    backend: Arc<dyn Backend>,
    what: LockKey,
    /// As messages name it.
    subject: String,
    content: Content,
    /// Since when nobody else can have it; the time at which its last renewal was sent.
    renewed: Mutex<Instant>,
}

/// What stands in the object of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    /// A random number that no other holder has.
    token: u64,
    term: Duration,
    /// Who has it: `PID HOST COMMAND SINCE` and a newline.
    note: String,
}

/// What a try to get a lease came to.
enum Tried {
    Held,
    /// Somebody else has written it in this moment.
    Again,
    Busy(Content, Version),
}

impl Lease {
    /// Waits for a lease and takes it.
    pub(crate) async fn take(
        (backend, options): (&Arc<dyn Backend>, &StoreOptions),
        what: LockKey,
        subject: String,
        wait: Wait,
    ) -> Result<Self, StoreError> {
        let note = Holder::note(&options.command, options.clock.now());
        let waiting = Waiting { since: Instant::now(), limit: options.lock_timeout, wait, subject };
        if backend.has_locks() {
            return waiting.for_lock(backend, what, note).await;
        }
        waiting.for_object(backend, what, note).await
    }

    /// Makes sure that nobody else has it, for a third of its term at least.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when somebody has taken it over; when the service cannot be asked.
    pub async fn confirm(&self) -> Result<(), StoreError> {
        let Hold::Object(kept, _) = &self.hold else { return Ok(()) };
        if kept.renewed.lock().await.elapsed() < TERM / RENEWALS * 2 { Ok(()) } else { kept.renew().await }
    }

    /// Gives it back. What cannot be said to the service is free after the term.
    pub async fn release(self) {
        if let Hold::Object(kept, renewing) = self.hold {
            drop(renewing);
            kept.give_back().await;
        }
    }
}

/// Somebody who waits for a lease.
struct Waiting {
    since: Instant,
    limit: Duration,
    wait: Wait,
    subject: String,
}

impl Waiting {
    async fn for_lock(
        self,
        backend: &Arc<dyn Backend>,
        what: LockKey,
        note: String,
    ) -> Result<Lease, StoreError> {
        loop {
            let (backend, what, note) = (backend.clone(), what.clone(), note.clone());
            let tried = blocking(move || {
                backend.prepare()?;
                backend.lock(&what, &note)
            });
            match tried.await? {
                Attempt::Held(guard) => return Ok(Lease { hold: Hold::Lock(guard) }),
                Attempt::Busy(holder) if self.wait == Wait::WhetherAlive => {
                    return Err(StoreError::Busy(self.subject, holder, Duration::ZERO));
                }
                Attempt::Busy(holder) => self.pause(pause(), holder).await?,
            }
        }
    }

    async fn for_object(
        self,
        backend: &Arc<dyn Backend>,
        what: LockKey,
        note: String,
    ) -> Result<Lease, StoreError> {
        let token =
            getrandom::u64().map_err(|error| StoreError::Io("read", "random bytes".into(), error.into()))?;
        let content = Content { token, term: TERM, note };
        // A state of it, and since when it has been that.
        let (mut seen, mut stale): (Option<(Version, Instant)>, Option<Version>) = (None, None);
        loop {
            let asked = Instant::now();
            let (store, key, ours) = (backend.clone(), what.clone(), content.clone());
            match blocking(move || try_take(&*store, &Key::Lease(key), &ours, stale.as_ref())).await? {
                Tried::Held => {
                    let kept = Kept {
                        backend: backend.clone(),
                        what,
                        subject: self.subject,
                        content,
                        renewed: Mutex::new(asked),
                    };
                    return Ok(kept.held());
                }
                Tried::Again => {
                    stale = None;
                    self.pause(part_of(LOOK.0), Holder::default()).await?;
                }
                Tried::Busy(theirs, version) => {
                    let holder = Holder::parse(&theirs.note);
                    stale = None;
                    match &seen {
                        Some((known, since)) if *known == version => {
                            if asked.saturating_duration_since(*since) >= theirs.term {
                                stale = Some(version);
                                continue;
                            }
                        }
                        Some(_) if self.wait == Wait::WhetherAlive => {
                            let waited = self.since.elapsed();
                            return Err(StoreError::Busy(self.subject, holder, waited));
                        }
                        _ => seen = Some((version, Instant::now())),
                    }
                    self.pause(LOOK.0 + part_of(LOOK.1), holder).await?;
                }
            }
        }
    }

    /// Waits a little, unless there was time enough.
    async fn pause(&self, time: Duration, holder: Holder) -> Result<(), StoreError> {
        let waited = self.since.elapsed();
        let left = self.limit.saturating_sub(waited);
        if left.is_zero() {
            return Err(StoreError::Busy(self.subject.clone(), holder, waited));
        }
        tokio::time::sleep(time.min(left)).await;
        Ok(())
    }
}

/// Takes a lease that nobody has, or whose holder is known to be gone since it is in this state.
fn try_take(
    backend: &dyn Backend,
    key: &Key,
    ours: &Content,
    stale: Option<&Version>,
) -> Result<Tried, StoreError> {
    backend.prepare()?;
    let Slot { bytes, version } = backend.read(key)?;
    if let Some(bytes) = bytes {
        let theirs = Content::parse(backend, key, &bytes)?;
        if theirs.token == ours.token {
            return Ok(Tried::Held);
        }
        if stale != Some(&version) {
            return Ok(Tried::Busy(theirs, version));
        }
    }
    match backend.write(key, &[&ours.encode()], &version) {
        Ok(()) => Ok(Tried::Held),
        // Whether it was written is seen when it is read again.
        Err(Stop::Again | Stop::Failed(StoreError::Uncertain(..))) => Ok(Tried::Again),
        Err(Stop::Failed(error)) => Err(error),
    }
}

impl Kept {
    /// The lease, which is renewed from now on.
    fn held(self) -> Lease {
        let kept = Arc::new(self);
        let renewed = kept.clone();
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(TERM / RENEWALS).await;
                // Another try follows; whoever relies on the lease asks before he does.
                if let Err(StoreError::LeaseLost(..)) = renewed.renew().await {
                    return;
                }
            }
        });
        Lease { hold: Hold::Object(kept, Renewing(renewing)) }
    }

    /// Writes it anew, if it is still ours.
    async fn renew(&self) -> Result<(), StoreError> {
        let mut renewed = self.renewed.lock().await;
        let asked = Instant::now();
        match self.change(Change::Renew).await? {
            Changed::Done => {
                *renewed = asked;
                Ok(())
            }
            Changed::Lost(holder) => Err(StoreError::LeaseLost(self.subject.clone(), holder)),
        }
    }

    /// Lets others have it, if it is still ours.
    async fn give_back(&self) {
        let _renewed = self.renewed.lock().await;
        // It ends by itself.
        drop(self.change(Change::GiveBack).await);
    }

    /// Changes the object as long as it is ours; a service that wants no further write now is asked a little later.
    async fn change(&self, change: Change) -> Result<Changed, StoreError> {
        let key = Key::Lease(self.what.clone());
        for round in 0..TRIES {
            let (backend, key, ours) = (self.backend.clone(), key.clone(), self.content.clone());
            let tried = blocking(move || try_change(&*backend, &key, &ours, change));
            if let Some(changed) = tried.await? {
                return Ok(changed);
            }
            tokio::time::sleep(part_of(LOOK.0.saturating_mul(1 << round))).await;
        }
        let busy = std::io::Error::from(std::io::ErrorKind::ResourceBusy);
        Err(StoreError::Io("write", self.backend.path(&key), busy))
    }
}

/// What a holder does to the object of his lease.
#[derive(Clone, Copy, Debug)]
enum Change {
    Renew,
    GiveBack,
}

enum Changed {
    Done,
    Lost(Holder),
}

/// `None` when the object was just written by somebody else, or may not be written now.
fn try_change(
    backend: &dyn Backend,
    key: &Key,
    ours: &Content,
    change: Change,
) -> Result<Option<Changed>, StoreError> {
    let Slot { bytes, version } = backend.read(key)?;
    let there = bytes.map(|bytes| Content::parse(backend, key, &bytes)).transpose()?;
    if there.as_ref().is_none_or(|there| there.token != ours.token) {
        let holder = there.map(|theirs| Holder::parse(&theirs.note)).unwrap_or_default();
        return Ok(Some(Changed::Lost(holder)));
    }
    let changed = match change {
        Change::Renew => backend.write(key, &[&ours.encode()], &version),
        Change::GiveBack => backend.remove(key, &version),
    };
    match changed {
        Ok(()) => Ok(Some(Changed::Done)),
        Err(Stop::Again) => Ok(None),
        Err(Stop::Failed(error)) => Err(error),
    }
}

impl Content {
    /// `manifest-lease 1 <token> <term in milliseconds>`, and the note on a line of its own.
    fn encode(&self) -> Vec<u8> {
        format!("{MAGIC}{:016x} {}\n{}", self.token, self.term.as_millis(), self.note).into_bytes()
    }

    fn parse(backend: &dyn Backend, key: &Key, bytes: &[u8]) -> Result<Self, StoreError> {
        Self::read(bytes)
            .ok_or_else(|| StoreError::damaged(backend.path(key), "it does not begin like a lease"))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (first, note) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
        let (token, term) = first.strip_prefix(MAGIC)?.split_once(' ')?;
        let token = u64::from_str_radix(token, 16).ok()?;
        let term = Duration::from_millis(term.parse().ok()?).min(LONGEST_TERM);
        Some(Self { token, term, note: note.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_lease_reads_back() {
        let content = Content { token: 255, term: TERM, note: "1 host manifest push 2026\n".to_owned() };
        let text = "manifest-lease 1 00000000000000ff 15000\n1 host manifest push 2026\n";
        assert_eq!(String::from_utf8(content.encode()).unwrap(), text);
        assert_eq!(Content::read(text.as_bytes()), Some(content));
        assert_eq!(Content::read(b"manifest-lease 1 ff 999999999999\n").unwrap().term, LONGEST_TERM);
        for odd in ["", "\n", "manifest-lease 2 ff 1\n", "manifest-lease 1 ff\n", "manifest-lease 1 x 1\n"] {
            assert_eq!(Content::read(odd.as_bytes()), None, "{odd}");
        }
    }
}
