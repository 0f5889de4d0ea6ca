//! Directories where they are reached by their paths only.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{FileKind, ReadFailure, Stat};

#[derive(Debug)]
pub(super) struct Handle(PathBuf);

pub(super) fn open(path: &Path) -> Result<Handle, ReadFailure> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(Handle(path.to_owned())),
        Ok(_) => Err(ReadFailure::NotAFile),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ReadFailure::Missing),
        Err(error) => Err(ReadFailure::Io(error)),
    }
}

impl Handle {
    pub(super) fn dir(&self, name: &str) -> Result<Self, ReadFailure> {
        match self.stat(name.as_ref()).map_err(ReadFailure::Io)? {
            Some(stat) if stat.kind == FileKind::Directory => Ok(Self(self.0.join(name))),
            Some(_) => Err(ReadFailure::NotAFile),
            None => Err(ReadFailure::Missing),
        }
    }

    pub(super) fn make_dir(&self, name: &str) -> io::Result<()> {
        fs::create_dir(self.0.join(name))
    }

    pub(super) fn stat(&self, name: &Path) -> io::Result<Option<Stat>> {
        let found = match fs::symlink_metadata(self.0.join(name)) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let kind = match found.file_type() {
            kind if kind.is_file() => FileKind::Regular,
            kind if kind.is_dir() => FileKind::Directory,
            kind if kind.is_symlink() => FileKind::Link,
            _ => FileKind::Other,
        };
        let modified = Timestamp::try_from(found.modified()?).unwrap_or_default();
        Ok(Some(Stat { kind, size: found.len(), modified, is_open_to_others: false }))
    }

    pub(super) fn read(&self, name: &str) -> Result<File, ReadFailure> {
        match self.stat(name.as_ref()).map_err(ReadFailure::Io)? {
            Some(stat) if stat.kind == FileKind::Regular => {
                File::open(self.0.join(name)).map_err(ReadFailure::Io)
            }
            Some(_) => Err(ReadFailure::NotAFile),
            None => Err(ReadFailure::Missing),
        }
    }

    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).append(true).create_new(true).open(self.0.join(name))
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    pub(super) fn move_to(&self, from: &Path, other: &Self, to: &str) -> io::Result<()> {
        let target = other.0.join(to);
        if target.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(self.0.join(from), target)
    }

    pub(super) fn remove(&self, name: &Path) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    /// The file system orders its own changes.
    #[allow(clippy::unused_self, reason = "a directory cannot be synced here")]
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn names(&self) -> io::Result<impl Iterator<Item = io::Result<OsString>> + use<>> {
        Ok(fs::read_dir(&self.0)?.map(|entry| entry.map(|entry| entry.file_name())))
    }
}
