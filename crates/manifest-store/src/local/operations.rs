//! Changes that need no edit from outside. Each is called with the locks that it names held.

use manifest_core::ListName;

use super::{Existing, Local};
use crate::record::{Record, Stamp};
use crate::{RecordId, Selector, StoreError};

/// A new record under a name. Needs the locks of the name, of the new record, and of the old one.
#[derive(Clone, Debug)]
pub(crate) struct Creation {
    pub(crate) record: Record,
    pub(crate) name: ListName,
    /// The record that the name is taken from.
    pub(crate) old: Option<RecordId>,
}

/// A name for a record. Needs the locks of both.
#[derive(Clone, Debug)]
pub(crate) struct Retagging {
    pub(crate) id: RecordId,
    pub(crate) name: ListName,
}

/// The end of a record. Needs the locks of the record and of all its names.
#[derive(Clone, Debug)]
pub(crate) struct Removal {
    pub(crate) id: RecordId,
    pub(crate) names: Vec<ListName>,
}

impl Local {
    /// The record that has a name.
    pub(crate) fn holder_of(&self, name: &ListName) -> Result<Option<RecordId>, StoreError> {
        self.check()?;
        Ok(self.bound(name)?.map(|record| record.id()))
    }

    /// Writes the record, then its name, then the record that had the name. `false`: the name has changed hands.
    pub(crate) fn create(&self, creation: &Creation, stamp: &Stamp) -> Result<bool, StoreError> {
        let Creation { record, name, old } = creation;
        let bound = self.bound(name)?;
        if bound.as_ref().map(Record::id) != *old {
            return Ok(false);
        }
        let mut steps = Steps::default();
        steps.done(self.write(record))?;
        if let Err(error) = steps.done(self.give(name, record.id())) {
            // Without its name nobody would find the record; one that stays all the same does no harm.
            drop(self.remove_file(&self.records(), &record.id().to_string()));
            return Err(error);
        }
        if let Some(mut bound) = bound {
            bound.rename(Vec::new(), vec![name.clone()], stamp);
            // The name has moved by now; a record that still lists it does not have it.
            drop(self.write(&bound));
        }
        steps.finish().map(|()| true)
    }

    /// Binds a name. One that nobody has is created exclusively; a leftover, or one that is taken away, is replaced.
    fn give(&self, name: &ListName, id: RecordId) -> Result<(), StoreError> {
        match self.binding(name)? {
            Some(bound) if bound == id => self.sync_dir(&self.names()),
            Some(_) => self.bind(name, id, Existing::Replace),
            None => self.bind(name, id, Existing::Keep),
        }
    }

    /// Gives a record a name. `None`: the record is not the one that is meant any more.
    pub(crate) fn tag(
        &self,
        Retagging { id, name }: &Retagging,
        which: &Selector,
        stamp: &Stamp,
    ) -> Result<Option<Record>, StoreError> {
        let Some(mut record) = self.load_as(*id, which)? else { return Ok(None) };
        match self.bound(name)? {
            Some(bound) if bound.id() == *id => return Ok(Some(record)),
            Some(bound) => return Err(StoreError::NameTaken { name: name.clone(), id: bound.id() }),
            None => {}
        }
        record.rename(vec![name.clone()], Vec::new(), stamp);
        let mut steps = Steps::default();
        steps.done(self.write(&record))?;
        steps.done(self.give(name, *id))?;
        steps.finish().map(|()| Some(record))
    }

    /// Takes a name from its record. `None`: the name has changed hands.
    pub(crate) fn untag(
        &self,
        Retagging { id, name }: &Retagging,
        stamp: &Stamp,
    ) -> Result<Option<Record>, StoreError> {
        let Some(mut record) = self.bound(name)?.filter(|record| record.id() == *id) else { return Ok(None) };
        record.rename(Vec::new(), vec![name.clone()], stamp);
        self.write(&record)?;
        // A name whose record does not list it is a leftover, not an error.
        drop(self.unbind(name));
        Ok(Some(record))
    }

    /// Removes a record, then its names. `false`: it has other names by now.
    pub(crate) fn delete(&self, Removal { id, names }: &Removal) -> Result<bool, StoreError> {
        match self.read(*id)? {
            Some(record) if record.names() == names => {}
            _ => return Ok(false),
        }
        let removed = self.remove_file(&self.records(), &id.to_string());
        if matches!(removed, Ok(()) | Err(StoreError::NotDurable(..))) {
            // A name without a record is a leftover, not an error.
            names.iter().for_each(|name| drop(self.unbind(name)));
        }
        removed.map(|()| true)
    }
}

/// The steps of one change: one that is made but may not last does not keep the next from being made.
#[derive(Debug, Default)]
struct Steps(Option<StoreError>);

impl Steps {
    fn done(&mut self, step: Result<(), StoreError>) -> Result<(), StoreError> {
        match step {
            Err(error @ StoreError::NotDurable(..)) => {
                self.0.get_or_insert(error);
                Ok(())
            }
            other => other,
        }
    }

    fn finish(self) -> Result<(), StoreError> {
        self.0.map_or(Ok(()), Err)
    }
}
