//! Locks between processes, and the notes that tell who holds them.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use fs4::{FileExt, TryLockError};
use jiff::Timestamp;

use crate::StoreError;

/// How often a lock file may be replaced by somebody between opening and locking it.
const REPLACEMENTS: usize = 100;

/// The most bytes of a note that are read.
const NOTE_LIMIT: u64 = 1024;

/// Who holds a lock, as far as its note tells: a hint for messages, never trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The id of the process.
    pub pid: Option<u32>,
    /// The machine it runs on.
    pub host: Option<String>,
    /// What it does.
    pub command: Option<String>,
    /// Since when it holds the lock.
    pub since: Option<Timestamp>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => f.write_str("another process")?,
        }
        if let Some(host) = &self.host {
            write!(f, " on {host}")?;
        }
        if let Some(command) = &self.command {
            write!(f, ", {command:?}")?;
        }
        self.since.map_or(Ok(()), |since| write!(f, ", since {since}"))
    }
}

impl Holder {
    /// A note for this process.
    pub(crate) fn note(command: &str, since: Timestamp) -> String {
        let one_line = |c: char| if c.is_control() { ' ' } else { c };
        let command: String = command.chars().map(one_line).take(200).collect();
        format!("{} {} {command} {since}\n", std::process::id(), host())
    }

    /// Reads `PID HOST COMMAND SINCE`, where the command may hold spaces; what cannot be read is left out.
    pub(crate) fn parse(note: &str) -> Self {
        let line = note.lines().next().unwrap_or_default();
        let (pid, rest) = line.split_once(' ').unwrap_or_default();
        let (host, rest) = rest.split_once(' ').unwrap_or_default();
        let (command, since) = rest.rsplit_once(' ').unwrap_or_default();
        let filled = |text: &str| (!text.is_empty()).then(|| text.escape_debug().to_string());
        let Ok(pid) = pid.parse() else { return Self::default() };
        Self { pid: Some(pid), host: filled(host), command: filled(command), since: since.parse().ok() }
    }
}

/// The name of this machine.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.split_whitespace().next().unwrap_or("localhost");
    name.chars().filter(|c| !c.is_control()).take(253).collect()
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Guard(
    #[allow(dead_code, reason = "dropping it releases the lock")] Box<dyn fmt::Debug + Send>,
);

impl Guard {
    /// What holds a lock as long as it lives.
    pub(crate) fn new(held: impl fmt::Debug + Send + 'static) -> Self {
        Self(Box::new(held))
    }
}

/// What became of one try to get a lock.
#[derive(Debug)]
pub(crate) enum Attempt {
    Held(Guard),
    Busy(Holder),
}

/// Whether others may have a lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sharing {
    Alone,
    /// With those who want it like this, too.
    Shared,
}

/// Tries once to lock a file, which is created when it is missing. Who deletes one has it locked alone.
///
/// The note is left by who has the lock alone.
///
/// # Errors
/// [`StoreError::NoLocks`] where the file system has none; [`StoreError::Damaged`] when `path` is no file.
pub(crate) fn try_lock(path: &Path, sharing: Sharing, note: &str) -> Result<Attempt, StoreError> {
    // It is there once it was opened like this.
    Ok(attempt(path, sharing, Some(note))?.unwrap_or_else(|| Attempt::Busy(Holder::default())))
}

/// The same for who changes nothing: no file is made, and no note left. `None` when there is no file, and so nobody who
/// has it locked.
///
/// # Errors
/// As [`try_lock`].
pub(crate) fn try_look(path: &Path, sharing: Sharing) -> Result<Option<Attempt>, StoreError> {
    attempt(path, sharing, None)
}

