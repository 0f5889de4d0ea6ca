//! Names, ids and records: what leads to what. Everything here blocks.
//!
//! A record has a name when it lists it *and* the name leads back to it. One without the other is what a change
//! that was cut off leaves behind, and harms nobody.

mod change;
mod take;
mod uses;

use manifest_core::{Digest, ListName};

use crate::backend::{Backend, Key, Stop, Version};
use crate::record::Record;
use crate::{RecordId, Selector, StoreError};

pub(crate) use change::{Creation, Last, Removal, Renaming, Staleness};
pub(crate) use take::Taking;

/// How often a name is followed again when its record went away meanwhile.
const FOLLOWS: usize = 16;

/// The records of a store, as its backend keeps them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Catalog<'a>(pub(crate) &'a dyn Backend);

/// A record, and what its next version is written over.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) record: Record,
    pub(crate) version: Version,
}

impl Catalog<'_> {
    /// The id that stands under a name, whether or not that record has the name.
    pub(crate) fn binding(&self, name: &ListName) -> Result<(Option<RecordId>, Version), StoreError> {
        let key = Key::Name(name.clone());
        let slot = self.0.read(&key)?;
        let Some(bytes) = slot.bytes else { return Ok((None, slot.version)) };
        let damaged = |what: String| StoreError::damaged(self.0.path(&key), what);
        match parse_binding(&bytes).map_err(|what| damaged(what.to_owned()))? {
            (id, of) if of == name.to_string() => Ok((Some(id), slot.version)),
            _ => Err(damaged(format!("it is not the file of {name}"))),
        }
    }

    /// The record with this id, as it lists its names.
    pub(crate) fn read_raw(&self, id: RecordId) -> Result<Option<Found>, StoreError> {
        let key = Key::Record(id);
        let slot = self.0.read(&key)?;
        let Some(bytes) = slot.bytes else { return Ok(None) };
        let record = Record::from_file(&self.0.path(&key), id, &bytes)?;
        Ok(Some(Found { record, version: slot.version }))
    }

    /// The record with this id, with those names that are really its own.
    pub(crate) fn read(&self, id: RecordId) -> Result<Option<Found>, StoreError> {
        let Some(Found { mut record, version }) = self.read_raw(id)? else { return Ok(None) };
        // A name whose file cannot be read is not given up because of that.
        record.see_names(|name| self.binding(name).map_or(true, |(bound, _)| bound == Some(id)));
        Ok(Some(Found { record, version }))
    }

    /// The record that has a name.
    fn bound(&self, name: &ListName) -> Result<Option<Found>, StoreError> {
        let mut last = None;
        for _ in 0..FOLLOWS {
            let (id, _) = self.binding(name)?;
            if id.is_none() || id == last {
                // Twice the same record that has not the name: what remains of a change that was cut off.
                return Ok(None);
            }
            if let Some(found) = id.map_or(Ok(None), |id| self.read(id))?
                && found.record.names().contains(name)
            {
                return Ok(Some(found));
            }
            last = id;
        }
        Ok(None)
    }

    /// The id of the record that has a name.
    pub(crate) fn holder_of(&self, name: &ListName) -> Result<Option<RecordId>, StoreError> {
        self.0.check()?;
        Ok(self.bound(name)?.map(|found| found.record.id()))
    }

    /// The record that is meant.
    pub(crate) fn load(&self, which: &Selector) -> Result<Record, StoreError> {
        self.0.check()?;
        if let Some(name) = which.name()
            && let Some(found) = self.bound(name)?
        {
            return Ok(found.record);
        }
        let not_found = || StoreError::NotFound(which.to_string());
        let prefix = which.id_prefix().ok_or_else(not_found)?;
        let found = self.read(self.complete(prefix)?.ok_or_else(not_found)?)?;
        found.map(|found| found.record).ok_or_else(not_found)
    }

    /// The id that probably is meant, found with the least work.
    pub(crate) fn guess(&self, which: &Selector) -> Result<RecordId, StoreError> {
        self.0.check()?;
        match which.name().map(|name| self.binding(name)).transpose()? {
            Some((Some(id), _)) => Ok(id),
            _ => self.load(which).map(|record| record.id()),
        }
    }

    /// The record with this id; [`Stop::Again`] when it is not the one that is meant any more.
    pub(crate) fn load_as(&self, id: RecordId, which: &Selector) -> Result<Found, Stop> {
        let is_named = |record: &Record| which.name().is_some_and(|name| record.names().contains(name));
        let has_id = || which.id_prefix().is_some_and(|prefix| id.to_string().starts_with(prefix));
        self.read(id)?.filter(|found| is_named(&found.record) || has_id()).ok_or(Stop::Again)
    }

    /// The one id that begins with these digits.
    fn complete(&self, prefix: &str) -> Result<Option<RecordId>, StoreError> {
        if let Ok(id) = prefix.parse() {
            return Ok(Some(id));
        }
        let ids: Vec<RecordId> =
            self.0.ids()?.into_iter().filter(|id| id.to_string().starts_with(prefix)).collect();
        match ids.as_slice() {
            [] => Ok(None),
            [id] => Ok(Some(*id)),
            _ => Err(StoreError::AmbiguousId { prefix: prefix.to_owned(), matches: ids }),
        }
    }

    /// All records, the one that was changed last first; those that cannot be read stand at the end.
    pub(crate) fn load_all(&self) -> Result<Vec<Result<Record, StoreError>>, StoreError> {
        self.0.check()?;
        let ids = self.0.ids()?;
        let read = |id: &RecordId| self.read(*id).map(|found| found.map(|found| found.record)).transpose();
        let mut all = spread(&ids, self.0.width(), read);
        all.sort_by(|a, b| match (a, b) {
            (Ok(a), Ok(b)) => {
                b.updated().cmp(&a.updated()).then_with(|| a.names().cmp(b.names())).then(a.id().cmp(&b.id()))
            }
            (a, b) => a.is_err().cmp(&b.is_err()),
        });
        Ok(all)
    }

    /// Makes sure that a record and its names, which are about to be reported as they are, last.
    pub(crate) fn confirm(&self, record: &Record) -> Result<(), StoreError> {
        let names = record.names().iter().cloned().map(Key::Name);
        let keys: Vec<Key> = std::iter::once(Key::Record(record.id())).chain(names).collect();
        self.0.confirm(&keys)
    }

    /// Writes a record over the version of it that was read; what it is written as begins with `head`.
    pub(crate) fn write(&self, head: &[u8], record: &Record, over: &Version) -> Result<(), Stop> {
        self.0.write(&Key::Record(record.id()), &[head, &record.encoded().bytes], over)
    }
}

