//! What a writer does, edit after edit, and what a store must say after any number of them.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::facts::{self, List};
use super::super::material::{Material, Piece};
use super::super::{Subject, Violation};

/// The list that all writers edit.
pub(super) const SHARED: &str = "shared";

/// How many images a writer has to add.
const IMAGES: usize = 24;

/// The edits of one writer.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    writer: usize,
    material: Material,
}

/// An edit. The lists of a writer and their second names are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    Create(usize),
    Add(usize),
    Annotate(usize),
    AnnotateEntry(usize),
    Tag(usize),
    Untag(usize),
    Remove(usize),
    AddToShared(usize),
    AnnotateShared,
}

/// What a store says of one writer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Its own lists, by each of their names.
    lists: BTreeMap<String, List>,
    /// Its entries and annotations in the shared list.
    shared: List,
}

impl Plan {
    pub(super) fn new(writer: usize, dir: &Path) -> Self {
        Self { writer, material: Material::write(dir, &format!("w{writer}"), IMAGES) }
    }

    pub(super) const fn writer(&self) -> usize {
        self.writer
    }

    /// The arguments of edit `count`, counted from zero.
    pub(super) fn words(&self, count: usize) -> Vec<String> {
        let (list, tag) = (|n| self.list(n), |n| self.tag(n));
        let line = match edit(count) {
            Edit::Create(n) => format!("create {}", list(n)),
            Edit::Add(n) => format!("add {} {}", list(n), self.piece(n).argument),
            Edit::Annotate(n) => format!("annotate --index {} --annotation step={count}", list(n)),
            Edit::AnnotateEntry(n) => {
                format!("annotate {} {} --annotation note={count}", list(n), self.piece(n).digest)
            }
            Edit::Tag(n) => format!("tag {} {}", list(n), tag(n)),
            Edit::Untag(n) => format!("untag {}", tag(n)),
            Edit::Remove(n) => format!("rm {}", list(n)),
            Edit::AddToShared(n) => format!("add {SHARED} {}", self.piece(n).argument),
            Edit::AnnotateShared => {
                format!("annotate --index {SHARED} --annotation w{}={count}", self.writer)
            }
        };
        line.split(' ').map(str::to_owned).collect()
    }

    /// What a store says after so many edits.
    pub(super) fn state(&self, edits: usize) -> State {
        let (mut records, mut shared) = (BTreeMap::new(), List::default());
        for count in 0..edits {
            self.apply(count, &mut records, &mut shared);
        }
        let by_name =
            |list: &List| list.names.iter().map(|name| (name.clone(), list.clone())).collect::<Vec<_>>();
        State { lists: records.values().flat_map(by_name).collect(), shared }
    }

    fn apply(&self, count: usize, records: &mut BTreeMap<usize, List>, shared: &mut List) {
        let mut change = |n, change: &dyn Fn(&mut List)| {
            records.entry(n).and_modify(change);
        };
        let digest = |n| self.piece(n).digest.clone();
        match edit(count) {
            Edit::Create(n) => {
                records.insert(n, List { names: vec![self.list(n)], ..List::default() });
            }
            Edit::Remove(n) => {
                records.remove(&n);
            }
            Edit::Add(n) => change(n, &|list| drop(list.entries.insert(digest(n), BTreeMap::new()))),
            Edit::Annotate(n) => {
                change(n, &|list| drop(list.notes.insert("step".to_owned(), count.to_string())))
            }
            Edit::AnnotateEntry(n) => change(n, &|list| {
                list.entries.insert(digest(n), BTreeMap::from([("note".to_owned(), count.to_string())]));
            }),
            // Names are compared in the order of their text, and "list" comes before "tag".
            Edit::Tag(n) => change(n, &|list| list.names.push(self.tag(n))),
            Edit::Untag(n) => change(n, &|list| list.names.truncate(1)),
            Edit::AddToShared(n) => drop(shared.entries.insert(digest(n), BTreeMap::new())),
            Edit::AnnotateShared => drop(shared.notes.insert(format!("w{}", self.writer), count.to_string())),
        }
    }

    /// What lists say of this writer.
    pub(super) fn part(&self, lists: &BTreeMap<String, List>) -> State {
        let own = |name: &str| {
            ["list", "tag"].iter().any(|kind| name.starts_with(&format!("w{}{kind}", self.writer)))
        };
        let mut shared = lists.get(SHARED).cloned().unwrap_or_default();
        shared.names.clear();
        shared.entries.retain(|digest, _| self.material.has(digest));
        shared.notes.retain(|key, _| *key == format!("w{}", self.writer));
        let lists = lists.iter().filter(|(name, _)| own(name));
        State { lists: lists.map(|(name, list)| (name.clone(), list.clone())).collect(), shared }
    }

    fn list(&self, n: usize) -> String {
        format!("w{}list{n}", self.writer)
    }

    fn tag(&self, n: usize) -> String {
        format!("w{}tag{n}", self.writer)
    }

    fn piece(&self, n: usize) -> &Piece {
        &self.material.pieces()[n % IMAGES]
    }
}

/// The plan: lists come and go, and the one before the last goes when the next has been begun.
fn edit(count: usize) -> Edit {
    const ROUND: usize = 9;
    let n = count / ROUND;
    match (count % ROUND, n) {
        (0, _) => Edit::Create(n),
        (1, _) => Edit::Add(n),
        (2, _) => Edit::Annotate(n),
        (3, _) => Edit::Tag(n),
        (4, _) => Edit::AnnotateShared,
        (5, _) => Edit::AddToShared(n),
        (6, _) => Edit::AnnotateEntry(n),
        (7, 1..) => Edit::Untag(n - 1),
        (8, 1..) => Edit::Remove(n - 1),
        _ => Edit::AnnotateShared,
    }
}

/// All that a store says, by name; records without a name are read too.
pub(super) fn observed(subject: &Subject) -> Result<BTreeMap<String, List>, Violation> {
    let mut lists = BTreeMap::new();
    for line in facts::listed(subject)? {
        if line.names.is_empty() {
            facts::inspected(subject, &line.id)?;
        }
        for name in line.names {
            lists.insert(name.clone(), facts::inspected(subject, &name)?);
        }
    }
    Ok(lists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_follows_the_edits() {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::new(0, dir.path());
        let names = |edits| plan.state(edits).lists.into_keys().collect::<Vec<_>>();
        assert_eq!(names(0), Vec::<String>::new());
        assert_eq!(names(4), ["w0list0", "w0tag0"]);
        assert_eq!(names(18), ["w0list1", "w0tag1"]);
        let state = plan.state(7);
        assert_eq!(state.lists["w0tag0"], state.lists["w0list0"]);
        assert_eq!(state.lists["w0tag0"].names, ["w0list0", "w0tag0"]);
        assert_eq!(state.lists["w0tag0"].notes["step"], "2");
        assert_eq!(plan.part(&state.lists).lists, state.lists);
    }
}
