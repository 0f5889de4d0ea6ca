//! The door to the records.

mod waiting;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use manifest_core::ListName;

use crate::files::Disk;
use crate::local::{Creation, Local, LockKey, Removal, Retagging};
use crate::record::{Settled, Stamp};
use crate::{Draft, Record, RecordId, Selector, StoreError, UpdateError};
use waiting::{Locks, blocking};

/// How often an operation starts again when the record that is meant changed while its lock was waited for.
const STARTS: usize = 16;

/// The place of records.
///
/// Cheap to open and to clone: nothing is read before it is needed, and nothing is created before something
/// is saved. Dropping the future of a change before it is done leaves the change made or not made, never half.
#[derive(Clone, Debug)]
pub struct Store {
    local: Arc<Local>,
    options: Arc<StoreOptions>,
}

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

    fn now(&self) -> Timestamp {
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

/// What to do when the name for a new record is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IfTaken {
    /// Refuse.
    #[default]
    Refuse,
    /// Take the name from the old record, which stays, perhaps without a name.
    Replace,
}

/// Whether to remove a record that has several names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Force {
    /// Refuse.
    #[default]
    No,
    /// Remove it and all its names.
    Yes,
}

/// What an update gave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Updated<T> {
    /// What the edit returned.
    pub value: T,
    /// The record after it.
    pub record: Record,
    /// Whether anything changed; if not, nothing was written.
    pub changed: bool,
}

/// What a removal removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// The names that are free now.
    pub untagged: Vec<ListName>,
    /// The record that is gone, if it is.
    pub deleted: Option<RecordId>,
}

impl Store {
    /// A store in the directory `root`, which need not exist.
    pub fn open(root: impl Into<PathBuf>, options: StoreOptions) -> Self {
        Self { local: Arc::new(Local::new(root.into(), Box::new(Disk))), options: Arc::new(options) }
    }

    /// Saves a new record under a name.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] with [`IfTaken::Refuse`]; [`StoreError::Unencodable`]; what locks and disks refuse.
    pub async fn create(
        &self,
        name: &ListName,
        draft: Draft,
        if_taken: IfTaken,
    ) -> Result<Record, StoreError> {
        let id = RecordId::random()
            .map_err(|error| StoreError::Io("read", PathBuf::from("random bytes"), error.into()))?;
        let (local, stamp, name) = (self.local.clone(), self.stamp(), name.clone());
        let for_record = (stamp.clone(), name.clone());
        let (record, mut old) = blocking(move || {
            let (stamp, name) = for_record;
            let record = Record::new(id, name.clone(), draft, &stamp)?;
            local.prepare()?;
            Ok((record, local.holder_of(&name)?))
        })
        .await?;
        for _ in 0..STARTS {
            if let (Some(id), IfTaken::Refuse) = (old, if_taken) {
                return Err(StoreError::NameTaken { name, id });
            }
            let records = old.into_iter().chain([id]).map(LockKey::Record);
            let locks = self.lock(records.chain([LockKey::Name(name.clone())]), name.to_string());
            let (creation, stamp) =
                (Creation { record: record.clone(), name: name.clone(), old }, stamp.clone());
            let (_, made) = locks
                .run(move |local| {
                    let made = local.create(&creation, &stamp)?;
                    Ok(if made { Ok(creation.record) } else { Err(local.holder_of(&creation.name)?) })
                })
                .await?;
            match made {
                Ok(record) => return Ok(record),
                Err(now) => old = now,
            }
        }
        Err(changing(&name))
    }

    /// Reads a record. Never waits for a lock.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::AmbiguousId`]; [`StoreError::Damaged`]; [`StoreError::NewerVersion`].
    pub async fn load(&self, which: &Selector) -> Result<Record, StoreError> {
        let (local, which) = (self.local.clone(), which.clone());
        blocking(move || local.load(&which)).await
    }

    /// The record that is meant, found without reading it: enough to know early that there is none.
    ///
    /// # Errors
    /// As [`Store::load`]; what is wrong inside the record is found when it is read.
    pub async fn find(&self, which: &Selector) -> Result<RecordId, StoreError> {
        let (local, which) = (self.local.clone(), which.clone());
        blocking(move || local.guess(&which)).await
    }

