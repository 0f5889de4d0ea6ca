//! Single objects: read, listed, and replaced where they still are what was read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload, UpdateVersion};

use super::envelope::{self, Envelope, State, Unsealed};
use super::failure::{Verdict, cause, failed};
use crate::StoreError;

/// The first and the longest pause before a write is sent again; the real one is a random part of it.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How often a write is sent at most while it is not known what became of it: half a minute of pauses at the longest.
const TRIES: u32 = 16;

/// The objects below a prefix.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    pub(super) store: Arc<dyn ObjectStore>,
    /// Empty, or with a slash at its end.
    pub(super) prefix: String,
    /// Where they lie, for messages.
    pub(super) shown: String,
}

/// An object that was read.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) version: ObjectVersion,
    pub(super) content: Vec<u8>,
}

/// The state of an object: what its service calls it, and what the object says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectVersion {
    /// An ETag, a generation, or both: clouds differ in what they compare.
    service: (Option<String>, Option<String>),
    pub(super) envelope: Envelope,
}

/// What became of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    Done,
    /// Somebody else has replaced the object.
    Moved,
    /// The object is what it was, but the service does not want another write now.
    Throttled,
}

impl Objects {
    /// Where an object lies, for messages.
    pub(super) fn path(&self, key: &str) -> PathBuf {
        PathBuf::from(format!("{}/{key}", self.shown))
    }

    pub(super) fn location(&self, what: &'static str, key: &str) -> Result<Path, StoreError> {
        Path::parse(format!("{}{key}", self.prefix))
            .map_err(|source| failed(what, &self.path(key), &Error::InvalidPath { source }))
    }

    /// The bytes of an object of at most `limit` bytes, and what its service calls its state.
    pub(super) async fn get(
        &self,
        key: &str,
        limit: u64,
    ) -> Result<Option<(Vec<u8>, UpdateVersion)>, StoreError> {
        let failed = |error| failed("read", &self.path(key), &error);
        let found = match self.store.get(&self.location("read", key)?).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if found.meta.size > limit {
            let what = format!("it has {} bytes, which is too much", found.meta.size);
            return Err(StoreError::damaged(self.path(key), what));
        }
        let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
        Ok(Some((found.bytes().await.map_err(failed)?.into(), version)))
    }

    /// An object with its envelope.
    pub(super) async fn read(&self, key: &str, limit: u64) -> Result<Option<Object>, StoreError> {
        let Some((bytes, version)) = self.get(key, limit + envelope::LONGEST).await? else { return Ok(None) };
        match Envelope::open(&bytes) {
            Ok((envelope, content)) => Ok(Some(Object {
                content: content.to_vec(),
                version: ObjectVersion { service: (version.e_tag, version.version), envelope },
            })),
            Err(Unsealed::Newer(found)) => {
                Err(StoreError::NewerVersion { path: self.path(key), found, known: envelope::VERSION })
            }
            Err(Unsealed::Damaged) => {
                Err(StoreError::damaged(self.path(key), "it does not begin like an object of a store"))
            }
        }
    }

