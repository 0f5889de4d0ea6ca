//! Going back to what a list was.

use std::collections::BTreeSet;

use manifest_core::{Digest, Encoded, List};

use super::{Record, Settled, Stamp};
use crate::{Change, Draft, RecordId, Source, StoreError};

/// What a list was after one of its changes.
#[derive(Debug)]
pub(crate) struct Back {
    /// The number of that change.
    pub(crate) to: u64,
    draft: Draft,
    document: Encoded,
}

impl Back {
    /// The other records that it has entries of.
    pub(crate) fn used(&self) -> Vec<RecordId> {
        let kept: BTreeSet<Digest> = self.draft.list.entries().iter().map(|entry| entry.digest).collect();
        let is_used = |source: &&Source| source.entries.iter().any(|entry| kept.contains(entry));
        self.draft.sources.iter().filter(is_used).filter_map(|source| source.record).collect()
    }
}

impl Record {
    /// Finds out what the list was after the change `to`; when that is not given, before the last change that still
    /// stands.
    pub(crate) fn look_back(&self, to: Option<u64>) -> Result<Back, StoreError> {
        let to = match to {
            Some(to) => to,
            None => self.before_last().ok_or_else(|| StoreError::NothingToUndo(self.title()))?,
        };
        let (oldest, newest) = self.history().reach();
        if !(oldest..=newest).contains(&to) {
            return Err(StoreError::NoSuchChange { list: self.title(), number: to, oldest, newest });
        }
        let broken = || StoreError::damaged(self.title(), "its history does not lead back to what it was");
        let (mut draft, mut bytes) = (self.draft()?, self.encoded().bytes.clone());
        let later = usize::try_from(newest - to).unwrap_or(usize::MAX);
        for change in self.history().changes().iter().rev().take(later) {
            bytes = change.document_before(&bytes).ok_or_else(broken)?;
            if let Some(was) = &change.was {
                (draft.format, draft.base) = (was.format, was.base.clone());
                was.sources.iter().for_each(|source| draft.sources.prefer(source.clone()));
            }
        }
        let (list, format) = List::decode_again(&bytes).map_err(StoreError::Unreadable)?;
        draft.list = list;
        let digest = Digest::sha256(&bytes);
        Ok(Back { to, draft, document: Encoded::kept(bytes, digest, format) })
    }

    /// Makes the list what it was, as a change of its own.
    pub(crate) fn go_back(self, back: Back, stamp: &Stamp) -> Result<Settled, StoreError> {
        let Back { to, draft, document } = back;
        let (_, opened) = self.open()?;
        opened.commit(draft, document, Some(to), stamp)
    }

    /// The number of the change before the last one that still stands; none when that one made the record.
    fn before_last(&self) -> Option<u64> {
        let history = self.history();
        let (_, mut number) = history.reach();
        // An undo brought back the outcome of an earlier change: that one is the last that stands.
        while let Some(change) = history.change(number) {
            match change.restores {
                Some(earlier) if earlier < number => number = earlier,
                _ if changes_list(change) => break,
                _ => number = number.checked_sub(1)?,
            }
        }
        history.change(number)?.before?;
        number.checked_sub(1)
    }
}

/// Whether the change was of the list, and not of its names only.
fn changes_list(change: &Change) -> bool {
    change.before != Some(change.after) || change.was.is_some()
}
