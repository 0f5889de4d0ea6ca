//! Changes of several things at once. Each is called with the locks that it names held.

use jiff::Timestamp;
use manifest_core::{Digest, ListName};

use super::{Catalog, Found};
use crate::backend::{Key, Stop, Version};
use crate::record::{Record, Stamp};
use crate::{Force, HeldBy, RecordId, Selector, StoreError};

/// How often it is tried to tidy up, where somebody else may come between.
const TRIES: usize = 16;

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

impl Staleness {
    fn may_be(&self, record: &Record) -> bool {
        record.names().is_empty() && record.updated() <= self.unchanged_since
    }
}

impl Catalog<'_> {
    /// Writes the record, then its name, then the record that had the name.
    pub(crate) fn create(&self, creation: Creation, stamp: &Stamp) -> Result<Record, Stop> {
        let Creation { record, name, old } = creation;
        let (_, over) = self.binding(&name)?;
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
        if let Err(stop) = lasting(written).and_then(|()| steps.done(self.give(&name, record.id(), &over))) {
            // Without its name nobody would find the record; one that stays all the same does no harm. Where nobody
            // knows whether the name leads to it by now, it stays.
            if !matches!(stop, Stop::Failed(StoreError::Uncertain(..))) {
                self.take_back_new(record.id());
            }
            return Err(stop);
        }
        if let (Some(bound), Steps(None)) = (bound, &steps) {
            // The name has moved for good; a record that still lists it does not have it.
            drop(self.tidy(bound, &name, stamp));
        }
        steps.finish(record)
    }

    /// Takes a name that leads elsewhere from the list of a record.
    pub(super) fn tidy(&self, mut found: Found, name: &ListName, stamp: &Stamp) -> Result<(), Stop> {
        for _ in 0..TRIES {
            let Found { mut record, version } = found;
            self.settle(&record, None)?;
            record.rename(Vec::new(), vec![name.clone()], stamp);
            match self.write(&record.file_head()?, &record, &version) {
                Err(Stop::Again) => {}
                done => return done,
            }
            match self.read(record.id())? {
                Some(now) if now.record.unled().any(|unled| unled == name) => found = now,
                _ => break,
            }
        }
        Ok(())
    }

    /// Binds a name. One that nobody has is created exclusively; a leftover, or one that is taken away, is replaced.
    ///
    /// `over` is what was read of the name before its record was written. So where nothing is locked, who removes the
    /// record finds the name in it, and refuses this by [`Catalog::revoke`].
    pub(crate) fn give(&self, name: &ListName, id: RecordId, over: &Version) -> Result<(), Stop> {
        let pair = format!("{id} {name}");
        let line = format!("{pair} {}\n", Digest::sha256(pair.as_bytes()));
        self.0.write(&Key::Name(name.clone()), &[line.as_bytes()], over)
    }

    /// Makes sure that a name does not come to lead to a record that is about to change. [`Stop::Again`]: it does.
    fn revoke(&self, name: &ListName, id: RecordId) -> Result<(), Stop> {
        if self.0.has_locks() {
            return Ok(());
        }
        match self.binding(name)? {
            (Some(bound), _) if bound == id => Err(Stop::Again),
            // The same again is another version.
            (Some(bound), version) => self.give(name, bound, &version),
            (None, version) => self.0.remove(&Key::Name(name.clone()), &version),
        }
    }

    /// Ends the move of a name that somebody has begun, before the next change of names decides what became of it. A name
    /// that the record `gets` by that is written over all the same.
    pub(super) fn settle(&self, record: &Record, gets: Option<&ListName>) -> Result<(), Stop> {
        let unmoved = record.unmoved().filter(|name| Some(*name) != gets);
        unmoved.map_or(Ok(()), |name| self.revoke(name, record.id()))
    }

    /// Removes a record that did not get its name: nobody would find it, and one that stays does no harm.
    fn take_back_new(&self, id: RecordId) {
        for _ in 0..TRIES {
            if !matches!(self.0.remove(&Key::Record(id), &Version::Locked), Err(Stop::Again)) {
                break;
            }
        }
    }

    /// Writes a record again as it was, unless it has changed since it was written with this head. What cannot be
    /// taken back is a name that is listed and leads nowhere.
    fn take_back(&self, head: &[u8], before: &Record) -> Result<(), Stop> {
        match self.read_raw(before.id())? {
            Some(found) if found.record.file_head()? == head => {
                self.write(&before.file_head()?, before, &found.version)
            }
            _ => Ok(()),
        }
    }

    /// Lets a name lead to a record that lists it by now, or makes it what it was `before`.
    pub(super) fn give_or_take_back(
        &self,
        (name, over): (&ListName, &Version),
        head: &[u8],
        before: &Record,
    ) -> Result<(), Stop> {
        self.give(name, before.id(), over).inspect_err(|stop| {
            if !matches!(stop, Stop::Failed(StoreError::Uncertain(..) | StoreError::NotDurable(..))) {
                drop(self.take_back(head, before));
            }
        })
    }

    /// Gives a record a name, takes one from it, or both at once. [`Stop::Again`]: it is not the one that is meant
    /// any more.
    pub(crate) fn rename(
        &self,
        Renaming { id, gets, loses, last }: &Renaming,
        which: &Selector,
        stamp: &Stamp,
    ) -> Result<Record, Stop> {
        // Before the record: see `give`.
        let mut gets =
            gets.as_ref().map(|name| Ok::<_, StoreError>((name, self.binding(name)?.1))).transpose()?;
        // A name that cannot be read is given up without its file.
        let loses = loses.as_ref().map(|name| (name, self.binding(name).ok()));
        let found = self.load_as(*id, which)?;
        let names = found.record.names();
        if let Some((name, _)) = gets {
            match self.bound(name)?.map(|bound| bound.record.id()) {
                // It may have got the name since it was read.
                Some(bound) if bound == *id && !names.contains(name) => return Err(Stop::Again),
                Some(bound) if bound == *id => gets = None,
                Some(id) => return Err(StoreError::NameTaken { name: name.clone(), id }.into()),
                None => {}
            }
        }
        let loses = loses.filter(|(name, _)| names.contains(name));
        if loses.is_some() && *last == Last::Stays && names.len() < 2 {
            return Err(Stop::Again);
        }
        match (gets, loses) {
            (None, None) => {
                self.confirm(&found.record)?;
                Ok(found.record)
            }
            (Some((to, over)), Some((from, _))) => self.move_name(found, from, (to, &over), stamp),
            (Some((name, over)), None) => self.add_name(found, (name, &over), stamp),
            (None, Some((name, bound))) => self.take_name_away(found, name, bound, stamp),
        }
    }

    fn add_name(
        &self,
        Found { mut record, version }: Found,
        (name, over): (&ListName, &Version),
        stamp: &Stamp,
    ) -> Result<Record, Stop> {
        self.settle(&record, Some(name))?;
        let before = record.clone();
        record.rename(vec![name.clone()], Vec::new(), stamp);
        let (head, mut steps) = (record.file_head()?, Steps::default());
        steps.done(self.write(&head, &record, &version))?;
        steps.done(self.give_or_take_back((name, over), &head, &before))?;
        steps.finish(record)
    }

    /// `bound` is what was read of the name before the record.
    fn take_name_away(
        &self,
        Found { mut record, version }: Found,
        name: &ListName,
        bound: Option<(Option<RecordId>, Version)>,
        stamp: &Stamp,
    ) -> Result<Record, Stop> {
        self.settle(&record, None)?;
        record.rename(Vec::new(), vec![name.clone()], stamp);
        let mut steps = Steps::default();
        steps.done(self.write(&record.file_head()?, &record, &version))?;
        if let Some((Some(id), over)) = bound
            && id == record.id()
        {
            // A name whose record does not list it is a leftover, not an error.
            drop(self.0.remove(&Key::Name(name.clone()), &over));
        }
        steps.finish(record)
    }

    /// Gives a record one name in place of another. Both are listed first, and what is listed says that the new one
    /// takes the place of the old one as soon as it leads here: so there is no moment with both or neither.
    fn move_name(
        &self,
        Found { mut record, version }: Found,
        from: &ListName,
        (to, over): (&ListName, &Version),
        stamp: &Stamp,
    ) -> Result<Record, Stop> {
        let (id, before) = (record.id(), record.clone());
        self.settle(&record, Some(to))?;
        record.announce(from, to);
        let head = record.file_head()?;
        lasting(self.write(&head, &record, &version))?;
        // As long as the new name may be lost, the old one stays.
        self.give_or_take_back((to, over), &head, &before)?;
        // It has moved. What follows tidies up, and the next change of its names would do as well.
        for _ in 0..TRIES {
            let Ok((bound, over)) = self.binding(from) else { break };
            let Ok(Some(Found { record: now, version })) = self.read(id) else { break };
            if !now.is_moving(from, to) {
                break;
            }
            record = now;
            record.rename(vec![to.clone()], vec![from.clone()], stamp);
            match self.write(&record.file_head()?, &record, &version) {
                Ok(()) if bound == Some(id) => drop(self.0.remove(&Key::Name(from.clone()), &over)),
                Ok(()) => {}
                // Where there are no locks somebody else may have changed it meanwhile.
                Err(Stop::Again) => continue,
                Err(Stop::Failed(_)) => {}
            }
            break;
        }
        Ok(record)
    }

    /// Frees a name that still leads to this record, which is gone.
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
        let holding = self.holding(&record, *now)?;
        if !holding.by.is_empty() && *force != Force::Yes {
            return Err(StoreError::Held { id: *id, by: holding.by }.into());
        }
        self.remove_found(&Found { record, version }, holding.idle)?;
        Ok(holding.by)
    }

    /// Removes a record that nobody holds, and its names.
    fn remove_found(&self, Found { record, version }: &Found, idle: Vec<Found>) -> Result<(), Stop> {
        self.refuse_use(idle)?;
        record.unled().try_for_each(|name| self.revoke(name, record.id()))?;
        self.0.remove(&Key::Record(record.id()), version)?;
        // A name without a record is a leftover, not an error. Only those that it has are locked.
        record.names().iter().for_each(|name| drop(self.forget(name, record.id())));
        Ok(())
    }

    /// Whether a record has no name, was not changed for a while, and is held by nobody.
    pub(crate) fn is_stale(&self, record: &Record, stale: Staleness) -> Result<bool, StoreError> {
        Ok(stale.may_be(record) && self.holders(record, stale.now)?.is_empty())
    }

    /// Removes a record if it is stale. Needs its lock. Whether it was.
    pub(crate) fn delete_stale(&self, id: RecordId, stale: Staleness) -> Result<bool, Stop> {
        let Some(found) = self.read(id)? else { return Ok(false) };
        if !stale.may_be(&found.record) {
            return Ok(false);
        }
        let holding = self.holding(&found.record, stale.now)?;
        if holding.by.is_empty() {
            self.remove_found(&found, holding.idle)?;
        }
        Ok(holding.by.is_empty())
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
