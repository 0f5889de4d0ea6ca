//! What can go wrong with a store.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use manifest_core::{DecodeError, Digest, EncodeError, ListName};

use crate::{HeldBy, Holder, RecordId};

/// Why a record could not be read or replaced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no record of this name or id.
    #[error("there is no list {0}")]
    NotFound(String),
    /// The store does not have this blob.
    #[error("there is no blob {0}")]
    NoBlob(Digest),
    /// The name belongs to another record.
    #[error("the name {name} is taken by the record {}", .id.short())]
    NameTaken {
        /// The name.
        name: ListName,
        /// The record that has it.
        id: RecordId,
    },
    /// A record was to be removed by its id, and has more than one name.
    #[error("the record {} has {} names: {}", .id.short(), .names.len(), joined(.names))]
    SeveralNames {
        /// The record.
        id: RecordId,
        /// Its names.
        names: Vec<ListName>,
    },
    /// Somebody needs the record to stay.
    #[error("the record {} is held by {}", .id.short(), joined(.by))]
    Held {
        /// The record.
        id: RecordId,
        /// Who holds it, sorted.
        by: Vec<HeldBy>,
    },
    /// The record is of an image, which is not edited.
    #[error("{0} is an image, not a list")]
    NotAList(String),
    /// No change of the list is left that could be undone.
    #[error("there is nothing to undo in {0}")]
    NothingToUndo(String),
    /// The history does not reach the change that was asked for.
    #[error("{list} cannot go back to change {number}; its history knows {oldest} to {newest}")]
    NoSuchChange {
        /// The list.
        list: String,
        /// The number that was asked for.
        number: u64,
        /// The oldest change whose outcome is known.
        oldest: u64,
        /// The newest change.
        newest: u64,
    },
    /// More than one id begins with these digits.
    #[error("{} records have ids that begin with {prefix}: {}", matches.len(), joined(matches))]
    AmbiguousId {
        /// The digits.
        prefix: String,
        /// The ids that begin with them.
        matches: Vec<RecordId>,
    },
    /// Another process kept this locked for the whole of the allowed wait.
    #[error("{0} is in use by {1} (waited {s} s)", s = .2.as_secs_f64())]
    Busy(String, Holder, Duration),
    /// Another process has taken a lease over that this one held, since it was not renewed in time.
    #[error("{0} was taken over by {1}")]
    LeaseLost(String, Holder),
    /// A file of the store is not what was written; nothing was changed.
    #[error("{path} is damaged: {what}", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// What was to be kept under a digest is something else; nothing was kept.
    #[error("what was to be saved as {digest} is something else: {what}")]
    NotThatContent {
        /// The digest that was told.
        digest: Digest,
        /// What the content is.
        what: String,
    },
    /// Somebody who is changing a shared store could lose what he relies on.
    #[error("a grace of {} s is not safe while others may use a shared store; the shortest is {} s", .grace.as_secs(), .shortest.as_secs())]
    ShortGrace {
        /// What was asked for.
        grace: Duration,
        /// What is safe.
        shortest: Duration,
    },
    /// A newer version of this program wrote the file.
    #[error("{path} has version {found} of its format; this program knows versions up to {known}", path = .path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version that is known here.
        known: u64,
    },
    /// The list cannot be written in its format.
    #[error(transparent)]
    Unencodable(#[from] EncodeError),
    /// What is to be saved is neither a list nor an image.
    #[error("what is to be saved is neither a list nor an image")]
    NoManifest(#[source] DecodeError),
    /// What the list was written as does not read back; nothing was changed.
    #[error("the list cannot be saved: what would be written does not read back")]
    Unreadable(#[source] DecodeError),
    /// What the list was written as reads back as another list; nothing was changed.
    #[error("the list cannot be saved: what would be written reads back as another list")]
    Unfaithful,
    /// The record would be larger than any that is read; nothing was changed.
    #[error("the record would have {0} bytes; a record may have {limit}", limit = crate::record::MAX_SIZE)]
    TooLarge(usize),
    /// What a reference stands for is too large to be remembered, or is not what its digests say.
    #[error("what {0} stands for cannot be remembered: it would not be read back")]
    NotToBeKept(String),
    /// The file system of the store has no locks.
    #[error("cannot lock {path}: the file system does not support locks", path = .0.display())]
    NoLocks(PathBuf, #[source] io::Error),
    /// The change is made, but may be lost when the power fails now.
    #[error("the change was made, but may be lost on power failure: cannot sync {path}", path = .0.display())]
    NotDurable(PathBuf, #[source] io::Error),
    /// This is not where a store can be, or the settings of the way there cannot be used. A login in it is left out.
    #[error("{} cannot be used as a store: {why}", if .url.is_empty() { "this address" } else { .url })]
    Address {
        /// The address, or its beginning.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The address is one of object storage, which was left out when this program was built.
    #[error("{0} is in object storage, and this program was built without it")]
    NoSharedStores(String),
    /// The service does not do what edits rest on; nothing was saved.
    #[error("{store} cannot hold a store, edits would be lost: {promise}")]
    BrokenPromise {
        /// Where it is.
        store: String,
        /// What it does not do.
        promise: &'static str,
    },
    /// The service of a shared store does not accept the login; the first field completes "not allowed to …".
    #[error("not allowed to {0} {path}", path = .1.display())]
    Forbidden(&'static str, PathBuf, #[source] io::Error),
    /// The service of a shared store cannot be reached, or fails; the first field completes "cannot …".
    #[error("cannot {0} {path}", path = .1.display())]
    Unreachable(&'static str, PathBuf, #[source] io::Error),
    /// The change may have been made or not: it was sent, and no answer came, not even to the question.
    #[error("the change may have been made or not, no answer came about {path}", path = .0.display())]
    Uncertain(PathBuf, #[source] io::Error),
    /// The system refused; the first field completes "cannot …", the second is the path.
    #[error("cannot {0} {path}", path = .1.display())]
    Io(&'static str, PathBuf, #[source] io::Error),
}

impl StoreError {
    pub(crate) fn damaged(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), what: what.into() }
    }

    /// Whether something is not what was written, or cannot be read by this version.
    pub(crate) const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::NewerVersion { .. })
    }
}

/// What needs no conversion cannot fail to be converted.
impl From<Infallible> for StoreError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Why a record was not updated.
#[derive(Debug, thiserror::Error)]
#[allow(clippy::exhaustive_enums, reason = "either the store or the edit refuses; there is no third")]
pub enum UpdateError<E> {
    /// The store could not read or replace the record.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The edit itself was refused; nothing was changed.
    #[error(transparent)]
    Edit(E),
}

fn joined(all: &[impl ToString]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
