//! A store in a local directory: what stands where, and how it is replaced under locks.

mod blob;
mod intake;
mod stray;
mod sweep;

use std::io;
use std::path::{Path, PathBuf};

use super::escape::name_file;
use super::{Backend, Key, LockKey, NAME_LIMIT, Slot, Stop, Version};
use crate::files::{Files, Kind, ReadFailure};
use crate::lock::{Attempt, Guard, Holder, Sharing, try_look};
use crate::record::{MAX_SIZE, VERSION};
use crate::{PublicationId, RecordId, StoreError};

/// The content of the version file.
const VERSION_FILE: &str = "manifest-store 1\n";

/// Where it is written down how far publications are.
const PUBLICATIONS: &str = "publications";

/// A store in a directory. Cheap to make; nothing is read before it is used.
#[derive(Debug)]
pub(crate) struct Local {
    root: PathBuf,
    files: Box<dyn Files>,
}

/// Whether the directories of a store are all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Complete,
    Incomplete,
}

/// Whether a file may take the name of one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Existing {
    Keep,
    Replace,
}

impl Backend for Local {
    fn check(&self) -> Result<(), StoreError> {
        self.layout().map(drop)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        self.make().map_err(|error| match error {
            // The change that this is for was not begun.
            StoreError::NotDurable(path, error) => StoreError::Io("sync", path, error),
            other => other,
        })
    }

    fn lock(&self, key: &LockKey, note: &str) -> Result<Attempt, StoreError> {
        match self.try_lock(key, note) {
            Err(StoreError::Io(_, _, error)) if error.kind() == io::ErrorKind::NotFound => {
                // A store that was copied may lack its empty directories.
                self.prepare()?;
                self.try_lock(key, note)
            }
            other => other,
        }
    }

    fn has_locks(&self) -> bool {
        true
    }

    fn read(&self, key: &Key) -> Result<Slot, StoreError> {
        let path = self.path(key);
        let limit = match key {
            Key::Name(_) | Key::NameFile(_) | Key::Lease(_) => NAME_LIMIT,
            Key::Record(_) | Key::Cache(_) | Key::Publication(_) => MAX_SIZE as u64,
        };
        match self.files.read(&path, limit) {
            Ok(bytes) => Ok(Slot { bytes: Some(bytes), version: Version::Locked }),
            Err(ReadFailure::Missing) => Ok(Slot { bytes: None, version: Version::Absent }),
            Err(failure) => Err(unreadable(path, failure)),
        }
    }

    fn write(&self, key: &Key, parts: &[&[u8]], over: &Version) -> Result<(), Stop> {
        let (dir, file, label) = self.spot(key);
        if let Key::Cache(_) | Key::Publication(_) = key {
            self.make_spare(&dir)?;
        }
        let existing = if *over == Version::Absent { Existing::Keep } else { Existing::Replace };
        Ok(self.put(&dir, &file, &label, parts, existing)?)
    }

    fn remove(&self, key: &Key, _: &Version) -> Result<(), Stop> {
        let (dir, file, _) = self.spot(key);
        Ok(self.remove_file(&dir, &file)?)
    }

    fn confirm(&self, keys: &[Key]) -> Result<(), StoreError> {
        // The content of a file was synced before it got its name.
        let mut dirs: Vec<PathBuf> = keys.iter().map(|key| self.spot(key).0).collect();
        dirs.dedup();
        dirs.iter().try_for_each(|dir| self.sync_dir(dir))
    }

