//! Holds on records.

use jiff::Timestamp;

use super::Store;
use crate::{HeldBy, Record, Selector, StoreError};

impl Store {
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
}
