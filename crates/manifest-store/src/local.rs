//! A store in a local directory: what stands where, and how it is replaced. Everything here blocks.

mod layout;
mod operations;

use std::io;
use std::path::{Path, PathBuf};

use manifest_core::ListName;

use crate::files::{Files, Kind, ReadFailure};
use crate::lock::{Attempt, try_lock};
use crate::record::{MAX_SIZE, Record, VERSION};
use crate::{RecordId, Selector, StoreError};
use layout::{NAME_FILE_LIMIT, name_file};

pub(crate) use operations::{Creation, Removal, Retagging};

/// The content of the version file.
const VERSION_FILE: &str = "manifest-store 1\n";

/// How often a name is followed again when its record went away meanwhile.
const FOLLOWS: usize = 16;

/// A store in a directory. Cheap to make; nothing is read before it is used.
#[derive(Debug)]
pub(crate) struct Local {
    root: PathBuf,
    files: Box<dyn Files>,
}

/// What can be locked; the order is the one in which several are locked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LockKey {
    Name(ListName),
    Record(RecordId),
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

impl Local {
    pub(crate) fn new(root: PathBuf, files: Box<dyn Files>) -> Self {
        Self { root, files }
    }

    fn records(&self) -> PathBuf {
        self.root.join("records")
    }

    fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    fn record_path(&self, id: RecordId) -> PathBuf {
        self.records().join(id.to_string())
    }

    fn name_path(&self, name: &ListName) -> PathBuf {
        self.names().join(name_file(name))
    }

    /// Tries once to get a lock.
    pub(crate) fn try_lock(&self, key: &LockKey, note: &str) -> Result<Attempt, StoreError> {
        let file = match key {
            LockKey::Name(name) => format!("name-{}", name_file(name)),
            LockKey::Record(id) => format!("record-{id}"),
        };
        let path = self.locks().join(file);
        match try_lock(&path, note) {
            Err(StoreError::Io(_, _, error)) if error.kind() == io::ErrorKind::NotFound => {
                // A store that was copied may lack its empty directories.
                self.prepare()?;
                try_lock(&path, note)
            }
            other => other,
        }
    }

