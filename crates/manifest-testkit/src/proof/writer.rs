//! Somebody who edits lists and keeps a ledger of what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use super::chance::Chance;
use super::facts::{LABEL, List, Listed, Reader, listed};
use super::material::Material;
use super::{Subject, Violation, ensure};

/// How many lists of its own a writer keeps.
const OWN_LISTS: usize = 3;
/// How many names a writer gives to one list.
const NAMES: usize = 4;

/// What a writer has said of lists, by label: all of its own lists, its own part of those that it shares.
pub(super) type Ledger = BTreeMap<String, List>;

/// A command and what it makes of the ledger.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) verb: &'static str,
    pub(super) words: Vec<String>,
    pub(super) after: Ledger,
    /// The names that come or go.
    pub(super) names: Vec<String>,
}

/// Which lists a writer may make and remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// None: it edits the list that is there.
    Edits,
    /// Lists of its own come and go.
    Lists,
}

/// A writer: what it has to work with, and its ledger.
#[derive(Debug)]
pub(super) struct Writer {
    name: String,
    material: Material,
    chance: Chance,
    verbs: BTreeSet<String>,
    reach: Reach,
    serial: usize,
    pub(super) ledger: Ledger,
}

impl Writer {
    /// A writer who edits the list `list`, which is there, empty, and has that label.
    pub(super) fn new(
        name: &str,
        list: &str,
        material: Material,
        chance: Chance,
        verbs: BTreeSet<String>,
    ) -> Self {
        let mut known = List::default();
        if list.starts_with(&format!("{name}-")) {
            // Nobody else edits it, so all of it is known.
            known.notes.insert(LABEL.to_owned(), list.to_owned());
            known.names.push(list.to_owned());
        }
        let ledger = BTreeMap::from([(list.to_owned(), known)]);
        let (name, reach) = (name.to_owned(), Reach::Edits);
        Self { name, material, chance, verbs, reach, serial: 0, ledger }
    }

