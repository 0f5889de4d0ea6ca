//! Blobs as files: `blobs/<algorithm>/<hex>`, as in an OCI image layout.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use manifest_core::{Algorithm, Digest};

use super::intake::OpenIntake;
use super::stray::LOST;
use super::{Local, unreadable};
use crate::StoreError;
use crate::backend::{
    Aside, Backend as _, Leftover, MarkBlobs, OpenBlob, PIECE, Pins, Plan, Pool, Stray, Stream, Swept,
};
use crate::files::ReadFailure;
use crate::files::dir::{Dir, FileKind};

/// The directory of the blobs, and that of what is relied on before records say so.
pub(super) const BLOBS: &str = "blobs";
pub(super) const INTAKES: &str = "intakes";

impl Pool for Local {
    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blob_dir(digest.algorithm()).join(digest.hex())
    }

    fn blob_file(&self, digest: &Digest) -> Option<PathBuf> {
        Some(self.blob_path(digest))
    }

    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let path = self.blob_path(digest);
        let Some(dir) = self.open_blobs(digest.algorithm())? else { return Ok(None) };
        match dir.stat(digest.hex()) {
            Ok(Some(stat)) if stat.kind == FileKind::Regular => Ok(Some(stat.size)),
            Ok(Some(_)) => Err(unreadable(path, ReadFailure::NotAFile)),
            Ok(None) => Ok(None),
            Err(error) => Err(StoreError::Io("read", path, error)),
        }
    }

    fn open_blob(&self, digest: &Digest) -> Result<Option<OpenBlob>, StoreError> {
        let path = self.blob_path(digest);
        let Some(dir) = self.open_blobs(digest.algorithm())? else { return Ok(None) };
        let file = match dir.read(&digest.hex()) {
            Ok(file) => file,
            Err(ReadFailure::Missing) => return Ok(None),
            Err(failure) => return Err(unreadable(path, failure)),
        };
        let size = file.metadata().map_err(|error| StoreError::Io("read", path.clone(), error))?.len();
        Ok(Some((size, Box::new(Bytes { file: file.take(size), path }))))
    }

    fn intake(&self) -> Result<Arc<dyn Pins>, StoreError> {
        self.prepare()?;
        let root = self.open_root()?.ok_or_else(|| unreadable(self.root.clone(), ReadFailure::Missing))?;
        let made = |dir: &str| root.make_dir(dir).map_err(|failure| unreadable(self.root.join(dir), failure));
        OpenIntake::begin(made(BLOBS)?, made(INTAKES)?, &self.root).map(|intake| Arc::new(intake) as _)
    }

    fn each_blob(&self, each: &mut dyn FnMut(Digest, u64)) -> Result<(), StoreError> {
        self.list_blobs(each)
    }

    fn sweep(&self, plan: &Plan, mark: MarkBlobs<'_>) -> Result<Swept, StoreError> {
        self.sweep_files(plan, mark)
    }

    fn tidy(&self, plan: &Plan) -> Result<Vec<Leftover>, StoreError> {
        self.tidy_files(plan)
    }

    fn strays(&self) -> Result<Vec<Stray>, StoreError> {
        self.find_strays()
    }

    fn set_aside(&self, what: &Aside) -> Result<Option<PathBuf>, StoreError> {
        self.move_aside(what)
    }

    fn lost_and_found(&self) -> Option<PathBuf> {
        Some(self.root.join(LOST))
    }

    fn records_set_aside(&self) -> Result<Vec<PathBuf>, StoreError> {
        self.lost_records()
    }

    fn inodes(&self) -> Result<Option<u64>, StoreError> {
        self.count_inodes().map(Some)
    }

    fn shortest_grace(&self) -> Duration {
        Duration::ZERO
    }

    fn is_there(&self) -> Result<bool, StoreError> {
        self.check()?;
        Ok(self.open_root()?.is_some())
    }
}

impl Local {
    pub(super) fn blob_dir(&self, algorithm: Algorithm) -> PathBuf {
        self.root.join(BLOBS).join(algorithm.as_str())
    }

    /// The directory of the store, if it is there.
    pub(super) fn open_root(&self) -> Result<Option<Dir>, StoreError> {
        found(Dir::open(&self.root), self.root.clone())
    }

    /// A directory of the store, if it is there.
    pub(super) fn open_dir(&self, name: &str) -> Result<Option<Dir>, StoreError> {
        let Some(root) = self.open_root()? else { return Ok(None) };
        found(root.dir(name), self.root.join(name))
    }

    /// The directory of the blobs of an algorithm, if it is there.
    pub(super) fn open_blobs(&self, algorithm: Algorithm) -> Result<Option<Dir>, StoreError> {
        let Some(blobs) = self.open_dir(BLOBS)? else { return Ok(None) };
        found(blobs.dir(algorithm.as_str()), self.blob_dir(algorithm))
    }
}

/// A directory that may be missing, but not be something else.
fn found(opened: Result<Dir, ReadFailure>, path: PathBuf) -> Result<Option<Dir>, StoreError> {
    match opened {
        Ok(dir) => Ok(Some(dir)),
        Err(ReadFailure::Missing) => Ok(None),
        Err(ReadFailure::NotAFile) => Err(StoreError::damaged(path, "it is not a directory")),
        Err(failure) => Err(unreadable(path, failure)),
    }
}

/// The bytes of a file, as many as it had when it was opened.
struct Bytes {
    file: io::Take<File>,
    path: PathBuf,
}

impl Stream for Bytes {
    fn read(&mut self) -> Result<Vec<u8>, StoreError> {
        let mut piece = Vec::with_capacity(PIECE.min(usize::try_from(self.file.limit()).unwrap_or(PIECE)));
        let read = self.file.by_ref().take(PIECE as u64).read_to_end(&mut piece);
        read.map_err(|error| StoreError::Io("read", self.path.clone(), error))?;
        Ok(piece)
    }
}
