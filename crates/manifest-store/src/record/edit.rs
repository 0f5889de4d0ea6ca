//! What becomes of a record when its list is edited.

use manifest_core::{Digest, Encoded, Format, List};

use super::file::both;
use super::{Content, DocumentKey, Header, Record, Stamp, digests, read_back};
use crate::history::{Beside, Revert, difference};
use crate::{Draft, StoreError};

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
    /// Takes out the draft, for an edit.
    pub(crate) fn open(self) -> Result<(Draft, Opened), StoreError> {
        let refused = self.not_a_list();
        let Self { header, content, document } = self;
        let Content::List(list) = content else { return Err(refused) };
        let entries = digests(&list).collect();
        let (format, sources, base) = (header.format, header.sources.clone(), header.base.clone());
        Ok((Draft { list, format, sources, base }, Opened { header, document, entries }))
    }

    /// Whether its document is what was encoded.
    fn reads_back(&self) -> Result<(), StoreError> {
        match &self.content {
            Content::List(list) => read_back(&self.document, list),
            Content::Image(_) => Ok(()),
        }
    }
}

impl Opened {
    /// Encodes what became of the draft, checks that it reads back, and writes the change into the history.
    pub(crate) fn settle(self, draft: Draft, stamp: &Stamp) -> Result<Settled, StoreError> {
        let document = encode(&draft.list, draft.format, (&self.document, self.header.format))?;
        self.commit(draft, document, None, stamp)
    }

    /// Writes the change to this draft, whose list is this document, into the history. `restores` is the number of
    /// the change whose outcome it brings back.
    pub(super) fn commit(
        self,
        draft: Draft,
        document: Encoded,
        restores: Option<u64>,
        stamp: &Stamp,
    ) -> Result<Settled, StoreError> {
        let Self { mut header, document: old, entries } = self;
        let Draft { list, format, sources, base } = draft;
        let same_document = document.digest == old.digest;
        let same_sources = sources.is(&header.sources);
        if same_document && same_sources && format == header.format && base == header.base {
            return Ok(Settled::Same(Record { header, content: Content::List(list), document: old }));
        }

        let mut change = stamp.change(document.digest);
        (change.before, change.restores) = (Some(old.digest), restores);
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
            return Ok(Settled::Same(Record { header, content: Content::List(list), document: old }));
        }

        (header.format, header.base, header.sources) = (format, base, kept);
        header.document = DocumentKey::of(&document);
        header.updated = stamp.when;
        header.history.push(change);
        // What was just encoded is read once more before it counts; what an undo brings back was read.
        let unread = if same_document || restores.is_some() { 0 } else { document.bytes.len() };
        let record = Record { header, content: Content::List(list), document };
        let read = || if unread > 0 { record.reads_back() } else { Ok(()) };
        let (read, head) = both(unread, read, || record.file_head());
        read?;
        Ok(Settled::Changed(record, head?))
    }
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
