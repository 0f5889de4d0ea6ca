//! Where the bytes of entries can be read again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use manifest_core::Digest;
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::RecordId;

/// Where the bytes of entries can be read again: one place, pinned to one document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled by whoever resolves a reference")]
pub struct Source {
    /// What was typed.
    pub from: String,
    /// The repository or layout, with its transport: `docker://ghcr.io/acme/app`, `oci:/srv/layout`; [`Source::HERE`]
    /// for the blobs of this store. Not looked into here otherwise.
    pub place: String,
    /// The digest of the document that `from` stood for: an image, or a list that holds the entries.
    pub digest: Digest,
    /// When it stood for that.
    pub resolved: Timestamp,
    /// The entries that can be read there.
    pub entries: Vec<Digest>,
    /// The record of this store that they were taken from, if any.
    pub record: Option<RecordId>,
}

/// Where the entries of a list came from; each entry has at most one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources(Arc<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    all: Vec<Stored>,
    /// The position of the source of each entry, once somebody asked.
    by_entry: OnceLock<BTreeMap<Digest, usize>>,
}

impl PartialEq for Inner {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

/// A source, with the members of its JSON that this version does not know.
#[derive(Clone, Debug, PartialEq)]
struct Stored {
    source: Source,
    extra: BTreeMap<String, Value>,
}

impl Sources {
    /// The sources, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.all.iter().map(|stored| &stored.source)
    }

    /// Whether no entry has a source.
    pub fn is_empty(&self) -> bool {
        self.0.all.is_empty()
    }

    /// The source of an entry.
    pub fn place_of(&self, entry: &Digest) -> Option<&Source> {
        self.0.by_entry().get(entry).and_then(|at| self.0.all.get(*at)).map(|stored| &stored.source)
    }

    /// Adds a source for those of its entries that have none yet.
    ///
    /// An entry that has a source keeps it: it is known to be readable there.
    pub fn add(&mut self, mut source: Source) {
        let few = source.entries.len() < 8;
        let mut seen = BTreeSet::new();
        source.entries.retain(|entry| !self.0.has(entry, few) && seen.insert(*entry));
        if source.entries.is_empty() {
            return;
        }
        let inner = Arc::make_mut(&mut self.0);
        inner.by_entry = OnceLock::new();
        match inner.all.iter_mut().find(|stored| stored.source.is_as_good_as(&source)) {
            Some(stored) => stored.source.entries.extend(source.entries),
            None => inner.all.push(Stored { source, extra: BTreeMap::new() }),
        }
    }

    /// Adds a source for all of its entries; those that had another one are read here from now on.
    pub fn prefer(&mut self, source: Source) {
        let moves: BTreeSet<Digest> = source.entries.iter().copied().collect();
        let others: Vec<Digest> = self.0.entries().filter(|entry| !moves.contains(entry)).copied().collect();
        self.keep_only(others.into_iter());
        self.add(source);
    }

    /// Drops the entries that are not among `entries`, and the sources that have none left.
    pub(crate) fn keep_only(&mut self, entries: impl Iterator<Item = Digest>) {
        let mut kept: Vec<Digest> = entries.collect();
        // A list and its sources mostly grow in step: then one walk over both is enough.
        let mut in_step = kept.iter();
        if self.0.entries().all(|entry| in_step.any(|kept| kept == entry)) {
            return;
        }
        kept.sort_unstable();
        let stays = |entry: &Digest| kept.binary_search(entry).is_ok();
        if self.0.entries().all(stays) {
            return;
        }
        let mut all = self.0.all.clone();
        all.iter_mut().for_each(|stored| stored.source.entries.retain(stays));
        all.retain(|stored| !stored.source.entries.is_empty());
        self.0 = Arc::new(Inner::of(all));
    }

    /// Whether both are the same, found out without looking at each source if possible.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self == other
    }

    /// The sources of entries that have another one, or none, in `after`.
    pub(crate) fn lost_in(&self, after: &Self) -> Self {
        // The usual change appends; then nothing is lost, and the walk over all entries is spared.
        if after.0.all.starts_with(&self.0.all) {
            return Self::default();
        }
        let mut all = self.0.all.clone();
        for Stored { source, .. } in &mut all {
            let mut entries = std::mem::take(&mut source.entries);
            entries.retain(|entry| !after.place_of(entry).is_some_and(|there| there.is_as_good_as(source)));
            source.entries = entries;
        }
        all.retain(|stored| !stored.source.entries.is_empty());
        Self(Arc::new(Inner::of(all)))
    }

    /// About how many bytes this takes in a file.
    pub(crate) fn weight(&self) -> usize {
        self.iter().map(|s| 200 + s.from.len() + s.place.len() + s.entries.len() * 75).sum()
    }
}

impl Source {
    /// The place of entries that this store itself holds, with all that belongs to them.
    pub const HERE: &'static str = "store:";

    /// Whether both are the same document at the same place.
    fn is_as_good_as(&self, other: &Self) -> bool {
        self.digest == other.digest
            && self.place == other.place
            && self.from == other.from
            && self.record == other.record
    }
}

impl Inner {
    fn of(all: Vec<Stored>) -> Self {
        Self { all, by_entry: OnceLock::new() }
    }

    fn entries(&self) -> impl Iterator<Item = &Digest> {
        self.all.iter().flat_map(|stored| &stored.source.entries)
    }

    fn by_entry(&self) -> &BTreeMap<Digest, usize> {
        self.by_entry.get_or_init(|| {
            let mut by_entry = BTreeMap::new();
            for (at, stored) in self.all.iter().enumerate() {
                for entry in &stored.source.entries {
                    by_entry.entry(*entry).or_insert(at);
                }
            }
            by_entry
        })
    }

