//! Stores by their address.

use super::{Store, StoreOptions};
use crate::StoreError;
#[cfg(feature = "shared")]
use crate::backend::Shared;
use crate::place::Place;
#[cfg(feature = "shared")]
use {crate::Holder, object_store::ObjectStore, std::sync::Arc};

impl Store {
    /// The store at `url`: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`, `file:///PATH` or
    /// the path of a directory.
    ///
    /// A store in a bucket is shared by all who reach it. `variables` are those of the environment in which each
    /// cloud's own tools find their logins and settings (`AWS_*`, `GOOGLE_*` and `SERVICE_ACCOUNT`, `AZURE_*` and
    /// `MSI_ENDPOINT`, and for the emulator of Azure `AZURITE_BLOB_STORAGE_URL`); others are passed over. Without a
    /// login among them that of the machine is asked for, where a cloud gives it one; the proxies of the system
    /// are used, and Google's client also looks for `~/.config/gcloud`.
    ///
    /// Reads are repeated up to five times in half a minute when the network or the service fails. A connection
    /// may take 10 seconds, a pause in an answer 30, a request five minutes, unless variables such as
    /// `AWS_CONNECT_TIMEOUT` say otherwise.
    ///
    /// Nothing is sent yet. The first change tries the service out and leaves a note of that in the store: one that
    /// ignores conditions is refused.
    ///
    /// # Errors
    /// [`StoreError::Address`]; [`StoreError::NoSharedStores`] for a bucket without the feature `shared`.
    pub fn connect(
        url: &str,
        variables: impl IntoIterator<Item = (String, String)>,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let bucket = match Place::parse(url)? {
            Place::Directory(path) => return Ok(Self::open(path, options)),
            Place::Bucket(bucket) => bucket,
        };
        #[cfg(feature = "shared")]
        {
            let variables: Vec<_> = variables.into_iter().collect();
            Ok(Self::over(Shared::connect(&bucket, &variables, note(&options))?, options))
        }
        #[cfg(not(feature = "shared"))]
        {
            drop(variables);
            Err(StoreError::NoSharedStores(bucket.to_string()))
        }
    }

    /// A store in the memory of this process, for tests: shared by its clones, gone with the last of them.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the system gives no thread.
    #[cfg(feature = "shared")]
    pub fn in_memory(options: StoreOptions) -> Result<Self, StoreError> {
        Self::from_objects(Arc::new(object_store::memory::InMemory::new()), "memory:", options)
    }

    /// A store in objects that somebody else reaches; `shown` is their place for messages.
    ///
    /// `objects` should repeat reads that fail, and not repeat conditional writes.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the system gives no thread.
    #[cfg(feature = "shared")]
    pub fn from_objects(
        objects: Arc<dyn ObjectStore>,
        shown: &str,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        Ok(Self::over(Shared::over(objects, "", shown.to_owned(), note(&options))?, options))
    }
}

/// Who uses the store.
#[cfg(feature = "shared")]
fn note(options: &StoreOptions) -> Box<dyn Fn() -> String + Send + Sync> {
    let (command, clock) = (options.command.clone(), options.clock.clone());
    Box::new(move || Holder::note(&command, clock.now()))
}
