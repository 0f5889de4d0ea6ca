//! Changes of one record under its lock.

use manifest_core::Digest;

use super::{Locks, Store, Turn};
use crate::backend::{LockKey, Stop};
use crate::catalog::{Catalog, Found};
use crate::record::{Opened, Settled, Stamp};
use crate::{Draft, Record, RecordId, Selector, StoreError, UpdateError};

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

impl Store {
    /// Edits a list under its lock: reads it again, edits, and replaces it in one step.
    ///
    /// The edit is the caller's own code and runs on the caller's thread, under the lock where there is one, so it
    /// must not wait for anything; it may run again from the start. When it changes nothing, nothing is written.
    ///
    /// # Errors
    /// [`UpdateError::Edit`] is what the edit returned. [`UpdateError::Store`] is [`StoreError::Busy`] after
    /// [`StoreOptions::lock_timeout`](crate::StoreOptions::lock_timeout), [`StoreError::NotAList`], or what [`Store::load`] and [`Store::create`] fail with.
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

    /// Changes what stands beside the document of a record, under its lock. `change` says whether it changed anything.
    pub(super) async fn amend(
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
    pub(super) async fn open_record(
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
}
