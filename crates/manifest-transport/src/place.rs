//! A repository, a layout, a directory or an archive: the place where images are read from and written to.

mod ability;
mod addition;
mod look;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use manifest_core::{Descriptor, Digest, MAX_CONFIG_SIZE, MediaType, Tag};
use url::Url;

use crate::Settings;
use crate::archive::{Archive, ArchiveKind};
use crate::auth::token::{Access, Scopes};
use crate::clock::{Clock, SystemClock};
use crate::directory::Directory;
use crate::error::TransportError;
use crate::http::Http;
use crate::layout::Layout;
use crate::location::{Location, Pick};
use crate::manifest::{At, Fetched};
use crate::observe::{Observer, Silent};
use crate::reader::{self, Reader};
use crate::registry::{Mounted, Opener, Registry};
use crate::retry::RetryPolicy;
use crate::start::Start;
use crate::stream::{Blob, collect};

mod referrers;
mod remote;
mod small;
mod tag;

pub use addition::{Added, Addition, LookBack, Onto, Stays, Tagged};
use referrers::with_subject;
pub use referrers::{Noted, ReferrersAt};
use remote::Mirror;
pub use remote::RemoteRepository;

/// What is known by host, and by whether that is spoken to without checks.
type Known<T> = BTreeMap<(String, bool), Arc<T>>;

/// Everything that one command needs to reach images: connections, logins and the patience for retries.
#[derive(Clone, Debug)]
pub struct Transport {
    http: Http,
    /// For mirrors, behind which somebody else can be asked.
    impatient: Http,
    settings: Arc<Settings>,
    registries: Arc<Mutex<Known<Registry>>>,
    mirrors: Arc<Mutex<Known<Mirror>>>,
    archives: Arc<Mutex<BTreeMap<(ArchiveKind, PathBuf), Archive>>>,
}

impl Transport {
    /// A transport with the clock of the machine; nothing is connected yet.
    pub fn new(settings: Settings, observer: Arc<dyn Observer>) -> Self {
        Self::with_clock(settings, observer, Arc::new(SystemClock::default()))
    }

    /// A transport whose pauses and chance come from `clock`.
    pub fn with_clock(settings: Settings, observer: Arc<dyn Observer>, clock: Arc<dyn Clock>) -> Self {
        let retry = RetryPolicy { retries: settings.retry.retries.min(1), ..settings.retry.clone() };
        let new = |retry| {
            let (clock, observer) = (Arc::clone(&clock), Arc::clone(&observer));
            Http::new(clock, observer, retry, settings.jobs, Arc::clone(&settings.names))
        };
        let (http, impatient) = (new(settings.retry.clone()), new(retry));
        let (registries, mirrors, archives) = (Arc::default(), Arc::default(), Arc::default());
        Self { http, impatient, settings: Arc::new(settings), registries, mirrors, archives }
    }

    pub(crate) const fn http(&self) -> &Http {
        &self.http
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings)
    }

    /// Time and chance, as requests have them.
    pub fn clock(&self) -> &dyn Clock {
        self.http.clock()
    }

    /// The place of an archive; what is found in it is shared by all who ask for it.
    fn archive(&self, kind: ArchiveKind, path: &Path) -> Place {
        let new = || Archive::new(kind, path);
        Place::Archive(match self.archives.lock() {
            Ok(mut known) => known.entry((kind, path.to_owned())).or_insert_with(new).clone(),
            Err(_) => new(),
        })
    }

    /// The place of a location, and which manifest of it is meant; none for a record of our own store.
    pub fn open(&self, location: &Location) -> Option<(Place, Which)> {
        match location {
            Location::Registry(reference) => {
                let place = self.repository(&reference.repository());
                let tag = reference.tag().cloned().unwrap_or_else(Tag::latest);
                let at = reference.digest().map_or_else(|| At::Tag(tag), At::Digest);
                Some((place, Which::Remote(at)))
            }
            Location::Layout(path, pick) => {
                Some((Place::Layout(Layout::new(path)), Which::Local(pick.clone())))
            }
            Location::Directory(path, pick) => {
                Some((Place::Directory(Directory::new(path)), Which::Local(pick.clone())))
            }
            Location::Archive(kind, path, pick) => {
                Some((self.archive(*kind, path), Which::Local(pick.clone())))
            }
            Location::Store(_) => None,
        }
    }
}