    /// Whether there is such a record.
    ///
    /// # Errors
    /// As [`Store::load`], but for [`StoreError::NotFound`].
    pub async fn exists(&self, which: &Selector) -> Result<bool, StoreError> {
        match self.load(which).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads all records, the one that was changed last first; damaged ones are errors beside the others.
    ///
    /// # Errors
    /// When the store as a whole cannot be read.
    pub async fn records(&self) -> Result<Vec<Result<Record, StoreError>>, StoreError> {
        let local = self.local.clone();
        blocking(move || local.load_all()).await
    }

    /// Edits a record under its lock: reads it again, edits, and replaces it in one rename.
    ///
    /// The edit is the caller's own code and runs on the caller's thread while the lock is held, so it must
    /// not wait for anything; it may run again from the start. When it changes nothing, nothing is written.
    ///
    /// # Errors
    /// [`UpdateError::Edit`] is what the edit returned. [`UpdateError::Store`] is [`StoreError::Busy`] after
    /// [`StoreOptions::lock_timeout`], or what [`Store::load`] and [`Store::create`] fail with.
    pub async fn update<T, E>(
        &self,
        which: &Selector,
        mut edit: impl FnMut(&mut Draft) -> Result<T, E>,
    ) -> Result<Updated<T>, UpdateError<E>> {
        let (locks, record) = self.open_record(which).await?;
        let (mut draft, opened) = record.open();
        let value = edit(&mut draft).map_err(UpdateError::Edit)?;
        let stamp = self.stamp();
        let (_, (record, changed)) = locks
            .run(move |local| match opened.settle(draft, &stamp)? {
                Settled::Same(record) => Ok((record, false)),
                Settled::Changed(record, head) => local.write_after(&head, &record).map(|()| (record, true)),
            })
            .await?;
        Ok(Updated { value, record, changed })
    }

    /// Gives a record one more name; a name that it has already is fine.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] when another record has the name; else as [`Store::update`].
    pub async fn tag(&self, which: &Selector, new: &ListName) -> Result<Record, StoreError> {
        let mut id = self.find(which).await?;
        for _ in 0..STARTS {
            let locks = self.lock([LockKey::Name(new.clone()), LockKey::Record(id)], which.to_string());
            let (tagging, stamp, selector) =
                (Retagging { id, name: new.clone() }, self.stamp(), which.clone());
            let (_, tagged) = locks.run(move |local| local.tag(&tagging, &selector, &stamp)).await?;
            match tagged {
                Some(record) => return Ok(record),
                None => id = self.load(which).await?.id(),
            }
        }
        Err(changing(which))
    }

    /// Takes a name from its record, which stays, perhaps without a name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when no record has the name; else as [`Store::update`].
    pub async fn untag(&self, name: &ListName) -> Result<Record, StoreError> {
        for _ in 0..STARTS {
            let (local, wanted) = (self.local.clone(), name.clone());
            let holder = blocking(move || local.holder_of(&wanted)).await?;
            let id = holder.ok_or_else(|| StoreError::NotFound(name.to_string()))?;
            let locks = self.lock([LockKey::Name(name.clone()), LockKey::Record(id)], name.to_string());
            let (untagging, stamp) = (Retagging { id, name: name.clone() }, self.stamp());
            let (_, untagged) = locks.run(move |local| local.untag(&untagging, &stamp)).await?;
            if let Some(record) = untagged {
                return Ok(record);
            }
        }
        Err(changing(name))
    }

    /// Removes what is meant: one of several names, or the record with its last name.
    ///
    /// A record that is named by its id is removed as a whole.
    ///
    /// # Errors
    /// [`StoreError::SeveralNames`] when an id was given, the record has more than one name and `force` is
    /// [`Force::No`]; else as [`Store::update`].
    pub async fn remove(&self, which: &Selector, force: Force) -> Result<Removed, StoreError> {
        for _ in 0..STARTS {
            let record = self.load(which).await?;
            let (id, names) = (record.id(), record.names().to_vec());
            match which.name().filter(|name| names.contains(name)) {
                Some(name) if names.len() > 1 => {
                    self.untag(name).await?;
                    return Ok(Removed { untagged: vec![name.clone()], deleted: None });
                }
                None if names.len() > 1 && force == Force::No => {
                    return Err(StoreError::SeveralNames { id, names });
                }
                _ => {}
            }
            let keys = names.iter().cloned().map(LockKey::Name).chain([LockKey::Record(id)]);
            let locks = self.lock(keys, which.to_string());
            let removal = Removal { id, names: names.clone() };
            let (_, done) = locks.run(move |local| local.delete(&removal)).await?;
            if done {
                return Ok(Removed { untagged: names, deleted: Some(id) });
            }
        }
        Err(changing(which))
    }

    /// Locks the record that is meant, and reads it under the lock.
    async fn open_record(&self, which: &Selector) -> Result<(Locks, Record), StoreError> {
        let mut id = self.find(which).await?;
        for _ in 0..STARTS {
            let locks = self.lock([LockKey::Record(id)], which.to_string());
            let selector = which.clone();
            match locks.run(move |local| local.load_as(id, &selector)).await? {
                (locks, Some(record)) => return Ok((locks, record)),
                (locks, None) => {
                    drop(locks);
                    id = self.load(which).await?.id();
                }
            }
        }
        Err(changing(which))
    }

    fn lock(&self, keys: impl IntoIterator<Item = LockKey>, subject: String) -> Locks {
        Locks::new(self.local.clone(), self.options.clone(), keys, subject)
    }

    fn stamp(&self) -> Stamp {
        Stamp::new(self.options.clock.now(), &self.options.command)
    }
}

/// A record was replaced or renamed by others each time its lock was there at last.
fn changing(what: &impl fmt::Display) -> StoreError {
    StoreError::NotFound(format!("{what} (it changes hands all the time)"))
}
