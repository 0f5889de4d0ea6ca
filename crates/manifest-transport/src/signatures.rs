//! Where simple signatures are kept: in the registry itself, where it says that it does so, or else in a lookaside store; those of
//! a directory (`dir:`) beside its images.
//!
//! What is read here are bytes that somebody has put there. Nothing is believed of them.
//!
//! Spec: containers-registries.d(5); containers/image `docs/signature-protocols.md`.

mod directory;
mod files;
mod image;
mod web;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use manifest_core::{Digest, Reference};
use tokio::sync::Semaphore;

use crate::config::Lookaside;
use crate::directory::Directory;
use crate::error::TransportError;
use crate::http::Http;
use crate::observe::Event;
use crate::place::{Place, Transport};
use crate::registry::Registry;
use crate::settings::Settings;

use directory::Series;
pub use files::SignatureEnvironment;
pub(crate) use image::hand_over;

/// A larger signature is not read or written, in bytes.
pub const MAX_SIGNATURE: usize = 4 << 20;

/// More signatures of one image are not read or written.
pub const MAX_SIGNATURES: usize = 128;

/// All signatures of one image together have at most so many bytes.
const MAX_ALL: usize = 8 << 20;

/// Directories are read one after another: it is quick, and each thread keeps the memory that it has used.
static READERS: Semaphore = Semaphore::const_new(1);

/// The simple signatures of the images in a repository, or all signatures of those in a directory.
#[derive(Clone, Debug)]
pub struct Signatures(Keeper);

#[derive(Clone, Debug)]
enum Keeper {
    Repository(OfRepository),
    Directory(Directory),
}

/// Those of a repository.
#[derive(Clone, Debug)]
struct OfRepository {
    reference: Reference,
    registry: Arc<Registry>,
    /// The path of the repository in the registry.
    path: String,
    http: Http,
    settings: Arc<Settings>,
}

/// What became of a signature that was added; the text says where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kept {
    /// It has been added.
    Added(String),
    /// It was there already.
    Already(String),
}

/// What was found in a store.
#[derive(Debug, Default)]
struct Found {
    signatures: Vec<Bytes>,
    /// Whether there is a second signature without a first one.
    gap: bool,
}

impl Transport {
    /// The signatures of images that are asked for by `reference`: where they are kept is a matter of the name that the user
    /// wrote, wherever the repository is really found. None when that is not a repository of a registry.
    pub fn signatures(&self, reference: &Reference) -> Option<Signatures> {
        let Place::Repository(remote) = self.repository(&reference.repository()) else { return None };
        let (registry, path) = remote.home();
        Some(Signatures(Keeper::Repository(OfRepository {
            reference: reference.clone().with_default_tag(),
            registry,
            path,
            http: self.http().clone(),
            settings: self.settings(),
        })))
    }
}

impl Place {
    /// The signatures that the place itself keeps beside its images, which a directory does, whatever their form.
    pub fn own_signatures(&self) -> Option<Signatures> {
        match self {
            Self::Directory(directory) => Some(Signatures(Keeper::Directory(directory.clone()))),
            Self::Repository(_) | Self::Layout(_) | Self::Archive(_) | Self::Reader(_) => None,
        }
    }
}

impl Signatures {
    /// Whether signatures of sigstore are kept there, too: as files that begin with a line which says so.
    ///
    /// Spec: containers/image `docs/containers-signature.5.md`, and its transport `dir`.
    pub const fn keeps_sigstore(&self) -> bool {
        matches!(self.0, Keeper::Directory(_))
    }

    /// Reads the signatures of the manifest with this digest, in the order in which they were added; none is no error.
    ///
    /// # Errors
    /// [`TransportError`] when that cannot be known; [`TransportError::TooManySignatures`] for more than
    /// [`MAX_SIGNATURES`], [`TransportError::TooLarge`] for more than [`MAX_SIGNATURE`] bytes in one of them or 8 MiB in
    /// all.
    pub async fn read(&self, digest: &Digest) -> Result<Vec<Bytes>, TransportError> {
        self.read_within(digest, MAX_ALL).await
    }

