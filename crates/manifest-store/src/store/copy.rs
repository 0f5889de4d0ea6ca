//! Copies of records.

use manifest_core::ListName;

use super::{IfTaken, Store};
use crate::{NewRecord, Record, Selector, StoreError};

/// A record that is to be made once more.
struct Copied(Record);

impl TryFrom<Copied> for NewRecord {
    type Error = StoreError;

    fn try_from(Copied(record): Copied) -> Result<Self, StoreError> {
        Ok(Self::copy_of(&record))
    }
}

impl Store {
    /// Saves a copy of a record under another name: the same bytes, entries and sources.
    ///
    /// From then on each goes its own way. Names, holds, pushes and history stay behind; the history of the copy begins
    /// with the copying.
    ///
    /// # Errors
    /// As [`Store::load`] and [`Store::create`].
    pub async fn copy(
        &self,
        which: &Selector,
        name: &ListName,
        if_taken: IfTaken,
    ) -> Result<Record, StoreError> {
        let mut record = self.load(which).await?;
        if record.held().is_empty() {
            return self.create(name, Copied(record), if_taken).await;
        }
        // Should the record go before its copy is there, nobody else holds its blobs.
        let intake = self.blobs().intake().await?;
        intake.rely_on(&record).await?;
        // What is copied is what was still there when its blobs were relied on.
        loop {
            let still = self.load(&record.id().into()).await?;
            if still == record {
                break;
            }
            intake.rely_on(&still).await?;
            record = still;
        }
        let copied = self.create(name, Copied(record), if_taken).await?;
        intake.finish().await?;
        Ok(copied)
    }
}
