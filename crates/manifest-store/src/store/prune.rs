//! The removal of what nobody names.

use jiff::Timestamp;

use super::Store;
use crate::backend::LockKey;
use crate::catalog::Staleness;
use crate::{Record, RecordId, StoreError};

impl Store {
    /// The records without a name that were not changed since `unchanged_since` and that nobody holds, the one that was
    /// changed last first; those that cannot be read are errors beside the others.
    ///
    /// # Errors
    /// When the store as a whole cannot be read.
    pub async fn stale(
        &self,
        unchanged_since: Timestamp,
    ) -> Result<Vec<Result<Record, StoreError>>, StoreError> {
        let stale = self.staleness(unchanged_since);
        self.read(move |catalog| {
            let judge = |record: Result<Record, StoreError>| match record {
                Ok(record) => catalog.is_stale(&record, stale).map(|yes| yes.then_some(record)).transpose(),
                Err(error) => Some(Err(error)),
            };
            Ok(catalog.load_all()?.into_iter().filter_map(judge).collect())
        })
        .await
    }

    /// Removes a record if it still is one of [`Store::stale`]. Whether it was.
    ///
    /// # Errors
    /// [`StoreError::Busy`]; what disks refuse.
    pub async fn remove_stale(&self, id: RecordId, unchanged_since: Timestamp) -> Result<bool, StoreError> {
        let (mut turn, stale) = (self.turn(&id), self.staleness(unchanged_since));
        loop {
            let locks = self.lock([LockKey::Record(id)], &turn);
            let removed = locks.run(move |catalog| catalog.delete_stale(id, stale)).await;
            if let Some((_, removed)) = turn.settle(removed).await? {
                return Ok(removed);
            }
        }
    }

    fn staleness(&self, unchanged_since: Timestamp) -> Staleness {
        Staleness { unchanged_since, now: self.options.clock.now() }
    }
}