    /// The same, where there is room for so many bytes in all and no more.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`TransportError::TooLarge`] also above `room`.
    pub async fn read_within(&self, digest: &Digest, room: usize) -> Result<Vec<Bytes>, TransportError> {
        match &self.0 {
            Keeper::Repository(kept) => kept.read_within(digest, room.min(MAX_ALL)).await,
            Keeper::Directory(directory) => image::read(directory, digest, room.min(MAX_ALL)).await,
        }
    }

    /// Makes sure that signatures can be added, as far as the configuration tells.
    ///
    /// # Errors
    /// [`TransportError::SignatureStore`] when nothing can be written where signatures are kept; when the registry cannot
    /// be asked; [`TransportError::NotAnImageDirectory`].
    pub async fn ready(&self) -> Result<(), TransportError> {
        match &self.0 {
            Keeper::Repository(kept) => kept.ready().await,
            Keeper::Directory(directory) => directory.check_ours().await,
        }
    }

    /// Adds a signature of the manifest with this digest; what others add meanwhile stays.
    ///
    /// # Errors
    /// [`TransportError::SignatureStore`] when nothing can be written where signatures are kept; as [`read`](Self::read).
    pub async fn add(&self, digest: &Digest, signature: &[u8]) -> Result<Kept, TransportError> {
        if signature.len() > MAX_SIGNATURE {
            return Err(TransportError::TooLarge {
                what: "the signature".to_owned(),
                limit: MAX_SIGNATURE as u64,
            });
        }
        match &self.0 {
            Keeper::Repository(kept) => kept.add(digest, signature).await,
            Keeper::Directory(directory) => image::add(directory, digest, signature).await,
        }
    }

    /// Removes the signatures of the manifest with this digest, also those that others add meanwhile, but those that
    /// `stays` says are to stay; how many there were, and how many stay.
    ///
    /// # Errors
    /// [`TransportError::SignatureStore`] when nothing can be removed where signatures are kept.
    pub async fn remove_but(
        &self,
        digest: &Digest,
        stays: impl Fn(&[u8]) -> bool + Send + 'static,
    ) -> Result<(usize, usize), TransportError> {
        match &self.0 {
            Keeper::Repository(kept) => kept.remove_but(digest, stays).await,
            Keeper::Directory(directory) => Ok((image::remove(directory, digest).await?, 0)),
        }
    }

    /// Whether this is the name of an image at the same path of another registry. The signatures of both lie in one
    /// place where a lookaside store serves several registries, since the paths in it have no host.
    pub fn are_beside_those_of(&self, name: &str) -> bool {
        let Keeper::Repository(kept) = &self.0 else { return false };
        let (own, other) = (kept.reference.repository(), name.parse::<Reference>());
        other.is_ok_and(|other| other.path() == own.path() && other.repository() != own)
    }
}

/// Which image the signatures are of, for people.
impl fmt::Display for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Keeper::Repository(kept) => write!(f, "the signatures of {}", kept.reference.repository()),
            Keeper::Directory(directory) => write!(f, "the signatures in {directory}"),
        }
    }
}

impl OfRepository {
    async fn read_within(&self, digest: &Digest, room: usize) -> Result<Vec<Bytes>, TransportError> {
        if self.registry.keeps_signatures().await? {
            return self.registry.signatures(&self.path, digest, room).await;
        }
        let Some(store) = self.settings.signatures.lookaside(&self.reference) else { return Ok(Vec::new()) };
        let name = self.name(digest);
        let found = match store {
            Lookaside::Directory(root) => {
                let directory = root.join(&name);
                let _turn = READERS.acquire().await.ok();
                blocking(&directory.clone(), move || directory::read(&Series::of_store(directory), room))
                    .await?
            }
            Lookaside::Web(base) => web::read((&self.http, &self.settings), base, &name, room).await?,
        };
        if found.gap {
            let text = format!(
                "{store} has {name}/signature-2 and no signature-1, so that nobody looks at the former"
            );
            self.http.observe(Event::Warning(text));
        }
        Ok(found.signatures)
    }

