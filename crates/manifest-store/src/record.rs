//! The saved form of a list.

mod file;

use std::collections::BTreeMap;

use jiff::Timestamp;
use manifest_core::{Digest, Encoded, Format, List, ListName, MediaType};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::history::{Beside, Change, Revert, difference};
use crate::{Base, Draft, History, RecordId, Sources, StoreError, text};

pub(crate) use file::{MAX_SIZE, VERSION};

/// The saved form of a list: its names, its exact bytes, where its entries came from, and what was done to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    header: Header,
    list: List,
    document: Encoded,
}

/// All of a record but its document, as it stands in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    id: RecordId,
    names: Vec<ListName>,
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    format: Option<Format>,
    sources: Sources,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<Base>,
    #[serde(with = "text")]
    created: Timestamp,
    #[serde(with = "text")]
    updated: Timestamp,
    history: History,
    document: DocumentKey,
    #[serde(flatten)]
    extra: BTreeMap<String, Value>,
}

/// What the document must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DocumentKey {
    #[serde(rename = "mediaType")]
    media_type: MediaType,
    digest: Digest,
    size: usize,
}

/// Who makes a change, and when.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    when: Timestamp,
    command: String,
}

/// What remains of a record while its draft is being edited.
#[derive(Debug)]
pub(crate) struct Opened {
    header: Header,
    document: Encoded,
    entries: Vec<Digest>,
}

/// A record after an edit.
#[derive(Debug)]
pub(crate) enum Settled {
    /// The edit changed nothing that is kept.
    Same(Record),
    /// This is to be written, after these bytes that its file begins with.
    Changed(Record, Vec<u8>),
}

impl Record {
    /// The id.
    pub const fn id(&self) -> RecordId {
        self.header.id
    }

    /// The names, in the order in which they were given.
    pub fn names(&self) -> &[ListName] {
        &self.header.names
    }

    /// The list.
    pub const fn list(&self) -> &List {
        &self.list
    }

    /// The frozen document: what is shown is what is sent.
    pub const fn encoded(&self) -> &Encoded {
        &self.document
    }

    /// The format that was asked for.
    pub const fn format(&self) -> Option<Format> {
        self.header.format
    }

    /// Where the entries came from.
    pub const fn sources(&self) -> &Sources {
        &self.header.sources
    }

    /// The published list that the draft was made from.
    pub const fn base(&self) -> Option<&Base> {
        self.header.base.as_ref()
    }

    /// When the record was made.
    pub const fn created(&self) -> Timestamp {
        self.header.created
    }

    /// When it was changed last.
    pub const fn updated(&self) -> Timestamp {
        self.header.updated
    }

    /// What was done to it.
    pub const fn history(&self) -> &History {
        &self.header.history
    }

    /// The part that an edit may change, such as for a copy under another name.
    pub fn draft(&self) -> Draft {
        Draft {
            list: self.list.clone(),
            format: self.header.format,
            sources: self.header.sources.clone(),
            base: self.header.base.clone(),
        }
    }

    pub(crate) fn new(id: RecordId, name: ListName, draft: Draft, stamp: &Stamp) -> Result<Self, StoreError> {
        let document = draft.list.encode(wanted_format(&draft))?;
        let list = draft.list;
        read_back(&document, &list)?;
        let mut sources = draft.sources;
        sources.keep_only(digests(&list));
        let mut change = stamp.change(document.digest);
        change.added = difference(&[], &digests(&list).collect::<Vec<_>>()).0;
        change.tagged = vec![name.clone()];
        let mut history = History::default();
        history.push(change);
        let header = Header {
            id,
            names: vec![name],
            format: draft.format,
            sources,
            base: draft.base,
            created: stamp.when,
            updated: stamp.when,
            history,
            document: DocumentKey::of(&document),
            extra: BTreeMap::new(),
        };
        Ok(Self { header, list, document })
    }

    /// Takes out the draft, for an edit.
    pub(crate) fn open(self) -> (Draft, Opened) {
        let Self { header, list, document } = self;
        let entries = digests(&list).collect();
        let (format, sources, base) = (header.format, header.sources.clone(), header.base.clone());
        (Draft { list, format, sources, base }, Opened { header, document, entries })
    }

