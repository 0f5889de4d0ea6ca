//! The door to the records.

mod connect;
mod copy;
mod create;
mod edit;
mod hold;
mod lost;
mod name;
mod options;
mod prune;
mod remove;
mod take;
mod undo;
mod waiting;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::backend::{Backend, Local, LockKey};
use crate::catalog::Catalog;
use crate::files::Disk;
use crate::record::Stamp;
use crate::{Blobs, Cache, Publications, Record, RecordId, Selector, StoreError};
pub use create::IfTaken;
pub use edit::Updated;
pub use options::{Clock, StoreOptions, Waiting};
pub use remove::{Force, Removed};
pub use undo::Undone;
pub(crate) use waiting::{Locks, Turn, blocking, joined, part_of, pause};

/// The place of records.
///
/// Cheap to open and to clone: nothing is read before it is needed, and nothing is created before something
/// is saved. Dropping the future of a change before it is done leaves the change made or not made, never half.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Arc<dyn Backend>,
    options: Arc<StoreOptions>,
}

impl Store {
    /// A store in the directory `root`, which need not exist.
    pub fn open(root: impl Into<PathBuf>, options: StoreOptions) -> Self {
        Self::over(Local::new(root.into(), Box::new(Disk)), options)
    }

    pub(crate) fn over(backend: impl Backend + 'static, options: StoreOptions) -> Self {
        Self { backend: Arc::new(backend), options: Arc::new(options) }
    }

    /// Reads a record. Never waits for a lock.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::AmbiguousId`]; [`StoreError::Damaged`]; [`StoreError::NewerVersion`].
    pub async fn load(&self, which: &Selector) -> Result<Record, StoreError> {
        let which = which.clone();
        self.read(move |catalog| catalog.load(&which)).await
    }

    /// The record that is meant, found without reading it: enough to know early that there is none.
    ///
    /// # Errors
    /// As [`Store::load`]; what is wrong inside the record is found when it is read.
    pub async fn find(&self, which: &Selector) -> Result<RecordId, StoreError> {
        let which = which.clone();
        self.read(move |catalog| catalog.guess(&which)).await
    }

    /// Whether there is such a record.
    ///
    /// # Errors
    /// As [`Store::load`], but for [`StoreError::NotFound`].
    pub async fn exists(&self, which: &Selector) -> Result<bool, StoreError> {
        match self.load(which).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads all records, the one that was changed last first; damaged ones are errors beside the others.
    ///
    /// # Errors
    /// When the store as a whole cannot be read.
    pub async fn records(&self) -> Result<Vec<Result<Record, StoreError>>, StoreError> {
        self.read(|catalog| catalog.load_all()).await
    }

    /// What the records hold beside their documents: manifests of images, configurations, layers.
    pub fn blobs(&self) -> Blobs {
        Blobs::new(self.backend.clone(), self.options.clone())
    }

    /// What references stood for when they were read last.
    pub fn cache(&self) -> Cache {
        Cache(self.backend.clone())
    }

    /// What is known of publications, the past ones and those that were cut off.
    pub fn publications(&self) -> Publications {
        Publications { backend: self.backend.clone(), options: self.options.clone() }
    }

    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    pub(crate) fn options(&self) -> &Arc<StoreOptions> {
        &self.options
    }

    /// Reads, without a lock.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(Catalog<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let backend = self.backend.clone();
        blocking(move || read(Catalog(&*backend))).await
    }

    fn lock(&self, keys: impl IntoIterator<Item = LockKey>, turn: &Turn) -> Locks {
        Locks::new(self.backend.clone(), keys, turn)
    }

    fn turn(&self, subject: &impl fmt::Display) -> Turn {
        Turn::new(self.options.clone(), format!("the list {subject}"))
    }

    fn stamp(&self) -> Stamp {
        Stamp::new(self.options.clock.now(), &self.options.command)
    }
}