    /// Replaces an object, if it still is what was read: all or nothing, and once.
    ///
    /// A failed write is looked after. When the object names our edit, the write was made and only its answer
    /// was lost. When the object is what it was, the very same bytes are sent again, so that an earlier try that
    /// is still under way does no harm: whichever comes second is refused, and both name one edit.
    ///
    /// # Errors
    /// [`StoreError::Uncertain`] when it cannot be known whether it was made.
    pub(super) async fn commit(
        &self,
        key: &str,
        state: State,
        parts: &[&[u8]],
        over: Option<&ObjectVersion>,
    ) -> Result<Committed, StoreError> {
        let path = self.path(key);
        let location = self.location("write", key)?;
        let edit = random()?;
        let sealed = seal(over, edit, state, parts);
        let (mut open, mut tries) = (false, 0);
        loop {
            let options = mode(over).into();
            let Err(error) = self.store.put_opts(&location, sealed.clone(), options).await else {
                return Ok(Committed::Done);
            };
            let verdict = Verdict::of(&error);
            if verdict == Verdict::Final && !open {
                return Err(failed("write", &path, &error));
            }
            open |= verdict == Verdict::Unknown;
            let limit =
                parts.iter().map(|part| part.len() as u64).sum::<u64>().max(crate::record::MAX_SIZE as u64);
            let there = match self.read(key, limit).await {
                Ok(there) => there,
                Err(_) if open => return Err(StoreError::Uncertain(path, cause(&error))),
                Err(error) => return Err(error),
            };
            match there {
                Some(object) if object.version.envelope.edits.contains(&edit) => return Ok(Committed::Done),
                there if there.as_ref().map(|object| &object.version) != over => {
                    let ours = over.map_or(1, |over| over.envelope.revision.saturating_add(1));
                    let is_told = there.is_none_or(|object| object.version.envelope.names(ours));
                    return match open && !is_told {
                        true => Err(StoreError::Uncertain(path, cause(&error))),
                        false => Ok(Committed::Moved),
                    };
                }
                _ if !open && matches!(verdict, Verdict::Refused | Verdict::Busy) => {
                    return Ok(Committed::Throttled);
                }
                _ => {}
            }
            tries += 1;
            if tries >= TRIES {
                return Err(match open {
                    true => StoreError::Uncertain(path, cause(&error)),
                    false => failed("write", &path, &error),
                });
            }
            pause(tries).await;
        }
    }

    /// Creates an object of these bytes alone, unless there is one.
    pub(super) async fn create(&self, key: &str, bytes: String) -> Result<(), StoreError> {
        let location = self.location("write", key)?;
        let bytes = PutPayload::from(bytes);
        let mut tries = 0;
        loop {
            match self.store.put_opts(&location, bytes.clone(), PutMode::Create.into()).await {
                Ok(_) | Err(Error::AlreadyExists { .. }) => return Ok(()),
                Err(error) if Verdict::of(&error) == Verdict::Final || tries >= TRIES => {
                    return Err(failed("write", &self.path(key), &error));
                }
                Err(_) => tries += 1,
            }
            if self.get(key, u64::MAX).await?.is_some() {
                return Ok(());
            }
            pause(tries).await;
        }
    }

    /// Deletes an object, whatever it is; one that is not there is fine.
    pub(super) async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match self.store.delete(&self.location("remove", key)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("remove", &self.path(key), &error)),
        }
    }

    /// The names of the objects in a directory.
    pub(super) async fn list(&self, dir: &str) -> Result<Vec<String>, StoreError> {
        let location = self.location("list", dir)?;
        let objects: Vec<_> = match self.store.list(Some(&location)).try_collect().await {
            Ok(objects) => objects,
            Err(Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(failed("list", &self.path(dir), &error)),
        };
        Ok(objects.iter().filter_map(|object| object.location.filename()).map(str::to_owned).collect())
    }
}

fn mode(over: Option<&ObjectVersion>) -> PutMode {
    match over {
        None => PutMode::Create,
        Some(ObjectVersion { service: (e_tag, version), .. }) => {
            PutMode::Update(UpdateVersion { e_tag: e_tag.clone(), version: version.clone() })
        }
    }
}

fn seal(over: Option<&ObjectVersion>, edit: u64, state: State, parts: &[&[u8]]) -> PutPayload {
    let before = over.map(|over| over.envelope.clone()).unwrap_or_default();
    before.next(edit, state).seal(parts).into()
}

pub(super) fn random() -> Result<u64, StoreError> {
    getrandom::u64().map_err(|error| StoreError::Io("read", PathBuf::from("random bytes"), error.into()))
}

/// A random part of a time that doubles with each try.
pub(super) async fn pause(tries: u32) {
    let longest = PAUSES.0.saturating_mul(1 << tries.min(16)).min(PAUSES.1);
    // Without randomness the pauses are equal, and still end.
    tokio::time::sleep(longest * (getrandom::u32().unwrap_or(500) % 1000) / 1000).await;
}
