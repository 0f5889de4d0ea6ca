//! Whether names and records agree, both ways.

use std::collections::{BTreeMap, BTreeSet};

use manifest_core::ListName;

use super::inspect::Inspection;
use super::{Finding, Repair};
use crate::backend::{Aside, Key, LockKey, Stop, Touch, name_file};
use crate::catalog::parse_binding;
use crate::gc::remove_leftover;
use crate::{RecordId, StoreError};

impl Inspection<'_> {
    pub(super) fn names(&mut self) -> Result<(), Stop> {
        let (mut bound, mut damaged) = (BTreeMap::new(), BTreeMap::new());
        for file in self.backend().name_files()? {
            match self.name_file(&file)? {
                Ok(None) => {}
                Ok(Some((id, name))) => {
                    bound.insert(name, id);
                }
                Err(what) => {
                    damaged.insert(file, what);
                }
            }
        }
        for (name, id) in &bound {
            self.binding(name, *id)?;
        }
        let by_name = self.by_name();
        for (file, what) in &damaged {
            let name = by_name.keys().find(|name| name_file(name) == *file);
            self.damaged_name(file, what, name.map(|name| (name, by_name.get(name))))?;
        }
        for (name, records) in &by_name {
            if !damaged.contains_key(&name_file(name)) {
                self.listed_name(name, records, bound.get(name).copied());
            }
        }
        Ok(())
    }

    /// What the file of a name says, or what is wrong with it; nothing when it is gone.
    fn name_file(&self, file: &str) -> Result<Result<Option<(RecordId, ListName)>, String>, StoreError> {
        let slot = match self.backend().read(&Key::NameFile(file.to_owned())) {
            Ok(slot) => slot,
            Err(StoreError::Damaged { what, .. }) => return Ok(Err(what)),
            Err(error) => return Err(error),
        };
        let Some(bytes) = slot.bytes else { return Ok(Ok(None)) };
        Ok(match parse_binding(&bytes) {
            Ok((id, name)) => match name.parse::<ListName>() {
                Ok(name) if name_file(&name) == file => Ok(Some((id, name))),
                _ => Err(format!("it is the file of another name: {name:?}")),
            },
            Err(what) => Err(what.to_owned()),
        })
    }

    /// The records that list each name.
    fn by_name(&self) -> BTreeMap<ListName, BTreeSet<RecordId>> {
        let mut by_name: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (id, names) in &self.listed {
            for name in names {
                by_name.entry(name.clone()).or_default().insert(*id);
            }
        }
        by_name
    }

    /// A name that leads to a record.
    fn binding(&mut self, name: &ListName, id: RecordId) -> Result<(), StoreError> {
        if self.has.contains(name) || self.unreadable.contains(&id) {
            self.report.names += u64::from(self.has.contains(name));
            return Ok(());
        }
        let path = self.backend().path(&Key::Name(name.clone()));
        if self.listed.get(&id).is_some_and(|names| names.contains(name)) {
            // The next change of the record's names settles it.
            let what = format!("another name of the record {} has taken the place of {name}", id.short());
            self.add(Finding::leftover(path.display(), what));
            return Ok(());
        }
        let what = if self.listed.contains_key(&id) {
            format!("the record {} does not list the name {name}, which is free", id.short())
        } else {
            format!("there is no record {}; the name {name} is free", id.short())
        };
        let removed = self.repair == Repair::Yes && remove_leftover(self.catalog, name, Touch::Remove, "")?;
        self.add(Finding::leftover(path.display(), what).repair("remove it", removed));
        Ok(())
    }

    /// A file of a name that cannot be read, and the records that list the name.
    fn damaged_name(
        &mut self,
        file: &str,
        what: &str,
        name: Option<(&ListName, Option<&BTreeSet<RecordId>>)>,
    ) -> Result<(), Stop> {
        let path = self.backend().path(&Key::NameFile(file.to_owned()));
        if self.knows(&path) {
            return Ok(());
        }
        let lister = name.and_then(|(name, records)| Some((name, only(records?)?)));
        let (lost, how) = match lister {
            Some((name, id)) => (
                format!("nothing; the record {} lists the name {name}", id.short()),
                match self.backend().lost_and_found() {
                    Some(_) => ", and let the name lead to that record",
                    None => ", and give that record the name again with tag",
                },
            ),
            None => ("which record had the name".to_owned(), ""),
        };
        let how = format!("{}{how}", self.aside());
        let repaired =
            self.repair == Repair::Yes && self.repair_name(file, name.map(|(name, _)| name), lister)?;
        self.add(Finding::damage(&path, what, lost).repair(how, repaired));
        Ok(())
    }

    /// Moves the damaged file of a name aside, and lets the name lead to the only record that lists it. Whether that
    /// was done.
    fn repair_name(
        &self,
        file: &str,
        name: Option<&ListName>,
        lister: Option<(&ListName, RecordId)>,
    ) -> Result<bool, Stop> {
        // Where nobody lists a name, nobody knows its lock.
        let guard = name.map(|name| self.lock(&LockKey::Name(name.clone()))).transpose()?;
        // Whoever has the lock, or had it a moment ago, may be writing the file anew.
        if guard.as_ref().is_some_and(Option::is_none) || self.name_file(file)?.is_ok() {
            return Ok(false);
        }
        if self.backend().set_aside(&Aside::NameFile(file.to_owned()))?.is_none() {
            return Ok(false);
        }
        lister.map_or(Ok(true), |(name, id)| self.bind(name, id))
    }

    /// A name that records list, and the record that it leads to.
    fn listed_name(&mut self, name: &ListName, records: &BTreeSet<RecordId>, bound: Option<RecordId>) {
        for id in records.iter().filter(|id| Some(**id) != bound) {
            let object = format!("{} of {}", name, id.short());
            // That a record lists a name is what it would have, or had. Where the file of the name is gone nobody knows
            // which, and a name that was taken away must not come back.
            let what = match bound {
                Some(other) => format!("the record lists the name, which leads to {}", other.short()),
                None => "the record lists the name, which leads nowhere".to_owned(),
            };
            self.add(Finding::leftover(object, what));
        }
    }

    /// Lets a name lead to the record that lists it. Needs the lock of the name. Whether it does now.
    fn bind(&self, name: &ListName, id: RecordId) -> Result<bool, Stop> {
        let Some(_guard) = self.lock(&LockKey::Record(id))? else { return Ok(false) };
        let lists = self.catalog.read_raw(id)?.is_some_and(|found| found.record.listed().contains(name));
        let (bound, over) = self.catalog.binding(name)?;
        if !lists || bound.is_some() {
            return Ok(false);
        }
        self.catalog.give(name, id, &over).map(|()| true)
    }
}

fn only(records: &BTreeSet<RecordId>) -> Option<RecordId> {
    let mut records = records.iter();
    records.next().copied().filter(|_| records.next().is_none())
}
