//! What references stood for when they were read last.

use std::sync::Arc;

use jiff::Timestamp;
use manifest_core::{Digest, MediaType};
use serde::{Deserialize, Serialize};

use crate::backend::{Aside, Backend, Key, Stop, Version, escape};
use crate::record::MAX_SIZE;
use crate::store::blocking;
use crate::{StoreError, text};

/// What the first line of a file begins with.
const MAGIC: &str = "manifest-cache 1 ";

/// The longest header, in bytes.
const LONGEST_HEADER: usize = 4 << 20;

/// What references stood for when they were read last, so that they can be used again where nothing new can be read.
///
/// It is a memory, not a promise: nothing is lost with it, and whether it may be used is for the caller to decide.
#[derive(Clone, Debug)]
pub struct Cache(pub(crate) Arc<dyn Backend>);

/// What is remembered of one reference.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled by whoever reads a reference")]
pub struct Cached {
    /// The reference in its canonical form, with host and tag or digest.
    pub reference: String,
    /// When it was read.
    pub fetched: Timestamp,
    /// What was read: first what the reference stood for, then what had to be looked into.
    pub documents: Vec<CachedDocument>,
}

/// A manifest or a configuration that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled by whoever reads a reference")]
pub struct CachedDocument {
    /// Its digest, which its bytes have.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    reference: String,
    #[serde(with = "text")]
    fetched: Timestamp,
    documents: Vec<Part>,
}

#[derive(Serialize, Deserialize)]
struct Part {
    #[serde(rename = "mediaType")]
    media_type: MediaType,
    digest: Digest,
    size: usize,
}

impl Cache {
    /// What is remembered of a reference in its canonical form.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when what is remembered is not what was written; it is not taken for absence.
    pub async fn find(&self, reference: &str) -> Result<Option<Cached>, StoreError> {
        let (backend, file) = (self.0.clone(), escape(reference));
        let found = blocking(move || {
            backend.check()?;
            read(&*backend, file)
        })
        .await?;
        // A long reference is kept under a hash of it.
        Ok(found.filter(|cached| cached.reference == reference))
    }

    /// Remembers a reference, in place of what was remembered of it.
    ///
    /// # Errors
    /// [`StoreError::NotToBeKept`] for what would not be read back; what disks and services refuse.
    pub async fn keep(&self, cached: Cached) -> Result<(), StoreError> {
        let backend = self.0.clone();
        blocking(move || {
            let key = Key::Cache(escape(&cached.reference));
            let bytes = encode(cached)?;
            backend.prepare()?;
            let over = match backend.read(&key) {
                Ok(slot) => slot.version,
                // What is damaged is replaced.
                Err(StoreError::Damaged { .. }) => {
                    discard(&*backend, &key)?;
                    Version::Absent
                }
                Err(error) => return Err(error),
            };
            match backend.write(&key, &[&bytes], &over) {
                // Somebody else remembered it at the same time.
                Ok(()) | Err(Stop::Again) => Ok(()),
                Err(Stop::Failed(StoreError::Io(_, _, error)))
                    if error.kind() == std::io::ErrorKind::AlreadyExists =>
                {
                    Ok(())
                }
                Err(Stop::Failed(error)) => Err(error),
            }
        })
        .await
    }

    /// All that is remembered, sorted by reference; what is damaged is an error beside the others.
    ///
    /// # Errors
    /// When the store as a whole cannot be read.
    pub async fn all(&self) -> Result<Vec<Result<Cached, StoreError>>, StoreError> {
        let backend = self.0.clone();
        blocking(move || {
            backend.check()?;
            let mut all: Vec<_> =
                backend.cached()?.into_iter().filter_map(|file| read(&*backend, file).transpose()).collect();
            all.sort_by(|a, b| {
                let key = |cached: &Result<Cached, _>| cached.as_ref().ok().map(|c| c.reference.clone());
                key(a).cmp(&key(b))
            });
            Ok(all)
        })
        .await
    }

    /// Forgets a reference. Whether there was anything to forget.
    ///
    /// # Errors
    /// What disks and services refuse.
    pub async fn forget(&self, reference: &str) -> Result<bool, StoreError> {
        let (backend, key) = (self.0.clone(), Key::Cache(escape(reference)));
        blocking(move || {
            backend.check()?;
            forget(&*backend, &key)
        })
        .await
    }

    /// Forgets everything: for each file the reference, or the path of one that is damaged.
    ///
    /// # Errors
    /// When the store as a whole cannot be read. What a disk or service refuses of one file is an error beside the others.
    pub async fn forget_all(&self) -> Result<Vec<Result<String, StoreError>>, StoreError> {
        let backend = self.0.clone();
        blocking(move || {
            backend.check()?;
            let forget_file = |file: String| {
                let key = Key::Cache(file.clone());
                let reference = match read(&*backend, file) {
                    Ok(cached) => cached.map(|cached| cached.reference),
                    Err(StoreError::Damaged { path, .. }) => Some(path.display().to_string()),
                    Err(error) => return Err(error),
                };
                let is_forgotten = forget(&*backend, &key)?;
                Ok(reference.filter(|_| is_forgotten))
            };
            let mut all: Vec<_> =
                backend.cached()?.into_iter().filter_map(|file| forget_file(file).transpose()).collect();
            all.sort_by(|a, b| a.as_ref().ok().cmp(&b.as_ref().ok()));
            Ok(all)
        })
        .await
    }
}

