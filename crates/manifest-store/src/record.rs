//! The saved form of a list or an image.

mod content;
mod edit;
mod file;
mod undo;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use manifest_core::{Descriptor, Digest, Encoded, Format, ImageManifest, List, ListName, MediaType};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::held::Held;
use crate::history::{Change, difference};
use crate::hold::Holds;
use crate::{Base, Draft, HeldBy, History, Hold, RecordId, Source, Sources, StoreError, text};

pub use content::{Content, NewRecord, Origin, Pushed};
pub(crate) use edit::{Opened, Settled};
pub(crate) use file::{MAX_SIZE, VERSION};

/// The saved form of a list or an image: its names, its exact bytes, where they came from, and what was done to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    header: Header,
    content: Content,
    document: Encoded,
}

/// All of a record but its document, as it stands in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    id: RecordId,
    /// All names that are listed; one that does not lead back here is not had, or not yet.
    #[serde(rename = "names")]
    listed: Vec<ListName>,
    /// Those that it really has.
    #[serde(skip)]
    names: Vec<ListName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moving: Option<Moving>,
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    format: Option<Format>,
    sources: Sources,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<Base>,
    #[serde(default, skip_serializing_if = "Origin::is_created")]
    origin: Origin,
    #[serde(default, skip_serializing_if = "Holds::is_empty")]
    holds: Holds,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pushed: Option<Pushed>,
    #[serde(with = "text")]
    created: Timestamp,
    #[serde(with = "text")]
    updated: Timestamp,
    history: History,
    document: DocumentKey,
    #[serde(flatten)]
    extra: BTreeMap<String, Value>,
}

/// A name that is about to take the place of another. It does so in the moment in which it leads here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Moving {
    from: ListName,
    to: ListName,
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

impl Record {
    /// The id.
    pub const fn id(&self) -> RecordId {
        self.header.id
    }

    /// The names, in the order in which they were given.
    pub fn names(&self) -> &[ListName] {
        &self.header.names
    }

    /// All names that it lists, also those that do not lead here.
    pub(crate) fn listed(&self) -> &[ListName] {
        &self.header.listed
    }

    /// What it is: a list or an image.
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// The list.
    ///
    /// # Errors
    /// [`StoreError::NotAList`] when the record is of an image.
    pub fn list(&self) -> Result<&List, StoreError> {
        self.content.list().ok_or_else(|| self.not_a_list())
    }

    /// The manifest of the image, if it is one.
    pub const fn image(&self) -> Option<&ImageManifest> {
        match &self.content {
            Content::Image(image) => Some(image),
            Content::List(_) => None,
        }
    }

    /// The entries of the list; an image has none.
    pub fn entries(&self) -> &[Descriptor] {
        self.content.list().map_or(&[], List::entries)
    }

    /// What messages call it: its first name, else its id.
    pub fn title(&self) -> String {
        self.header.names.first().map_or_else(|| self.header.id.short(), ToString::to_string)
    }

