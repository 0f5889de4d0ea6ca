//! One process at a time: a file that is locked while another one changes.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often a lock that is taken is tried again.
const BEAT: Duration = Duration::from_millis(10);

/// Who may open a lock file, as far as the umask allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Users {
    /// Whoever made it.
    Owner,
    /// Everybody, for what several users may share.
    Everybody,
}

/// Waits until this process holds the lock, which ends with the file; none when `timeout` has passed.
///
/// The file is made where there is none, and is never removed.
pub(crate) async fn hold(path: PathBuf, users: Users, timeout: Duration) -> io::Result<Option<File>> {
    let file = tokio::task::spawn_blocking(move || open(&path, users)).await.map_err(io::Error::other)??;
    let start = Instant::now();
    loop {
        match fs4::FileExt::try_lock(&file) {
            Ok(()) => return Ok(Some(file)),
            Err(fs4::TryLockError::WouldBlock) if start.elapsed() < timeout => tokio::time::sleep(BEAT).await,
            Err(fs4::TryLockError::WouldBlock) => return Ok(None),
            Err(fs4::TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Opens the lock file. A link is not followed, for it could create a file anywhere; a pipe does not keep us waiting.
fn open(path: &Path, users: Users) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true);
    // Elsewhere files take the rights of their directory.
    let mode = if users == Users::Owner { 0o600 } else { 0o666 };
    #[cfg(not(unix))]
    let _: u32 = mode;
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(mode).custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}
