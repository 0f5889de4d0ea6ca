//! What a change relies on before its record is saved, and how blobs are written.
//!
//! An intake is a file `intakes/<random>` that its owner keeps locked; each line is a digest. A digest is noted before
//! anybody looks whether its blob is there, both under the lock of the pool, so that whoever has that lock alone sees
//! either the note or a change that has not looked yet.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use manifest_core::Digest;

use super::blob::{BLOBS, INTAKES};
use super::unreadable;
use crate::StoreError;
use crate::backend::{Pins, Staging};
use crate::files::dir::{Dir, File, FileKind, own};

/// What the name of a file that is being written begins with.
pub(super) const TEMPORARY: &str = ".tmp-";

/// An intake of this process.
#[derive(Debug)]
pub(super) struct OpenIntake(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    blobs: Dir,
    /// Those in it that were used: making sure that one is there for good is done once.
    dirs: Mutex<BTreeMap<&'static str, Arc<Dir>>>,
    intakes: Dir,
    name: String,
    /// Locked until it is closed.
    file: File,
    root: PathBuf,
}

impl OpenIntake {
    pub(super) fn begin(blobs: Dir, intakes: Dir, root: &Path) -> Result<Self, StoreError> {
        let name = random_name()?;
        let path = root.join(INTAKES).join(&name);
        let file = intakes.create(&name).map_err(|error| StoreError::Io("create", path.clone(), error))?;
        own(&file).map_err(|error| StoreError::Io("lock", path, error))?;
        let (dirs, root) = (Mutex::default(), root.to_owned());
        Ok(Self(Arc::new(Inner { blobs, dirs, intakes, name, file, root })))
    }
}

impl Inner {
    fn note(&self, digest: &Digest) -> Result<(), StoreError> {
        // The newline comes first: what a failed write left behind does not spoil the next line.
        (&self.file)
            .write_all(format!("\n{digest}").as_bytes())
            .map_err(|error| StoreError::Io("write", self.root.join(INTAKES).join(&self.name), error))
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join(BLOBS).join(digest.algorithm().as_str()).join(digest.hex())
    }

    fn dir(&self, digest: &Digest) -> Result<Arc<Dir>, StoreError> {
        let algorithm = digest.algorithm().as_str();
        let mut dirs = self.dirs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = dirs.get(algorithm) {
            return Ok(dir.clone());
        }
        let made = self.blobs.make_dir(algorithm);
        let failed = |failure| unreadable(self.root.join(BLOBS).join(algorithm), failure);
        let dir = Arc::new(made.map_err(failed)?);
        dirs.insert(algorithm, dir.clone());
        Ok(dir)
    }
}

impl Pins for OpenIntake {
    fn pin(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        self.0.note(digest)?;
        let (path, dir) = (self.0.path(digest), self.0.dir(digest)?);
        match dir.stat(digest.hex()) {
            Ok(Some(stat)) if stat.kind != FileKind::Regular => {
                Err(StoreError::damaged(path, format!("it is {}", stat.kind.as_str())))
            }
            // Whoever wrote it may not have got to make its name last.
            Ok(Some(stat)) if stat.size == size => match dir.sync() {
                Ok(()) => Ok(true),
                Err(error) => Err(StoreError::Io("sync", path, error)),
            },
            Ok(_) => Ok(false),
            Err(error) => Err(StoreError::Io("read", path, error)),
        }
    }

    fn stage(&self, digest: &Digest, _: u64) -> Result<Box<dyn Staging>, StoreError> {
        self.0.note(digest)?;
        let (path, dir) = (self.0.path(digest), self.0.dir(digest)?);
        let name = format!("{TEMPORARY}{}", random_name()?);
        let refused = |what| {
            let path = path.clone();
            move |error| StoreError::Io(what, path, error)
        };
        let file = dir.create(&name).map_err(refused("write"))?;
        let staged = Staged {
            dir,
            file,
            name: Some(name),
            hex: digest.hex(),
            path: path.clone(),
            _pins: self.0.clone(),
        };
        own(&staged.file).map_err(refused("lock"))?;
        Ok(Box::new(staged))
    }

    fn finish(&self) -> Result<(), StoreError> {
        let path = || self.0.root.join(INTAKES).join(&self.0.name);
        self.0.intakes.remove(&self.0.name).map_err(|error| StoreError::Io("remove", path(), error))
    }
}

/// A blob under a temporary name, whose file is locked as long as somebody writes it.
struct Staged {
    dir: Arc<Dir>,
    file: File,
    name: Option<String>,
    hex: String,
    path: PathBuf,
    /// What is being written is relied on, also when nobody else has the intake any more.
    _pins: Arc<Inner>,
}

impl Staged {
    fn refused(&self, what: &'static str) -> impl FnOnce(io::Error) -> StoreError {
        let path = self.path.clone();
        move |error| StoreError::Io(what, path, error)
    }
}

impl Staging for Staged {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(self.refused("write"))
    }

    fn finish(mut self: Box<Self>) -> Result<(), StoreError> {
        self.file.sync_all().map_err(self.refused("sync"))?;
        if let Some(name) = &self.name {
            self.dir.rename(name, &self.hex).map_err(self.refused("replace"))?;
        }
        self.name = None;
        self.dir.sync().map_err(self.refused("sync"))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            // One that stays is collected later.
            drop(self.dir.remove(name));
        }
    }
}

pub(super) fn random_name() -> Result<String, StoreError> {
    let number =
        || getrandom::u64().map_err(|error| StoreError::Io("read", "random bytes".into(), error.into()));
    Ok(format!("{:016x}{:016x}", number()?, number()?))
}