    async fn ready(&self) -> Result<(), TransportError> {
        if self.registry.keeps_signatures().await? { Ok(()) } else { self.writable("add").map(drop) }
    }

    async fn add(&self, digest: &Digest, signature: &[u8]) -> Result<Kept, TransportError> {
        if self.registry.keeps_signatures().await? {
            return self.registry.add_signature(&self.path, digest, signature).await;
        }
        let (root, name) = (self.writable("add")?, self.name(digest));
        if !self.settings.signatures.is_said(&self.reference) {
            self.http.warn_once(format!(
                "the signatures of {} are kept in {} on this machine, where nobody else finds them; `lookaside` in registries.d \
                 names another place",
                self.reference.repository(),
                root.display()
            ));
        }
        let signature = signature.to_owned();
        let series = Series::of_store(root.join(name));
        blocking(&root.clone(), move || directory::add(&root, &series, &signature)).await
    }

    async fn remove_but(
        &self,
        digest: &Digest,
        stays: impl Fn(&[u8]) -> bool + Send + 'static,
    ) -> Result<(usize, usize), TransportError> {
        if self.registry.keeps_signatures().await? {
            return Err(TransportError::SignatureStore {
                action: "remove",
                store: format!("at {}", self.registry.host()),
                why: "its interface for signatures cannot remove any",
            });
        }
        let root = self.writable("remove")?;
        let series = Series::of_store(root.join(self.name(digest)));
        blocking(&root.clone(), move || directory::remove_but(&root, &series, &stays)).await
    }

    /// The directory below which signatures are written.
    fn writable(&self, action: &'static str) -> Result<PathBuf, TransportError> {
        match self.settings.signatures.staging(&self.reference) {
            Some(Lookaside::Directory(root)) => Ok(root.clone()),
            Some(Lookaside::Web(base)) => Err(TransportError::SignatureStore {
                action,
                store: format!("at {base}"),
                why: "a web server is only read from; `lookaside-staging` in registries.d names a directory to write to",
            }),
            None => Err(TransportError::SignatureStore {
                action,
                store: format!("of {}", self.reference.repository()),
                why: "no store is known; `lookaside` in registries.d names one",
            }),
        }
    }

    /// Where the signatures of a manifest lie in a store. Made of parsed values only, which hold no `..` and no `//`.
    fn name(&self, digest: &Digest) -> String {
        format!("{}@{}={}", self.reference.path(), digest.algorithm().as_str(), digest.hex())
    }
}

/// Counts signatures, and their bytes, while they are read.
fn check_room(what: &str, so_far: &[Bytes], next: &Bytes, room: usize) -> Result<(), TransportError> {
    if so_far.len() >= MAX_SIGNATURES {
        return Err(TransportError::TooManySignatures(what.to_owned(), MAX_SIGNATURES));
    }
    let all: usize = so_far.iter().map(Bytes::len).sum();
    if all + next.len() > room {
        let what = format!("the signatures at {what}");
        return Err(TransportError::TooLarge { what, limit: room as u64 });
    }
    Ok(())
}

/// Runs file work on a thread where blocking does no harm; `path` is for messages.
async fn blocking<T: Send + 'static>(
    path: &std::path::Path,
    work: impl FnOnce() -> Result<T, TransportError> + Send + 'static,
) -> Result<T, TransportError> {
    let died = |error| TransportError::Io("use", path.to_owned(), std::io::Error::other(error));
    tokio::task::spawn_blocking(work).await.map_err(died)?
}
