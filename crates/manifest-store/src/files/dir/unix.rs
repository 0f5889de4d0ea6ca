//! Directories where they can be held open.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::io::retry_on_intr;

use super::{FileKind, ReadFailure, Stat};

#[derive(Debug)]
pub(super) struct Handle(OwnedFd);

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

pub(super) fn open(path: &Path) -> Result<Handle, ReadFailure> {
    retry_on_intr(|| rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())).map(Handle).map_err(failure)
}

impl Handle {
    pub(super) fn dir(&self, name: &str) -> Result<Self, ReadFailure> {
        retry_on_intr(|| rustix::fs::openat(&self.0, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()))
            .map(Self)
            .map_err(failure)
    }

    pub(super) fn make_dir(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, name, Mode::RWXU)?)
    }

    pub(super) fn stat(&self, name: &Path) -> io::Result<Option<Stat>> {
        let found = match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let kind = match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => FileKind::Regular,
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Link,
            _ => FileKind::Other,
        };
        let open = Mode::from_raw_mode(found.st_mode).intersects(Mode::RWXG.union(Mode::RWXO));
        Ok(Some(Stat {
            kind,
            size: u64::try_from(found.st_size).unwrap_or_default(),
            modified: Timestamp::from_second(found.st_mtime).unwrap_or_default(),
            is_open_to_others: open && kind != FileKind::Link,
        }))
    }

    pub(super) fn read(&self, name: &str) -> Result<File, ReadFailure> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file =
            retry_on_intr(|| rustix::fs::openat(&self.0, name, flags, Mode::empty())).map_err(failure)?;
        let found = rustix::fs::fstat(&file).map_err(failure)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => Ok(file.into()),
            _ => Err(ReadFailure::NotAFile),
        }
    }

    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::APPEND
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC;
        Ok(retry_on_intr(|| rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR))?.into())
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    pub(super) fn move_to(&self, from: &Path, other: &Self, to: &str) -> io::Result<()> {
        if rustix::fs::statat(&other.0, to, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(rustix::fs::renameat(&self.0, from, &other.0, to)?)
    }

    pub(super) fn remove(&self, name: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::fsync(&self.0))?)
    }

    pub(super) fn names(&self) -> io::Result<impl Iterator<Item = io::Result<OsString>> + use<>> {
        let entries = retry_on_intr(|| rustix::fs::Dir::read_from(&self.0))?;
        let name = |entry: Result<rustix::fs::DirEntry, Errno>| match entry {
            Ok(entry) => match entry.file_name().to_bytes() {
                b"." | b".." => None,
                name => Some(Ok(OsStr::from_bytes(name).to_owned())),
            },
            Err(error) => Some(Err(error.into())),
        };
        Ok(entries.filter_map(name))
    }
}

/// A link is refused with one of two errors, a socket or a device without a driver with another.
fn failure(error: Errno) -> ReadFailure {
    match error {
        Errno::NOENT => ReadFailure::Missing,
        Errno::LOOP | Errno::MLINK | Errno::NOTDIR | Errno::NXIO | Errno::NODEV => ReadFailure::NotAFile,
        other => ReadFailure::Io(other.into()),
    }
}
