//! Reading blobs.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use manifest_core::{Digest, Hasher};

use super::steps::Steps;
use crate::StoreError;
use crate::backend::{Backend, Stream};

/// A blob that is being read. Its last piece comes only when its content is what its digest says.
#[derive(Debug)]
pub struct BlobReader {
    size: u64,
    steps: Steps<Verified, Result<Option<Bytes>, StoreError>>,
    is_over: bool,
    /// What the bytes come from lives as long.
    _backend: Arc<dyn Backend>,
}

impl BlobReader {
    pub(super) fn new(content: Verified, backend: Arc<dyn Backend>) -> Self {
        Self { size: content.size, steps: Steps::new(content), is_over: false, _backend: backend }
    }

    /// How many bytes the blob has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The next bytes; `None` at the end, and after an error. A call that is given up loses nothing.
    ///
    /// [`StoreError::Damaged`] comes in place of the last piece when the content is not what its digest says.
    pub async fn next(&mut self) -> Option<Result<Bytes, StoreError>> {
        if self.is_over {
            return None;
        }
        self.steps.start(Verified::next);
        let piece = match self.steps.done().await {
            Ok(piece) => piece.unwrap_or(Ok(None)).transpose(),
            Err(error) => Some(Err(error)),
        };
        match &piece {
            // While this piece is being used the next is read.
            Some(Ok(_)) => self.steps.start(Verified::next),
            _ => self.is_over = true,
        }
        piece
    }
}

/// The content of a blob, compared with its digest while it is read.
pub(crate) struct Verified {
    stream: Box<dyn Stream>,
    /// There until the end was reached.
    hasher: Option<Hasher>,
    digest: Digest,
    size: u64,
    left: u64,
    path: PathBuf,
}

impl Verified {
    pub(crate) fn open(backend: &dyn Backend, digest: Digest) -> Result<Option<Self>, StoreError> {
        let Some((size, stream)) = backend.open_blob(&digest)? else { return Ok(None) };
        let path = backend.blob_path(&digest);
        let hasher = Some(digest.algorithm().hasher());
        Ok(Some(Self { stream, hasher, digest, size, left: size, path }))
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// The next bytes; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let Some(mut hasher) = self.hasher.take() else { return Ok(None) };
        let piece = self.stream.read()?;
        hasher.update(&piece);
        self.left = self.left.saturating_sub(piece.len() as u64);
        if self.left > 0 && !piece.is_empty() {
            self.hasher = Some(hasher);
        } else if self.left > 0 || hasher.finish() != self.digest {
            return Err(StoreError::damaged(&self.path, "its content is not what its digest says"));
        }
        Ok(Some(Bytes::from(piece)).filter(|piece| !piece.is_empty()))
    }

    /// Reads to the end, for the comparison alone.
    pub(super) fn drain(mut self) -> Result<(), StoreError> {
        while self.next()?.is_some() {}
        Ok(())
    }

    /// The whole content, of at most `limit` bytes.
    pub(crate) fn all(mut self, limit: usize) -> Result<Vec<u8>, StoreError> {
        let size = usize::try_from(self.size).ok().filter(|size| *size <= limit).ok_or_else(|| {
            StoreError::damaged(&self.path, format!("it has {} bytes, which is too much", self.size))
        })?;
        let mut all = Vec::with_capacity(size);
        while let Some(piece) = self.next()? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("path", &self.path).field("left", &self.left).finish_non_exhaustive()
    }
}
