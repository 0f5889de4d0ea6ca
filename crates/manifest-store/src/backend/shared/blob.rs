//! Blobs as objects: `blobs/<algorithm>/<hex>`. An object is there when it is complete, and not before.
//!
//! Nothing is locked here. What somebody relies on is safe because it is young: who collects removes only what is at
//! least [`SHORTEST_GRACE`] old, and who relies on a blob of more than half that age makes it young first.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use manifest_core::Digest;
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStoreExt as _, PutPayload};
use tokio::runtime::Handle;

use super::Shared;
use super::failure::{Verdict, failed};
use super::objects::{Objects, pause, random};
use crate::StoreError;
use crate::backend::pool::{A_DAY, age};
use crate::backend::{Aside, Leftover, MarkBlobs, OpenBlob, Pins, Plan, Pool, Staging, Stray, Stream, Swept};

/// The grace without which a shared store is collected only while nobody uses it: relying on a blob rests on its age.
const SHORTEST_GRACE: Duration = A_DAY;

/// How much is sent at once; less would be refused by some services.
const PART: usize = 8 << 20;

/// The largest object that services copy at once, in bytes; a larger one is written again.
const COPIED: u64 = 4 << 30;

/// How often an object is sent at most.
const TRIES: u32 = 6;

impl Pool for Shared {
    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.objects.path(&spot(digest))
    }

    fn blob_file(&self, _: &Digest) -> Option<PathBuf> {
        None
    }

    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        Ok(self.block_on(self.objects.head(&spot(digest)))?.map(|found| found.size))
    }

    fn open_blob(&self, digest: &Digest) -> Result<Option<OpenBlob>, StoreError> {
        let (key, handle) = (spot(digest), self.handle()?);
        let path = self.objects.path(&key);
        let found = self.block_on(async {
            match self.objects.store.get(&self.objects.location("read", &key)?).await {
                Ok(found) => Ok(Some(found)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(failed("read", &path, &error)),
            }
        })?;
        Ok(found.map(|found| {
            let size = found.meta.size;
            (size, Box::new(Bytes { handle, stream: found.into_stream(), path }) as _)
        }))
    }

    fn intake(&self) -> Result<Arc<dyn Pins>, StoreError> {
        let (handle, objects) = (self.handle()?, self.objects.clone());
        let key = format!("intakes/{:016x}", random()?);
        let began = self.block_on(async {
            self.make().await?;
            objects.now(&key).await
        })?;
        Ok(Arc::new(Intake { handle, objects, key, began, since: Instant::now() }))
    }

    fn each_blob(&self, each: &mut dyn FnMut(Digest, u64)) -> Result<(), StoreError> {
        self.block_on(self.objects.each_blob(&mut |digest, head| each(digest, head.size)))
    }

    fn sweep(&self, plan: &Plan, mark: MarkBlobs<'_>) -> Result<Swept, StoreError> {
        self.sweep_objects(plan, mark)
    }

    /// An object that is being written is not seen.
    fn tidy(&self, _: &Plan) -> Result<Vec<Leftover>, StoreError> {
        Ok(Vec::new())
    }

    fn strays(&self) -> Result<Vec<Stray>, StoreError> {
        Ok(Vec::new())
    }

    fn set_aside(&self, what: &Aside) -> Result<Option<PathBuf>, StoreError> {
        let Aside::Cache(file) = what else { return Ok(None) };
        let key = format!("cache/{file}");
        self.block_on(self.objects.delete(&key))?;
        Ok(Some(self.objects.path(&key)))
    }

    fn records_set_aside(&self) -> Result<Vec<PathBuf>, StoreError> {
        Ok(Vec::new())
    }

    fn inodes(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    fn shortest_grace(&self) -> Duration {
        SHORTEST_GRACE
    }

    fn is_there(&self) -> Result<bool, StoreError> {
        self.block_on(self.is_made())
    }
}

impl Shared {
    fn handle(&self) -> Result<Handle, StoreError> {
        let gone = || {
            let place = PathBuf::from(&self.objects.shown);
            StoreError::Io("use", place, std::io::ErrorKind::Other.into())
        };
        self.runtime.as_ref().map(|runtime| runtime.handle().clone()).ok_or_else(gone)
    }
}

/// The name of the object of a blob, below the prefix.
pub(super) fn spot(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// Size and age of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) size: u64,
    pub(super) modified: Timestamp,
}

impl Objects {
    pub(super) async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        match self.store.head(&self.location("read", key)?).await {
            Ok(found) => {
                Ok(Some(Head { size: found.size, modified: time(found.last_modified.timestamp_millis()) }))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("read", &self.path(key), &error)),
        }
    }

    /// The time by the clock of the service, which is also that of the ages of objects. Leaves an object there.
    pub(super) async fn now(&self, key: &str) -> Result<Timestamp, StoreError> {
        self.put(&self.location("write", key)?, key, PutPayload::new()).await?;
        match self.head(key).await? {
            Some(head) => Ok(head.modified),
            None => Err(StoreError::BrokenPromise {
                store: self.shown.clone(),
                promise: "it does not show what was just written",
            }),
        }
    }

    /// Makes an object young, by way of another. Whether it was there.
    async fn renew(&self, key: &str, by: &str) -> Result<bool, StoreError> {
        let (from, to) = (self.location("read", key)?, self.location("write", by)?);
        // Should the object be collected meanwhile, the copy brings it back.
        let renewed = match self.store.copy(&from, &to).await {
            Ok(()) => self.store.copy(&to, &from).await.map(|()| true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        };
        drop(self.delete(by).await);
        renewed.map_err(|error| failed("write", &self.path(key), &error))
    }

    /// Writes an object, whatever is there. What it is written with is always the same, so that it may be sent again.
    async fn put(&self, location: &Path, key: &str, bytes: PutPayload) -> Result<(), StoreError> {
        let mut tries = 0;
        loop {
            match self.store.put(location, bytes.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) if Verdict::of(&error) == Verdict::Final || tries >= TRIES => {
                    return Err(failed("write", &self.path(key), &error));
                }
                Err(_) => tries += 1,
            }
            pause(tries).await;
        }
    }
}

