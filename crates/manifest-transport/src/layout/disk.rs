//! Files of a layout: read with a limit, written whole or not at all.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use tokio::io::AsyncReadExt as _;

use crate::error::TransportError;

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

/// Starts a file that will stand at `path`.
pub(super) async fn stage(path: &Path) -> Result<Staged, TransportError> {
    let directory = parent(path);
    blocking("create", path, move || {
        std::fs::create_dir_all(&directory)?;
        tempfile::Builder::new().prefix(".tmp-").tempfile_in(&directory).map(Staged)
    })
    .await
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
            readable(self.0.as_file())?;
            self.0.persist(&to).map_err(|error| error.error)?;
            File::open(parent(&to))?.sync_all()
        })
        .await
    }
}

/// Writes a whole file in one step: whoever reads sees the old one or the new one.
pub(super) async fn replace(path: &Path, bytes: Vec<u8>) -> Result<(), TransportError> {
    let Staged(mut file) = stage(path).await?;
    let to = path.to_owned();
    blocking("write", path, move || {
        io::Write::write_all(&mut file, &bytes)?;
        readable(file.as_file())?;
        file.as_file().sync_all()?;
        file.persist(&to).map_err(|error| error.error)?;
        File::open(parent(&to))?.sync_all()
    })
    .await
}

/// Temporary files are private; what stands in a layout is for everybody who may read the layout.
fn readable(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    drop(file);
    Ok(())
}

/// Waits until this process is the only one that changes the layout; the lock ends with the file.
pub(super) async fn lock(root: &Path, timeout: Duration) -> Result<File, TransportError> {
    let (directory, path) = (root.to_owned(), root.join(LOCK));
    let file = blocking("lock", root, move || {
        std::fs::create_dir_all(&directory)?;
        File::options().create(true).truncate(false).write(true).open(path)
    })
    .await?;
    let start = Instant::now();
    loop {
        match fs4::FileExt::try_lock(&file) {
            Ok(()) => return Ok(file),
            Err(fs4::TryLockError::WouldBlock) if start.elapsed() < timeout => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(fs4::TryLockError::WouldBlock) => {
                return Err(TransportError::LayoutBusy(root.to_owned(), timeout));
            }
            Err(fs4::TryLockError::Error(error)) => {
                return Err(TransportError::Io("lock", root.join(LOCK), error));
            }
        }
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
