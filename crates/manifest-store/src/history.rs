//! What was done to a record, and how to take it back.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use manifest_core::{Digest, Format, ListName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Base, Sources, text};

/// The most changes that are kept one by one.
const CHANGES: usize = 1000;

/// About how many bytes the changes may take together; the newest is kept in any case.
const WEIGHT: usize = 4 << 20;

/// The longest command that is kept, in characters.
const COMMAND: usize = 1000;

/// What was done to a record: the last changes one by one, the older ones as a number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    folded: u64,
    changes: Vec<Change>,
    #[serde(flatten)]
    extra: BTreeMap<String, Value>,
}

/// One change of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// When it was made.
    #[serde(with = "text")]
    pub when: Timestamp,
    /// What made it.
    pub command: String,
    /// The digest of the document before; none for the change that made the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// The digest of the document after.
    pub after: Digest,
    /// The entries that came to the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<Digest>,
    /// The entries that left it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Digest>,
    /// The names that the record got.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tagged: Vec<ListName>,
    /// The names that it lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untagged: Vec<ListName>,
    /// How to make the document before out of the one after; none when the document did not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<Revert>,
    /// What stood beside the document before; none when that did not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Beside>,
    /// The number of the earlier change whose outcome this one brought back; none when it is not an undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<u64>,
    #[serde(flatten)]
    extra: BTreeMap<String, Value>,
}

/// The difference between two documents, as the part of the older one that the newer one has not.
///
/// The older document is the first `prefix` bytes of the newer one, then `middle`, then its last `suffix` bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Revert {
    /// The number of bytes that both begin with.
    pub prefix: usize,
    /// The number of bytes that both end with.
    pub suffix: usize,
    /// What stood between them in the older document.
    pub middle: String,
}

/// What a record held beside its document before a change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Beside {
    /// The format that was asked for.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// The published list that the draft was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// The sources that entries had then and have no more; those that stayed are not repeated.
    #[serde(default, skip_serializing_if = "Sources::is_empty")]
    pub sources: Sources,
}

impl History {
    /// The changes, oldest first.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// How many changes there were before those.
    pub const fn folded(&self) -> u64 {
        self.folded
    }

    /// The changes with their numbers, oldest first. The first change of a record has the number 1.
    pub fn numbered(&self) -> impl DoubleEndedIterator<Item = (u64, &Change)> + ExactSizeIterator {
        self.changes.iter().enumerate().map(|(at, change)| (self.number(at), change))
    }

    /// The numbers of the oldest and the newest change whose outcome is known.
    ///
    /// What the oldest change that is kept was made on can be told too, if it was not the first of all.
    pub(crate) fn reach(&self) -> (u64, u64) {
        let newest = self.folded.saturating_add(self.changes.len() as u64);
        (self.folded.max(1).min(newest), newest)
    }

    pub(crate) fn change(&self, number: u64) -> Option<&Change> {
        let at = number.checked_sub(self.folded)?.checked_sub(1)?;
        self.changes.get(usize::try_from(at).ok()?)
    }

    fn number(&self, at: usize) -> u64 {
        self.folded.saturating_add(at as u64).saturating_add(1)
    }

    /// Keeps only how many changes there were. Whether there were any to forget.
    pub(crate) fn forget(&mut self) -> bool {
        let forgotten = std::mem::take(&mut self.changes).len();
        self.folded = self.folded.saturating_add(forgotten as u64);
        forgotten > 0
    }

    pub(crate) fn push(&mut self, change: Change) {
        self.changes.push(change);
        let mut weight = 0_usize;
        let fits = |change: &&Change| {
            weight = weight.saturating_add(change.weight());
            weight <= WEIGHT
        };
        let kept = self.changes.iter().rev().take(CHANGES).take_while(fits).count().max(1);
        let old = self.changes.len().saturating_sub(kept);
        self.changes.drain(..old);
        self.folded = self.folded.saturating_add(old as u64);
    }
}

