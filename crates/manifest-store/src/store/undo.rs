//! The way back in the history of a record, and its end.

use manifest_core::Digest;

use super::Store;
use crate::backend::Stop;
use crate::catalog::{Catalog, Found};
use crate::record::Settled;
use crate::{Record, RecordId, Selector, StoreError};

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
}
