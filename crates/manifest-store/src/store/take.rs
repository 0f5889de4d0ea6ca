//! Names that pass from one record to another.

use manifest_core::ListName;

use super::Store;
use crate::backend::LockKey;
use crate::catalog::Taking;
use crate::{Record, Selector, StoreError};

impl Store {
    /// Gives a record a name, and takes it from the record that has it, which stays, perhaps without a name. At every moment
    /// the name leads to the one or to the other.
    ///
    /// # Errors
    /// As [`Store::update`].
    pub async fn take_name(&self, which: &Selector, name: &ListName) -> Result<Record, StoreError> {
        let (mut turn, stamp) = (self.turn(which), self.stamp());
        loop {
            let id = if turn.is_first() { self.find(which).await? } else { self.load(which).await?.id() };
            let wanted = name.clone();
            let old = self.read(move |catalog| catalog.holder_of(&wanted)).await?;
            let records = old.into_iter().chain([id]).map(LockKey::Record);
            let locks = self.lock(records.chain([LockKey::Name(name.clone())]), &turn);
            let taking = Taking { id, name: name.clone(), old };
            let (which, stamp) = (which.clone(), stamp.clone());
            let taken = locks.run(move |catalog| catalog.take_name(&taking, &which, &stamp)).await;
            if let Some((_, record)) = turn.settle(taken).await? {
                return Ok(record);
            }
        }
    }
}
