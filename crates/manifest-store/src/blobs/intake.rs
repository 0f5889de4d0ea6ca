//! Writing blobs, and relying on those that are there.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use manifest_core::{Descriptor, Digest, Hasher, MAX_MANIFEST_SIZE};

use super::Verified;
use super::steps::Steps;
use crate::backend::{Backend, LockKey, PIECE, Pins, Staging};
use crate::gc::failed;
use crate::held::{Held, Seen, walk};
use crate::lock::Sharing;
use crate::store::{Locks, Turn, blocking};
use crate::{Record, StoreError, StoreOptions};

/// What a change relies on: blobs that it writes, and blobs that it found.
///
/// As long as this lives nobody collects them, wherever that runs. Save the record that needs them, then call
/// [`Intake::finish`]. Who drops it without that is like one that was killed: what it wrote may be collected.
#[derive(Debug)]
pub struct Intake {
    backend: Arc<dyn Backend>,
    options: Arc<StoreOptions>,
    pins: Arc<dyn Pins>,
}

impl Intake {
    pub(super) async fn begin(
        backend: Arc<dyn Backend>,
        options: Arc<StoreOptions>,
    ) -> Result<Self, StoreError> {
        let pins = {
            let (backend, options) = (backend.clone(), options.clone());
            under_lock(&backend.clone(), &options, move || backend.intake()).await?
        };
        Ok(Self { backend, options, pins })
    }

    /// Whether a blob of this size is there already, to stay until this is finished. Its content is not looked at.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while somebody collects for longer than [`StoreOptions::lock_timeout`];
    /// [`StoreError::Damaged`] when something stands there that is no file.
    pub async fn has(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        let (pins, digest) = (self.pins.clone(), *digest);
        under_lock(&self.backend, &self.options, move || pins.pin(&digest, size)).await
    }

    /// The same, and its content is read: one that is damaged is as good as none to whoever can write it again.
    ///
    /// # Errors
    /// As [`Intake::has`].
    pub async fn has_whole(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        if !self.has(digest, size).await? {
            return Ok(false);
        }
        let (backend, digest) = (self.backend.clone(), *digest);
        blocking(move || match Verified::open(&*backend, digest)?.map(Verified::drain) {
            None => Ok(false),
            Some(Err(error)) if error.is_damage() => Ok(false),
            Some(read) => read.map(|()| true),
        })
        .await
    }

    /// Relies on everything that belongs to these entries of a record, so that it stays until the record is saved that takes
    /// them over.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for an entry that is not there whole, as far as that is seen without reading layers; else as
    /// [`Intake::has`].
    pub async fn rely_on_entries(&self, entries: &[Descriptor]) -> Result<(), StoreError> {
        self.rely(entries.iter().map(Held::of).collect(), Lost::Refused).await
    }

    /// Relies on everything that a record holds. When the record is still there afterwards, all of it stays.
    pub(crate) async fn rely_on(&self, record: &Record) -> Result<(), StoreError> {
        self.rely(record.held(), Lost::PassedOver).await
    }

    async fn rely(&self, roots: Vec<Held>, lost: Lost) -> Result<(), StoreError> {
        let backend = self.backend.clone();
        let parts = blocking(move || parts(&*backend, roots, lost)).await?;
        for (digest, size) in parts {
            if !self.has(&digest, size).await? && lost == Lost::Refused {
                return Err(missing(&*self.backend, &digest));
            }
        }
        Ok(())
    }

    /// Begins to write a blob of `size` bytes; one that is there already is written again.
    ///
    /// # Errors
    /// As [`Intake::has`].
    pub async fn writer(&self, digest: &Digest, size: u64) -> Result<BlobWriter, StoreError> {
        let (pins, wanted) = (self.pins.clone(), *digest);
        let staged = under_lock(&self.backend, &self.options, move || pins.stage(&wanted, size)).await?;
        let hasher = digest.algorithm().hasher();
        let content = Some(Content { staged, hasher, digest: *digest, size, left: size });
        Ok(BlobWriter { steps: Steps::new(content), waiting: Vec::new(), _backend: self.backend.clone() })
    }

    /// Writes a small blob, unless it is there whole.
    ///
    /// # Errors
    /// As [`Intake::has`] and [`BlobWriter::finish`].
    pub async fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        if self.has_whole(digest, bytes.len() as u64).await? {
            return Ok(());
        }
        let mut writer = self.writer(digest, bytes.len() as u64).await?;
        writer.write(Bytes::copy_from_slice(bytes)).await?;
        writer.finish().await
    }

    /// Ends the change: the record that needs the blobs is saved.
    ///
    /// # Errors
    /// What disks and services refuse; the blobs are safe all the same.
    pub async fn finish(self) -> Result<(), StoreError> {
        // No lock: who collects reads what is relied on first and then the records, and finds one or the other.
        blocking(move || self.pins.finish()).await
    }
}