    /// Whether an entry has a source; for a `few` questions a walk is cheaper than an index.
    fn has(&self, entry: &Digest, few: bool) -> bool {
        if few && self.by_entry.get().is_none() {
            self.entries().any(|there| there == entry)
        } else {
            self.by_entry().contains_key(entry)
        }
    }
}

/// In a record `entries` is left out where it would hold nothing but `digest`.
impl Serialize for Stored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Source { from, place, digest, resolved, entries, record } = &self.source;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("from", from)?;
        map.serialize_entry("place", place)?;
        map.serialize_entry("digest", digest)?;
        map.serialize_entry("resolved", &resolved.to_string())?;
        if *entries != [*digest] {
            map.serialize_entry("entries", entries)?;
        }
        if let Some(record) = record {
            map.serialize_entry("record", record)?;
        }
        self.extra.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

/// By hand, since this is read ten thousand times in a large record: the derived way with `flatten` is slow.
impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Stored;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a source")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stored, A::Error> {
                let (mut from, mut place, mut digest, mut resolved, mut entries, mut record) =
                    (None, None, None, None, None, None);
                let mut extra = BTreeMap::new();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    match &*key {
                        "from" => from = Some(map.next_value()?),
                        "place" => place = Some(map.next_value()?),
                        "digest" => digest = Some(map.next_value()?),
                        "resolved" => resolved = Some(map.next_value::<Cow<'de, str>>()?),
                        "entries" => entries = Some(map.next_value()?),
                        "record" => record = Some(map.next_value()?),
                        _ => drop(extra.insert(key.into_owned(), map.next_value()?)),
                    }
                }
                let missing = de::Error::missing_field;
                let digest = digest.ok_or_else(|| missing("digest"))?;
                let source = Source {
                    from: from.ok_or_else(|| missing("from"))?,
                    place: place.ok_or_else(|| missing("place"))?,
                    digest,
                    resolved: resolved
                        .ok_or_else(|| missing("resolved"))?
                        .parse()
                        .map_err(de::Error::custom)?,
                    entries: entries.unwrap_or_else(|| vec![digest]),
                    record,
                };
                Ok(Stored { source, extra })
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl Serialize for Sources {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0.all)
    }
}

impl<'de> Deserialize<'de> for Sources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = Vec::<Stored>::deserialize(deserializer)?;
        Ok(Self(Arc::new(Inner::of(all))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: usize) -> Digest {
        Digest::sha256(n.to_string().as_bytes())
    }

    fn source(from: &str, top: usize, entries: &[usize]) -> Source {
        Source {
            from: from.to_owned(),
            place: format!("docker://{from}"),
            digest: digest(top),
            resolved: Timestamp::UNIX_EPOCH,
            entries: entries.iter().copied().map(digest).collect(),
            record: None,
        }
    }

    #[test]
    fn an_entry_keeps_the_source_it_has() {
        let mut sources = Sources::default();
        sources.add(source("one", 100, &[1, 2]));
        sources.add(source("two", 200, &[2, 3, 3]));
        sources.add(source("three", 300, &[1]));
        let from = |n| sources.place_of(&digest(n)).map(|source| source.from.as_str());
        assert_eq!([from(1), from(2), from(3), from(4)], [Some("one"), Some("one"), Some("two"), None]);
        assert_eq!(sources.iter().map(|source| source.entries.len()).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn a_preferred_source_takes_entries_over() {
        let mut sources = Sources::default();
        sources.add(source("one", 100, &[1, 2]));
        sources.prefer(source("two", 200, &[2, 3]));
        let from = |n| sources.place_of(&digest(n)).map(|source| source.from.as_str());
        assert_eq!([from(1), from(2), from(3)], [Some("one"), Some("two"), Some("two")]);
        assert_eq!(sources.iter().count(), 2);
    }

    #[test]
    fn the_same_document_of_the_same_place_is_one_source() {
        let mut sources = Sources::default();
        sources.add(source("one", 100, &[1]));
        sources.add(source("one", 100, &[2]));
        sources.add(source("one", 101, &[3]));
        assert_eq!(sources.iter().count(), 2);
        assert_eq!(sources.place_of(&digest(2)), sources.place_of(&digest(1)));
    }

    #[test]
    fn entries_that_leave_are_told_apart_from_those_that_stay() {
        let mut before = Sources::default();
        before.add(source("one", 100, &[1, 2]));
        before.add(source("two", 2, &[3]));
        let mut after = before.clone();
        after.keep_only([digest(1)].into_iter());
        assert_eq!(after.iter().cloned().collect::<Vec<_>>(), [source("one", 100, &[1])]);
        let lost: Vec<_> = before.lost_in(&after).iter().cloned().collect();
        assert_eq!(lost, [source("one", 100, &[2]), source("two", 2, &[3])]);
        after.add(source("three", 300, &[4]));
        assert!(before.lost_in(&before).is_empty());
        let json = serde_json::to_string(&before).unwrap();
        assert_eq!(serde_json::from_str::<Sources>(&json).unwrap(), before);
    }

    #[test]
    fn unknown_members_survive() {
        let json = format!(
            r#"[{{"from":"a","place":"b","digest":"{}","resolved":"2026-01-02T03:04:05Z","mirror":["x",1]}}]"#,
            digest(1)
        );
        let sources: Sources = serde_json::from_str(&json).unwrap();
        assert_eq!(sources.place_of(&digest(1)).unwrap().entries, [digest(1)]);
        assert_eq!(serde_json::to_string(&sources).unwrap(), json);
    }
}
