//! The real disk.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use tempfile::{NamedTempFile, PersistError};

use super::dir::Dir;
use super::{Files, Kind, ReadFailure, Staged};
use crate::StoreError;
use crate::lock::{Attempt, Sharing, try_lock};

#[derive(Debug)]
pub(crate) struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, ReadFailure> {
        let file = open(path)?;
        let found = file.metadata().map_err(failure)?;
        if !found.is_file() {
            return Err(ReadFailure::NotAFile);
        }
        if found.len() > limit {
            return Err(ReadFailure::TooLarge(found.len()));
        }
        let mut bytes =
            Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default().saturating_add(1));
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failure)?;
        let size = bytes.len() as u64;
        if size > limit { Err(ReadFailure::TooLarge(size)) } else { Ok(bytes) }
    }

    fn stage(&self, dir: &Path, label: &str, parts: &[&[u8]]) -> io::Result<Box<dyn Staged>> {
        let prefix = format!(".tmp-{label}-");
        let mut file = tempfile::Builder::new().prefix(&prefix).rand_bytes(12).tempfile_in(dir)?;
        parts.iter().try_for_each(|part| file.as_file_mut().write_all(part))?;
        Ok(Box::new(StagedFile(file)))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // Elsewhere a directory cannot be opened, and the file system orders its own changes.
        if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => Ok(Kind::Directory),
            Ok(_) => Ok(Kind::Other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kind::Missing),
            Err(error) => Err(error),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let dir = Dir::open(dir).map_err(|failure| match failure {
            ReadFailure::Missing => io::ErrorKind::NotFound.into(),
            ReadFailure::Io(error) => error,
            ReadFailure::NotAFile | ReadFailure::TooLarge(_) => io::ErrorKind::NotADirectory.into(),
        })?;
        let mut names = Vec::new();
        for name in dir.names()? {
            names.extend(name?.into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn lock(&self, path: &Path, note: &str) -> Result<Attempt, StoreError> {
        try_lock(path, Sharing::Alone, note)
    }

    fn lock_shared(&self, path: &Path) -> Result<Attempt, StoreError> {
        try_lock(path, Sharing::Shared, "")
    }

    fn is_foreign_link(&self, path: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(found) => Ok(found.is_symlink() && is_foreign(&found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A temporary file, readable by its owner only.
struct StagedFile(NamedTempFile);

impl Staged for StagedFile {
    fn sync(&self) -> io::Result<()> {
        self.0.as_file().sync_all()
    }

    fn replace(self: Box<Self>, target: &Path) -> io::Result<()> {
        finish(self.0.persist(target))
    }

    fn create(self: Box<Self>, target: &Path) -> io::Result<()> {
        finish(self.0.persist_noclobber(target))
    }
}

fn finish(persisted: Result<File, PersistError>) -> io::Result<()> {
    persisted.map(drop).map_err(|refused| refused.error)
}

/// Opens a file for reading. A link is not followed, and a pipe does not keep us waiting.
#[cfg(unix)]
fn open(path: &Path) -> Result<File, ReadFailure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    opened.map_err(|error| match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => ReadFailure::NotAFile,
        _ => failure(error),
    })
}

/// Opens a file for reading, if it is one.
#[cfg(not(unix))]
fn open(path: &Path) -> Result<File, ReadFailure> {
    let found = fs::symlink_metadata(path).map_err(failure)?;
    if !found.is_file() {
        return Err(ReadFailure::NotAFile);
    }
    File::open(path).map_err(failure)
}

fn failure(error: io::Error) -> ReadFailure {
    if error.kind() == io::ErrorKind::NotFound { ReadFailure::Missing } else { ReadFailure::Io(error) }
}

/// Whether somebody else owns it, who is not the administrator either.
#[cfg(unix)]
fn is_foreign(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    ![0, rustix::process::geteuid().as_raw()].contains(&found.uid())
}

/// Elsewhere only the administrator makes links.
#[cfg(not(unix))]
fn is_foreign(_: &fs::Metadata) -> bool {
    false
}
