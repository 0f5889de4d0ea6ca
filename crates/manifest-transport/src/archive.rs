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

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use manifest_core::{Descriptor, Digest, MAX_MANIFEST_SIZE, MediaType};

pub use self::beside::{Workshop, tidy};
pub use self::error::ArchiveError;
pub(crate) use self::file::{Links, open as open_file};
use self::file::{Source, Span, Stop, blocking, read_error};
use self::opened::{Content, Opened, Stamp, blob_name};
pub use self::pack::{Existing, Packed, pack};
pub use self::plain::plain;
pub use self::unpack::{Compression, MAX_UNPACKED};
use crate::error::TransportError;
use crate::layout::index;
use crate::location::Pick;
use crate::manifest::{At, Fetched, Origin};
use crate::offer::{self, Offer};
use crate::start::Start;
use crate::stream::{Blob, verified};

mod beside;
mod docker;
mod error;
mod file;
mod members;
mod opened;
mod pack;
mod plain;
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
        let absent = || index::absent(self, pick, opened.content.count(), &opened.content.names());
        let digest = opened.content.find(pick).ok_or_else(absent)?;
        match &opened.content {
            Content::Docker(images) => {
                let made = images.find(&Pick::Digest(digest)).ok_or_else(absent)?;
                let media_type = Some(&MediaType::DOCKER_MANIFEST);
                let at = At::Digest(digest);
                let mut fetched = Fetched::check(what, &at, made.manifest.clone(), media_type, None)?;
                fetched.origin = Origin::Synthesised;
                Ok(fetched)
            }
            Content::Oci(list) => {
                let media_type = list.entry(&digest).map(|entry| entry.media_type.clone());
                let bytes = self.content(&opened, &what, blob_name(&digest)).await?;
                Fetched::check(what, &At::Digest(digest), bytes.into(), media_type.as_ref(), None)
            }
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
        self.blob_from(wanted, &Start::default()).await
    }

    /// Reads a blob from somewhere on.
    pub(crate) async fn blob_from(&self, wanted: &Descriptor, start: &Start) -> Result<Blob, TransportError> {
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
        let way = start.near(wanted);
        let rest = span.after(way.at());
        let pieces = stream::try_unfold((opened, rest, self.path.clone()), next_piece);
        Ok(verified(pieces.boxed(), way, wanted.clone(), what))
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

    /// Reads a manifest that lies in the file; `what` stands for it in messages.
    async fn content(
        &self,
        opened: &Arc<Opened>,
        what: &str,
        name: String,
    ) -> Result<Vec<u8>, TransportError> {
        let opened = Arc::clone(opened);
        let read = move |_: &Stop| opened.members.content(&opened.source, &name, MAX_MANIFEST_SIZE);
        blocking(read).await.map_err(|error| match error {
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

/// The next piece of a member, and what is needed for the one behind it.
async fn next_piece(
    (opened, span, path): (Arc<Opened>, Span, PathBuf),
) -> Result<Option<(Bytes, (Arc<Opened>, Span, PathBuf))>, TransportError> {
    if span.size == 0 {
        return Ok(None);
    }
    let reader = Arc::clone(&opened);
    let read = tokio::task::spawn_blocking(move || reader.piece(span)).await;
    match read.map_err(io::Error::other).and_then(|read| read) {
        // The file was cut since; that the blob is too short is told by whoever checks it.
        Ok((piece, _)) if piece.is_empty() => Ok(None),
        Ok((piece, left)) => Ok(Some((piece, (opened, left, path)))),
        Err(error) => Err(TransportError::Io("read", path, error)),
    }
}