fn attempt(path: &Path, sharing: Sharing, note: Option<&str>) -> Result<Option<Attempt>, StoreError> {
    let refused = |what, error| StoreError::Io(what, path.to_owned(), error);
    for _ in 0..REPLACEMENTS {
        let opened = if note.is_some() { open(path) } else { open_as_it_is(path) };
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if note.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(match fs::symlink_metadata(path) {
                    Ok(there) if !there.is_file() => StoreError::damaged(path, "it is not a regular file"),
                    _ => refused("open", error),
                });
            }
        };
        let tried = match sharing {
            Sharing::Alone => FileExt::try_lock(&file),
            Sharing::Shared => FileExt::try_lock_shared(&file),
        };
        match tried {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Some(Attempt::Busy(holder(&mut file)))),
            Err(TryLockError::Error(error)) if is_unsupported(&error) => {
                return Err(StoreError::NoLocks(path.to_owned(), error));
            }
            Err(TryLockError::Error(error)) => return Err(refused("lock", error)),
        }
        match fs::symlink_metadata(path) {
            Ok(there) if !there.is_file() => {
                return Err(StoreError::damaged(path, "it is not a regular file"));
            }
            Ok(there) if is_same(&file, &there).map_err(|error| refused("read", error))? => {
                if let Some(note) = note.filter(|_| sharing == Sharing::Alone && is_only_here(&file)) {
                    // A note is worth a message, not a failure.
                    drop(write_note(&mut file, note));
                }
                return Ok(Some(Attempt::Held(Guard::new(file))));
            }
            // Somebody replaced or removed the file: this is a lock on something that nobody else will open.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(refused("read", error)),
        }
    }
    Err(StoreError::damaged(path, "it is replaced again and again while it is locked"))
}

/// Opens a lock file. A link is not followed, for it could create a file anywhere; a pipe does not keep us waiting.
fn open(path: &Path) -> io::Result<File> {
    careful().write(true).create(true).truncate(false).open(path)
}

/// Opens a lock file that is there. Some network file systems want it to be open for writing, which not everybody may.
fn open_as_it_is(path: &Path) -> io::Result<File> {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match careful().write(true).open(path) {
        Err(error) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) => careful().open(path),
        opened => opened,
    }
}

fn careful() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    options
}

/// Whether the open file is the one that has the name now.
#[cfg(unix)]
fn is_same(file: &File, there: &fs::Metadata) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let here = file.metadata()?;
    Ok((here.dev(), here.ino()) == (there.dev(), there.ino()))
}

/// Elsewhere an open file cannot be replaced.
#[cfg(not(unix))]
fn is_same(_: &File, _: &fs::Metadata) -> io::Result<bool> {
    Ok(true)
}

/// Whether the file has no other name: under that it may be somebody's own, in which nothing is written. It locks
/// as well as any other, and a store that was copied by links is full of them.
#[cfg(unix)]
fn is_only_here(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    file.metadata().is_ok_and(|found| found.nlink() == 1)
}

#[cfg(not(unix))]
fn is_only_here(_: &File) -> bool {
    true
}

/// Writes before it shortens: a file that is emptied first is flushed by some file systems when it is closed.
fn write_note(file: &mut File, note: &str) -> io::Result<()> {
    file.rewind()?;
    file.write_all(note.as_bytes())?;
    file.set_len(note.len() as u64)
}

