//! Changes of several things at once. Each is called with the locks that it names held.

use jiff::Timestamp;
use manifest_core::{Digest, ListName};

use super::{Catalog, Found};
use crate::backend::{Key, Stop, Version};
use crate::record::{Record, Stamp};
use crate::{Force, HeldBy, RecordId, Selector, StoreError};

/// How often the record of a name that has moved is read again to be tidied.
const TIDYINGS: usize = 16;

/// A new record under a name. Needs the locks of the name, of the new record, and of the old one.
#[derive(Clone, Debug)]
pub(crate) struct Creation {
    pub(crate) record: Record,
    pub(crate) name: ListName,
    /// The record that the name is taken from.
    pub(crate) old: Option<RecordId>,
}

/// Names that a record gets and loses. Needs the locks of the record and of the names.
#[derive(Clone, Debug)]
pub(crate) struct Renaming {
    pub(crate) id: RecordId,
    pub(crate) gets: Option<ListName>,
    pub(crate) loses: Option<ListName>,
    /// Whether the name that it loses may be its last one.
    pub(crate) last: Last,
}

/// Whether a record may lose its last name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    Goes,
    Stays,
}

/// The end of a record. Needs the locks of the record and of all its names.
#[derive(Clone, Debug)]
pub(crate) struct Removal {
    pub(crate) id: RecordId,
    pub(crate) names: Vec<ListName>,
    pub(crate) force: Force,
    pub(crate) now: Timestamp,
}

/// What makes a record without a name one that nobody needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Staleness {
    /// It was not changed after this.
    pub(crate) unchanged_since: Timestamp,
    pub(crate) now: Timestamp,
}

