//! A name that passes to a record that is there.

use manifest_core::ListName;

use super::change::{Steps, lasting};
use super::{Catalog, Found};
use crate::backend::Stop;
use crate::record::{Record, Stamp};
use crate::{RecordId, Selector};

/// A name that a record takes. Needs the locks of the name, of the record, and of the one that has the name.
#[derive(Clone, Debug)]
pub(crate) struct Taking {
    pub(crate) id: RecordId,
    pub(crate) name: ListName,
    /// The record that was seen to have the name.
    pub(crate) old: Option<RecordId>,
}

impl Catalog<'_> {
    /// Writes the record, then the name, which moves here, then the record that had it. [`Stop::Again`]: the record is not
    /// the one that is meant any more, or another one has the name.
    pub(crate) fn take_name(&self, taking: &Taking, which: &Selector, stamp: &Stamp) -> Result<Record, Stop> {
        let Taking { id, name, old } = taking;
        // Before the record: see `give`.
        let (_, over) = self.binding(name)?;
        let bound = self.bound(name)?;
        let Found { mut record, version } = self.load_as(*id, which)?;
        let holder = bound.as_ref().map(|bound| bound.record.id());
        if holder == Some(*id) && record.names().contains(name) {
            self.confirm(&record)?;
            return Ok(record);
        }
        if holder != *old {
            return Err(Stop::Again);
        }
        self.settle(&record, Some(name))?;
        let before = record.clone();
        record.rename(vec![name.clone()], Vec::new(), stamp);
        let (head, mut steps) = (record.file_head()?, Steps::default());
        lasting(self.write(&head, &record, &version))?;
        steps.done(self.give_or_take_back((name, &over), &head, &before))?;
        if let (Some(bound), Steps(None)) = (bound, &steps) {
            // The name has moved for good; a record that still lists it does not have it.
            drop(self.tidy(bound, name, stamp));
        }
        steps.finish(record)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use manifest_core::List;

    use super::*;
    use crate::Draft;
    use crate::backend::{Backend as _, Local};
    use crate::catalog::Creation;
    use crate::files::Disk;

    #[test]
    fn a_name_is_taken_only_from_the_record_that_was_seen_to_have_it() {
        let home = tempfile::tempdir().unwrap();
        let local = Local::new(home.path().join("store"), Box::new(Disk));
        let (catalog, stamp) = (Catalog(&local), Stamp::new(Timestamp::UNIX_EPOCH, "test"));
        local.prepare().unwrap();
        let create = |text: &str| {
            let (id, name) = (RecordId::random().unwrap(), text.parse::<ListName>().unwrap());
            let new = Draft::from(List::new()).try_into().unwrap();
            let record = Record::new(id, name.clone(), new, &stamp).unwrap();
            catalog.create(Creation { record, name: name.clone(), old: None }, &stamp).unwrap();
            (id, name)
        };
        let ((one, name), (two, _), (three, _)) = (create("one"), create("two"), create("three"));
        let take =
            |old| catalog.take_name(&Taking { id: three, name: name.clone(), old }, &three.into(), &stamp);
        for seen in [Some(two), None] {
            assert!(matches!(take(seen), Err(Stop::Again)), "{seen:?}");
            assert_eq!(catalog.holder_of(&name).unwrap(), Some(one));
        }
        take(Some(one)).unwrap();
        assert_eq!(catalog.holder_of(&name).unwrap(), Some(three));
    }
}