    /// Refuses a store of a newer version, and one whose directories are links to somewhere else.
    fn check(&self) -> Result<Layout, StoreError> {
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

    /// Creates what is missing of the store, durably; the version comes last and vouches for the rest.
    pub(crate) fn prepare(&self) -> Result<(), StoreError> {
        if self.check()? == Layout::Complete {
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
        match self.put(&self.root, "version", "version", &[VERSION_FILE.as_bytes()], Existing::Keep) {
            Err(StoreError::Io(_, _, error)) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.sync_dir(&self.root)
            }
            other => other,
        }
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

    /// Writes a record; it is replaced as a whole.
    pub(crate) fn write(&self, record: &Record) -> Result<(), StoreError> {
        self.write_after(&record.file_head()?, record)
    }

    /// Writes a record whose file begins with `head`.
    pub(crate) fn write_after(&self, head: &[u8], record: &Record) -> Result<(), StoreError> {
        let id = record.id().to_string();
        self.put(&self.records(), &id, &id, &[head, &record.encoded().bytes], Existing::Replace)
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

    /// The id that stands in the file of a name; whether that record has the name is not looked at.
    fn binding(&self, name: &ListName) -> Result<Option<RecordId>, StoreError> {
        let path = self.name_path(name);
        let bytes = match self.files.read(&path, NAME_FILE_LIMIT) {
            Ok(bytes) => bytes,
            Err(ReadFailure::Missing) => return Ok(None),
            Err(failure) => return Err(unreadable(path, failure)),
        };
        let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
        let (id, of) = text.and_then(|text| text.split_once(' ')).unwrap_or_default();
        match id.parse() {
            Ok(id) if of == name.to_string() => Ok(Some(id)),
            Ok(_) => Err(StoreError::damaged(path, format!("it is not the file of {name}"))),
            Err(_) => Err(StoreError::damaged(path, "it does not hold the id of a record")),
        }
    }

    /// Writes the file of a name.
    fn bind(&self, name: &ListName, id: RecordId, existing: Existing) -> Result<(), StoreError> {
        let text = format!("{id} {name}\n");
        self.put(&self.names(), &name_file(name), &id.to_string(), &[text.as_bytes()], existing)
    }

    fn unbind(&self, name: &ListName) -> Result<(), StoreError> {
        self.remove_file(&self.names(), &name_file(name))
    }

    /// The record with this id, with those names that are really its own.
    fn read(&self, id: RecordId) -> Result<Option<Record>, StoreError> {
        let path = self.record_path(id);
        let bytes = match self.files.read(&path, MAX_SIZE as u64) {
            Ok(bytes) => bytes,
            Err(ReadFailure::Missing) => return Ok(None),
            Err(failure) => return Err(unreadable(path, failure)),
        };
        let mut record = Record::from_file(&path, id, &bytes)?;
        // A name whose file cannot be read is not given up because of that.
        record.retain_names(|name| self.binding(name).map_or(true, |bound| bound == Some(id)));
        Ok(Some(record))
    }

    /// The record that has a name.
    fn bound(&self, name: &ListName) -> Result<Option<Record>, StoreError> {
        let mut last = None;
        for _ in 0..FOLLOWS {
            let id = self.binding(name)?;
            if id.is_none() || id == last {
                // Twice the same record that has not the name: what remains of a change that was cut off.
                return Ok(None);
            }
            if let Some(record) = id.map_or(Ok(None), |id| self.read(id))?
                && record.names().contains(name)
            {
                return Ok(Some(record));
            }
            last = id;
        }
        Ok(None)
    }

    /// The record that is meant.
    pub(crate) fn load(&self, which: &Selector) -> Result<Record, StoreError> {
        self.check()?;
        if let Some(name) = which.name()
            && let Some(record) = self.bound(name)?
        {
            return Ok(record);
        }
        let not_found = || StoreError::NotFound(which.to_string());
        let prefix = which.id_prefix().ok_or_else(not_found)?;
        self.read(self.complete(prefix)?.ok_or_else(not_found)?)?.ok_or_else(not_found)
    }

    /// The id that probably is meant, found with the least work.
    pub(crate) fn guess(&self, which: &Selector) -> Result<RecordId, StoreError> {
        self.check()?;
        match which.name().map(|name| self.binding(name)).transpose()?.flatten() {
            Some(id) => Ok(id),
            None => self.load(which).map(|record| record.id()),
        }
    }

    /// The record with this id, if it is still the one that is meant.
    pub(crate) fn load_as(&self, id: RecordId, which: &Selector) -> Result<Option<Record>, StoreError> {
        let is_named = |record: &Record| which.name().is_some_and(|name| record.names().contains(name));
        let has_id = || which.id_prefix().is_some_and(|prefix| id.to_string().starts_with(prefix));
        Ok(self.read(id)?.filter(|record| is_named(record) || has_id()))
    }

    /// The one id that begins with these digits.
    fn complete(&self, prefix: &str) -> Result<Option<RecordId>, StoreError> {
        if let Ok(id) = prefix.parse() {
            return Ok(Some(id));
        }
        let ids: Vec<RecordId> =
            self.ids()?.into_iter().filter(|id| id.to_string().starts_with(prefix)).collect();
        match ids.as_slice() {
            [] => Ok(None),
            [id] => Ok(Some(*id)),
            _ => Err(StoreError::AmbiguousId { prefix: prefix.to_owned(), matches: ids.len() }),
        }
    }

    /// The ids of all records; files with other names are none of ours.
    fn ids(&self) -> Result<Vec<RecordId>, StoreError> {
        let dir = self.records();
        match self.files.list(&dir) {
            Ok(files) => Ok(files.iter().filter_map(|file| file.parse().ok()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(StoreError::Io("list", dir, error)),
        }
    }

    /// All records, the one that was changed last first; those that cannot be read stand at the end.
    pub(crate) fn load_all(&self) -> Result<Vec<Result<Record, StoreError>>, StoreError> {
        self.check()?;
        let mut all: Vec<_> = self.ids()?.into_iter().filter_map(|id| self.read(id).transpose()).collect();
        all.sort_by_key(|record| {
            let key = record.as_ref().ok().map(|record| (record.updated(), record.id()));
            std::cmp::Reverse(key)
        });
        Ok(all)
    }
}

/// Refuses a store of another version.
fn read_version(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
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
