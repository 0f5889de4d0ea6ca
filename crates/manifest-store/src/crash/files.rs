//! The files of one writer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::disk::Node;
use super::gate::{Call, Gate, Machine, hash};
use crate::StoreError;
use crate::files::{Files, Kind, ReadFailure, Staged};
use crate::lock::{Attempt, Guard, Holder, Sharing};

/// The disk of a machine, as one writer uses it.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    gate: Arc<Gate>,
    writer: usize,
    staged: Arc<AtomicUsize>,
}

impl Handle {
    pub(super) fn new(gate: &Arc<Gate>, writer: usize) -> Self {
        Self { gate: gate.clone(), writer, staged: Arc::default() }
    }

    fn call<T>(
        &self,
        what: &'static str,
        path: &Path,
        work: impl FnOnce(&mut Machine) -> io::Result<(T, u64)>,
    ) -> io::Result<T> {
        self.gate.call(self.writer, &Call { what, path: path.to_owned() }, work)
    }

    /// Syncs a file that has its name already.
    pub(super) fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.make("sync file", path, |machine| machine.disk.sync_file(path))
    }

    /// A call that gives nothing.
    fn make(
        &self,
        what: &'static str,
        path: &Path,
        work: impl FnOnce(&mut Machine) -> io::Result<()>,
    ) -> io::Result<()> {
        self.call(what, path, |machine| work(machine).map(|()| ((), 0)))
    }
}

impl Files for Handle {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, ReadFailure> {
        let read = self.call("read", path, |machine| {
            machine.disk.read(path).map(|content| (content.bytes.to_vec(), content.mark))
        });
        match read {
            Ok(bytes) if bytes.len() as u64 > limit => Err(ReadFailure::TooLarge(bytes.len() as u64)),
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ReadFailure::Missing),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Err(ReadFailure::NotAFile),
            Err(error) => Err(ReadFailure::Io(error)),
        }
    }

    fn stage(&self, dir: &Path, label: &str, parts: &[&[u8]]) -> io::Result<Box<dyn Staged>> {
        let number = self.staged.fetch_add(1, Ordering::SeqCst);
        let path = dir.join(format!(".tmp-{label}-{}-{number}", self.writer));
        let bytes = parts.concat();
        let staged = self.make("write", &path, |machine| {
            let content = machine.content(bytes.clone());
            machine.disk.create(&path, content)
        });
        if let Err(error) = staged {
            let mut machine = self.gate.machine();
            if machine.fault.as_ref().is_some_and(|fault| fault.lasts) {
                // What was written before the failure cannot be removed either.
                let half = machine.content(bytes[..bytes.len() / 2].to_vec());
                drop(machine.disk.create(&path, half));
            }
            return Err(error);
        }
        Ok(Box::new(StagedFile { handle: self.clone(), path: Some(path) }))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.make("sync directory", dir, |machine| machine.disk.sync_dir(dir))
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        self.make("make directory", dir, |machine| machine.disk.make_dir(dir))
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.call("look at", path, |machine| {
            Ok(match machine.disk.node(path) {
                None => (Kind::Missing, 0),
                Some(Node::Dir) => (Kind::Directory, 1),
                Some(Node::File(_)) => (Kind::Other, 2),
            })
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.call("list", dir, |machine| {
            let names = machine.disk.list(dir)?;
            let mark = hash(&machine.labels.canonical(&names.join(" ")));
            Ok((names, mark))
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.make("remove", path, |machine| machine.disk.remove(path))
    }

    fn lock(&self, path: &Path, note: &str) -> Result<Attempt, StoreError> {
        self.try_lock(path, note, Sharing::Alone)
    }

    fn lock_shared(&self, path: &Path) -> Result<Attempt, StoreError> {
        self.try_lock(path, "", Sharing::Shared)
    }

    fn is_foreign_link(&self, _: &Path) -> io::Result<bool> {
        Ok(false)
    }
}

impl Handle {
    fn try_lock(&self, path: &Path, note: &str, sharing: Sharing) -> Result<Attempt, StoreError> {
        let writer = self.writer;
        let locked = self.call("lock", path, |machine| {
            if machine.disk.node(path).is_none() {
                let note = machine.content(note.as_bytes().to_vec());
                machine.disk.create(path, note)?;
            }
            let number = machine.lock(writer, path, sharing);
            Ok((number, u64::from(number.is_some())))
        });
        match locked {
            Ok(Some(number)) => {
                Ok(Attempt::Held(Guard::new(Lock { gate: self.gate.clone(), path: path.to_owned(), number })))
            }
            Ok(None) => Ok(Attempt::Busy(Holder::default())),
            Err(error) => Err(StoreError::Io("lock", path.to_owned(), error)),
        }
    }
}

/// A file without its name; dropping it removes it.
struct StagedFile {
    handle: Handle,
    path: Option<PathBuf>,
}

impl StagedFile {
    /// Gives the file its name; when that fails it is removed.
    fn persist(
        mut self,
        what: &'static str,
        target: &Path,
        rename: impl FnOnce(&mut Machine, &Path) -> io::Result<()>,
    ) -> io::Result<()> {
        let path = self.path.clone().unwrap();
        self.handle.make(what, target, |machine| rename(machine, &path))?;
        self.path = None;
        Ok(())
    }
}

impl Staged for StagedFile {
    fn sync(&self) -> io::Result<()> {
        self.handle.sync_file(self.path.as_ref().unwrap())
    }

    fn replace(self: Box<Self>, target: &Path) -> io::Result<()> {
        self.persist("rename to", target, |machine, path| machine.disk.replace(path, target))
    }

    fn create(self: Box<Self>, target: &Path) -> io::Result<()> {
        self.persist("link to", target, |machine, path| machine.disk.claim(path, target))
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            drop(self.handle.remove(path));
        }
    }
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
struct Lock {
    gate: Arc<Gate>,
    path: PathBuf,
    number: u64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.gate.machine().locks.unlock(&self.path, self.number);
    }
}