    /// Adds and removes names.
    pub(crate) fn rename(&mut self, tagged: Vec<ListName>, untagged: Vec<ListName>, stamp: &Stamp) {
        self.header.names.retain(|name| !untagged.contains(name));
        self.header.names.extend(tagged.iter().cloned());
        let mut change = stamp.change(self.document.digest);
        change.before = Some(self.document.digest);
        (change.tagged, change.untagged) = (tagged, untagged);
        self.header.updated = stamp.when;
        self.header.history.push(change);
    }

    /// Drops names that the record lists but does not have.
    pub(crate) fn retain_names(&mut self, has: impl FnMut(&ListName) -> bool) {
        self.header.names.retain(has);
    }
}

impl From<Record> for Draft {
    fn from(record: Record) -> Self {
        record.open().0
    }
}

impl Opened {
    /// Encodes what became of the draft, checks that it reads back, and writes the change into the history.
    pub(crate) fn settle(self, draft: Draft, stamp: &Stamp) -> Result<Settled, StoreError> {
        let Self { mut header, document: old, entries } = self;
        let Draft { list, format, sources, base } = draft;
        let document = encode(&list, format, (&old, header.format))?;
        let same_document = document.digest == old.digest;
        let same_sources = sources.is(&header.sources);
        if same_document && same_sources && format == header.format && base == header.base {
            return Ok(Settled::Same(Record { header, list, document: old }));
        }

        let mut change = stamp.change(document.digest);
        change.before = Some(old.digest);
        if !same_document {
            (change.added, change.removed) = difference(&entries, &digests(&list).collect::<Vec<_>>());
            change.revert = Revert::between(&old.bytes, &document.bytes);
        }
        let mut kept = sources;
        kept.keep_only(digests(&list));
        let lost = header.sources.lost_in(&kept);
        if format != header.format || base != header.base || !lost.is_empty() {
            change.was = Some(Beside { format: header.format, base: header.base, sources: lost });
        } else if same_document && kept.is(&header.sources) {
            return Ok(Settled::Same(Record { header, list, document: old }));
        }

        (header.format, header.base, header.sources) = (format, base, kept);
        header.document = DocumentKey::of(&document);
        header.updated = stamp.when;
        header.history.push(change);
        let record = Record { header, list, document };
        let check = || if same_document { Ok(()) } else { read_back(&record.document, &record.list) };
        let (checked, head) = file::both(record.document.bytes.len(), check, || record.file_head());
        checked?;
        let head = head?;
        Ok(Settled::Changed(record, head))
    }
}

impl Stamp {
    /// Times are kept in milliseconds.
    pub(crate) fn new(now: Timestamp, command: &str) -> Self {
        let when = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        Self { when, command: command.to_owned() }
    }

    fn change(&self, after: Digest) -> Change {
        Change::new(self.when, &self.command, after)
    }
}

impl DocumentKey {
    fn of(document: &Encoded) -> Self {
        Self { media_type: document.media_type.clone(), digest: document.digest, size: document.bytes.len() }
    }
}

fn digests(list: &List) -> impl Iterator<Item = Digest> {
    list.entries().iter().map(|entry| entry.digest)
}

fn wanted_format(draft: &Draft) -> Format {
    draft.format.unwrap_or_else(|| draft.list.natural_format())
}

/// Encodes an edited list; one that was not edited keeps its bytes even where another format would suit it better.
fn encode(
    list: &List,
    format: Option<Format>,
    (old, old_format): (&Encoded, Option<Format>),
) -> Result<Encoded, StoreError> {
    let wanted = format.unwrap_or_else(|| list.natural_format());
    if wanted != old.format && format == old_format {
        let again = list.encode(old.format).ok().filter(|again| again.digest == old.digest);
        if let Some(again) = again {
            return Ok(again);
        }
    }
    Ok(list.encode(wanted)?)
}

/// Reads what is about to be written; it must be what was meant.
fn read_back(document: &Encoded, list: &List) -> Result<(), StoreError> {
    match List::decode(&document.bytes) {
        Ok((read, format)) if format == document.format && read == *list => Ok(()),
        Ok(_) => Err(StoreError::Unfaithful),
        Err(error) => Err(StoreError::Unreadable(error)),
    }
}
