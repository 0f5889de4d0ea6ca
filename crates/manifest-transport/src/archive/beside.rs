//! What is made beside the place of an archive, and what processes that were killed have left there.
//!
//! Its name says for which archive it is, and who makes it keeps it locked: what can be locked is nobody's any more. Whoever
//! makes something there removes that first. Without locks, which is on Windows and on some network file systems, it stays.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use manifest_core::Digest;
use tempfile::{NamedTempFile, TempDir};

use crate::error::TransportError;

/// The random characters at the end of a name.
const RANDOM: usize = 6;

/// How often something is made anew that somebody else has taken for a leftover before it was locked.
const TRIES: usize = 8;

/// A directory in which an archive is made ready; it is gone with all that is in it when this is dropped.
#[derive(Debug)]
pub struct Workshop {
    directory: TempDir,
    #[allow(dead_code, reason = "dropping it lets others remove what is left")]
    lock: Option<File>,
}

impl Workshop {
    /// Makes one beside the place of an archive. What processes that were killed have left there is removed.
    ///
    /// # Errors
    /// [`TransportError::Io`].
    pub fn beside(target: &Path) -> Result<Self, TransportError> {
        tidy(target);
        let prefix = prefix(target);
        let make = || {
            let mut builder = tempfile::Builder::new();
            let directory = builder.prefix(&prefix).rand_bytes(RANDOM).tempdir_in(parent(target))?;
            let lock = lock_directory(directory.path())?;
            Ok(lock.map(|lock| Self { directory, lock }))
        };
        let failed = |error| TransportError::Io("create a directory in", parent(target).to_owned(), error);
        try_to(make).map_err(failed)
    }

    /// The OCI layout in it, which has the mode of any new directory.
    pub fn layout(&self) -> PathBuf {
        self.directory.path().join("layout")
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // A push that failed may have left a write to its thread, which puts something into what is being removed.
        let is_filled = |error: io::Error| error.kind() == io::ErrorKind::DirectoryNotEmpty;
        let path = self.directory.path();
        let _done = (0..TRIES).any(|_| !fs::remove_dir_all(path).is_err_and(is_filled));
    }
}

/// Makes a file beside the place of an archive, with the mode of any new file.
pub(super) fn file(target: &Path) -> io::Result<NamedTempFile> {
    let prefix = prefix(target);
    try_to(|| {
        let mut builder = tempfile::Builder::new();
        // An archive is for everybody who may read it; the umask of the user has the last word.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.prefix(&prefix).rand_bytes(RANDOM).tempfile_in(parent(target))?;
        Ok(is_ours(file.as_file(), file.path())?.then_some(file))
    })
}

/// Removes what processes that were killed have left beside the place of an archive. What cannot be removed stays.
pub fn tidy(target: &Path) {
    if cfg!(not(unix)) {
        return;
    }
    let prefix = prefix(target);
    let is_meant = |name: &str| {
        let random = name.strip_prefix(&prefix);
        random.is_some_and(|random| {
            random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    };
    for entry in fs::read_dir(parent(target)).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_meant) {
            // Whoever comes next tries again.
            drop(remove(&entry.path()));
        }
    }
}

/// Removes something that nobody makes any more, and that this user has made.
fn remove(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::uid(&found) != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    if !found.is_file() && !found.is_dir() {
        return Ok(());
    }
    let lock = open(path)?;
    if fs4::FileExt::try_lock(&lock).is_err() || !stands_at(&lock, path)? {
        return Ok(());
    }
    if found.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// What the names begin with: any file name is as long as another then.
fn prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default();
    let hash = Digest::sha256(name.as_encoded_bytes()).hex();
    format!(".tmp-{}-", hash.get(..16).unwrap_or_default())
}

pub(super) fn parent(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn try_to<T>(mut make: impl FnMut() -> io::Result<Option<T>>) -> io::Result<T> {
    for _ in 0..TRIES {
        if let Some(made) = make()? {
            return Ok(made);
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Locks a new directory; none when somebody else has taken it for a leftover. What cannot be locked serves without.
#[cfg(unix)]
fn lock_directory(path: &Path) -> io::Result<Option<Option<File>>> {
    let lock = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        lock => lock?,
    };
    Ok(is_ours(&lock, path)?.then_some(Some(lock)))
}

#[cfg(not(unix))]
fn lock_directory(_: &Path) -> io::Result<Option<Option<File>>> {
    Ok(Some(None))
}

/// Locks something new, where that is possible; whether nobody else has taken it for a leftover.
fn is_ours(file: &File, path: &Path) -> io::Result<bool> {
    if let Err(fs4::TryLockError::WouldBlock) = fs4::FileExt::try_lock(file) {
        return Ok(false);
    }
    stands_at(file, path)
}

/// Whether a file or directory is still what a path leads to.
fn stands_at(file: &File, path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let there = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            there => there?,
        };
        let file = file.metadata()?;
        Ok((file.dev(), file.ino()) == (there.dev(), there.ino()))
    }
    #[cfg(not(unix))]
    {
        let _: (&File, &Path) = (file, path);
        Ok(true)
    }
}

/// Opens a file or directory, and follows no link.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_nobody_makes_any_more_is_removed_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let (target, other) = (at("app.tar"), at("other.tar"));
        let (workshop, staged) = (Workshop::beside(&target).unwrap(), file(&target).unwrap());
        let of_other = prefix(&other);
        let ours = prefix(&target);
        assert!(workshop.layout().starts_with(home.path()) && !ours.starts_with(&of_other));
        let mut stays = vec!["app.tar".to_owned(), ".tmp-abc123".to_owned(), format!("{of_other}abc123")];
        stays.extend(["abc12", "abc1234", "abc-12", ""].map(|odd| format!("{ours}{odd}")));
        stays.iter().for_each(|name| drop(File::create(at(name)).unwrap()));
        std::os::unix::fs::symlink(at("app.tar"), at(&format!("{ours}link12"))).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at(&format!("{ours}pipe12")), 0o600.into()).unwrap();
        stays.extend(["link12", "pipe12"].map(|odd| format!("{ours}{odd}")));
        for path in [workshop.directory.path(), staged.path()] {
            stays.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
        stays.sort();

        File::create(at(&format!("{ours}killed"))).unwrap();
        fs::create_dir_all(at(&format!("{ours}KILLED/layout/blobs"))).unwrap();
        File::create(at(&format!("{ours}KILLED/layout/index.json"))).unwrap();
        tidy(&target);
        assert_eq!(names(home.path()), stays);

        // Whoever makes something there tidies up.
        File::create(at(&format!("{ours}killed"))).unwrap();
        let next = Workshop::beside(&target).unwrap();
        assert!(!at(&format!("{ours}killed")).exists());
        drop((workshop, staged, next));
        assert_eq!(names(home.path()).len(), stays.len() - 2);
    }

    #[test]
    fn many_who_make_and_tidy_at_once_do_not_hinder_each_other() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("app.tar");
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    for _ in 0..50 {
                        let workshop = Workshop::beside(&target).unwrap();
                        fs::create_dir(workshop.layout()).unwrap();
                        let staged = file(&target).unwrap();
                        tidy(&target);
                        assert!(staged.path().exists() && workshop.layout().exists());
                    }
                });
            }
        });
        assert_eq!(names(home.path()), [""; 0]);
    }
}
