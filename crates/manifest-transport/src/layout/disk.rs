//! Files of a layout: read with a limit, written whole or not at all.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::io::AsyncReadExt as _;

use crate::error::TransportError;
use crate::lock::Users;

/// The file that is locked while `index.json` changes; other programs ignore it.
const LOCK: &str = ".manifest.lock";

pub(super) async fn open(path: &Path) -> Result<tokio::fs::File, TransportError> {
    let error = |error| TransportError::Io("open", path.to_owned(), error);
    let metadata = tokio::fs::symlink_metadata(path).await.map_err(error)?;
    // A pipe would keep us waiting for ever, a link could lead out of the layout.
    if !metadata.is_file() {
        return Err(error(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    tokio::fs::File::open(path).await.map_err(error)
}

/// Reads a file of at most `limit` bytes.
pub(super) async fn read(path: &Path, limit: usize) -> Result<Vec<u8>, TransportError> {
    let file = open(path).await?;
    let mut bytes = Vec::new();
    let error = |error| TransportError::Io("read", path.to_owned(), error);
    file.take(limit as u64 + 1).read_to_end(&mut bytes).await.map_err(error)?;
    if bytes.len() > limit {
        return Err(TransportError::TooLarge { what: path.display().to_string(), limit: limit as u64 });
    }
    Ok(bytes)
}

/// A file that is being written beside the place where it will stand.
pub(super) struct Staged(NamedTempFile);

/// Starts a file that will stand at `path`, somewhere below `root`.
pub(super) async fn stage(root: &Path, path: &Path) -> Result<Staged, TransportError> {
    let (root, directory) = (root.to_owned(), parent(path));
    blocking("create", path, move || {
        refuse_links(&root, &directory)?;
        std::fs::create_dir_all(&directory)?;
        let mut builder = tempfile::Builder::new();
        // What stands in a layout is for everybody who may read it; the umask of the user has the last word.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.prefix(".tmp-").tempfile_in(&directory).map(Staged)
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
    pub(super) async fn open(&self) -> Result<tokio::fs::File, TransportError> {
        let file = self.0.reopen().map_err(|error| self.error("open", error))?;
        Ok(tokio::fs::File::from_std(file))
    }

    pub(super) fn error(&self, action: &'static str, error: io::Error) -> TransportError {
        TransportError::Io(action, self.0.path().to_owned(), error)
    }

    /// Puts the file in its place, for good.
    pub(super) async fn keep(self, path: PathBuf) -> Result<(), TransportError> {
        let to = path.clone();
        blocking("write", &path, move || {
            self.0.persist(&to).map_err(|error| error.error)?;
            File::open(parent(&to))?.sync_all()
        })
        .await
    }
}

/// Writes a whole file in one step: whoever reads sees the old one or the new one.
pub(super) async fn replace(root: &Path, path: &Path, bytes: Vec<u8>) -> Result<(), TransportError> {
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

/// Waits until this process is the only one that changes the layout; the lock ends with the file.
pub(super) async fn lock(root: &Path, timeout: Duration) -> Result<File, TransportError> {
    let (directory, path) = (root.to_owned(), root.join(LOCK));
    blocking("lock", root, move || std::fs::create_dir_all(&directory)).await?;
    match crate::lock::hold(path.clone(), Users::Everybody, timeout).await {
        Ok(lock) => lock.ok_or_else(|| TransportError::LayoutBusy(root.to_owned(), timeout)),
        Err(error) => Err(TransportError::Io("lock", path, error)),
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Runs file work that may block on a thread where that does no harm.
async fn blocking<T: Send + 'static>(
    action: &'static str,
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, TransportError> {
    let outcome = tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
    outcome.and_then(|outcome| outcome).map_err(|error| TransportError::Io(action, path.to_owned(), error))
}
