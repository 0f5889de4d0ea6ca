//! The removal of records.

use manifest_core::ListName;

use super::Store;
use crate::backend::LockKey;
use crate::catalog::{Last, Removal, Renaming};
use crate::{HeldBy, Record, RecordId, Selector, StoreError};

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

impl Store {
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
}