    /// The same writer, who makes and removes lists besides.
    pub(super) fn with_lists(self) -> Self {
        Self { reach: Reach::Lists, ..self }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    /// Something that can be done as the ledger stands.
    pub(super) fn next(&mut self) -> Edit {
        loop {
            self.serial += 1;
            let at = self.chance.below(self.ledger.len());
            let Some((label, list)) = self.ledger.iter().nth(at) else { continue };
            let (label, list) = (label.clone(), list.clone());
            let edits: &[Choice] = match self.reach {
                Reach::Edits => EDITS,
                Reach::Lists if self.chance.below(4) == 0 => LISTS,
                Reach::Lists => EDITS,
            };
            let Some(edit) = self.chance.one(edits) else { continue };
            if let Some(edit) = edit(self, &label, list) {
                return edit;
            }
        }
    }

    /// The command that makes `list` of the list with this label.
    fn edit(&self, verb: &'static str, words: &[&str], label: &str, list: List) -> Option<Edit> {
        let mut after = self.ledger.clone();
        let before = after.insert(label.to_owned(), list.clone()).unwrap_or_default();
        let (old, new): (BTreeSet<_>, BTreeSet<_>) =
            (before.names.into_iter().collect(), list.names.into_iter().collect());
        let names = old.symmetric_difference(&new).cloned().collect();
        let words = [verb].iter().chain(words).map(|&word| word.to_owned()).collect();
        Some(Edit { verb, words, after, names })
    }

    /// What this writer would call something new.
    fn fresh(&self, kind: &str) -> String {
        format!("{}-{kind}{}", self.name, self.serial)
    }

    fn add(&mut self, label: &str, mut list: List) -> Option<Edit> {
        let absent = |digest: &String| !list.entries.contains_key(digest);
        let pieces: Vec<_> =
            self.material.pieces().iter().filter(|piece| absent(&piece.digest)).cloned().collect();
        let first = self.chance.one(&pieces)?.clone();
        let second = self.chance.one(&pieces)?.clone();
        let mut words = vec![label, first.argument.as_str()];
        list.entries.insert(first.digest.clone(), BTreeMap::new());
        // Two images in one command come together or not at all.
        if self.chance.below(3) == 0 && second.digest != first.digest {
            words.push(&second.argument);
            list.entries.insert(second.digest.clone(), BTreeMap::new());
        }
        self.edit("add", &words, label, list)
    }

    fn note(&mut self, label: &str, mut list: List) -> Option<Edit> {
        let (key, value) = (format!("{}.{}", self.name, self.serial % 7), format!("v{}", self.serial));
        let also = format!("{}.also", self.name);
        let (first, second) = (format!("{key}={value}"), format!("{also}={value}"));
        list.notes.insert(key, value.clone());
        list.notes.insert(also, value);
        let words = ["--index", label, "--annotation", &first, "--annotation", &second];
        self.edit("annotate", &words, label, list)
    }

    fn forget_note(&mut self, label: &str, mut list: List) -> Option<Edit> {
        let own = |key: &&String| key.starts_with(&format!("{}.", self.name));
        let keys: Vec<String> = list.notes.keys().filter(own).cloned().collect();
        let key = self.chance.one(&keys)?.clone();
        list.notes.remove(&key);
        self.edit("annotate", &["--index", label, "--remove-annotation", &key], label, list)
    }

    fn note_entry(&mut self, label: &str, mut list: List) -> Option<Edit> {
        let digests: Vec<String> = list.entries.keys().cloned().collect();
        let digest = self.chance.one(&digests)?.clone();
        let pair = format!("k{}=v{}", self.serial % 3, self.serial);
        let (key, value) = pair.split_once('=')?;
        list.entries.get_mut(&digest)?.insert(key.to_owned(), value.to_owned());
        self.edit("annotate", &[label, &digest, "--annotation", &pair], label, list)
    }

    fn remove(&mut self, label: &str, mut list: List) -> Option<Edit> {
        let digests: Vec<String> = list.entries.keys().cloned().collect();
        let digest = self.chance.one(&digests)?.clone();
        list.entries.remove(&digest);
        self.edit("remove", &[label, &digest], label, list)
    }

    fn tag(&mut self, label: &str, mut list: List) -> Option<Edit> {
        let name = self.fresh("n");
        list.names.push(name.clone());
        list.names.sort_unstable();
        (list.names.len() <= NAMES).then_some(())?;
        self.edit("tag", &[label, &name], label, list)
    }

    /// A name of this list that the writer gave it besides its first.
    fn extra_name(&mut self, label: &str, list: &List) -> Option<String> {
        let names: Vec<String> = list.names.iter().filter(|name| *name != label).cloned().collect();
        self.chance.one(&names).cloned()
    }

    fn untag(&mut self, label: &str, mut list: List) -> Option<Edit> {
        let name = self.extra_name(label, &list)?;
        list.names.retain(|other| *other != name);
        self.edit("untag", &[&name], label, list)
    }

    fn rename(&mut self, label: &str, mut list: List) -> Option<Edit> {
        self.verbs.contains("rename").then_some(())?;
        let (old, new) = (self.extra_name(label, &list)?, self.fresh("r"));
        list.names.retain(|other| *other != old);
        list.names.push(new.clone());
        list.names.sort_unstable();
        self.edit("rename", &[&old, &new], label, list)
    }

    fn create(&mut self, _: &str, _: List) -> Option<Edit> {
        (self.ledger.len() <= OWN_LISTS).then_some(())?;
        let label = self.fresh("l");
        let mut list = List { names: vec![label.clone()], ..List::default() };
        list.notes.insert(LABEL.to_owned(), label.clone());
        let note = format!("{LABEL}={label}");
        let mut words = vec!["--annotation", &note, &label];
        let piece = self.chance.one(self.material.pieces())?.clone();
        if self.chance.below(2) == 0 {
            words.push(&piece.argument);
            list.entries.insert(piece.digest, BTreeMap::new());
        }
        self.edit("create", &words, &label, list)
    }

    /// Removes a list of its own that has one name, or one of several names.
    fn rm(&mut self, label: &str, list: List) -> Option<Edit> {
        if let Some(name) = self.extra_name(label, &list) {
            let names = list.names.iter().filter(|other| **other != name).cloned().collect();
            return self.edit("rm", &[&name], label, List { names, ..list });
        }
        list.names.contains(&label.to_owned()).then_some(())?;
        let mut edit = self.edit("rm", &[label], label, List::default())?;
        edit.after.remove(label);
        Some(edit)
    }

    fn gc(&mut self, _: &str, _: List) -> Option<Edit> {
        self.verbs.contains("gc").then_some(())?;
        let words = vec!["gc".to_owned()];
        Some(Edit { verb: "gc", words, after: self.ledger.clone(), names: Vec::new() })
    }

    /// What the store says of this writer.
    pub(super) fn observe(&self, subject: &Subject, reader: &mut Reader) -> Result<Ledger, Violation> {
        self.observe_in(&listed(subject)?, subject, reader)
    }

    /// What these lines of `ls`, and the lists behind them, say of this writer.
    pub(super) fn observe_in(
        &self,
        lines: &[Listed],
        subject: &Subject,
        reader: &mut Reader,
    ) -> Result<Ledger, Violation> {
        let mut seen = Ledger::new();
        // A creation that was cut short may leave a list that no name leads to.
        for line in lines.iter().filter(|line| !line.names.is_empty() && self.may_hold(line)) {
            let list = reader.list(subject, line)?;
            let label = list.label().to_owned();
            let own = label.starts_with(&format!("{}-", self.name));
            if own || self.ledger.contains_key(&label) {
                let list = if own { list } else { self.own_part(list) };
                let twice = seen.insert(label.clone(), list);
                ensure(twice.is_none(), || format!("there are two lists {label}: {lines:#?}"))?;
            }
        }
        Ok(seen)
    }

    /// Whether a line is of a list of this writer, or of one that it shares.
    fn may_hold(&self, line: &Listed) -> bool {
        let own = format!("{}-", self.name);
        line.names.iter().any(|name| name.starts_with(&own) || self.ledger.contains_key(name))
    }

    fn own_part(&self, mut list: List) -> List {
        let (note, name) = (format!("{}.", self.name), format!("{}-", self.name));
        list.notes.retain(|key, _| key.starts_with(&note));
        list.entries.retain(|digest, _| self.material.has(digest));
        list.names.retain(|other| other.starts_with(&name));
        list
    }

    /// Looks each name up by itself: it leads to its list, or nowhere.
    pub(super) fn check_names(&self, subject: &Subject, names: &[String]) -> Result<(), Violation> {
        for name in names {
            let expected = self.ledger.iter().find(|(_, list)| list.names.contains(name));
            let code = subject.run(["exists", name]).code;
            let right = if expected.is_some() { Some(0) } else { Some(1) };
            ensure(code == right, || {
                format!("`exists {name}` ended with {code:?}; it is a name of {:?}", expected.map(|e| e.0))
            })?;
        }
        Ok(())
    }
}

/// What a writer may do to the list with this label: nothing, where there is nothing to do it to.
type Choice = fn(&mut Writer, &str, List) -> Option<Edit>;

/// Edits of a list; what stands there twice is done twice as often.
const EDITS: &[Choice] = &[
    Writer::add,
    Writer::add,
    Writer::note,
    Writer::note,
    Writer::note_entry,
    Writer::forget_note,
    Writer::remove,
    Writer::tag,
    Writer::untag,
    Writer::rename,
];

/// What lets lists come and go.
const LISTS: &[Choice] = &[Writer::create, Writer::create, Writer::rm, Writer::gc];

/// How two ledgers differ, for an account.
pub(super) fn difference(expected: &Ledger, found: &Ledger) -> String {
    let empty = List::default();
    let labels: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let mut lines = Vec::new();
    for label in labels {
        let (want, have) = (expected.get(label), found.get(label));
        if want.is_some() != have.is_some() {
            lines.push(format!("{label}: expected {}, found {}", there(want), there(have)));
        }
        let (want, have) = (want.unwrap_or(&empty), have.unwrap_or(&empty));
        compare(label, "note", &want.notes, &have.notes, &mut lines);
        compare(label, "entry", &want.entries, &have.entries, &mut lines);
        if want.names != have.names {
            lines.push(format!("{label}: names: expected {:?}, found {:?}", want.names, have.names));
        }
    }
    lines.join("\n")
}

const fn there(list: Option<&List>) -> &'static str {
    if list.is_some() { "a list" } else { "none" }
}

fn compare<V: PartialEq + std::fmt::Debug>(
    label: &str,
    what: &str,
    expected: &BTreeMap<String, V>,
    found: &BTreeMap<String, V>,
    lines: &mut Vec<String>,
) {
    let keys: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    for key in keys {
        let (want, have) = (expected.get(key), found.get(key));
        if want != have {
            lines.push(format!("{label}: {what} {key}: expected {want:?}, found {have:?}"));
        }
    }
}