    fn ids(&self) -> Result<Vec<RecordId>, StoreError> {
        let dir = self.records();
        match self.files.list(&dir) {
            Ok(files) => Ok(files.iter().filter_map(|file| file.parse().ok()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(StoreError::Io("list", dir, error)),
        }
    }

    fn all_ids(&self) -> Result<Vec<RecordId>, StoreError> {
        // A file that is replaced while its directory is read may be passed over. Locks are never replaced, and who
        // replaces a record has made its lock before.
        let mut ids = self.ids()?;
        match self.files.list(&self.locks()) {
            Ok(locks) => {
                ids.extend(
                    locks.iter().filter_map(|lock| lock.strip_prefix("record-")?.parse::<RecordId>().ok()),
                );
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::Io("list", self.locks(), error)),
        }
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    fn name_files(&self) -> Result<Vec<String>, StoreError> {
        self.files_in(self.names())
    }

    fn cached(&self) -> Result<Vec<String>, StoreError> {
        self.files_in(self.cache())
    }

    fn publications(&self) -> Result<Vec<PublicationId>, StoreError> {
        let files = self.files_in(self.root.join(PUBLICATIONS))?;
        Ok(files.iter().filter_map(|file| file.parse().ok()).collect())
    }

    fn path(&self, key: &Key) -> PathBuf {
        let (dir, file, _) = self.spot(key);
        dir.join(file)
    }

    fn width(&self) -> usize {
        std::thread::available_parallelism().map_or(1, |threads| threads.get().min(4))
    }
}

impl Local {
    pub(crate) fn new(root: PathBuf, files: Box<dyn Files>) -> Self {
        Self { root, files }
    }

    /// Makes what is missing of the store, durably.
    fn make(&self) -> Result<(), StoreError> {
        if self.layout()? == Layout::Complete {
            return Ok(());
        }
        self.make_dirs(&self.root)?;
        for dir in [self.records(), self.names(), self.locks()] {
            match self.files.make_dir(&dir) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::Io("create", dir, error)),
            }
        }
        self.sync_dir(&self.root)?;
        // It comes last and vouches for the rest. What is being written has no lock, so that a collector whose clock is
        // ahead may take it for a leftover: then it is written once more.
        match self.put_version() {
            Err(error) if is(&error, io::ErrorKind::NotFound) && self.layout()? == Layout::Incomplete => {
                self.put_version()
            }
            other => other,
        }
    }

    /// Writes what says that the store is complete, unless somebody else has.
    fn put_version(&self) -> Result<(), StoreError> {
        match self.put(&self.root, "version", "version", &[VERSION_FILE.as_bytes()], Existing::Keep) {
            // Somebody else made the store at the same time; what this one was writing may be tidied away by now.
            Err(error)
                if is(&error, io::ErrorKind::AlreadyExists)
                    || (is(&error, io::ErrorKind::NotFound) && self.layout()? == Layout::Complete) =>
            {
                self.sync_dir(&self.root)
            }
            other => other,
        }
    }

    fn records(&self) -> PathBuf {
        self.root.join("records")
    }

    fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    fn try_lock(&self, key: &LockKey, note: &str) -> Result<Attempt, StoreError> {
        let path = |file: String| self.locks().join(file);
        match key {
            LockKey::Pool(Sharing::Shared) => self.files.lock_shared(&path("pool".to_owned())),
            LockKey::Pool(Sharing::Alone) => Ok(match self.files.lock(&path("pool".to_owned()), note)? {
                // Those who share a lock leave no notes.
                Attempt::Busy(_) => Attempt::Busy(Holder::default()),
                held => held,
            }),
            // Where nobody ever had the lock nobody relies on any blob.
            LockKey::PoolAsItIs(sharing) => Ok(match try_look(&path("pool".to_owned()), *sharing)? {
                None => Attempt::Held(Guard::new(())),
                Some(Attempt::Busy(_)) if *sharing == Sharing::Alone => Attempt::Busy(Holder::default()),
                Some(attempt) => attempt,
            }),
            LockKey::Name(_) | LockKey::Record(_) | LockKey::Publication(_) | LockKey::Tag(_) => {
                self.files.lock(&path(key.file()), note)
            }
        }
    }

    /// The files in a directory but those that are being written; none when it is not there.
    fn files_in(&self, dir: PathBuf) -> Result<Vec<String>, StoreError> {
        match self.files.list(&dir) {
            Ok(files) => Ok(files.into_iter().filter(|file| !file.starts_with('.')).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(StoreError::Io("list", dir, error)),
        }
    }

    /// Makes a directory that a store can do without.
    fn make_spare(&self, dir: &Path) -> Result<(), StoreError> {
        match self.files.kind(dir) {
            Ok(Kind::Directory) => Ok(()),
            Ok(Kind::Other) => Err(StoreError::damaged(dir, "it is not a directory")),
            Ok(Kind::Missing) => {
                self.prepare()?;
                match self.files.make_dir(dir) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        Err(StoreError::Io("create", dir.to_owned(), error))
                    }
                    _ => self.sync_dir(&self.root),
                }
            }
            Err(error) => Err(StoreError::Io("read", dir.to_owned(), error)),
        }
    }

    /// The directory and the file of a key, and the label of what is written beside it.
    fn spot(&self, key: &Key) -> (PathBuf, String, String) {
        match key {
            Key::Record(id) => (self.records(), id.to_string(), id.to_string()),
            Key::Name(name) => (self.names(), name_file(name), name_file(name)),
            Key::NameFile(file) => (self.names(), file.clone(), file.clone()),
            Key::Cache(file) => (self.cache(), file.clone(), "cache".to_owned()),
            Key::Publication(id) => (self.root.join(PUBLICATIONS), id.to_string(), id.to_string()),
            // Its lock is all there is.
            Key::Lease(what) => (self.locks(), what.file(), what.file()),
        }
    }