impl Change {
    pub(crate) fn new(when: Timestamp, command: &str, after: Digest) -> Self {
        Self {
            when,
            command: command.chars().take(COMMAND).collect(),
            before: None,
            after,
            added: Vec::new(),
            removed: Vec::new(),
            tagged: Vec::new(),
            untagged: Vec::new(),
            revert: None,
            was: None,
            restores: None,
            extra: BTreeMap::new(),
        }
    }

    /// The document before this change, made out of the one after it.
    ///
    /// `None` when `after` is not the document that this change made, or when there was none before.
    pub fn document_before(&self, after: &[u8]) -> Option<Vec<u8>> {
        let digest = self.before.filter(|_| self.after.verifies(after))?;
        let before = match &self.revert {
            Some(revert) => revert.apply(after)?,
            None => after.to_vec(),
        };
        digest.verifies(&before).then_some(before)
    }

    /// About how many bytes this takes in a file.
    fn weight(&self) -> usize {
        let digests = (self.added.len() + self.removed.len()) * 75;
        let names: usize = self.tagged.iter().chain(&self.untagged).map(|name| name.to_string().len()).sum();
        let middle = self.revert.as_ref().map_or(0, |revert| revert.middle.len());
        let sources = self.was.as_ref().map_or(0, |was| was.sources.weight());
        300 + self.command.len() + digests + names + middle + sources
    }
}

impl Revert {
    /// The difference that makes `before` out of `after`; `None` where one of them is not UTF-8.
    pub(crate) fn between(before: &[u8], after: &[u8]) -> Option<Self> {
        let (before, after) = (std::str::from_utf8(before).ok()?, std::str::from_utf8(after).ok()?);
        let mut prefix = common(before.as_bytes().chunks(CHUNK), after.as_bytes().chunks(CHUNK), |a, b| {
            a.iter().zip(b).take_while(|(a, b)| a == b).count()
        });
        while !before.is_char_boundary(prefix) {
            prefix -= 1;
        }
        let (rest, other) = (before.get(prefix..)?, after.get(prefix..)?);
        let mut suffix = common(rest.as_bytes().rchunks(CHUNK), other.as_bytes().rchunks(CHUNK), |a, b| {
            a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
        });
        while !rest.is_char_boundary(rest.len() - suffix) {
            suffix -= 1;
        }
        let middle = rest.get(..rest.len() - suffix)?.to_owned();
        Some(Self { prefix, suffix, middle })
    }

    /// Makes the older document out of the newer one; `None` when it cannot be the newer one.
    fn apply(&self, after: &[u8]) -> Option<Vec<u8>> {
        let head = after.get(..self.prefix)?;
        let tail = after.get(self.prefix..)?;
        let tail = tail.get(tail.len().checked_sub(self.suffix)?..)?;
        Some([head, self.middle.as_bytes(), tail].concat())
    }
}

/// How many bytes are compared at once.
const CHUNK: usize = 4096;

/// The number of bytes that two sequences of chunks have in common, counted by `within` in the first pair that differs.
fn common<'a>(
    before: impl Iterator<Item = &'a [u8]>,
    after: impl Iterator<Item = &'a [u8]>,
    within: impl Fn(&[u8], &[u8]) -> usize,
) -> usize {
    let mut length = 0;
    for (a, b) in before.zip(after) {
        if a != b {
            return length + within(a, b);
        }
        length += a.len();
    }
    length
}

