//! The door to the records.

mod connect;
mod copy;
mod lost;
mod prune;
mod take;
mod waiting;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use manifest_core::{Digest, ListName};

use crate::backend::{Backend, Local, LockKey, Stop};
use crate::catalog::{Catalog, Creation, Found, Last, Removal, Renaming};
use crate::files::Disk;
use crate::record::{Opened, Settled, Stamp};
use crate::{Blobs, Cache, Draft, HeldBy, NewRecord, Record, RecordId, Selector, StoreError, UpdateError};
pub(crate) use waiting::{Locks, Turn, blocking, joined};

/// The place of records.
///
/// Cheap to open and to clone: nothing is read before it is needed, and nothing is created before something
/// is saved. Dropping the future of a change before it is done leaves the change made or not made, never half.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Arc<dyn Backend>,
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

/// Whether to remove a record that has several names, or that somebody holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Force {
    /// Refuse.
    #[default]
    No,
    /// Remove it and all its names, unless somebody holds it.
    Names,
    /// Remove it and all its names, whoever holds it.
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
    /// Who held it all the same.
    pub overridden: Vec<HeldBy>,
}

/// What an undo gave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Undone {
    /// The record after it.
    pub record: Record,
    /// The number of the change whose outcome it is now.
    pub to: u64,
    /// The digest of the document before the undo.
    pub before: Digest,
}

impl Store {
    /// A store in the directory `root`, which need not exist.
    pub fn open(root: impl Into<PathBuf>, options: StoreOptions) -> Self {
        Self::over(Local::new(root.into(), Box::new(Disk)), options)
    }

    pub(crate) fn over(backend: impl Backend + 'static, options: StoreOptions) -> Self {
        Self { backend: Arc::new(backend), options: Arc::new(options) }
    }

    /// Saves a new record under a name.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] with [`IfTaken::Refuse`]; [`StoreError::Unencodable`]; what locks and disks refuse.
    pub async fn create<N>(&self, name: &ListName, new: N, if_taken: IfTaken) -> Result<Record, StoreError>
    where
        N: TryInto<NewRecord, Error: Into<StoreError>>,
    {
        let new = new.try_into().map_err(Into::into)?;
        let (mut turn, stamp) = (self.turn(name), self.stamp());
        let mut record = Record::new(random_id()?, name.clone(), new, &stamp)?;
        self.read(|catalog| catalog.0.prepare()).await?;
        loop {
            let wanted = name.clone();
            let old = self.read(move |catalog| catalog.holder_of(&wanted)).await?;
            if let (Some(id), IfTaken::Refuse) = (old, if_taken) {
                return Err(StoreError::NameTaken { name: name.clone(), id });
            }
            if !turn.is_first() {
                // An id is used once: what was there under the last one may be removed at this very moment.
                record = record.under(random_id()?);
            }
            let records = record.used().chain(old).chain([record.id()]).map(LockKey::Record);
            let locks = self.lock(records.chain([LockKey::Name(name.clone())]), &turn);
            let creation = Creation { record: record.clone(), name: name.clone(), old };
            let stamp = stamp.clone();
            let made = locks.run(move |catalog| catalog.create(creation, &stamp)).await;
            if let Some((_, record)) = turn.settle(made).await? {
                return Ok(record);
            }
        }
    }

    /// Reads a record. Never waits for a lock.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::AmbiguousId`]; [`StoreError::Damaged`]; [`StoreError::NewerVersion`].
    pub async fn load(&self, which: &Selector) -> Result<Record, StoreError> {
        let which = which.clone();
        self.read(move |catalog| catalog.load(&which)).await
    }

    /// The record that is meant, found without reading it: enough to know early that there is none.
    ///
    /// # Errors
    /// As [`Store::load`]; what is wrong inside the record is found when it is read.
    pub async fn find(&self, which: &Selector) -> Result<RecordId, StoreError> {
        let which = which.clone();
        self.read(move |catalog| catalog.guess(&which)).await
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
        self.read(|catalog| catalog.load_all()).await
    }

    /// Edits a list under its lock: reads it again, edits, and replaces it in one step.
    ///
    /// The edit is the caller's own code and runs on the caller's thread, under the lock where there is one, so it
    /// must not wait for anything; it may run again from the start. When it changes nothing, nothing is written.
    ///
    /// # Errors
    /// [`UpdateError::Edit`] is what the edit returned. [`UpdateError::Store`] is [`StoreError::Busy`] after
    /// [`StoreOptions::lock_timeout`], [`StoreError::NotAList`], or what [`Store::load`] and [`Store::create`] fail with.
    pub async fn update<T, E>(
        &self,
        which: &Selector,
        edit: impl FnMut(&mut Draft) -> Result<T, E>,
    ) -> Result<Updated<T>, UpdateError<E>> {
        self.update_using(which, &[], edit).await
    }

