//! The blobs of a store, as its backend keeps them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use manifest_core::Digest;

use crate::StoreError;

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
    fn open_blob(&self, digest: &Digest) -> Result<Option<(u64, Box<dyn Stream>)>, StoreError>;

    /// Begins to note what a change relies on. Needs the lock of the pool, shared.
    fn intake(&self) -> Result<Arc<dyn Pins>, StoreError>;
}

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