impl Default for Transport {
    fn default() -> Self {
        Self::new(Settings::default(), Arc::new(Silent))
    }
}

/// Which manifest of a place is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Which {
    /// One of a repository.
    Remote(At),
    /// One of a layout, a directory or an archive.
    Local(Pick),
}

impl From<Digest> for Which {
    fn from(digest: Digest) -> Self {
        Self::Remote(At::Digest(digest))
    }
}

/// Where images are read from and written to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Place {
    /// A repository of a registry. A push of many images holds the same one many times.
    Repository(Arc<RemoteRepository>),
    /// An OCI image layout.
    Layout(Layout),
    /// A directory with one image or list in it, which has no name there.
    Directory(Directory),
    /// An archive, which can only be read from.
    Archive(Archive),
    /// Something else that can only be read from, and by digest only.
    Reader(Arc<dyn Reader>),
}

/// As people write it, without tag or digest: `docker://HOST/PATH`, `oci:DIRECTORY` or `oci-archive:FILE`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(remote) => remote.fmt(f),
            Self::Layout(layout) => write!(f, "oci:{}", layout.root().display()),
            Self::Directory(directory) => directory.fmt(f),
            Self::Archive(archive) => archive.fmt(f),
            Self::Reader(reader) => reader.fmt(f),
        }
    }
}

/// Two places are the same when what is written to one is read from the other.
impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Repository(one), Self::Repository(other)) => {
                one.registry.host() == other.registry.host() && one.path == other.path
            }
            (Self::Layout(one), Self::Layout(other)) => one == other,
            (Self::Directory(one), Self::Directory(other)) => one == other,
            (Self::Archive(one), Self::Archive(other)) => one == other,
            (Self::Reader(one), Self::Reader(other)) => Arc::ptr_eq(one, other),
            (
                Self::Repository(_)
                | Self::Layout(_)
                | Self::Directory(_)
                | Self::Archive(_)
                | Self::Reader(_),
                _,
            ) => false,
        }
    }
}

impl Place {
    /// The host that blobs can be mounted within; what lies in files has none.
    pub fn registry_host(&self) -> Option<&str> {
        match self {
            Self::Repository(remote) => Some(remote.registry.host()),
            Self::Layout(_) | Self::Directory(_) | Self::Archive(_) | Self::Reader(_) => None,
        }
    }

    /// The address of the registry that it is in.
    pub(crate) async fn base(&self) -> Result<Option<Url>, TransportError> {
        match self {
            Self::Repository(remote) => remote.registry.address().await.map(Some),
            Self::Layout(_) | Self::Directory(_) | Self::Archive(_) | Self::Reader(_) => Ok(None),
        }
    }

    fn read_only<T>(&self) -> Result<T, TransportError> {
        Err(TransportError::ReadOnly(self.to_string()))
    }