    fn not_a_list(&self) -> StoreError {
        StoreError::NotAList(self.title())
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

    /// How it came into the store.
    pub const fn origin(&self) -> Origin {
        self.header.origin
    }

    /// Who needs it to stay, expired holds too.
    pub fn holds(&self) -> &[Hold] {
        self.header.holds.all()
    }

    /// Where it was pushed to last.
    pub const fn pushed(&self) -> Option<&Pushed> {
        self.header.pushed.as_ref()
    }

    /// Whether it has entries that were taken from this other record.
    pub fn uses(&self, other: RecordId) -> bool {
        self.header.sources.iter().any(|source| source.record == Some(other))
    }

    /// The entries, or the image itself, that the store keeps for it: now, and before changes that can be undone.
    ///
    /// Those that it has now come with their descriptors.
    pub(crate) fn held(&self) -> Vec<Held> {
        let now: BTreeSet<Digest> = here(&self.header.sources).collect();
        let before = self.header.history.changes().iter().filter_map(|change| change.was.as_ref());
        let before: BTreeSet<Digest> = before.flat_map(|was| here(&was.sources)).collect();
        let gone = before.difference(&now).map(|digest| Held::unknown(*digest));
        self.held_now().into_iter().chain(gone).collect()
    }

    /// Those of [`Record::held`] that it has now.
    pub(crate) fn held_now(&self) -> Vec<Held> {
        let now: BTreeSet<Digest> = here(&self.header.sources).collect();
        let entries = self.entries().iter().filter(|entry| now.contains(&entry.digest)).map(Held::of);
        let image = self.image().filter(|_| now.contains(&self.document.digest)).map(|_| Held {
            digest: self.document.digest,
            size: Some(self.document.bytes.len() as u64),
            media_type: Some(self.document.media_type.clone()),
        });
        entries.chain(image).collect()
    }

    /// The other records that it has entries of.
    pub(crate) fn used(&self) -> impl Iterator<Item = RecordId> {
        self.header.sources.iter().filter_map(|source| source.record)
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
    ///
    /// # Errors
    /// [`StoreError::NotAList`] when the record is of an image.
    pub fn draft(&self) -> Result<Draft, StoreError> {
        Ok(Draft {
            list: self.list()?.clone(),
            format: self.header.format,
            sources: self.header.sources.clone(),
            base: self.header.base.clone(),
        })
    }

    pub(crate) fn new(
        id: RecordId,
        name: ListName,
        new: NewRecord,
        stamp: &Stamp,
    ) -> Result<Self, StoreError> {
        let NewRecord { content, document, format, mut sources, base, origin } = new;
        sources.keep_only(content.digests(&document));
        let mut change = stamp.change(document.digest);
        change.added = difference(&[], &content.entries().collect::<Vec<_>>()).0;
        change.tagged = vec![name.clone()];
        let mut history = History::default();
        history.push(change);
        let header = Header {
            id,
            listed: vec![name.clone()],
            names: vec![name],
            moving: None,
            format,
            sources,
            base,
            origin,
            holds: Holds::default(),
            pushed: None,
            created: stamp.when,
            updated: stamp.when,
            history,
            document: DocumentKey::of(&document),
            extra: BTreeMap::new(),
        };
        Ok(Self { header, content, document })
    }

    /// Adds and removes names.
    pub(crate) fn rename(&mut self, tagged: Vec<ListName>, untagged: Vec<ListName>, stamp: &Stamp) {
        self.settle_move();
        let Header { listed, names, .. } = &mut self.header;
        for names in [listed, names] {
            names.retain(|name| !untagged.contains(name) && !tagged.contains(name));
            names.extend(tagged.iter().cloned());
        }
        let mut change = stamp.change(self.document.digest);
        change.before = Some(self.document.digest);
        (change.tagged, change.untagged) = (tagged, untagged);
        self.header.updated = stamp.when;
        self.header.history.push(change);
    }

    /// Takes a hold. Whether that changes anything.
    pub(crate) fn hold(&mut self, by: HeldBy, until: Option<Timestamp>, stamp: &Stamp) -> bool {
        self.header.holds.hold(by, stamp.when, until)
    }

    /// Takes the hold of a list, or takes it anew. Whether it was not there.
    pub(crate) fn hold_for(&mut self, list: RecordId, stamp: &Stamp) -> bool {
        self.header.holds.hold_for(list, stamp.when)
    }

    /// Ends a hold. Whether that changes anything.
    pub(crate) fn release(&mut self, by: &HeldBy) -> bool {
        self.header.holds.release(by)
    }

    /// Forgets its history, but for how long it was.
    pub(crate) fn forget_history(&mut self) -> bool {
        self.header.history.forget()
    }

    /// Notes where it was pushed to.
    pub(crate) fn note_push(&mut self, target: String, digest: Digest, stamp: &Stamp) {
        self.header.pushed = Some(Pushed { when: stamp.when, target, digest });
    }

    /// A name that has moved away does not come back with the next change of names, nor does one that has not arrived.
    fn settle_move(&mut self) {
        let Header { listed, names, moving, .. } = &mut self.header;
        if let Some(Moving { from, to }) = moving.take() {
            let goes = if names.contains(&to) { from } else { to };
            listed.retain(|name| *name != goes);
        }
    }

    /// The name that is about to take the place of another, and does not lead here yet.
    pub(crate) fn unmoved(&self) -> Option<&ListName> {
        self.header.moving.as_ref().map(|moving| &moving.to).filter(|to| !self.header.names.contains(to))
    }

    /// Whether one name is about to take the place of the other, or has just done so.
    pub(crate) fn is_moving(&self, from: &ListName, to: &ListName) -> bool {
        self.header.moving.as_ref().is_some_and(|moving| moving.from == *from && moving.to == *to)
    }

    /// The names that are listed and do not lead here, or not yet; but for one that has moved away.
    pub(crate) fn unled(&self) -> impl Iterator<Item = &ListName> {
        let Header { listed, names, moving, .. } = &self.header;
        let moved = moving.as_ref().filter(|moving| names.contains(&moving.to)).map(|moving| &moving.from);
        listed.iter().filter(move |name| !names.contains(name) && Some(*name) != moved)
    }

    /// The same under another id.
    pub(crate) const fn under(mut self, id: RecordId) -> Self {
        self.header.id = id;
        self
    }

    /// Lists a name that is about to take the place of another.
    pub(crate) fn announce(&mut self, from: &ListName, to: &ListName) {
        self.settle_move();
        if !self.header.listed.contains(to) {
            self.header.listed.push(to.clone());
        }
        self.header.moving = Some(Moving { from: from.clone(), to: to.clone() });
    }

    /// Finds out which of the names that are listed it has: those that lead here.
    pub(crate) fn see_names(&mut self, mut leads_here: impl FnMut(&ListName) -> bool) {
        let mut names: Vec<ListName> = self.header.listed.clone();
        names.retain(&mut leads_here);
        if let Some(Moving { from, to }) = &self.header.moving
            && names.contains(to)
        {
            names.retain(|name| name != from);
        }
        self.header.names = names;
    }
}

/// The entries of these sources that the store keeps itself.
fn here(sources: &Sources) -> impl Iterator<Item = Digest> {
    let here = sources.iter().filter(|source| source.place == Source::HERE);
    here.flat_map(|source| source.entries.iter().copied())
}

impl Stamp {
    /// Times are kept in milliseconds.
    pub(crate) fn new(now: Timestamp, command: &str) -> Self {
        let when = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        Self { when, command: command.to_owned() }
    }

    pub(crate) const fn when(&self) -> Timestamp {
        self.when
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

/// Reads what is about to be written; it must be what was meant.
fn read_back(document: &Encoded, list: &List) -> Result<(), StoreError> {
    match List::decode(&document.bytes) {
        Ok((read, format)) if format == document.format && read == *list => Ok(()),
        Ok(_) => Err(StoreError::Unfaithful),
        Err(error) => Err(StoreError::Unreadable(error)),
    }
}
