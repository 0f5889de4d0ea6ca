//! The calls that touch a disk.

pub(crate) mod dir;
mod disk;

use std::fmt;
use std::io;
use std::path::Path;

use crate::StoreError;
use crate::lock::Attempt;

pub(crate) use disk::Disk;

/// The calls that touch a disk, so that a disk of another kind can stand in for the real one.
pub(crate) trait Files: fmt::Debug + Send + Sync {
    /// The content of a regular file of at most `limit` bytes. Links are not followed.
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, ReadFailure>;
    /// Writes a new file beside what it will replace, under a name that begins with `.tmp-LABEL-`.
    fn stage(&self, dir: &Path, label: &str, parts: &[&[u8]]) -> io::Result<Box<dyn Staged>>;
    /// Makes what was renamed, created or removed in a directory outlive a power failure.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Creates a directory that only its owner may enter.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;
    /// What stands at a path, without following it if it is a link.
    fn kind(&self, path: &Path) -> io::Result<Kind>;
    /// The names of what is in a directory, those that are UTF-8.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Tries once to lock a file, which is created when it is missing.
    fn lock(&self, path: &Path, note: &str) -> Result<Attempt, StoreError>;
    /// The same for a lock that others may have at the same time, if they want it like this, too.
    fn lock_shared(&self, path: &Path) -> Result<Attempt, StoreError>;
    /// Whether this is a link that belongs neither to us nor to the administrator.
    fn is_foreign_link(&self, path: &Path) -> io::Result<bool>;
}

/// A file that is written but does not have its name yet; dropping it removes it.
pub(crate) trait Staged: Send {
    /// Makes the content outlive a power failure. A failure is final: a second call could succeed wrongly.
    fn sync(&self) -> io::Result<()>;
    /// Gives the file its name, in place of what has it now.
    fn replace(self: Box<Self>, target: &Path) -> io::Result<()>;
    /// Gives the file its name, unless something has it.
    fn create(self: Box<Self>, target: &Path) -> io::Result<()>;
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Missing,
    Directory,
    Other,
}

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum ReadFailure {
    Missing,
    NotAFile,
    TooLarge(u64),
    Io(io::Error),
}