    /// Announces a copy into this place from others, so that one login is enough for all of it.
    ///
    /// # Errors
    /// When the registry cannot be reached at all.
    pub async fn expect_copies<'a>(
        &self,
        sources: impl IntoIterator<Item = &'a Self>,
    ) -> Result<(), TransportError> {
        let Self::Repository(to) = self else { return Ok(()) };
        let mut scopes = Scopes::from([(to.path.clone(), Access::Push)]);
        for source in sources {
            if let Self::Repository(from) = source
                && from.registry.host() == to.registry.host()
            {
                scopes.entry(from.path.clone()).or_insert(Access::Pull);
            }
        }
        to.registry.expect(&scopes).await
    }

    /// Reads a manifest and checks it.
    ///
    /// # Errors
    /// [`TransportError`]; never content that is not what was asked for.
    pub async fn manifest(&self, which: &Which) -> Result<Fetched, TransportError> {
        match (self, which) {
            (Self::Repository(remote), Which::Remote(at)) => remote.manifest(at).await,
            (Self::Layout(layout), Which::Local(pick)) => layout.manifest(pick).await,
            (Self::Layout(layout), Which::Remote(At::Digest(digest))) => {
                layout.manifest(&Pick::Digest(*digest)).await
            }
            (Self::Layout(layout), Which::Remote(At::Tag(tag))) => {
                layout.manifest(&Pick::Name(tag.to_string())).await
            }
            (Self::Directory(directory), Which::Local(pick)) => directory.manifest(pick).await,
            (Self::Directory(directory), Which::Remote(At::Digest(digest))) => {
                directory.manifest(&Pick::Digest(*digest)).await
            }
            (Self::Archive(archive), Which::Local(pick)) => archive.manifest(pick).await,
            (Self::Archive(archive), Which::Remote(At::Digest(digest))) => {
                archive.manifest(&Pick::Digest(*digest)).await
            }
            (Self::Archive(archive), Which::Remote(At::Tag(tag))) => {
                archive.manifest(&Pick::Name(tag.to_string())).await
            }
            (
                Self::Reader(reader),
                Which::Remote(At::Digest(digest)) | Which::Local(Pick::Digest(digest)),
            ) => reader::manifest(reader, *digest).await,
            (Self::Repository(_) | Self::Reader(_), Which::Local(pick)) => {
                Err(TransportError::NotFound(format!("{self}{pick}")))
            }
            (Self::Directory(_) | Self::Reader(_), Which::Remote(at)) => {
                Err(TransportError::NotFound(format!("{self}{at}")))
            }
        }
    }

    /// Reads the configuration of an image.
    ///
    /// # Errors
    /// [`TransportError`]; [`TransportError::TooLarge`] above 8 MiB.
    pub async fn config(&self, config: &Descriptor) -> Result<Bytes, TransportError> {
        let what = format!("config {} of {self}", config.digest);
        if config.size > MAX_CONFIG_SIZE as u64 {
            return Err(TransportError::TooLarge { what, limit: MAX_CONFIG_SIZE as u64 });
        }
        collect(self.blob(config).await?, config, MAX_CONFIG_SIZE, what).await
    }

    /// Opens a blob for reading; digest and size are checked on the way.
    ///
    /// # Errors
    /// [`TransportError::NotFound`] before anything is read; the rest comes from the stream.
    pub async fn blob(&self, blob: &Descriptor) -> Result<Blob, TransportError> {
        self.blob_from(blob, &Start::default()).await
    }

    /// Opens a blob for reading from somewhere on; digest and size of all of it are checked on the way.
    ///
    /// # Errors
    /// As [`blob`](Self::blob).
    pub async fn blob_from(&self, blob: &Descriptor, start: &Start) -> Result<Blob, TransportError> {
        match self {
            Self::Repository(remote) => remote.blob(blob, start).await,
            Self::Layout(layout) => layout.blob_from(blob, start).await,
            Self::Directory(directory) => directory.blob_from(blob, start).await,
            Self::Archive(archive) => archive.blob_from(blob, start).await,
            Self::Reader(reader) => reader::blob(reader, blob, start).await,
        }
    }

    /// Waits before content is sent again that the place has taken and now says it lacks; `round` counts from 0.
    ///
    /// # Errors
    /// `lost` itself, when there is nothing left to wait for.
    pub async fn pause_for_lost(&self, round: u32, lost: TransportError) -> Result<(), TransportError> {
        match self {
            Self::Repository(remote) => remote.registry.pause_for_lost(&remote.path, round, lost).await,
            _ => Err(lost),
        }
    }

    /// Whether the place may hold something already: all do, but repositories that their registry has never heard of.
    ///
    /// A repository in which nothing was ever tagged may be unknown although it has content.
    ///
    /// # Errors
    /// When the place cannot be asked.
    pub async fn is_known(&self) -> Result<bool, TransportError> {
        match self {
            Self::Repository(remote) => remote.registry.knows(&remote.path).await,
            Self::Layout(_) | Self::Directory(_) | Self::Archive(_) | Self::Reader(_) => Ok(true),
        }
    }

    /// Whether the place has a manifest.
    ///
    /// # Errors
    /// When the place cannot be asked.
    pub async fn has_manifest(&self, digest: &Digest) -> Result<bool, TransportError> {
        match self {
            Self::Repository(remote) => remote.registry.has_manifest(&remote.path, digest).await,
            Self::Layout(layout) => Ok(layout.has_manifest(digest).await),
            Self::Directory(directory) => Ok(directory.has_manifest(digest).await),
            Self::Archive(archive) => archive.has_manifest(digest).await,
            Self::Reader(reader) => Ok(reader::manifest(reader, *digest).await.is_ok()),
        }
    }

    /// Whether the place has a blob.
    ///
    /// # Errors
    /// When the place cannot be asked.
    pub async fn has_blob(&self, blob: &Descriptor) -> Result<bool, TransportError> {
        match self {
            Self::Repository(remote) => remote.registry.has_blob(&remote.path, &blob.digest).await,
            Self::Layout(layout) => Ok(layout.has_blob(blob).await),
            Self::Directory(directory) => Ok(directory.has_blob(blob).await),
            Self::Archive(archive) => archive.has_blob(blob).await,
            Self::Reader(reader) => Ok(reader::has_blob(reader, blob).await),
        }
    }

    /// Takes a blob over from a neighbouring repository, where both are of one registry.
    ///
    /// # Errors
    /// When the registry cannot be reached; that it does not mount is an outcome, not an error.
    pub async fn mount(&self, blob: &Descriptor, from: &Self) -> Result<Mounted, TransportError> {
        match (self, from) {
            (Self::Repository(to), Self::Repository(from)) if to.registry.host() == from.registry.host() => {
                to.registry.mount(&to.path, &blob.digest, &from.path).await
            }
            _ => Ok(Mounted::Refused),
        }
    }

    /// Writes a blob whose content `open` opens; `mounted` is what an attempt to mount it left.
    ///
    /// # Errors
    /// What reading or writing brings; [`TransportError::ReadOnly`] for an archive.
    pub async fn put_blob(
        &self,
        blob: &Descriptor,
        mounted: Mounted,
        open: &Opener<'_>,
    ) -> Result<(), TransportError> {
        match (self, mounted) {
            (_, Mounted::Done) => Ok(()),
            (Self::Repository(remote), Mounted::Session(url)) => {
                remote.registry.upload(&remote.path, blob, Some(url), open).await
            }
            (Self::Repository(remote), Mounted::Refused) => {
                remote.registry.upload(&remote.path, blob, None, open).await
            }
            (Self::Layout(layout), _) => layout.put_blob(blob, open(Start::default()).await?).await,
            (Self::Directory(directory), _) => directory.put_blob(blob, open(Start::default()).await?).await,
            (Self::Archive(_) | Self::Reader(_), _) => self.read_only(),
        }
    }

    /// Writes a manifest under its digest; one that has a `subject` is found by that then, as with
    /// [`put_referrer`](Self::put_referrer), but in a layout it is not named in `index.json`.
    ///
    /// # Errors
    /// [`TransportError::Refused`] with the registry's code when it does not take it; [`TransportError::ReadOnly`].
    pub async fn put_manifest(
        &self,
        digest: &Digest,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<(), TransportError> {
        match self {
            Self::Repository(remote) => match with_subject(digest, media_type, &bytes) {
                Some(referrer) => self.put_referrer(&referrer).await.map(drop),
                None => remote.registry.put_manifest(&remote.path, digest, media_type, bytes).await,
            },
            Self::Layout(layout) => layout.put_manifest(digest, &bytes).await,
            Self::Directory(directory) => directory.put_manifest(digest, &bytes).await,
            Self::Archive(_) | Self::Reader(_) => self.read_only(),
        }
    }
}
