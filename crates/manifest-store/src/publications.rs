//! What is known of publications, so that one that was cut off can be ended.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use manifest_core::Digest;

use crate::backend::{Backend, Key, LockKey, Stop};
use crate::lease::{Lease, Wait};
use crate::record::MAX_SIZE;
use crate::store::blocking;
use crate::{StoreError, StoreOptions, id};

/// What the first line of a file begins with, before the version of its format.
const MAGIC: &str = "manifest-publication ";

/// The version of the format.
const VERSION: u64 = 1;

/// How often a write starts again because somebody else wrote the same object.
const TRIES: usize = 16;

/// The hex digits of an id.
const LENGTH: usize = 16;

/// The low bits of an id, which are random; the others are the time in milliseconds.
const RANDOM_BITS: u32 = 20;

/// The id of a publication: 16 lower-case hex digits, of which the first eleven tell when it began, so that ids sort by age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicationId(u64);

impl fmt::Display for PublicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for PublicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not the id of a publication.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid publication id: it has {LENGTH} lower-case hex digits")]
pub struct InvalidPublicationId;

impl FromStr for PublicationId {
    type Err = InvalidPublicationId;

    fn from_str(text: &str) -> Result<Self, InvalidPublicationId> {
        if text.len() != LENGTH || !id::is_hex(text) {
            return Err(InvalidPublicationId);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_not_a_number| InvalidPublicationId)
    }
}

/// What is known of publications: for each what somebody wrote down of it last.
///
/// What that is only whoever publishes knows. It is replaced as a whole, and outlives a power failure once it is written.
#[derive(Clone, Debug)]
pub struct Publications {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) options: Arc<StoreOptions>,
}

impl Publications {
    /// An id for a publication that begins now.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn new_id(&self) -> Result<PublicationId, StoreError> {
        let random =
            getrandom::u64().map_err(|error| StoreError::Io("read", "random bytes".into(), error.into()))?;
        let now = u64::try_from(self.now().as_millisecond()).unwrap_or_default();
        Ok(PublicationId((now << RANDOM_BITS) | (random >> (u64::BITS - RANDOM_BITS))))
    }

    /// What time it is, by the clock of the store.
    pub fn now(&self) -> jiff::Timestamp {
        self.options.clock.now()
    }

    /// Keeps others away from a publication that this process carries out.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when another process does, which is waited for only as long as it takes to know that it lives;
    /// what disks and services refuse.
    pub async fn lease(&self, id: PublicationId) -> Result<Lease, StoreError> {
        let subject = format!("the push {id}");
        Lease::take((&self.backend, &self.options), LockKey::Publication(id), subject, Wait::WhetherAlive)
            .await
    }

    /// Keeps others away from a tag, as it is written with its repository. It is waited for no longer than the store may wait
    /// for a lock. Who takes several does so in their order as texts, or waits for somebody who waits for him.
    ///
    /// # Errors
    /// [`StoreError::Busy`] with its holder; what disks and services refuse.
    pub async fn lease_tag(&self, tag: String) -> Result<Lease, StoreError> {
        let (subject, key) = (format!("the tag {tag}"), LockKey::Tag(tag));
        Lease::take((&self.backend, &self.options), key, subject, Wait::AsLongAsAllowed).await
    }

    /// Keeps others away from tags, each as it is written with its repository, in an order that is the same for everybody.
    /// They are waited for no longer than the store may wait for a lock.
    ///
    /// # Errors
    /// [`StoreError::Busy`] with the holder of the first that is not to be had; what disks and services refuse.
    pub async fn lease_tags(&self, tags: BTreeSet<String>) -> Result<Vec<Lease>, StoreError> {
        let mut leases = Vec::new();
        for tag in tags {
            match self.lease_tag(tag).await {
                Ok(lease) => leases.push(lease),
                Err(error) => {
                    for lease in leases {
                        lease.release().await;
                    }
                    return Err(error);
                }
            }
        }
        Ok(leases)
    }

    /// Writes down what is known of a publication, in place of what was known before.
    ///
    /// # Errors
    /// [`StoreError::NotToBeKept`] for more than 64 MiB; what disks and services refuse.
    pub async fn put(&self, id: PublicationId, content: &[u8]) -> Result<(), StoreError> {
        let first = format!("{MAGIC}{VERSION} {}\n", Digest::sha256(content));
        if first.len() + content.len() > MAX_SIZE {
            return Err(StoreError::NotToBeKept(format!("the publication {id}")));
        }
        let (backend, content) = (self.backend.clone(), content.to_vec());
        blocking(move || {
            let key = Key::Publication(id);
            backend.prepare()?;
            for _ in 0..TRIES {
                let over = backend.read(&key)?.version;
                match backend.write(&key, &[first.as_bytes(), &content], &over) {
                    Err(Stop::Again) => {}
                    Ok(()) => return Ok(()),
                    Err(Stop::Failed(error)) => return Err(error),
                }
            }
            let error = std::io::Error::from(std::io::ErrorKind::ResourceBusy);
            Err(StoreError::Io("write", backend.path(&key), error))
        })
        .await
    }

    /// What is known of a publication.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]; [`StoreError::NewerVersion`]; what disks and services refuse.
    pub async fn get(&self, id: PublicationId) -> Result<Option<Vec<u8>>, StoreError> {
        let backend = self.backend.clone();
        blocking(move || {
            backend.check()?;
            read(&*backend, id)
        })
        .await
    }

    /// The ids of all publications of which something is known, the newest first.
    ///
    /// # Errors
    /// When the store as a whole cannot be read.
    pub async fn ids(&self) -> Result<Vec<PublicationId>, StoreError> {
        let backend = self.backend.clone();
        blocking(move || {
            backend.check()?;
            let mut ids = backend.publications()?;
            ids.sort_unstable_by(|one, other| other.cmp(one));
            Ok(ids)
        })
        .await
    }

    /// Forgets a publication. Whether anything was known of it.
    ///
    /// # Errors
    /// What disks and services refuse.
    pub async fn remove(&self, id: PublicationId) -> Result<bool, StoreError> {
        let backend = self.backend.clone();
        blocking(move || {
            backend.check()?;
            let key = Key::Publication(id);
            let slot = match backend.read(&key) {
                Ok(slot) if slot.bytes.is_none() => return Ok(false),
                Ok(slot) => slot.version,
                Err(StoreError::Damaged { .. }) => crate::backend::Version::Locked,
                Err(error) => return Err(error),
            };
            match backend.remove(&key, &slot) {
                Ok(()) | Err(Stop::Again) => Ok(true),
                Err(Stop::Failed(error)) => Err(error),
            }
        })
        .await
    }
}