/// What comes of looking at each of these, in their order; on as many threads as `width` says.
pub(crate) fn spread<T: Sync, R: Send>(
    all: &[T],
    width: usize,
    look: impl Fn(&T) -> Option<R> + Sync,
) -> Vec<R> {
    let each = all.len().div_ceil(width).max(1);
    let part = |part: &[T]| -> Vec<R> { part.iter().filter_map(&look).collect() };
    std::thread::scope(|threads| {
        let started: Vec<_> = all
            .chunks(each)
            .map(|some| (some, std::thread::Builder::new().spawn_scoped(threads, || part(some))))
            .collect();
        let join = |(some, started): (_, std::io::Result<std::thread::ScopedJoinHandle<'_, _>>)| match started
        {
            Ok(started) => started.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // The system has no thread left to give.
            Err(_) => part(some),
        };
        started.into_iter().flat_map(join).collect()
    })
}

/// The id and the name that the file of a name holds.
pub(crate) fn parse_binding(bytes: &[u8]) -> Result<(RecordId, String), &'static str> {
    let text = std::str::from_utf8(bytes).ok().and_then(|text| text.strip_suffix('\n'));
    let (pair, sum) = text.and_then(|text| text.rsplit_once(' ')).unwrap_or_default();
    if !sum.parse::<Digest>().is_ok_and(|sum| sum.verifies(pair.as_bytes())) {
        return Err("its checksum does not fit its content");
    }
    let (id, of) = pair.split_once(' ').unwrap_or_default();
    let id = id.parse().map_err(|_not_an_id| "it does not hold the id of a record")?;
    Ok((id, of.to_owned()))
}