impl Catalog<'_> {
    /// Writes the record, then its name, then the record that had the name.
    pub(crate) fn create(&self, creation: Creation, stamp: &Stamp) -> Result<Record, Stop> {
        let Creation { record, name, old } = creation;
        let bound = self.bound(&name)?;
        if bound.as_ref().map(|bound| bound.record.id()) != old {
            return Err(Stop::Again);
        }
        let mut steps = Steps::default();
        let used: Vec<RecordId> = record.used().collect();
        // What a copy was made of may be gone; it holds what it needs itself.
        self.mark_used(&used, record.id(), stamp)?;
        let written = self.write(&record.file_head()?, &record, &Version::Absent);
        if !matches!(written, Ok(()) | Err(Stop::Failed(StoreError::NotDurable(..)))) {
            return written.map(|()| record);
        }
        // A name does not move to a record that may not last.
        if let Err(stop) = lasting(written).and_then(|()| steps.done(self.give(&name, record.id()))) {
            // Without its name nobody would find the record; one that stays all the same does no harm. Where nobody
            // knows whether the name leads to it by now, it stays.
            if !matches!(stop, Stop::Failed(StoreError::Uncertain(..))) {
                drop(self.0.remove(&Key::Record(record.id()), &Version::Locked));
            }
            return Err(stop);
        }
        if let (Some(Found { record: mut bound, version }), Steps(None)) = (bound, &steps) {
            bound.rename(Vec::new(), vec![name], stamp);
            // The name has moved for good; a record that still lists it does not have it.
            drop(bound.file_head().map(|head| self.write(&head, &bound, &version)));
        }
        steps.finish(record)
    }

    /// Binds a name. One that nobody has is created exclusively; a leftover, or one that is taken away, is replaced.
    pub(crate) fn give(&self, name: &ListName, id: RecordId) -> Result<(), Stop> {
        let (_, version) = self.binding(name)?;
        self.bind(name, id, &version)
    }

    /// Binds a name over what was read there.
    pub(super) fn bind(&self, name: &ListName, id: RecordId, over: &Version) -> Result<(), Stop> {
        let pair = format!("{id} {name}");
        let line = format!("{pair} {}\n", Digest::sha256(pair.as_bytes()));
        self.0.write(&Key::Name(name.clone()), &[line.as_bytes()], over)
    }

    /// Gives a record a name, takes one from it, or both at once. [`Stop::Again`]: it is not the one that is meant
    /// any more.
    pub(crate) fn rename(
        &self,
        Renaming { id, gets, loses, last }: &Renaming,
        which: &Selector,
        stamp: &Stamp,
    ) -> Result<Record, Stop> {
        let Found { mut record, version } = self.load_as(*id, which)?;
        let mut gets = gets.clone();
        if let Some(name) = &gets {
            match self.bound(name)? {
                Some(bound) if bound.record.id() == *id => gets = None,
                Some(bound) => {
                    return Err(StoreError::NameTaken { name: name.clone(), id: bound.record.id() }.into());
                }
                None => {}
            }
        }
        let loses = loses.clone().filter(|name| record.names().contains(name));
        if loses.is_some() && *last == Last::Stays && record.names().len() < 2 {
            return Err(Stop::Again);
        }
        match (gets, loses) {
            (None, None) => {
                self.confirm(&record)?;
                Ok(record)
            }
            (Some(to), Some(from)) => self.move_name(Found { record, version }, &from, &to, stamp),
            (gets, loses) => {
                record.rename(gets.iter().cloned().collect(), loses.iter().cloned().collect(), stamp);
                let mut steps = Steps::default();
                steps.done(self.write(&record.file_head()?, &record, &version))?;
                if let Some(name) = gets {
                    steps.done(self.give(&name, *id))?;
                }
                if let Some(name) = loses {
                    // A name whose record does not list it is a leftover, not an error.
                    drop(self.forget(&name, *id));
                }
                steps.finish(record)
            }
        }
    }

    /// Gives a record one name in place of another. Both are listed first, and what is listed says that the new one
    /// takes the place of the old one as soon as it leads here: so there is no moment with both or neither.
    fn move_name(
        &self,
        Found { mut record, version }: Found,
        from: &ListName,
        to: &ListName,
        stamp: &Stamp,
    ) -> Result<Record, Stop> {
        let id = record.id();
        record.announce(from, to);
        lasting(self.write(&record.file_head()?, &record, &version))?;
        // As long as the new name may be lost, the old one stays.
        self.give(to, id)?;
        // It has moved. What follows tidies up, and the next change of its names would do as well.
        for _ in 0..TIDYINGS {
            let Ok(Some(Found { record: now, version })) = self.read(id) else { break };
            record = now;
            record.rename(vec![to.clone()], vec![from.clone()], stamp);
            match self.write(&record.file_head()?, &record, &version) {
                Ok(()) => drop(self.forget(from, id)),
                // Where there are no locks somebody else may have changed it meanwhile.
                Err(Stop::Again) => continue,
                Err(Stop::Failed(_)) => {}
            }
            break;
        }
        Ok(record)
    }

    /// Frees a name that still leads to this record.
    fn forget(&self, name: &ListName, id: RecordId) -> Result<(), Stop> {
        match self.binding(name)? {
            (Some(bound), version) if bound == id => self.0.remove(&Key::Name(name.clone()), &version),
            _ => Ok(()),
        }
    }

    /// Removes a record, then its names; tells whose holds it went over. [`Stop::Again`]: it has other names by now.
    pub(crate) fn delete(&self, removal: &Removal) -> Result<Vec<HeldBy>, Stop> {
        let Removal { id, names, force, now } = removal;
        let Found { record, version } = self.read(*id)?.ok_or(Stop::Again)?;
        if record.names() != names {
            return Err(Stop::Again);
        }
        let holders = self.holders(&record, *now)?;
        if !holders.is_empty() && *force != Force::Yes {
            return Err(StoreError::Held { id: *id, by: holders }.into());
        }
        self.0.remove(&Key::Record(*id), &version)?;
        // A name without a record is a leftover, not an error; a record that comes back keeps its names.
        names.iter().for_each(|name| drop(self.forget(name, *id)));
        Ok(holders)
    }

    /// Whether a record has no name, was not changed for a while, and is held by nobody.
    pub(crate) fn is_stale(&self, record: &Record, stale: Staleness) -> Result<bool, StoreError> {
        let may_be = record.names().is_empty() && record.updated() <= stale.unchanged_since;
        Ok(may_be && self.holders(record, stale.now)?.is_empty())
    }

    /// Removes a record if it is stale. Needs its lock. Whether it was.
    pub(crate) fn delete_stale(&self, id: RecordId, stale: Staleness) -> Result<bool, Stop> {
        let Some(Found { record, version }) = self.read(id)? else { return Ok(false) };
        let is_stale = self.is_stale(&record, stale)?;
        if is_stale {
            self.0.remove(&Key::Record(id), &version)?;
        }
        Ok(is_stale)
    }

    /// Who holds a record now: those whose hold has not expired, and the lists that still have it as an entry.
    pub(crate) fn holders(&self, record: &Record, now: Timestamp) -> Result<Vec<HeldBy>, StoreError> {
        let mut holders = Vec::new();
        for hold in record.holds().iter().filter(|hold| !hold.is_expired(now)) {
            let holds = match &hold.by {
                HeldBy::Name(_) => true,
                HeldBy::List(list) => match self.read(*list) {
                    Ok(list) => list.is_some_and(|list| list.record.uses(record.id())),
                    // A list that cannot be read may need it.
                    Err(StoreError::Damaged { .. }) => true,
                    Err(error) => return Err(error),
                },
            };
            if holds {
                holders.push(hold.by.clone());
            }
        }
        holders.sort();
        Ok(holders)
    }

    /// Notes in the records `used` that the list `by` is about to have entries of theirs; tells which of them are
    /// gone. Needs the locks of all.
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
                    if record.hold(HeldBy::List(by), None, stamp) {
                        lasting(self.write(&record.file_head()?, &record, &version))?;
                    }
                }
                None => gone.push(*id),
            }
        }
        Ok(gone)
    }
}

/// A step that others rest on: one that may not last ends the change before anybody can see it.
pub(super) fn lasting(step: Result<(), Stop>) -> Result<(), Stop> {
    step.map_err(|stop| match stop {
        Stop::Failed(StoreError::NotDurable(path, error)) => StoreError::Io("sync", path, error).into(),
        other => other,
    })
}

/// The steps of one change: one that is made but may not last does not keep the next from being made.
#[derive(Debug, Default)]
pub(super) struct Steps(pub(super) Option<StoreError>);

impl Steps {
    pub(super) fn done(&mut self, step: Result<(), Stop>) -> Result<(), Stop> {
        match step {
            Err(Stop::Failed(error @ StoreError::NotDurable(..))) => {
                self.0.get_or_insert(error);
                Ok(())
            }
            other => other,
        }
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, Stop> {
        self.0.map_or(Ok(value), |error| Err(error.into()))
    }
}
