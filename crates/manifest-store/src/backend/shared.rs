//! A store in a bucket: objects that are replaced where they still are what was read.
//!
//! No object storage locks or deletes on condition. So nothing is locked, a stale write is refused instead; and a
//! thing is removed by an object that says so. That of a name stays for the next who wants the name. That of a
//! record is then deleted, since its id is never used again.

mod blob;
mod connect;
mod envelope;
mod failure;
mod http;
mod objects;
mod probe;
mod sweep;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use object_store::ObjectStore;
use tokio::runtime::Runtime;

use super::escape::name_file;
use super::local::read_version;
use super::{Backend, Key, LockKey, NAME_LIMIT, Slot, Stop, Version};
use crate::lock::{Attempt, Guard};
use crate::place::Bucket;
use crate::record::MAX_SIZE;
use crate::{PublicationId, RecordId, StoreError};
use envelope::State;
use objects::{Committed, Objects};

pub(crate) use objects::ObjectVersion;

/// How many reads are under way at once.
const WIDTH: usize = 16;

/// The object that tells the version of the store, as in a directory.
const VERSION: &str = "version";

/// Where it is told who has a lease.
const LEASES: &str = "leases";

/// Who uses a store, and since when, for those who look into it.
pub(crate) type Note = Box<dyn Fn() -> String + Send + Sync>;

/// A store in a bucket.
///
/// It brings its own runtime. The calls of a [`Backend`] block and come from threads that may; the caller's runtime
/// is no place for their requests: it may have one thread only, which waits for us, and connections that are kept
/// for the next request would end with it, while a store may outlive it. A future of the caller that is
/// dropped changes nothing here: the call goes on to its end on the thread that it has.
pub(crate) struct Shared {
    objects: Objects,
    note: Note,
    /// Whether the store is known to be one that we can work with.
    trusted: OnceLock<()>,
    /// Always there, but while this is dropped.
    runtime: Option<Runtime>,
}

impl Shared {
    /// The store in a bucket; `variables` tell how to get there.
    pub(crate) fn connect(
        bucket: &Bucket,
        variables: &[(String, String)],
        note: Note,
    ) -> Result<Self, StoreError> {
        Self::over(connect::client(bucket, variables)?, &bucket.prefix, bucket.to_string(), note)
    }

    /// The store in the objects below a prefix; `shown` is their place for messages.
    pub(crate) fn over(
        store: Arc<dyn ObjectStore>,
        prefix: &str,
        shown: String,
        note: Note,
    ) -> Result<Self, StoreError> {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        // Calls run on the threads that make them; this one drives their connections.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("manifest-store")
            .enable_all()
            .build()
            .map_err(|error| StoreError::Io("start a thread for", PathBuf::from(&shown), error))?;
        let objects = Objects { store, prefix, shown };
        Ok(Self { objects, note, trusted: OnceLock::new(), runtime: Some(runtime) })
    }

    fn block_on<T, E: From<StoreError>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(work),
            None => {
                let place = PathBuf::from(&self.objects.shown);
                Err(StoreError::Io("use", place, std::io::ErrorKind::Other.into()).into())
            }
        }
    }

    /// Whether there is a store, of a version that we know.
    async fn is_made(&self) -> Result<bool, StoreError> {
        if self.trusted.get().is_some() {
            return Ok(true);
        }
        let Some((bytes, _)) = self.objects.get(VERSION, NAME_LIMIT).await? else { return Ok(false) };
        read_version(&self.objects.path(VERSION), &bytes)?;
        self.trusted.get_or_init(|| ());
        Ok(true)
    }

    /// Makes the store: the object that tells its version also tells that the service was tried, and vouches for it.
    async fn make(&self) -> Result<(), StoreError> {
        if self.is_made().await? {
            return Ok(());
        }
        probe::probe(&self.objects).await?;
        self.objects.create(VERSION, format!("manifest-store 1\nprobed {}", (self.note)())).await?;
        // Somebody else may have been first, with another version.
        self.is_made().await.map(drop)
    }

    async fn commit(&self, key: &Key, state: State, parts: &[&[u8]], over: &Version) -> Result<(), Stop> {
        self.make().await?;
        let key = spot(key);
        let there = match over {
            Version::Absent => None,
            Version::Object(version) => Some(version.clone()),
            Version::Locked => self.objects.read(&key, MAX_SIZE as u64).await?.map(|object| object.version),
        };
        match self.objects.commit(&key, state, parts, there.as_ref()).await? {
            Committed::Done => Ok(()),
            Committed::Moved | Committed::Throttled => Err(Stop::Again),
        }
    }
}