/// Forgets what a file holds, whatever that is. Whether there was anything.
fn forget(backend: &dyn Backend, key: &Key) -> Result<bool, StoreError> {
    let over = match backend.read(key) {
        Ok(slot) if slot.bytes.is_none() => return Ok(false),
        Ok(slot) => slot.version,
        Err(StoreError::Damaged { .. }) => return discard(backend, key).map(|()| true),
        Err(error) => return Err(error),
    };
    match backend.remove(key, &over) {
        Ok(()) | Err(Stop::Again) => Ok(true),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Removes what is so damaged that a bucket does not even know what it would replace.
fn discard(backend: &dyn Backend, key: &Key) -> Result<(), StoreError> {
    match (backend.remove(key, &Version::Locked), key) {
        (Ok(()) | Err(Stop::Again), _) => Ok(()),
        (Err(Stop::Failed(StoreError::Damaged { .. })), Key::Cache(file)) => {
            backend.set_aside(&Aside::Cache(file.clone())).map(drop)
        }
        (Err(Stop::Failed(error)), _) => Err(error),
    }
}

/// What a file holds: the checksum of the header, the header, which has the digests of the documents, and those.
fn encode(cached: Cached) -> Result<Vec<u8>, StoreError> {
    let part = |document: &CachedDocument| Part {
        media_type: document.media_type.clone(),
        digest: document.digest,
        size: document.bytes.len(),
    };
    let header = Header {
        documents: cached.documents.iter().map(part).collect(),
        reference: cached.reference,
        fetched: cached.fetched,
    };
    let json = serde_json::to_string(&header).map_err(|error| StoreError::damaged("", error.to_string()))?;
    let line = format!("{json}\n");
    let mut bytes = format!("{MAGIC}{}\n{line}", Digest::sha256(line.as_bytes())).into_bytes();
    cached.documents.iter().for_each(|document| bytes.extend_from_slice(&document.bytes));
    if bytes.len() > MAX_SIZE || parse(&bytes).is_none() {
        return Err(StoreError::NotToBeKept(header.reference));
    }
    Ok(bytes)
}

pub(crate) fn read(backend: &dyn Backend, file: String) -> Result<Option<Cached>, StoreError> {
    let key = Key::Cache(file);
    let slot = backend.read(&key)?;
    let Some(bytes) = slot.bytes else { return Ok(None) };
    match parse(&bytes) {
        Some(cached) => Ok(Some(cached)),
        None => Err(StoreError::damaged(backend.path(&key), "it is not what was remembered")),
    }
}

fn parse(bytes: &[u8]) -> Option<Cached> {
    let (first, rest) = split_line(bytes, 200)?;
    let sum: Digest = std::str::from_utf8(first).ok()?.strip_prefix(MAGIC)?.parse().ok()?;
    let (json, mut documents_left) = split_line(rest, LONGEST_HEADER)?;
    let line = rest.get(..=json.len())?;
    let header: Header = sum.verifies(line).then(|| serde_json::from_slice(json).ok())??;
    let mut documents = Vec::new();
    for Part { media_type, digest, size } in header.documents {
        let (bytes, after) = documents_left.split_at_checked(size)?;
        if !digest.verifies(bytes) {
            return None;
        }
        documents.push(CachedDocument { digest, media_type, bytes: bytes.to_vec() });
        documents_left = after;
    }
    let Header { reference, fetched, .. } = header;
    documents_left.is_empty().then_some(Cached { reference, fetched, documents })
}

fn split_line(bytes: &[u8], limit: usize) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'\n', bytes.get(..limit).unwrap_or(bytes))?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, StoreOptions};

    fn cached(reference: &str, sizes: &[usize]) -> Cached {
        let document = |size: &usize| {
            let bytes = vec![b'x'; *size];
            CachedDocument { digest: Digest::sha256(&bytes), media_type: MediaType::OCI_MANIFEST, bytes }
        };
        let documents = sizes.iter().map(document).collect();
        Cached { reference: reference.to_owned(), fetched: Timestamp::UNIX_EPOCH, documents }
    }

    #[tokio::test]
    async fn what_would_not_be_read_back_is_not_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Store::open(dir.path().join("store"), StoreOptions::default()).cache();
        let mut wrong = cached("example.com/wrong", &[5]);
        wrong.documents[0].bytes.push(b'x');
        let header = cached("example.com/header", &vec![0; LONGEST_HEADER / 100]);
        for refused in [cached("example.com/large", &[MAX_SIZE / 2, MAX_SIZE / 2]), header, wrong] {
            let reference = refused.reference.clone();
            let failed = cache.keep(refused).await.unwrap_err();
            assert!(matches!(&failed, StoreError::NotToBeKept(of) if *of == reference), "{failed}");
            assert_eq!(cache.find(&reference).await.unwrap(), None);
        }
        let kept = cached("example.com/kept", &[0, 1000]);
        cache.keep(kept.clone()).await.unwrap();
        assert_eq!(cache.find("example.com/kept").await.unwrap(), Some(kept));
    }

    #[tokio::test]
    async fn what_is_damaged_is_forgotten_with_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Store::open(dir.path(), StoreOptions::default()).cache();
        for reference in ["example.com/a", "example.com/b"] {
            cache.keep(cached(reference, &[1])).await.unwrap();
        }
        let damaged = dir.path().join("cache/example.com%2fa");
        std::fs::File::options().write(true).truncate(true).open(&damaged).unwrap();
        let forgotten: Result<Vec<_>, _> = cache.forget_all().await.unwrap().into_iter().collect();
        assert_eq!(forgotten.unwrap(), [damaged.display().to_string(), "example.com/b".to_owned()]);
        assert_eq!(std::fs::read_dir(dir.path().join("cache")).unwrap().count(), 0);
        assert!(cache.forget_all().await.unwrap().is_empty());
    }
}