    /// The same for an edit that takes entries from other records, which are in use from then on.
    ///
    /// The edit says so in the sources that it adds ([`Source::record`](crate::Source::record)).
    ///
    /// # Errors
    /// As [`Store::update`]; [`StoreError::NotFound`] also when one of the `used` records is gone.
    pub async fn update_using<T, E>(
        &self,
        which: &Selector,
        used: &[RecordId],
        mut edit: impl FnMut(&mut Draft) -> Result<T, E>,
    ) -> Result<Updated<T>, UpdateError<E>> {
        let mut turn = self.turn(which);
        loop {
            let opened = self.open_record(which, used, &turn).await;
            let Some((locks, found)) = turn.settle(opened).await? else { continue };
            let (mut draft, opened) = found.record.open()?;
            let value = edit(&mut draft).map_err(UpdateError::Edit)?;
            let (stamp, version, used) = (self.stamp(), found.version, used.to_vec());
            let settle = move |catalog: Catalog<'_>| match Opened::settle(opened, draft, &stamp)? {
                Settled::Same(record) => {
                    catalog.confirm(&record)?;
                    Ok((record, false))
                }
                Settled::Changed(record, head) => {
                    if let Some(gone) = catalog.mark_used(&used, record.id(), &stamp)?.first() {
                        return Err(StoreError::NotFound(gone.to_string()).into());
                    }
                    catalog.write(&head, &record, &version)?;
                    Ok((record, true))
                }
            };
            let settled = locks.run(settle).await;
            if let Some((_, (record, changed))) = turn.settle(settled).await? {
                return Ok(Updated { value, record, changed });
            }
        }
    }

    /// Gives a record one more name; a name that it has already is fine.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] when another record has the name; else as [`Store::update`].
    pub async fn tag(&self, which: &Selector, new: &ListName) -> Result<Record, StoreError> {
        self.change_names(which, Some(new), None).await
    }

    /// Takes a name from its record, which stays, perhaps without a name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when no record has the name; else as [`Store::update`].
    pub async fn untag(&self, name: &ListName) -> Result<Record, StoreError> {
        self.change_names(&Selector::from(name), None, Some(name)).await
    }

    /// Gives a record another name in place of the one it has, in one step.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when no record has the name `old`; [`StoreError::NameTaken`] when another one has
    /// `new`; else as [`Store::update`].
    pub async fn rename(&self, old: &ListName, new: &ListName) -> Result<Record, StoreError> {
        let loses = Some(old).filter(|old| *old != new);
        self.change_names(&Selector::from(old), Some(new), loses).await
    }

    async fn change_names(
        &self,
        which: &Selector,
        gets: Option<&ListName>,
        loses: Option<&ListName>,
    ) -> Result<Record, StoreError> {
        let (mut turn, stamp) = (self.turn(which), self.stamp());
        loop {
            // A guess serves when its record is still the one that is meant; the second try takes a closer look.
            let id = if turn.is_first() { self.find(which).await? } else { self.load(which).await?.id() };
            let names = gets.into_iter().chain(loses).cloned().map(LockKey::Name);
            let locks = self.lock(names.chain([LockKey::Record(id)]), &turn);
            let renaming = Renaming { id, gets: gets.cloned(), loses: loses.cloned(), last: Last::Goes };
            let (which, stamp) = (which.clone(), stamp.clone());
            let renamed = locks.run(move |catalog| catalog.rename(&renaming, &which, &stamp)).await;
            if let Some((_, record)) = turn.settle(renamed).await? {
                return Ok(record);
            }
        }
    }

    /// What the records hold beside their documents: manifests of images, configurations, layers.
    pub fn blobs(&self) -> Blobs {
        Blobs::new(self.backend.clone(), self.options.clone())
    }

    /// What references stood for when they were read last.
    pub fn cache(&self) -> Cache {
        Cache(self.backend.clone())
    }

    /// Takes a hold on a record: it is not removed as long as somebody holds it. Holds outlive processes; the same
    /// holder twice is one hold, which then ends at `until`.
    ///
    /// # Errors
    /// As [`Store::update`].
    pub async fn hold(
        &self,
        which: &Selector,
        by: &str,
        until: Option<Timestamp>,
    ) -> Result<Record, StoreError> {
        let by = HeldBy::Name(by.to_owned());
        self.amend(which, move |record, stamp| Ok(record.hold(by.clone(), until, stamp))).await
    }

    /// Ends a hold; one that is not there is fine.
    ///
    /// # Errors
    /// As [`Store::update`].
    pub async fn release(&self, which: &Selector, by: &str) -> Result<Record, StoreError> {
        let by = HeldBy::Name(by.to_owned());
        self.amend(which, move |record, _| Ok(record.release(&by))).await
    }

    /// Who holds a record now, sorted: those whose hold has not ended, and the lists that have it as an entry.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub async fn holders(&self, record: &Record) -> Result<Vec<HeldBy>, StoreError> {
        let (record, now) = (record.clone(), self.options.clock.now());
        self.read(move |catalog| catalog.holders(&record, now)).await
    }

    /// Notes in a record where it was pushed to, and the digest of what was pushed: by now it may have another one.
    ///
    /// # Errors
    /// As [`Store::update`].
    pub async fn note_push(
        &self,
        which: &Selector,
        target: &str,
        digest: Digest,
    ) -> Result<Record, StoreError> {
        let target = target.to_owned();
        self.amend(which, move |record, stamp| {
            record.note_push(target.clone(), digest, stamp);
            Ok(true)
        })
        .await
    }

    /// Removes what is meant: one of several names, or the record with its last name.
    ///
    /// A record that is named by its id is removed as a whole.
    ///
    /// # Errors
    /// [`StoreError::SeveralNames`] when an id was given, the record has more than one name and `force` is
    /// [`Force::No`]; [`StoreError::Held`] when somebody holds the record and `force` is not [`Force::Yes`]; else as
    /// [`Store::update`].
    pub async fn remove(&self, which: &Selector, force: Force) -> Result<Removed, StoreError> {
        let mut turn = self.turn(which);
        loop {
            let record = self.load(which).await?;
            let (id, names) = (record.id(), record.names().to_vec());
            match which.name().filter(|name| names.contains(name)) {
                Some(name) if names.len() > 1 => {
                    let untagging = Renaming { id, gets: None, loses: Some(name.clone()), last: Last::Stays };
                    let locks = self.lock([LockKey::Name(name.clone()), LockKey::Record(id)], &turn);
                    let (stamp, named) = (self.stamp(), Selector::from(name));
                    let untagged = locks.run(move |catalog| catalog.rename(&untagging, &named, &stamp)).await;
                    if turn.settle(untagged).await?.is_some() {
                        let untagged = vec![name.clone()];
                        return Ok(Removed { untagged, deleted: None, overridden: Vec::new() });
                    }
                    continue;
                }
                None if names.len() > 1 && force == Force::No => {
                    return Err(StoreError::SeveralNames { id, names });
                }
                _ => {}
            }
            let keys = names.iter().cloned().map(LockKey::Name).chain([LockKey::Record(id)]);
            let locks = self.lock(keys, &turn);
            let removal = Removal { id, names: names.clone(), force, now: self.options.clock.now() };
            let removed = locks.run(move |catalog| catalog.delete(&removal)).await;
            if let Some((_, overridden)) = turn.settle(removed).await? {
                return Ok(Removed { untagged: names, deleted: Some(id), overridden });
            }
        }
    }

    /// Makes a list what it was after the change `to`, or before the last change that still stands. Names stay.
    ///
    /// The way back is a change of its own, so that it can be undone too: to the number of a later change.
    ///
    /// # Errors
    /// [`StoreError::NothingToUndo`]; [`StoreError::NoSuchChange`]; else as [`Store::update`].
    pub async fn undo(&self, which: &Selector, to: Option<u64>) -> Result<Undone, StoreError> {
        let mut turn = self.turn(which);
        loop {
            let used = self.load(which).await?.look_back(to)?.used();
            let opened = self.open_record(which, &used, &turn).await;
            let Some((locks, Found { record, version })) = turn.settle(opened).await? else { continue };
            let stamp = self.stamp();
            let undo = move |catalog: Catalog<'_>| {
                let before = record.encoded().digest;
                let back = record.look_back(to)?;
                if back.used() != used {
                    return Err(Stop::Again);
                }
                let to = back.to;
                let comes: Vec<RecordId> = used.into_iter().filter(|used| !record.uses(*used)).collect();
                let record = match record.go_back(back, &stamp)? {
                    Settled::Same(record) => {
                        catalog.confirm(&record)?;
                        record
                    }
                    Settled::Changed(record, head) => {
                        // Those that are gone are not needed: the list holds the content itself.
                        catalog.mark_used(&comes, record.id(), &stamp)?;
                        catalog.write(&head, &record, &version)?;
                        record
                    }
                };
                Ok(Undone { record, to, before })
            };
            let undone = locks.run(undo).await;
            if let Some((_, undone)) = turn.settle(undone).await? {
                return Ok(undone);
            }
        }
    }

    /// Forgets the history of a record, but for the number of its changes: what they held may be collected then.
    ///
    /// # Errors
    /// As [`Store::update`].
    pub async fn prune_history(&self, which: &Selector) -> Result<Record, StoreError> {
        self.amend(which, |record, _| Ok(record.forget_history())).await
    }

    /// Removes a record with all its names if it is still what was read: none of its edits, and no name, is lost.
    /// `None` when it is not, or is gone.
    ///
    /// # Errors
    /// [`StoreError::Held`]; else as [`Store::remove`].
    pub async fn remove_unchanged(&self, record: &Record) -> Result<Option<Removed>, StoreError> {
        let (id, names) = (record.id(), record.names().to_vec());
        let mut turn = self.turn(&record.title());
        loop {
            let keys = names.iter().cloned().map(LockKey::Name).chain([LockKey::Record(id)]);
            let locks = self.lock(keys, &turn);
            let now = self.options.clock.now();
            let removal = Removal { id, names: names.clone(), force: Force::Names, now };
            let read = record.history().clone();
            let removed = locks
                .run(move |catalog| match catalog.read(id)? {
                    Some(found) if *found.record.history() == read => catalog.delete(&removal).map(Some),
                    _ => Ok(None),
                })
                .await;
            if let Some((_, removed)) = turn.settle(removed).await? {
                return Ok(removed.map(|overridden| Removed {
                    untagged: names,
                    deleted: Some(id),
                    overridden,
                }));
            }
        }
    }

    /// Changes what stands beside the document of a record, under its lock. `change` says whether it changed anything.
    async fn amend(
        &self,
        which: &Selector,
        change: impl Fn(&mut Record, &Stamp) -> Result<bool, StoreError> + Clone + Send + 'static,
    ) -> Result<Record, StoreError> {
        let mut turn = self.turn(which);
        loop {
            let opened = self.open_record(which, &[], &turn).await;
            let Some((locks, Found { mut record, version })) = turn.settle(opened).await? else { continue };
            let (change, stamp) = (change.clone(), self.stamp());
            let changed = locks
                .run(move |catalog| {
                    if change(&mut record, &stamp)? {
                        catalog.write(&record.file_head()?, &record, &version)?;
                    } else {
                        catalog.confirm(&record)?;
                    }
                    Ok(record)
                })
                .await;
            if let Some((_, record)) = turn.settle(changed).await? {
                return Ok(record);
            }
        }
    }

    /// Locks the record that is meant and those that it will use, and reads it under the lock.
    async fn open_record(
        &self,
        which: &Selector,
        used: &[RecordId],
        turn: &Turn,
    ) -> Result<(Locks, Found), Stop> {
        let id = if turn.is_first() { self.find(which).await? } else { self.load(which).await?.id() };
        let keys = used.iter().copied().chain([id]).map(LockKey::Record);
        let (locks, which) = (self.lock(keys, turn), which.clone());
        locks.run(move |catalog| catalog.load_as(id, &which)).await
    }

    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    pub(crate) fn options(&self) -> &Arc<StoreOptions> {
        &self.options
    }

    /// Reads, without a lock.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(Catalog<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let backend = self.backend.clone();
        blocking(move || read(Catalog(&*backend))).await
    }

    fn lock(&self, keys: impl IntoIterator<Item = LockKey>, turn: &Turn) -> Locks {
        Locks::new(self.backend.clone(), keys, turn)
    }

    fn turn(&self, subject: &impl fmt::Display) -> Turn {
        Turn::new(self.options.clone(), format!("the list {subject}"))
    }

    fn stamp(&self) -> Stamp {
        Stamp::new(self.options.clock.now(), &self.options.command)
    }
}

fn random_id() -> Result<RecordId, StoreError> {
    RecordId::random().map_err(|error| StoreError::Io("read", PathBuf::from("random bytes"), error.into()))
}
