//! Names of records that come and go.

use manifest_core::ListName;

use super::Store;
use crate::backend::LockKey;
use crate::catalog::{Last, Renaming};
use crate::{Record, Selector, StoreError};

impl Store {
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
}