pub(super) fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default()
}

/// The bytes of an object.
struct Bytes {
    handle: Handle,
    stream: BoxStream<'static, object_store::Result<bytes::Bytes>>,
    path: PathBuf,
}

impl Stream for Bytes {
    fn read(&mut self) -> Result<Vec<u8>, StoreError> {
        loop {
            match self.handle.block_on(self.stream.next()) {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => return Ok(piece.into()),
                Some(Err(error)) => return Err(failed("read", &self.path, &error)),
                None => return Ok(Vec::new()),
            }
        }
    }
}

/// What a change relies on: nothing needs to be noted, since it is made young.
#[derive(Debug)]
struct Intake {
    handle: Handle,
    objects: Objects,
    /// An object of our own, for the time.
    key: String,
    began: Timestamp,
    since: Instant,
}

impl Pins for Intake {
    fn pin(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        self.handle.block_on(async {
            let key = spot(digest);
            let found = self.objects.head(&key).await?.filter(|found| found.size == size);
            let Some(Head { modified, .. }) = found else { return Ok(false) };
            let now = self.began.checked_add(self.since.elapsed()).unwrap_or(self.began);
            if age(modified, now) < SHORTEST_GRACE / 2 {
                return Ok(true);
            }
            // Several may be renewed at once, and the same one twice: no two go by way of the same object.
            Ok(size <= COPIED
                && self.objects.renew(&key, &format!("{}-{:016x}", self.key, random()?)).await?)
        })
    }

    fn stage(&self, digest: &Digest, size: u64) -> Result<Box<dyn Staging>, StoreError> {
        let key = spot(digest);
        let location = self.objects.location("write", &key)?;
        let parts = match usize::try_from(size) {
            Ok(size) if size <= PART => None,
            _ => {
                let begun = self.handle.block_on(self.objects.store.put_multipart(&location));
                Some(begun.map_err(|error| failed("write", &self.objects.path(&key), &error))?)
            }
        };
        let (handle, objects) = (self.handle.clone(), self.objects.clone());
        Ok(Box::new(Staged { handle, objects, key, location, parts, waiting: Vec::new() }))
    }

    fn finish(&self) -> Result<(), StoreError> {
        self.handle.block_on(self.objects.delete(&self.key))
    }
}

/// A blob that is being sent.
struct Staged {
    handle: Handle,
    objects: Objects,
    key: String,
    location: Path,
    /// Where the parts of a large one go.
    parts: Option<Box<dyn MultipartUpload>>,
    waiting: Vec<u8>,
}

impl Staged {
    fn refused(&self, error: &Error) -> StoreError {
        failed("write", &self.objects.path(&self.key), error)
    }

    fn send(&mut self) -> Result<(), StoreError> {
        let bytes = std::mem::take(&mut self.waiting);
        if let Some(parts) = &mut self.parts {
            let sent = self.handle.block_on(parts.put_part(bytes.into()));
            sent.map_err(|error| self.refused(&error))?;
        }
        Ok(())
    }
}

impl Staging for Staged {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.waiting.extend_from_slice(bytes);
        if self.parts.is_some() && self.waiting.len() >= PART { self.send() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<(), StoreError> {
        if self.parts.is_none() {
            let bytes = PutPayload::from(std::mem::take(&mut self.waiting));
            return self.handle.block_on(self.objects.put(&self.location, &self.key, bytes));
        }
        if !self.waiting.is_empty() {
            self.send()?;
        }
        if let Some(mut parts) = self.parts.take() {
            self.handle.block_on(parts.complete()).map_err(|error| self.refused(&error))?;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(mut parts) = self.parts.take() {
            // What a service keeps of an upload that was given up is not seen, and ends by its own rules.
            drop(self.handle.spawn(async move { parts.abort().await }));
        }
    }
}
