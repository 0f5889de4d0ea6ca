//! Images in one file: OCI archives and Docker archives.
//!
//! An [`Archive`] is read only, and found once: the names of its members and where they lie. Blobs are then read by
//! offset and checked on the way. What is compressed as a whole is unpacked into an unnamed file in the directory for
//! temporary files first, of at most [`MAX_UNPACKED`] bytes. [`pack`] writes an OCI archive.
//!
//! Spec: OCI image-spec v1.1.1 `image-layout.md`; POSIX.1-2017 `pax`; Docker "Image Specification v1.2".

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::stream::{self, StreamExt as _};
use manifest_core::{Descriptor, Digest, List, MAX_MANIFEST_SIZE, MediaType};

use self::docker::Images;
pub use self::error::ArchiveError;
use self::file::{Links, PIECE, Source, Span, Stop, blocking, read_error};
use self::members::Members;
pub use self::pack::{Existing, pack};
pub use self::unpack::{Compression, MAX_UNPACKED};
use crate::error::TransportError;
use crate::layout::index;
use crate::location::Pick;
use crate::manifest::{At, Fetched, Origin};
use crate::offer::{self, Offer};
use crate::stream::{Blob, verified};

mod docker;
mod error;
mod file;
mod members;
mod pack;
mod unpack;

/// What kind of archive is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ArchiveKind {
    /// A tar of an OCI image layout.
    Oci,
    /// What `docker save` writes. One that is an OCI image layout too is read as that, which keeps its digests.
    Docker,
    /// Whichever of the two it is.
    Either,
}

impl ArchiveKind {
    /// The transport that stands before the path.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oci => "oci-archive",
            Self::Docker => "docker-archive",
            Self::Either => "archive",
        }
    }
}

/// An archive of images, for reading.
///
/// It is opened when it is first used. When the file has changed since, it is opened anew. Clones share what was
/// found in it.
#[derive(Clone)]
pub struct Archive {
    kind: ArchiveKind,
    path: PathBuf,
    opened: Arc<tokio::sync::Mutex<Option<Arc<Opened>>>>,
}

/// As people write it: `oci-archive:FILE`.
impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.path.display())
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("kind", &self.kind).field("path", &self.path).finish_non_exhaustive()
    }
}

/// Two archives are the same when they are the same file, read as the same kind.
impl PartialEq for Archive {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.path == other.path
    }
}

impl Eq for Archive {}

/// What tells that a file has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    inode: (u64, u64),
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        #[cfg(unix)]
        let inode = {
            use std::os::unix::fs::MetadataExt as _;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let inode = (0, 0);
        Self { len: metadata.len(), modified: metadata.modified().ok(), inode }
    }
}

/// An archive whose members are known.
#[derive(Debug)]
struct Opened {
    source: Source,
    members: Members,
    content: Content,
    /// None for what came through a pipe.
    stamp: Option<Stamp>,
}

#[derive(Debug)]
enum Content {
    Oci(List),
    Docker(Images),
}

impl Archive {
    /// The archive at this path, which is not opened yet.
    pub fn new(kind: ArchiveKind, path: impl Into<PathBuf>) -> Self {
        Self { kind, path: path.into(), opened: Arc::default() }
    }

    /// Keeps an archive that comes through a pipe in an unnamed temporary file; `name` stands for it in messages.
    ///
    /// # Errors
    /// [`TransportError::Archive`] as for any archive; [`ArchiveError::Spool`] when there is no room for it.
    pub async fn spool(
        kind: ArchiveKind,
        name: impl Into<PathBuf>,
        reader: impl Read + Send + 'static,
    ) -> Result<Self, TransportError> {
        let mut archive = Self::new(kind, name);
        let open = move |stop: &Stop| Opened::new(Source::of_reader(reader, stop)?, kind, None, stop);
        let opened = blocking(open).await.map_err(|error| archive.error(error))?;
        archive.opened = Arc::new(tokio::sync::Mutex::new(Some(Arc::new(opened))));
        Ok(archive)
    }