impl Backend for Shared {
    fn check(&self) -> Result<(), StoreError> {
        self.block_on(self.is_made()).map(drop)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        self.block_on(self.make())
    }

    fn lock(&self, _: &LockKey, _: &str) -> Result<Attempt, StoreError> {
        Ok(Attempt::Held(Guard::new(())))
    }

    fn has_locks(&self) -> bool {
        false
    }

    fn read(&self, key: &Key) -> Result<Slot, StoreError> {
        let limit = match key {
            Key::Name(_) | Key::NameFile(_) | Key::Lease(_) => NAME_LIMIT,
            Key::Record(_) | Key::Cache(_) | Key::Publication(_) => MAX_SIZE as u64,
        };
        let Some(object) = self.block_on(self.objects.read(&spot(key), limit))? else {
            return Ok(Slot { bytes: None, version: Version::Absent });
        };
        let is_kept = object.version.envelope.state == State::Kept;
        Ok(Slot { bytes: is_kept.then_some(object.content), version: Version::Object(object.version) })
    }

    fn write(&self, key: &Key, parts: &[&[u8]], over: &Version) -> Result<(), Stop> {
        self.block_on(self.commit(key, State::Kept, parts, over))
    }

    fn remove(&self, key: &Key, over: &Version) -> Result<(), Stop> {
        self.block_on(async {
            self.commit(key, State::Gone, &[], over).await?;
            if let Key::Record(_) | Key::Publication(_) | Key::Lease(LockKey::Publication(_)) = key {
                // It is removed by now; what stays would say so.
                drop(self.objects.delete(&spot(key)).await);
            }
            Ok(())
        })
    }

    fn confirm(&self, _: &[Key]) -> Result<(), StoreError> {
        // What can be read was acknowledged by the service.
        Ok(())
    }

    fn ids(&self) -> Result<Vec<RecordId>, StoreError> {
        let names = self.block_on(self.objects.list("records"))?;
        let mut ids: Vec<_> = names.iter().filter_map(|name| name.parse().ok()).collect();
        ids.sort();
        Ok(ids)
    }

    fn all_ids(&self) -> Result<Vec<RecordId>, StoreError> {
        self.ids()
    }

    fn name_files(&self) -> Result<Vec<String>, StoreError> {
        let mut files = self.block_on(self.objects.list("names"))?;
        files.sort();
        Ok(files)
    }

    fn cached(&self) -> Result<Vec<String>, StoreError> {
        let mut files = self.block_on(self.objects.list("cache"))?;
        files.sort();
        Ok(files)
    }

    fn publications(&self) -> Result<Vec<PublicationId>, StoreError> {
        let names = self.block_on(self.objects.list("publications"))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.objects.path(&spot(key))
    }

    fn width(&self) -> usize {
        WIDTH
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("place", &self.objects.shown).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for its thread is not allowed where the caller runs futures, and there is nothing to wait for.
            runtime.shutdown_background();
        }
    }
}

/// The name of the object of a key, below the prefix.
fn spot(key: &Key) -> String {
    match key {
        Key::Record(id) => format!("records/{id}"),
        Key::Name(name) => format!("names/{}", name_file(name)),
        Key::NameFile(file) => format!("names/{file}"),
        Key::Cache(file) => format!("cache/{file}"),
        Key::Publication(id) => format!("publications/{id}"),
        Key::Lease(what) => format!("{LEASES}/{}", what.file()),
    }
}
