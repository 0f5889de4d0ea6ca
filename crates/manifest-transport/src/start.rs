//! Where in a blob reading begins, so that a copy that broke off need not begin anew.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use manifest_core::{Descriptor, Digest, Hasher};

use crate::hashing::Hashing;

/// Places of one blob where the state of its hash is kept at most.
const MAX_MARKS: u64 = 256;
/// The least distance between two of them, in bytes.
const LEAST_STEP: u64 = 1 << 20;

/// Where in a blob reading begins; by default at its beginning.
///
/// It knows the hash of what lies before, as far as that has been read already, so that digest and size of the
/// whole are checked although only a part of it is read.
#[derive(Clone, Debug, Default)]
pub struct Start {
    offset: u64,
    trail: Option<Trail>,
}

impl Start {
    pub(crate) fn at(offset: u64, trail: &Trail) -> Self {
        Self { offset, trail: Some(trail.clone()) }
    }

    /// The first byte that is wanted, counted from 0.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The way through a blob whose source can be opened anywhere.
    pub(crate) fn near(&self, blob: &Descriptor) -> Way {
        let known = self.trail.as_ref().and_then(|trail| trail.before(self.offset));
        self.way(known.unwrap_or_else(|| Mark::first(blob)), blob)
    }

    /// The way through a blob whose source can be opened at its beginning only.
    pub(crate) fn far(&self, blob: &Descriptor) -> Way {
        self.way(Mark::first(blob), blob)
    }

    fn way(&self, mark: Mark, blob: &Descriptor) -> Way {
        let step = (blob.size / MAX_MARKS).max(LEAST_STEP);
        let marking = Marking { mark, trail: self.trail.clone(), step };
        let (at, left) = (marking.mark.at, blob.size.saturating_sub(marking.mark.at));
        Way { at, wanted: self.offset, hashing: Hashing::of(marking, left) }
    }
}

/// The state of a hash after so many bytes.
#[derive(Clone, Debug)]
struct Mark {
    at: u64,
    hasher: Hasher,
}

impl Mark {
    fn first(blob: &Descriptor) -> Self {
        Self { at: 0, hasher: blob.digest.algorithm().hasher() }
    }
}

/// What reading a blob leaves behind for those who read it again: states of its hash, some hundred bytes each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail(Arc<Mutex<Vec<Mark>>>);

impl Trail {
    fn before(&self, offset: u64) -> Option<Mark> {
        let marks = self.0.lock().ok()?;
        marks.iter().rev().find(|mark| mark.at <= offset).cloned()
    }

    fn leave(&self, mark: &Mark, step: u64) {
        let Ok(mut marks) = self.0.lock() else { return };
        if mark.at >= marks.last().map_or(0, |last| last.at).saturating_add(step) {
            marks.push(mark.clone());
        }
    }
}

/// Hashes a blob from some place on, and leaves marks on the way.
#[derive(Debug)]
pub(crate) struct Marking {
    mark: Mark,
    trail: Option<Trail>,
    step: u64,
}

impl Marking {
    pub(crate) fn pass(&mut self, piece: &[u8]) {
        self.mark.at = self.mark.at.saturating_add(piece.len() as u64);
        self.mark.hasher.update(piece);
        if let Some(trail) = &self.trail {
            trail.leave(&self.mark, self.step);
        }
    }

    pub(crate) fn finish(self) -> Digest {
        self.mark.hasher.finish()
    }
}

/// A way through a blob: how far it has been read, and from where on it is wanted.
#[derive(Debug)]
pub(crate) struct Way {
    at: u64,
    wanted: u64,
    hashing: Hashing,
}

impl Way {
    /// How far the blob has been read: where its source is to be opened, at first.
    pub(crate) const fn at(&self) -> u64 {
        self.at
    }

    /// Takes the next piece, of which it gives back what is wanted.
    pub(crate) async fn pass(&mut self, mut piece: Bytes) -> Bytes {
        let before = usize::try_from(self.wanted.saturating_sub(self.at)).unwrap_or(usize::MAX);
        self.at = self.at.saturating_add(piece.len() as u64);
        self.hashing.pass(&piece).await;
        piece.split_off(before.min(piece.len()))
    }

    /// The digest of everything up to here.
    pub(crate) async fn digest(self) -> Digest {
        self.hashing.finish().await
    }
}
