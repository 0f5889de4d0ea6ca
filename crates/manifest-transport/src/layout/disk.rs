//! Files of a layout or a directory: read with a limit, written whole or not at all.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use manifest_core::Descriptor;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use crate::error::TransportError;
use crate::lock::Users;
use crate::start::Start;
use crate::stream::{Blob, verified};

/// The file that is locked while `index.json` changes; other programs ignore it.
pub(crate) const LOCK: &str = ".manifest.lock";
/// What the names of files begin with that are being written.
pub(crate) const STAGED: &str = ".tmp-";
/// How long another program may keep a layout or a directory locked.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a blob that are read at once.
const PIECE: usize = 256 << 10;

async fn open(path: &Path) -> Result<tokio::fs::File, TransportError> {
    let error = |error| TransportError::Io("open", path.to_owned(), error);
    let metadata = tokio::fs::symlink_metadata(path).await.map_err(error)?;
    // A pipe would keep us waiting for ever, a link could lead out of the layout.
    if !metadata.is_file() {
        return Err(error(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    tokio::fs::File::open(path).await.map_err(error)
}

/// Reads a file of at most `limit` bytes.
pub(crate) async fn read(path: &Path, limit: usize) -> Result<Vec<u8>, TransportError> {
    let file = open(path).await?;
    let mut bytes = Vec::new();
    let error = |error| TransportError::Io("read", path.to_owned(), error);
    file.take(limit as u64 + 1).read_to_end(&mut bytes).await.map_err(error)?;
    if bytes.len() > limit {
        return Err(TransportError::TooLarge { what: path.display().to_string(), limit: limit as u64 });
    }
    Ok(bytes)
}

/// Reads a blob from somewhere on, checked on the way; `what` stands for it in messages.
pub(crate) async fn read_blob(
    path: PathBuf,
    what: String,
    wanted: &Descriptor,
    start: &Start,
) -> Result<Blob, TransportError> {
    let mut file = match open(&path).await {
        Err(TransportError::Io(_, _, error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(TransportError::NotFound(what));
        }
        opened => opened?,
    };
    let way = start.near(wanted);
    let seek = file.seek(io::SeekFrom::Start(way.at())).await;
    seek.map_err(|error| TransportError::Io("read", path.clone(), error))?;
    let pieces = stream::try_unfold((file, path), |(mut file, path)| async move {
        let mut piece = bytes::BytesMut::with_capacity(PIECE);
        match file.read_buf(&mut piece).await {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some((piece.freeze(), (file, path)))),
            Err(error) => Err(TransportError::Io("read", path, error)),
        }
    });
    Ok(verified(pieces.boxed(), way, wanted.clone(), what))
}

/// Whether all of a blob is there and right.
pub(crate) async fn is_whole(opened: Result<Blob, TransportError>) -> bool {
    let Ok(mut content) = opened else { return false };
    while let Some(piece) = content.next().await {
        if piece.is_err() {
            return false;
        }
    }
    true
}

/// Writes a blob: under a temporary name, and at its path when all of it is there.
pub(crate) async fn write_blob(root: &Path, path: PathBuf, mut content: Blob) -> Result<(), TransportError> {
    let staged = stage(root, &path).await?;
    let mut file = staged.open().await?;
    while let Some(piece) = content.next().await {
        file.write_all(&piece?).await.map_err(|error| staged.error("write", error))?;
    }
    file.flush().await.map_err(|error| staged.error("write", error))?;
    file.sync_all().await.map_err(|error| staged.error("sync", error))?;
    staged.keep(path).await
}

/// A file that is being written beside the place where it will stand.
struct Staged(NamedTempFile);

/// Starts a file that will stand at `path`, somewhere below `root`.
async fn stage(root: &Path, path: &Path) -> Result<Staged, TransportError> {
    let (root, directory) = (root.to_owned(), parent(path));
    blocking("create", path, move || {
        refuse_links(&root, &directory)?;
        std::fs::create_dir_all(&directory)?;
        let mut builder = tempfile::Builder::new();
        // What stands in a layout is for everybody who may read it; the umask of the user has the last word.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.prefix(STAGED).tempfile_in(&directory).map(Staged)
    })
    .await
}

/// Refuses directories below `root` that are links: what is written there would stand outside the layout.
fn refuse_links(root: &Path, directory: &Path) -> io::Result<()> {
    let below = directory.ancestors().take_while(|ancestor| *ancestor != root);
    for ancestor in below {
        if std::fs::symlink_metadata(ancestor).is_ok_and(|metadata| metadata.is_symlink()) {
            let message = format!("{} is a link, which may lead out of the layout", ancestor.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
    }
    Ok(())
}

impl Staged {
    async fn open(&self) -> Result<tokio::fs::File, TransportError> {
        let file = self.0.reopen().map_err(|error| self.error("open", error))?;
        Ok(tokio::fs::File::from_std(file))
    }

    fn error(&self, action: &'static str, error: io::Error) -> TransportError {
        TransportError::Io(action, self.0.path().to_owned(), error)
    }

    /// Puts the file in its place, for good.
    async fn keep(self, path: PathBuf) -> Result<(), TransportError> {
        let to = path.clone();
        blocking("write", &path, move || {
            self.0.persist(&to).map_err(|error| error.error)?;
            File::open(parent(&to))?.sync_all()
        })
        .await
    }
}

/// Writes a whole file in one step: whoever reads sees the old one or the new one.
pub(crate) async fn replace(root: &Path, path: &Path, bytes: Vec<u8>) -> Result<(), TransportError> {
    let Staged(mut file) = stage(root, path).await?;
    let to = path.to_owned();
    blocking("write", path, move || {
        io::Write::write_all(&mut file, &bytes)?;
        file.as_file().sync_all()?;
        file.persist(&to).map_err(|error| error.error)?;
        File::open(parent(&to))?.sync_all()
    })
    .await
}

/// Waits until this process is the only one that changes what the directory means; the lock ends with the file.
pub(crate) async fn lock(root: &Path) -> Result<File, TransportError> {
    let (directory, path) = (root.to_owned(), root.join(LOCK));
    blocking("lock", root, move || std::fs::create_dir_all(&directory)).await?;
    match crate::lock::hold(path.clone(), Users::Everybody, LOCK_TIMEOUT).await {
        Ok(lock) => lock.ok_or_else(|| TransportError::LayoutBusy(root.to_owned(), LOCK_TIMEOUT)),
        Err(error) => Err(TransportError::Io("lock", path, error)),
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Runs file work that may block on a thread where that does no harm.
pub(crate) async fn blocking<T: Send + 'static>(
    action: &'static str,
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, TransportError> {
    let outcome = tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
    outcome.and_then(|outcome| outcome).map_err(|error| TransportError::Io(action, path.to_owned(), error))
}