    /// Which kind it is read as.
    pub const fn kind(&self) -> ArchiveKind {
        self.kind
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the manifest that is meant, and checks it.
    ///
    /// Those of a Docker archive that is no OCI layout are made up, and say so in [`Fetched::origin`].
    ///
    /// # Errors
    /// [`TransportError::NotFound`] names what there is instead; [`TransportError::Archive`].
    pub async fn manifest(&self, pick: &Pick) -> Result<Fetched, TransportError> {
        let opened = self.opened().await?;
        let what = format!("{self}{pick}");
        let digest = match (pick, &opened.content) {
            (Pick::Digest(digest), _) => *digest,
            (_, Content::Oci(list)) => self.find(list, pick)?.digest,
            (_, Content::Docker(images)) => self.find_image(images, pick)?.descriptor.digest,
        };
        match &opened.content {
            Content::Docker(images) => {
                let made = images.images.iter().find(|image| image.descriptor.digest == digest);
                let made = made.ok_or_else(|| self.absent(&opened, pick))?;
                let media_type = Some(&MediaType::DOCKER_MANIFEST);
                let at = At::Digest(digest);
                let mut fetched = Fetched::check(what, &at, made.manifest.clone(), media_type, None)?;
                fetched.origin = Origin::Synthesised;
                Ok(fetched)
            }
            Content::Oci(list) => {
                let name = blob_name(&digest);
                let read = move |opened: &Opened| {
                    opened.members.content(&opened.source, &name, MAX_MANIFEST_SIZE)
                };
                let media_type = list.entry(&digest).map(|entry| entry.media_type.clone());
                let bytes = self.read(&opened, &what, read).await?;
                Fetched::check(what, &At::Digest(digest), bytes.into(), media_type.as_ref(), None)
            }
        }
    }

    fn find(&self, list: &List, pick: &Pick) -> Result<Descriptor, TransportError> {
        let entries = || list.entries().iter();
        let by_other_name = || match pick {
            Pick::Name(wanted) => {
                let named = |like: fn(&str, &str) -> bool| {
                    entries().find(|entry| offer::names(entry).any(|name| like(name, wanted)))
                };
                named(|name, wanted| name == wanted).or_else(|| named(offer::same_image))
            }
            Pick::Only | Pick::Position(_) | Pick::Digest(_) => None,
        };
        let found = index::find(list, pick).or_else(by_other_name).cloned();
        found.ok_or_else(|| {
            let names = entries().filter_map(|entry| offer::names(entry).next());
            index::absent(self, pick, list.entries().len(), names)
        })
    }

    fn find_image<'a>(&self, images: &'a Images, pick: &Pick) -> Result<&'a docker::Image, TransportError> {
        let all = &images.images;
        let found = match pick {
            Pick::Only => all.first().filter(|_| all.len() == 1),
            Pick::Position(at) => all.get(*at),
            Pick::Digest(digest) => all.iter().find(|image| image.descriptor.digest == *digest),
            Pick::Name(wanted) => {
                all.iter().find(|image| image.names.iter().any(|name| offer::same_image(name, wanted)))
            }
        };
        found.ok_or_else(|| index::absent(self, pick, all.len(), image_names(images)))
    }

    fn absent(&self, opened: &Opened, pick: &Pick) -> TransportError {
        match &opened.content {
            Content::Oci(list) => {
                let names = list.entries().iter().filter_map(|entry| offer::names(entry).next());
                index::absent(self, pick, list.entries().len(), names)
            }
            Content::Docker(images) => index::absent(self, pick, images.images.len(), image_names(images)),
        }
    }

    /// Lists the images of the archive with their names, in order.
    ///
    /// # Errors
    /// [`TransportError::Archive`].
    pub async fn offers(&self) -> Result<Vec<Offer>, TransportError> {
        let opened = self.opened().await?;
        let images = match &opened.content {
            Content::Oci(list) => return Ok(offer::of_index(list)),
            Content::Docker(images) => images,
        };
        let offers = images.images.iter().enumerate().flat_map(|(position, image)| {
            let names = image.names.iter().cloned().map(Some);
            let unnamed = image.names.is_empty().then_some(None);
            names.chain(unnamed).map(move |name| Offer {
                position,
                descriptor: image.descriptor.clone(),
                name,
                shadowed_by: None,
                origin: Origin::Synthesised,
            })
        });
        Ok(offer::shadowed(offers.collect()))
    }

    /// Reads a blob; digest and size are checked on the way.
    ///
    /// # Errors
    /// [`TransportError::NotFound`] and [`TransportError::Archive`] here; the rest comes from the stream.
    pub async fn blob(&self, wanted: &Descriptor) -> Result<Blob, TransportError> {
        let opened = self.opened().await?;
        let what = format!("blob {} of {self}", wanted.digest);
        let span = match &opened.content {
            Content::Oci(_) => match opened.members.file(&blob_name(&wanted.digest)) {
                Err(ArchiveError::NoMember(_)) => None,
                found => Some(found.map_err(|error| self.error(error))?),
            },
            Content::Docker(images) => images.blobs.get(&wanted.digest).copied(),
        };
        let span = span.ok_or_else(|| TransportError::NotFound(what.clone()))?;
        let error = {
            let path = self.path.clone();
            move |error| TransportError::Io("read", path.clone(), error)
        };
        let pieces = stream::try_unfold((opened, span), move |(opened, span)| {
            let error = error.clone();
            async move {
                if span.size == 0 {
                    return Ok(None);
                }
                let read = tokio::task::spawn_blocking(move || piece(&opened, span)).await;
                read.map_err(io::Error::other).and_then(|read| read).map_err(error)
            }
        });
        Ok(verified(pieces.boxed(), wanted.clone(), what))
    }

    /// Whether the archive has a blob, whole and right; it is read for that, since nobody else vouches for it.
    ///
    /// # Errors
    /// When the archive cannot be read at all.
    pub async fn has_blob(&self, blob: &Descriptor) -> Result<bool, TransportError> {
        self.opened().await?;
        let Ok(mut content) = self.blob(blob).await else { return Ok(false) };
        while let Some(piece) = content.next().await {
            if piece.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the archive has a manifest, whole and right.
    ///
    /// # Errors
    /// When the archive cannot be read at all.
    pub async fn has_manifest(&self, digest: &Digest) -> Result<bool, TransportError> {
        self.opened().await?;
        Ok(self.manifest(&Pick::Digest(*digest)).await.is_ok())
    }

    /// What was found in the file, as it is now.
    async fn opened(&self) -> Result<Arc<Opened>, TransportError> {
        let mut known = self.opened.lock().await;
        if let Some(opened) = &*known {
            if opened.stamp.is_none() {
                return Ok(Arc::clone(opened));
            }
            let metadata = tokio::fs::metadata(&self.path).await;
            let metadata = metadata.map_err(|error| TransportError::Io("open", self.path.clone(), error))?;
            if opened.stamp.as_ref() == Some(&Stamp::of(&metadata)) {
                return Ok(Arc::clone(opened));
            }
        }
        let (path, kind) = (self.path.clone(), self.kind);
        let open = move |stop: &Stop| {
            let file = file::open(&path, Links::Follow).map_err(|error| ArchiveError::Io("open", error))?;
            let stamp = Stamp::of(&file.metadata().map_err(read_error)?);
            Opened::new(Source::of_file(file, stop)?, kind, Some(stamp), stop)
        };
        let opened = Arc::new(blocking(open).await.map_err(|error| self.error(error))?);
        *known = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Reads something from the file; that it is not there is told of `what`.
    async fn read<T: Send + 'static>(
        &self,
        opened: &Arc<Opened>,
        what: &str,
        read: impl FnOnce(&Opened) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, TransportError> {
        let opened = Arc::clone(opened);
        blocking(move |_| read(&opened)).await.map_err(|error| match error {
            ArchiveError::NoMember(_) => TransportError::NotFound(what.to_owned()),
            ArchiveError::LargeMember(_, limit) => TransportError::TooLarge { what: what.to_owned(), limit },
            error => self.error(error),
        })
    }

    fn error(&self, error: ArchiveError) -> TransportError {
        match error {
            ArchiveError::Io(action, error) => TransportError::Io(action, self.path.clone(), error),
            ArchiveError::WrongContent { member, expected, found } => {
                TransportError::DigestMismatch { what: format!("{member} of {self}"), expected, found }
            }
            ArchiveError::Index(source) => {
                TransportError::Decode { what: format!("index.json of {self}"), source }
            }
            error => TransportError::Archive(self.path.clone(), error),
        }
    }
}

impl Opened {
    fn new(
        source: Source,
        kind: ArchiveKind,
        stamp: Option<Stamp>,
        stop: &Stop,
    ) -> Result<Self, ArchiveError> {
        let members = Members::read(&source, stop)?;
        let content = match form(&members, kind)? {
            Form::Oci => Content::Oci(read_index(&source, &members)?),
            Form::Docker => Content::Docker(Images::read(&source, &members, stop)?),
        };
        Ok(Self { source, members, content, stamp })
    }
}

enum Form {
    Oci,
    Docker,
}

/// How an archive is read that is meant to be of a kind.
fn form(members: &Members, kind: ArchiveKind) -> Result<Form, ArchiveError> {
    let (oci, docker) = (members.has("oci-layout"), members.has(docker::MANIFEST));
    let (an_oci, a_docker) = ("an OCI archive", "a Docker archive");
    let other = |wanted, found, kind: ArchiveKind| {
        Err(ArchiveError::OtherKind { wanted, found, found_prefix: kind.as_str() })
    };
    match (kind, oci, docker) {
        (ArchiveKind::Oci | ArchiveKind::Either, true, _) | (ArchiveKind::Docker, true, true) => Ok(Form::Oci),
        (ArchiveKind::Docker | ArchiveKind::Either, false, true) => Ok(Form::Docker),
        (ArchiveKind::Oci, false, true) => other(an_oci, a_docker, ArchiveKind::Docker),
        (ArchiveKind::Docker, true, false) => other(a_docker, an_oci, ArchiveKind::Oci),
        (_, false, false) if members.has("repositories") || members.has_suffix("/layer.tar") => {
            Err(ArchiveError::Legacy)
        }
        (_, false, false) => Err(ArchiveError::NoImages),
    }
}

fn read_index(source: &Source, members: &Members) -> Result<List, ArchiveError> {
    let marker = members.content(source, "oci-layout", 4096)?;
    index::check_version(&marker).map_err(|why| ArchiveError::Document("it is not an OCI layout:", why))?;
    let bytes = members.content(source, "index.json", MAX_MANIFEST_SIZE)?;
    index::decode(&bytes).map_err(ArchiveError::Index)
}

fn image_names(images: &Images) -> impl Iterator<Item = &str> {
    images.images.iter().flat_map(|image| image.names.iter().map(String::as_str))
}

/// The member of an OCI archive that is a blob.
fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// Reads the next piece of a member, and says what is left of it.
fn piece(opened: &Arc<Opened>, span: Span) -> io::Result<Option<(bytes::Bytes, (Arc<Opened>, Span))>> {
    let size = usize::try_from(span.size).unwrap_or(usize::MAX).min(PIECE);
    let mut piece = vec![0; size];
    let read = opened.source.read_at(&mut piece, span.at)?;
    if read == 0 {
        return Ok(None);
    }
    piece.truncate(read);
    let left = Span { at: span.at.saturating_add(read as u64), size: span.size.saturating_sub(read as u64) };
    Ok(Some((piece.into(), (Arc::clone(opened), left))))
}
