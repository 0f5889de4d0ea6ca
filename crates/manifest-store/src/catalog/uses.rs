//! Who holds a record, and what lists say of the records that they have entries of.

use jiff::{SignedDuration, Timestamp};

use super::{Catalog, Found};
use crate::backend::Stop;
use crate::record::{Record, Stamp};
use crate::{HeldBy, RecordId, StoreError};

use super::change::lasting;

/// How long the hold of a list counts as just taken: who took it may not have written the list yet.
const FRESH: SignedDuration = SignedDuration::from_hours(24);

/// The smallest number of holds of lists at which those that count for nothing are looked for.
const FEW: usize = 16;

/// What the holds on a record come to.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// Who holds it, sorted.
    pub(super) by: Vec<HeldBy>,
    /// The lists that have noted a hold, and have no entry of the record, or not yet.
    pub(super) idle: Vec<Found>,
}

impl Catalog<'_> {
    /// Who holds a record now: those whose hold has not expired, and the lists that still have it as an entry.
    pub(crate) fn holders(&self, record: &Record, now: Timestamp) -> Result<Vec<HeldBy>, StoreError> {
        Ok(self.holding(record, now)?.by)
    }

    pub(super) fn holding(&self, record: &Record, now: Timestamp) -> Result<Holding, StoreError> {
        let mut holding = Holding::default();
        for hold in record.holds().iter().filter(|hold| !hold.is_expired(now)) {
            let HeldBy::List(list) = &hold.by else {
                holding.by.push(hold.by.clone());
                continue;
            };
            match self.read(*list) {
                Ok(Some(list)) if !list.record.uses(record.id()) => holding.idle.push(list),
                Ok(None) => {}
                // A list that cannot be read may need it.
                Ok(Some(_)) | Err(StoreError::Damaged { .. }) => holding.by.push(hold.by.clone()),
                Err(error) => return Err(error),
            }
        }
        holding.by.sort();
        Ok(holding)
    }

    /// Makes sure that lists do not come to use a record that is about to be removed: where nothing is locked, they
    /// may have noted it and be about to be written.
    pub(super) fn refuse_use(&self, idle: Vec<Found>) -> Result<(), Stop> {
        if self.0.has_locks() {
            return Ok(());
        }
        idle.into_iter().try_for_each(|Found { record, version }| {
            // The same again is another version.
            self.write(&record.file_head()?, &record, &version)
        })
    }

    /// Notes in the records `used` that the list `by` is about to have entries of theirs; tells which of them are
    /// gone. Needs the locks of all.
    ///
    /// Where nothing is locked, the version over which the list is written is one that was read before this.
    pub(crate) fn mark_used(
        &self,
        used: &[RecordId],
        by: RecordId,
        stamp: &Stamp,
    ) -> Result<Vec<RecordId>, Stop> {
        let mut gone = Vec::new();
        for id in used {
            match self.read(*id)? {
                Some(Found { mut record, version }) => {
                    let is_new = record.hold_for(by, stamp);
                    if is_new {
                        self.drop_idle(&mut record, stamp)?;
                    }
                    // Without locks it may be about to be removed because the list did not use it: see `refuse_use`.
                    if is_new || !self.0.has_locks() {
                        lasting(self.write(&record.file_head()?, &record, &version))?;
                    }
                }
                None => gone.push(*id),
            }
        }
        Ok(gone)
    }

    /// Drops the holds of lists that count for nothing. They are looked for when there are twice as many as the last
    /// time, so that the lists need not be read for each entry.
    fn drop_idle(&self, record: &mut Record, stamp: &Stamp) -> Result<(), StoreError> {
        let lists = record.holds().iter().filter(|hold| matches!(hold.by, HeldBy::List(_))).count();
        if lists < FEW || !lists.is_power_of_two() {
            return Ok(());
        }
        let mut idle = Vec::new();
        for hold in record.holds() {
            if let HeldBy::List(list) = hold.by
                && stamp.when().duration_since(hold.since) > FRESH
                && match self.read(list) {
                    Ok(list) => list.is_none_or(|list| !list.record.uses(record.id())),
                    Err(StoreError::Damaged { .. }) => false,
                    Err(error) => return Err(error),
                }
            {
                idle.push(hold.by.clone());
            }
        }
        for by in &idle {
            record.release(by);
        }
        Ok(())
    }
}
