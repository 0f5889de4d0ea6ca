//! What a store needs of the place where it lies.

mod escape;
mod local;
mod pool;
#[cfg(feature = "shared")]
mod shared;

use std::fmt;
use std::path::PathBuf;

use manifest_core::ListName;

use crate::lock::{Attempt, Sharing};
use crate::{PublicationId, RecordId, StoreError};

pub(crate) use escape::{escape, name_file};
pub(crate) use local::Local;
pub(crate) use pool::{
    A_DAY, Aside, Leftover, MarkBlobs, OpenBlob, PIECE, Pins, Plan, Pool, Staging, Stray, Stream, Swept,
    Touch,
};
#[cfg(feature = "shared")]
pub(crate) use shared::Shared;

/// The place where a store lies: a directory whose files are replaced under locks, or a bucket whose objects
/// are replaced where they still are what was read.
///
/// Every call blocks, and is made on a thread that may.
pub(crate) trait Backend: Pool + fmt::Debug + Send + Sync {
    /// Refuses a store of a newer version, and a place where nothing can be kept safely.
    fn check(&self) -> Result<(), StoreError>;

    /// Makes what must be there before the first thing is saved.
    fn prepare(&self) -> Result<(), StoreError>;

    /// Tries once to get a lock. Where there are no locks everybody gets it, and a stale write is refused instead.
    fn lock(&self, key: &LockKey, note: &str) -> Result<Attempt, StoreError>;

    /// Whether locks keep what was read as it is until it is written. Where they do not, a write is refused when
    /// somebody else has written the same thing since, and nothing is known of what others are about to write.
    fn has_locks(&self) -> bool;

    /// What is kept under a key.
    fn read(&self, key: &Key) -> Result<Slot, StoreError>;

    /// Keeps this under a key, all or nothing and for good, unless something else is there than what was read.
    fn write(&self, key: &Key, parts: &[&[u8]], over: &Version) -> Result<(), Stop>;

    /// Forgets what is kept under a key, unless that is something else than what was read. Where there are no locks
    /// this refuses what others are about to write there, also when nothing is there.
    fn remove(&self, key: &Key, over: &Version) -> Result<(), Stop>;

    /// Makes sure that what was read under these keys outlives a power failure: whoever wrote it may have been killed
    /// before that, and somebody is about to be told that it is there.
    fn confirm(&self, keys: &[Key]) -> Result<(), StoreError>;

    /// The ids of all records, sorted; what has another name is none of ours.
    fn ids(&self) -> Result<Vec<RecordId>, StoreError>;

    /// The ids of all records that may be there, also of one that is replaced at this very moment.
    fn all_ids(&self) -> Result<Vec<RecordId>, StoreError>;

    /// The file names of all names, sorted.
    fn name_files(&self) -> Result<Vec<String>, StoreError>;

    /// The file names of all references that something is remembered of, sorted.
    fn cached(&self) -> Result<Vec<String>, StoreError>;

    /// The ids of all publications of which something is known, in any order.
    fn publications(&self) -> Result<Vec<PublicationId>, StoreError>;

    /// Where the thing of a key lies, for messages.
    fn path(&self, key: &Key) -> PathBuf;

    /// How many reads are worth doing at once.
    fn width(&self) -> usize;
}

/// One thing that is kept; each is replaced as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Name(ListName),
    /// The file of some name, whatever it holds.
    NameFile(String),
    Record(RecordId),
    /// What is remembered of a reference, under the file name that stands for it.
    Cache(String),
    /// What is known of a publication.
    Publication(PublicationId),
    /// Who has a lease, where there are no locks.
    Lease(LockKey),
}

/// What can be locked; the order is the one in which several are locked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LockKey {
    /// The blobs: alone for who removes some, shared for who relies on them before anything says so.
    Pool(Sharing),
    /// The same for who changes nothing, not even a lock.
    PoolAsItIs(Sharing),
    Name(ListName),
    Record(RecordId),
    Publication(PublicationId),
    /// A tag of a registry, as it is written with its repository.
    Tag(String),
}

impl LockKey {
    /// The name of its file or object.
    pub(crate) fn file(&self) -> String {
        match self {
            Self::Pool(_) | Self::PoolAsItIs(_) => "pool".to_owned(),
            Self::Name(name) => format!("name-{}", name_file(name)),
            Self::Record(id) => format!("record-{id}"),
            Self::Publication(id) => format!("publication-{id}"),
            Self::Tag(tag) => format!("tag-{}", escape(tag)),
        }
    }
}

/// What was found under a key.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) bytes: Option<Vec<u8>>,
    pub(crate) version: Version,
}

/// What somebody who replaces a thing believes to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Nothing.
    Absent,
    /// What was read under the lock that is still held.
    Locked,
    /// This state of an object.
    #[cfg(feature = "shared")]
    Object(shared::ObjectVersion),
}

/// Why a change ended before it was made.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something else is there by now; the change starts again from what is there.
    Again,
    /// The change cannot be made.
    Failed(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// The largest content of a name, in bytes.
pub(crate) const NAME_LIMIT: u64 = 4096;
