//! The blobs of a store, as its backend keeps them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use manifest_core::Digest;

use crate::gc::Marks;
use crate::{PublicationId, RecordId, StoreError};

/// The blobs of a store: content under its digest, which is written once and never changed.
///
/// Every call blocks, and is made on a thread that may.
pub(crate) trait Pool {
    /// Where a blob lies, for messages.
    fn blob_path(&self, digest: &Digest) -> PathBuf;

    /// The file of a blob, where blobs are files.
    fn blob_file(&self, digest: &Digest) -> Option<PathBuf>;

    /// How many bytes a blob has; `None` when it is not there.
    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, StoreError>;

    /// The bytes of a blob as they are, and how many there are.
    fn open_blob(&self, digest: &Digest) -> Result<Option<OpenBlob>, StoreError>;

    /// Begins to note what a change relies on. Needs the lock of the pool, shared.
    fn intake(&self) -> Result<Arc<dyn Pins>, StoreError>;

    /// Calls `each` with every blob and its size, in no order.
    fn each_blob(&self, each: &mut dyn FnMut(Digest, u64)) -> Result<(), StoreError>;

    /// Finds the blobs that nobody needs, and what those left behind who wrote some, and removes both where that is planned.
    /// Needs the lock of the pool, alone, unless it only looks; as it is, unless it removes.
    fn sweep(&self, plan: &Plan, mark: MarkBlobs<'_>) -> Result<Swept, StoreError>;

    /// Finds, and removes where that is planned, temporary files beside records and names whose writers are gone.
    fn tidy(&self, plan: &Plan) -> Result<Vec<Leftover>, StoreError>;

    /// What is in the store that does not belong there, or is not as it should be. Blobs are not looked into.
    fn strays(&self) -> Result<Vec<Stray>, StoreError>;

    /// Takes a damaged thing out of the way without losing it, and tells where it is; `None` where that is not done. What
    /// was remembered of a reference may be forgotten instead, and was where it is told to be.
    fn set_aside(&self, what: &Aside) -> Result<Option<PathBuf>, StoreError>;

    /// Where damaged things are kept that were taken out of the way; `None` where that is not done.
    fn lost_and_found(&self) -> Option<PathBuf> {
        None
    }

    /// The damaged records that were taken out of the way and are still there.
    fn records_set_aside(&self) -> Result<Vec<PathBuf>, StoreError>;

    /// The shortest grace that is safe while somebody may be changing the store.
    fn shortest_grace(&self) -> Duration;

    /// Whether there is a store at all.
    fn is_there(&self) -> Result<bool, StoreError>;

    /// The number of files and directories; `None` where there are none.
    fn inodes(&self) -> Result<Option<u64>, StoreError>;
}

/// Finds out which blobs are needed, where these are, too; `None` when that cannot be known.
pub(crate) type MarkBlobs<'a> = &'a mut dyn FnMut(Vec<Digest>) -> Result<Option<Marks>, StoreError>;

/// What is to be removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How long a thing that nobody needs stays.
    pub(crate) grace: Duration,
    pub(crate) now: Timestamp,
    pub(crate) touch: Touch,
}

/// How far it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// Nothing is asked of anybody: what is in use, but not by a record, counts as left behind.
    Look,
    /// Those who have files open are asked. Nothing is removed, made or noted.
    DryRun,
    Remove,
}

impl Plan {
    /// Whether something that was changed then has stayed long enough.
    pub(crate) fn is_old(&self, modified: Timestamp) -> bool {
        self.grace.is_zero() || age(modified, self.now) >= self.grace
    }

    /// The same for what somebody may just be writing under a lock that is free.
    pub(crate) fn for_temporary(&self) -> Self {
        let grace = if self.grace.is_zero() { self.grace } else { A_DAY };
        Self { grace, ..*self }
    }
}

/// How long ago something was.
pub(crate) fn age(modified: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(modified)).unwrap_or_default()
}

/// What was found of blobs.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// Blobs that nobody needs, and their bytes.
    pub(crate) removed: (u64, u64),
    /// All others.
    pub(crate) kept: (u64, u64),
    pub(crate) leftovers: Vec<Leftover>,
}

/// What somebody who is gone left behind.
#[derive(Debug)]
pub(crate) struct Leftover {
    pub(crate) path: PathBuf,
    /// In bytes.
    pub(crate) size: u64,
}

/// Something that does not belong where it is, or is not as it should be.
#[derive(Debug)]
pub(crate) struct Stray {
    pub(crate) path: PathBuf,
    pub(crate) what: String,
    /// Whether it stands where something of ours should be.
    pub(crate) is_damage: bool,
}

/// Something damaged.
#[derive(Clone, Debug)]
pub(crate) enum Aside {
    Record(RecordId),
    NameFile(String),
    Cache(String),
    Publication(PublicationId),
    Blob(Digest),
}

/// How many bytes a blob has, and where they come from.
pub(crate) type OpenBlob = (u64, Box<dyn Stream>);

/// Bytes that come piece by piece.
pub(crate) trait Stream: Send {
    /// The next bytes; none at the end.
    fn read(&mut self) -> Result<Vec<u8>, StoreError>;
}

/// What a change relies on before its record is saved.
pub(crate) trait Pins: fmt::Debug + Send + Sync {
    /// Notes a blob, and tells whether it is there already, whole and to stay. Needs the lock of the pool, shared.
    fn pin(&self, digest: &Digest, size: u64) -> Result<bool, StoreError>;

    /// Notes a blob, and begins to write it. Needs the lock of the pool, shared.
    fn stage(&self, digest: &Digest, size: u64) -> Result<Box<dyn Staging>, StoreError>;

    /// Ends it: what relies on the blobs is saved.
    fn finish(&self) -> Result<(), StoreError>;
}

/// A blob that is being written. Dropping it leaves nothing.
pub(crate) trait Staging: Send {
    /// Adds bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Gives the content its name, for good. The caller has compared it with its digest.
    fn finish(self: Box<Self>) -> Result<(), StoreError>;
}

/// How many bytes are read, hashed or written at once.
pub(crate) const PIECE: usize = 256 << 10;

/// How long a temporary file stays.
pub(crate) const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