fn holder(file: &mut File) -> Holder {
    let mut note = Vec::new();
    match file.take(NOTE_LIMIT).read_to_end(&mut note) {
        Ok(_) => Holder::parse(&String::from_utf8_lossy(&note)),
        Err(_) => Holder::default(),
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    const ENOLCK: i32 = if cfg!(target_os = "linux") { 37 } else { 77 };
    error.kind() == io::ErrorKind::Unsupported || (cfg!(unix) && error.raw_os_error() == Some(ENOLCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_back_and_stays_one_line() {
        let since: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let holder = Holder::parse(&Holder::note("manifest add\napp \u{1b}[31m", since));
        assert_eq!(holder.pid, Some(std::process::id()));
        assert_eq!(holder.command.as_deref(), Some("manifest add app  [31m"));
        assert_eq!(holder.since, Some(since));
        for odd in ["", "\n", "x", "12", "12 h", "12 h c", "\0\0\0\0 a b c", "12 \u{1b} \u{7} x"] {
            let shown = Holder::parse(odd).to_string();
            assert!(shown.contains("process") && !shown.contains(char::is_control), "{odd:?}: {shown}");
        }
        assert_eq!(Holder::default().to_string(), "another process");
    }

    #[test]
    fn a_lock_excludes_another_handle_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let note = Holder::note("first", Timestamp::UNIX_EPOCH);
        let Attempt::Held(guard) = try_lock(&path, Sharing::Alone, &note).unwrap() else {
            panic!("not held")
        };
        let Attempt::Busy(holder) = try_lock(&path, Sharing::Alone, "").unwrap() else {
            panic!("held twice")
        };
        assert_eq!(holder.command.as_deref(), Some("first"));
        drop(guard);
        assert!(matches!(try_lock(&path, Sharing::Alone, "x").unwrap(), Attempt::Held(_)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "x", "a longer note is shortened");
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_goes_with_who_has_it_keeps_out_those_who_opened_it_before() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let (path, inside) = (dir.path().join("lock"), AtomicUsize::new(0));
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    let mut held = 0;
                    while held < 100 {
                        let Ok(Attempt::Held(_guard)) = try_lock(&path, Sharing::Alone, "") else { continue };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two have it");
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        fs::remove_file(&path).unwrap();
                        held += 1;
                    }
                });
            }
        });
    }

    /// DUR-11.
    #[cfg(unix)]
    #[test]
    fn a_lock_file_that_was_replaced_or_is_a_link_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let Attempt::Held(_old) = try_lock(&path, Sharing::Alone, "").unwrap() else { panic!("not held") };
        fs::remove_file(&path).unwrap();
        assert!(
            matches!(try_lock(&path, Sharing::Alone, "").unwrap(), Attempt::Held(_)),
            "waits for a file that is gone"
        );

        let outside = dir.path().join("outside");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        assert!(matches!(try_lock(&link, Sharing::Alone, "note"), Err(StoreError::Damaged { .. })));
        assert_eq!(fs::read(&outside).unwrap_or_default(), b"");
    }

    #[test]
    fn a_lock_is_shared_with_those_who_want_it_shared() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let [first, second] = [(); 2].map(|()| try_lock(&path, Sharing::Shared, "x").unwrap());
        assert!(matches!((&first, &second), (Attempt::Held(_), Attempt::Held(_))));
        assert!(matches!(try_lock(&path, Sharing::Alone, "").unwrap(), Attempt::Busy(_)));
        drop((first, second));
        let Attempt::Held(_alone) = try_lock(&path, Sharing::Alone, "").unwrap() else { panic!("not held") };
        assert!(matches!(try_lock(&path, Sharing::Shared, "").unwrap(), Attempt::Busy(_)));
    }

    #[test]
    fn who_only_looks_makes_no_file_and_leaves_no_note() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(try_look(&path, Sharing::Alone).unwrap().is_none());
        assert!(!path.exists());
        drop(try_lock(&path, Sharing::Alone, "note").unwrap());
        let Some(Attempt::Held(guard)) = try_look(&path, Sharing::Alone).unwrap() else { panic!("not held") };
        assert!(matches!(try_lock(&path, Sharing::Shared, "").unwrap(), Attempt::Busy(_)));
        assert!(matches!(try_look(&path, Sharing::Shared).unwrap(), Some(Attempt::Busy(_))));
        drop(guard);
        assert_eq!(fs::read(&path).unwrap(), b"note");
    }

    /// DUR-15, SEC-36.
    #[cfg(unix)]
    #[test]
    fn a_lock_file_that_is_also_somebody_elses_file_is_not_written_into() {
        let dir = tempfile::tempdir().unwrap();
        let (path, outside) = (dir.path().join("lock"), dir.path().join("outside"));
        File::create(&outside).and_then(|mut file| file.write_all(b"precious")).unwrap();
        fs::hard_link(&outside, &path).unwrap();
        let Attempt::Held(_guard) = try_lock(&path, Sharing::Alone, "note").unwrap() else {
            panic!("not held")
        };
        assert_eq!(fs::read(&outside).unwrap(), b"precious");
        assert!(matches!(try_lock(&path, Sharing::Alone, "").unwrap(), Attempt::Busy(_)));
    }
}