    /// Refuses a store of a newer version, and one whose directories are links to somewhere else.
    fn layout(&self) -> Result<Layout, StoreError> {
        match self.files.is_foreign_link(&self.root) {
            Ok(false) => {}
            Ok(true) => {
                let what = "it is a link that belongs to another user, and is not followed";
                return Err(StoreError::damaged(&self.root, what));
            }
            Err(error) => return Err(StoreError::Io("read", self.root.clone(), error)),
        }
        let path = self.root.join("version");
        let mut layout = match self.files.read(&path, 200) {
            Ok(bytes) => read_version(&path, &bytes).map(|()| Layout::Complete)?,
            Err(ReadFailure::Missing) => Layout::Incomplete,
            Err(failure) => return Err(unreadable(path, failure)),
        };
        for dir in [self.records(), self.names(), self.locks()] {
            match self.files.kind(&dir) {
                Ok(Kind::Directory) => {}
                Ok(Kind::Missing) => layout = Layout::Incomplete,
                Ok(Kind::Other) => return Err(StoreError::damaged(dir, "it is not a directory")),
                Err(error) => return Err(StoreError::Io("read", dir, error)),
            }
        }
        Ok(layout)
    }

    /// Creates a directory and those above it, and makes each outlive a power failure.
    fn make_dirs(&self, dir: &Path) -> Result<(), StoreError> {
        let parent = match dir.parent() {
            Some(parent) if parent == Path::new("") => Path::new("."),
            Some(parent) => parent,
            None => return Ok(()),
        };
        let refused = |error| StoreError::Io("create", dir.to_owned(), error);
        match self.files.make_dir(dir) {
            Ok(()) => self.sync_dir(parent),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match self.files.sync_dir(parent) {
                // Who may not read the directory above has not made this one either.
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
                    Err(StoreError::NotDurable(parent.to_owned(), error))
                }
                _ => Ok(()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound && parent != Path::new(".") => {
                self.make_dirs(parent)?;
                match self.files.make_dir(dir) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(refused(error)),
                    _ => self.sync_dir(parent),
                }
            }
            Err(error) => Err(refused(error)),
        }
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), StoreError> {
        self.files.sync_dir(dir).map_err(|error| StoreError::NotDurable(dir.to_owned(), error))
    }

    /// Writes a file beside its place, syncs it, gives it its name, and syncs the directory.
    fn put(
        &self,
        dir: &Path,
        file: &str,
        label: &str,
        parts: &[&[u8]],
        existing: Existing,
    ) -> Result<(), StoreError> {
        let target = dir.join(file);
        let refused = |what| {
            let target = target.clone();
            move |error| StoreError::Io(what, target, error)
        };
        let staged = self.files.stage(dir, label, parts).map_err(refused("write"))?;
        staged.sync().map_err(refused("sync"))?;
        match existing {
            Existing::Keep => staged.create(&target).map_err(refused("create"))?,
            Existing::Replace => staged.replace(&target).map_err(refused("replace"))?,
        }
        self.sync_dir(dir)
    }

    /// Removes a file and makes that outlive a power failure; one that is gone already is fine.
    fn remove_file(&self, dir: &Path, file: &str) -> Result<(), StoreError> {
        let path = dir.join(file);
        match self.files.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::Io("remove", path, error))
            }
            _ => self.sync_dir(dir),
        }
    }
}

/// Whether it is this that the disk refused.
fn is(error: &StoreError, kind: io::ErrorKind) -> bool {
    matches!(error, StoreError::Io(_, _, error) if error.kind() == kind)
}

/// Refuses a store of another version.
pub(super) fn read_version(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let line = std::str::from_utf8(bytes).unwrap_or_default().lines().next().unwrap_or_default();
    let version = line.strip_prefix("manifest-store ").and_then(|rest| rest.split(' ').next());
    match version.map(str::parse) {
        Some(Ok(VERSION)) => Ok(()),
        Some(Ok(found)) if found > VERSION => {
            Err(StoreError::NewerVersion { path: path.to_owned(), found, known: VERSION })
        }
        _ => Err(StoreError::damaged(path, "it does not hold the version of a store")),
    }
}

fn unreadable(path: PathBuf, failure: ReadFailure) -> StoreError {
    match failure {
        ReadFailure::Missing => StoreError::Io("read", path, io::ErrorKind::NotFound.into()),
        ReadFailure::NotAFile => StoreError::damaged(path, "it is not a regular file"),
        ReadFailure::TooLarge(size) => {
            StoreError::damaged(path, format!("it has {size} bytes, which is too much"))
        }
        ReadFailure::Io(error) => StoreError::Io("read", path, error),
    }
}
