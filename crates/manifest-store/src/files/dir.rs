//! Open directories, in which files are reached by their names alone.
//!
//! What happens to the path on the way to an open directory does not matter any more, and nothing in it is followed
//! when it is a link. Whoever removes or renames by name does it here.

#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod unix;

use std::ffi::OsString;
use std::io;
use std::path::Path;

use fs4::{FileExt, TryLockError};
use jiff::Timestamp;

use super::ReadFailure;

#[cfg(not(unix))]
use elsewhere as system;
#[cfg(unix)]
use unix as system;

pub(crate) use std::fs::File;

/// An open directory.
#[derive(Debug)]
pub(crate) struct Dir(system::Handle);

/// What is known of a file without opening it.
#[derive(Clone, Debug)]
pub(crate) struct Stat {
    pub(crate) kind: FileKind,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
    /// Whether others than its owner may read or write it.
    pub(crate) is_open_to_others: bool,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Regular,
    Directory,
    Link,
    /// A pipe, a socket, a device.
    Other,
}

impl FileKind {
    /// What messages call it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Regular => "a file",
            Self::Directory => "a directory",
            Self::Link => "a link",
            Self::Other => "neither a file nor a directory",
        }
    }
}

/// Whether somebody keeps a file locked.
#[derive(Debug)]
pub(crate) enum Owner {
    Alive,
    Gone,
}

impl Dir {
    /// Opens a directory by its path, which may be a link.
    pub(crate) fn open(path: &Path) -> Result<Self, ReadFailure> {
        system::open(path).map(Self)
    }

    /// Opens a directory in this one.
    pub(crate) fn dir(&self, name: &str) -> Result<Self, ReadFailure> {
        self.0.dir(name).map(Self)
    }

    /// Opens a directory in this one, and makes it if it is missing. Whoever made it, it is there for good then.
    pub(crate) fn make_dir(&self, name: &str) -> Result<Self, ReadFailure> {
        let dir = match self.dir(name) {
            Err(ReadFailure::Missing) => {
                match self.0.make_dir(name) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(ReadFailure::Io(error));
                    }
                    _ => {}
                }
                self.dir(name)?
            }
            other => other?,
        };
        // Somebody else who made it may not have got to make it last.
        self.sync().map_err(ReadFailure::Io)?;
        Ok(dir)
    }

    /// What stands under a name; `None` when nothing does.
    pub(crate) fn stat(&self, name: impl AsRef<Path>) -> io::Result<Option<Stat>> {
        self.0.stat(name.as_ref())
    }

    /// Opens a regular file for reading; a pipe does not keep us waiting.
    pub(crate) fn read(&self, name: &str) -> Result<File, ReadFailure> {
        self.0.read(name)
    }

    /// Creates a file that only its owner may read, for writing at its end.
    pub(crate) fn create(&self, name: &str) -> io::Result<File> {
        self.0.create(name)
    }

    /// Gives a file another name in this directory, in place of what has it.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    /// Moves a file to another directory of the same file system, where nothing may have that name.
    pub(crate) fn move_to(&self, from: impl AsRef<Path>, other: &Self, to: &str) -> io::Result<()> {
        self.0.move_to(from.as_ref(), &other.0, to)
    }

    /// Removes a file; one that is gone already is fine.
    pub(crate) fn remove(&self, name: impl AsRef<Path>) -> io::Result<()> {
        match self.0.remove(name.as_ref()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes what was renamed, created or removed here outlive a power failure.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    /// The names of what is here, in no order, read little by little.
    pub(crate) fn names(&self) -> io::Result<impl Iterator<Item = io::Result<OsString>>> {
        self.0.names()
    }
}

/// Keeps a file locked as long as it is open. Somebody else cannot have it: it was just created.
pub(crate) fn own(file: &File) -> io::Result<()> {
    match FileExt::try_lock(file) {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether somebody keeps the file locked.
pub(crate) fn owner(file: &File) -> io::Result<Owner> {
    match FileExt::try_lock_shared(file) {
        Ok(()) => Ok(Owner::Gone),
        Err(TryLockError::WouldBlock) => Ok(Owner::Alive),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
