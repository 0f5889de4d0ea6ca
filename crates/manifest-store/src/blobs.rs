//! Content under its digest: what records hold beside their documents.

mod intake;
mod reader;
mod steps;
mod variants;

use std::path::PathBuf;
use std::sync::Arc;

use manifest_core::Digest;

use crate::backend::Backend;
use crate::store::blocking;
use crate::{StoreError, StoreOptions};

pub use intake::{BlobWriter, Intake};
pub use reader::BlobReader;
pub(crate) use reader::Verified;
pub use variants::Variant;

/// The content that a store keeps: manifests of images, configurations, layers, each under its digest.
///
/// A record holds the entries whose source is the store itself ([`Source::HERE`](crate::Source::HERE)), with all that
/// belongs to them. What no record holds stays until it is collected.
#[derive(Clone, Debug)]
pub struct Blobs {
    backend: Arc<dyn Backend>,
    options: Arc<StoreOptions>,
}

impl Blobs {
    pub(crate) fn new(backend: Arc<dyn Backend>, options: Arc<StoreOptions>) -> Self {
        Self { backend, options }
    }

    /// How many bytes a blob has; `None` when it is not there. Its content is not looked at.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when something else stands where it should be; what disks and services refuse.
    pub async fn has(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let digest = *digest;
        self.run(move |backend| backend.blob_size(&digest)).await
    }

    /// Opens a blob; `None` when it is not there.
    ///
    /// # Errors
    /// As [`Blobs::has`].
    pub async fn read(&self, digest: &Digest) -> Result<Option<BlobReader>, StoreError> {
        let digest = *digest;
        let opened = self.run(move |backend| Verified::open(backend, digest)).await?;
        Ok(opened.map(|content| BlobReader::new(content, self.backend.clone())))
    }

    /// The whole content of a blob of at most `limit` bytes; `None` when it is not there.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it has more bytes, or is not what its digest says; else as [`Blobs::has`].
    pub async fn bytes(&self, digest: &Digest, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let digest = *digest;
        self.run(move |backend| match Verified::open(backend, digest)? {
            Some(content) => content.all(limit).map(Some),
            None => Ok(None),
        })
        .await
    }

    /// The file of a blob; `None` when it is not there, and in a shared store, where blobs are not files.
    ///
    /// # Errors
    /// As [`Blobs::has`].
    pub async fn path(&self, digest: &Digest) -> Result<Option<PathBuf>, StoreError> {
        let digest = *digest;
        self.run(move |backend| Ok(backend.blob_size(&digest)?.and_then(|_| backend.blob_file(&digest))))
            .await
    }

    /// Begins a change that relies on blobs: those that it asks for and writes are not collected until it is finished.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while somebody collects; what disks and services refuse.
    pub async fn intake(&self) -> Result<Intake, StoreError> {
        Intake::begin(self.backend.clone(), self.options.clone()).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Backend) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let backend = self.backend.clone();
        blocking(move || {
            backend.check()?;
            work(&*backend)
        })
        .await
    }
}
