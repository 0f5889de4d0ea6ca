//! What a store without disks, locks and crashes would hold.

use std::collections::{BTreeMap, BTreeSet};

/// The records, by the mark that each was born with.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct World(pub(super) BTreeMap<String, Listed>);

/// What is known of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Listed {
    pub(super) names: BTreeSet<String>,
    pub(super) entries: BTreeSet<u64>,
    pub(super) notes: BTreeSet<String>,
    pub(super) holds: BTreeSet<String>,
    /// The records that it has entries from.
    pub(super) uses: BTreeSet<String>,
}

/// A change; the first member says which list by one of its names, which here are also the marks of new records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Op {
    Add(Name, u64),
    Annotate(Name, Name),
    Take(Name, u64),
    /// Adds an entry that comes from the other record.
    Use(Name, Name, u64),
    Hold(Name, Name),
    Release(Name, Name),
    Tag(Name, Name),
    Untag(Name),
    Rename(Name, Name),
    Remove(Name),
    /// A new record with a mark, under a name that must be free.
    Create(Name, Name),
    /// A new record with a mark, under a name that may be taken.
    Replace(Name, Name),
    /// Gives the list a name that may be taken.
    TakeName(Name, Name),
}

pub(super) type Name = &'static str;

/// What was done by a change that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Done {
    Made,
    /// A removal took a name only.
    Untagged,
}

impl World {
    /// The record that has a name.
    pub(super) fn named(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(_, record)| record.names.contains(name)).map(|(born, _)| &**born)
    }

    /// What is there after a change; nothing when it has to be refused.
    pub(super) fn after(&self, op: Op, done: Done) -> Option<Self> {
        let mut after = self.clone();
        match op {
            Op::Add(list, n) => {
                after.record(list)?.entries.insert(n);
            }
            Op::Take(list, n) => {
                after.record(list)?.entries.remove(&n);
            }
            Op::Annotate(list, note) => {
                after.record(list)?.notes.insert(note.to_owned());
            }
            Op::Use(list, used, n) => {
                let used = self.named(used)?.to_owned();
                let record = after.record(list)?;
                record.entries.insert(n);
                record.uses.insert(used);
            }
            Op::Hold(list, by) => {
                after.record(list)?.holds.insert(by.to_owned());
            }
            Op::Release(list, by) => {
                after.record(list)?.holds.remove(by);
            }
            Op::Tag(list, new) => {
                let taken = self.named(new).is_some_and(|born| Some(born) != self.named(list));
                after.record(list).filter(|_| !taken)?.names.insert(new.to_owned());
            }
            Op::Untag(name) => {
                after.record(name)?.names.remove(name);
            }
            Op::Rename(old, new) => {
                let taken = self.named(new).is_some_and(|born| Some(born) != self.named(old));
                let record = after.record(old).filter(|_| !taken)?;
                record.names.insert(new.to_owned());
                record.names.remove(old);
            }
            Op::Remove(name) => return self.without(name, done),
            Op::Create(name, _) if self.named(name).is_some() => return None,
            Op::Create(name, born) | Op::Replace(name, born) => {
                if let Some(old) = after.record(name) {
                    old.names.remove(name);
                }
                after.0.insert(born.to_owned(), Listed::new([name]));
            }
            Op::TakeName(list, name) => {
                let born = self.named(list)?.to_owned();
                if let Some(old) = after.record(name) {
                    old.names.remove(name);
                }
                after.0.get_mut(&born)?.names.insert(name.to_owned());
            }
        }
        Some(after)
    }

    fn without(&self, name: &str, done: Done) -> Option<Self> {
        let born = self.named(name)?;
        let mut after = self.clone();
        match done {
            Done::Untagged => {
                after.record(name)?.names.remove(name);
            }
            Done::Made => {
                let record = after.0.remove(born)?;
                let is_used = after.0.values().any(|other| other.uses.contains(born));
                if record.names.len() > 1 || !record.holds.is_empty() || is_used {
                    return None;
                }
            }
        }
        Some(after)
    }

    /// Everything that may be there when a change was cut off, as `docs/record-format.md` has it.
    pub(super) fn during(&self, op: Op) -> Vec<Self> {
        let mut all = vec![self.clone()];
        all.extend(self.after(op, Done::Made));
        match op {
            Op::Remove(name) if self.0.values().any(|record| record.has_besides(name)) => {
                all.extend(self.after(op, Done::Untagged));
            }
            // The new record is written before its name.
            Op::Create(_, born) | Op::Replace(_, born) if all.len() > 1 => {
                let mut nameless = self.clone();
                nameless.0.insert(born.to_owned(), Listed::new([]));
                all.push(nameless);
            }
            _ => {}
        }
        all
    }

    fn record(&mut self, name: &str) -> Option<&mut Listed> {
        self.0.values_mut().find(|record| record.names.contains(name))
    }
}

impl Listed {
    pub(super) fn new<const N: usize>(names: [&str; N]) -> Self {
        Self { names: names.map(str::to_owned).into(), ..Self::default() }
    }

    /// Whether this is one of several names.
    fn has_besides(&self, name: &str) -> bool {
        self.names.contains(name) && self.names.len() > 1
    }
}

/// Everything that may be there when these changes were cut off, in whatever order they were made.
pub(super) fn during(worlds: &BTreeSet<World>, ops: &[Op]) -> BTreeSet<World> {
    let mut all = worlds.clone();
    for (at, op) in ops.iter().enumerate() {
        let others = [&ops[..at], &ops[at + 1..]].concat();
        let made: BTreeSet<_> = worlds.iter().flat_map(|world| world.during(*op)).collect();
        all.extend(during(&made, &others));
    }
    all
}