/// What becomes of a part that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// It was missing before.
    PassedOver,
    Refused,
}

/// All that can be reached from these, with the size of each.
fn parts(backend: &dyn Backend, roots: Vec<Held>, lost: Lost) -> Result<Vec<(Digest, u64)>, StoreError> {
    let (mut parts, mut seen) = (Vec::new(), Seen::new());
    walk(roots, &mut seen, &mut |held| {
        let size = held.size.map_or_else(|| backend.blob_size(&held.digest), |size| Ok(Some(size)))?;
        parts.extend(size.map(|size| (held.digest, size)));
        if !held.may_lead() {
            return Ok(None);
        }
        let children = match Verified::open(backend, held.digest)? {
            Some(content) => {
                held.children(&content.all(MAX_MANIFEST_SIZE)?).map_err(|error| held.no_manifest(&error))
            }
            None => Err("it is missing".to_owned()),
        };
        match children {
            Ok(children) => Ok(children),
            // What cannot be read as a manifest keeps everything from being collected, whoever holds it.
            Err(_) if lost == Lost::PassedOver => Ok(None),
            Err(what) => Err(StoreError::damaged(backend.blob_path(&held.digest), what)),
        }
    })?;
    Ok(parts)
}

fn missing(backend: &dyn Backend, digest: &Digest) -> StoreError {
    StoreError::damaged(backend.blob_path(digest), "it is missing")
}

/// A blob that is being written. It is there when [`BlobWriter::finish`] says so, and not before.
#[derive(Debug)]
pub struct BlobWriter {
    steps: Steps<Option<Content>, Result<(), StoreError>>,
    /// What is yet to be written.
    waiting: Vec<Bytes>,
    /// What the bytes go to lives as long.
    _backend: Arc<dyn Backend>,
}

impl BlobWriter {
    /// Adds bytes.
    ///
    /// # Errors
    /// [`StoreError::NotThatContent`] when there are more than was said; what disks and services refuse. After an
    /// error nothing is written any more.
    pub async fn write(&mut self, bytes: impl Into<Bytes>) -> Result<(), StoreError> {
        self.waiting.push(bytes.into());
        if self.waiting.iter().map(Bytes::len).sum::<usize>() < PIECE {
            return Ok(());
        }
        // While these are written the next may come.
        self.steps.done().await?.unwrap_or(Ok(()))?;
        let pieces = std::mem::take(&mut self.waiting);
        self.steps.start(move |content| write(content, &pieces));
        Ok(())
    }

    /// Ends the blob: compares it with its digest and its size and gives it its name, for good.
    ///
    /// # Errors
    /// [`StoreError::NotThatContent`]; what disks and services refuse. Nothing is there then.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        self.steps.done().await?.unwrap_or(Ok(()))?;
        let pieces = std::mem::take(&mut self.waiting);
        self.steps.start(move |content| {
            write(content, &pieces)?;
            content.take().map_or(Ok(()), Content::finish)
        });
        self.steps.done().await?.unwrap_or(Ok(()))
    }
}

/// Writes, unless that failed once; then what was written is dropped.
fn write(content: &mut Option<Content>, pieces: &[Bytes]) -> Result<(), StoreError> {
    let Some(mut open) = content.take() else {
        return Err(StoreError::Io("write", "a blob".into(), std::io::ErrorKind::BrokenPipe.into()));
    };
    pieces.iter().try_for_each(|piece| open.write(piece))?;
    *content = Some(open);
    Ok(())
}

/// What was written so far of a blob.
struct Content {
    staged: Box<dyn Staging>,
    hasher: Hasher,
    digest: Digest,
    size: u64,
    left: u64,
}

impl Content {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| self.wrong(format!("it has more than {} bytes", self.size)))?;
        self.hasher.update(bytes);
        self.staged.write(bytes)
    }

    fn finish(self) -> Result<(), StoreError> {
        if self.left > 0 {
            return Err(self.wrong(format!(
                "it has {} bytes instead of {}",
                self.size - self.left,
                self.size
            )));
        }
        let found = self.hasher.clone().finish();
        if found != self.digest {
            return Err(self.wrong(format!("its digest is {found}")));
        }
        self.staged.finish()
    }

    fn wrong(&self, what: String) -> StoreError {
        StoreError::NotThatContent { digest: self.digest, what }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("digest", &self.digest)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// Does work while nobody collects.
async fn under_lock<T: Send + 'static>(
    backend: &Arc<dyn Backend>,
    options: &Arc<StoreOptions>,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let turn = Turn::new(options.clone(), "the pool of blobs".to_owned());
    let locks = Locks::new(backend.clone(), [LockKey::Pool(Sharing::Shared)], &turn);
    failed(locks.run(move |_| Ok(work()?)).await).map(|(_, value)| value)
}