/// What is known of a publication, if it is what was written.
pub(crate) fn read(backend: &dyn Backend, id: PublicationId) -> Result<Option<Vec<u8>>, StoreError> {
    let key = Key::Publication(id);
    let Some(bytes) = backend.read(&key)?.bytes else { return Ok(None) };
    let damaged = |what: &str| StoreError::damaged(backend.path(&key), what);
    let at = memchr::memchr(b'\n', bytes.get(..200).unwrap_or(&bytes));
    let (first, content) = at.and_then(|at| bytes.split_at_checked(at + 1)).unwrap_or_default();
    let line = std::str::from_utf8(first).unwrap_or_default();
    let told = line.strip_prefix(MAGIC).and_then(|rest| rest.trim_end().split_once(' '));
    let told = told.and_then(|(version, sum)| Some((version.parse::<u64>().ok()?, sum)));
    match told {
        Some((found, _)) if found > VERSION => {
            Err(StoreError::NewerVersion { path: backend.path(&key), found, known: VERSION })
        }
        Some((VERSION, sum)) => match sum.parse::<Digest>() {
            Ok(sum) if sum.verifies(content) => Ok(Some(content.to_vec())),
            _ => Err(damaged("its content does not fit its checksum")),
        },
        _ => Err(damaged("it does not begin like a publication")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_texts_of_one_length_that_sort_by_age() {
        for text in ["0123456789abcdef", "0000000000000000", "ffffffffffffffff"] {
            assert_eq!(text.parse::<PublicationId>().unwrap().to_string(), text);
        }
        for text in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "+123456789abcdef"] {
            assert_eq!(text.parse::<PublicationId>(), Err(InvalidPublicationId), "{text}");
        }
        let (one, two) = ((1 << RANDOM_BITS) | 0xf_ffff, 2 << RANDOM_BITS);
        assert!(PublicationId(one) < PublicationId(two));
        assert!(PublicationId(one).to_string() < PublicationId(two).to_string());
    }
}