/// The digests that are in one list but not in the other: those that came, and those that left.
pub(crate) fn difference(before: &[Digest], after: &[Digest]) -> (Vec<Digest>, Vec<Digest>) {
    let same = |(a, b): &(&Digest, &Digest)| a == b;
    let head = before.iter().zip(after).take_while(same).count();
    let (before_rest, after_rest) =
        (before.get(head..).unwrap_or_default(), after.get(head..).unwrap_or_default());
    let tail = before_rest.iter().rev().zip(after_rest.iter().rev()).take_while(same).count();
    let set = |rest: &[Digest]| -> BTreeSet<Digest> { rest.iter().rev().skip(tail).copied().collect() };
    let (old, new) = (set(before_rest), set(after_rest));
    // What stands twice in a list is neither new nor gone when one of the two comes or goes.
    let only = |these: &BTreeSet<Digest>, those: &BTreeSet<Digest>, all: &[Digest]| {
        let mut only: BTreeSet<Digest> = these.difference(those).copied().collect();
        match only.len() {
            0 => {}
            1..8 => only.retain(|digest| !all.contains(digest)),
            _ => {
                let all: BTreeSet<Digest> = all.iter().copied().collect();
                only.retain(|digest| !all.contains(digest));
            }
        }
        only
    };
    let (came, left) = (only(&new, &old, before), only(&old, &new, after));
    let in_order = |all: &[Digest], some: &BTreeSet<Digest>| {
        let mut rest = some.clone();
        all.iter().filter(|digest| !some.is_empty() && rest.remove(*digest)).copied().collect()
    };
    (in_order(after, &came), in_order(before, &left))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(n: u8) -> Digest {
        Digest::sha256(&[n])
    }

    fn digests(ns: &[u8]) -> Vec<Digest> {
        ns.iter().copied().map(digest).collect()
    }

    #[test]
    fn what_came_and_what_left_is_told_in_order() {
        for (before, after, came, left) in [
            (&[][..], &[][..], &[][..], &[][..]),
            (&[], &[3, 1], &[3, 1], &[]),
            (&[1, 2], &[1, 2, 3], &[3], &[]),
            (&[1, 2, 3], &[1, 3], &[], &[2]),
            (&[1, 2, 3], &[3, 2, 1], &[], &[]),
            (&[1, 2, 3], &[1, 9, 3], &[9], &[2]),
            (&[1, 1, 2], &[1, 2], &[], &[]),
            (&[1, 2], &[1, 2, 1], &[], &[]),
            (&[1, 2], &[], &[], &[1, 2]),
        ] {
            let expected = (digests(came), digests(left));
            assert_eq!(difference(&digests(before), &digests(after)), expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_difference_keeps_whole_characters() {
        for (before, after) in [
            ("", ""),
            ("", "abc"),
            ("abc", ""),
            ("aa", "aaa"),
            ("[1,2]", "[1,2,3]"),
            ("xéy", "xèy"),
            ("é", "è"),
            ("a😀b", "a😁b"),
            ("\u{e9}", "\u{129}"),
        ] {
            let revert = Revert::between(before.as_bytes(), after.as_bytes()).unwrap();
            assert_eq!(revert.apply(after.as_bytes()).as_deref(), Some(before.as_bytes()), "{revert:?}");
        }
        let revert = Revert::between(b"[1,2]", b"[1,2,3]").unwrap();
        assert_eq!((revert.prefix, revert.suffix, revert.middle.as_str()), (4, 1, ""));
        assert_eq!(revert.apply(b"[]"), None, "applied to a document that is too short");
    }

    proptest! {
        #[test]
        fn a_difference_gives_the_older_text_back(
            head in "[ab\u{e9}]{0,9000}", old in "[ab\u{e9}\u{e8}]{0,20}",
            new in "[ab\u{e9}\u{e8}]{0,20}", tail in "[ab\u{e9}]{0,9000}",
        ) {
            let (before, after) = (format!("{head}{old}{tail}"), format!("{head}{new}{tail}"));
            let revert = Revert::between(before.as_bytes(), after.as_bytes()).unwrap();
            prop_assert!(revert.middle.len() <= old.len());
            prop_assert_eq!(revert.apply(after.as_bytes()), Some(before.into_bytes()));
        }
    }

    #[test]
    fn old_changes_are_folded_by_number_and_by_weight() {
        let change = |middle: usize| Change {
            revert: Some(Revert { prefix: 0, suffix: 0, middle: "x".repeat(middle) }),
            ..Change::new(Timestamp::UNIX_EPOCH, "edit", digest(0))
        };
        let mut history = History::default();
        (0..1500).for_each(|_| history.push(change(0)));
        assert_eq!((history.changes().len(), history.folded()), (1000, 500));
        (0..9).for_each(|_| history.push(change(1 << 20)));
        assert_eq!((history.changes().len(), history.folded()), (3, 1506));
        history.push(change(5 << 20));
        assert_eq!((history.changes().len(), history.folded()), (1, 1509));
    }
}
