//! Ways to write files that lose something: the checker must say so.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::explore::{Explorer, Wrap};
use super::files::Handle;
use super::scenario::SCENARIOS;
use crate::StoreError;
use crate::files::{Files, Kind, ReadFailure, Staged};
use crate::lock::{Attempt, Guard};

/// A mistake that somebody could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    NoSyncOfFiles,
    NoSyncOfDirectories,
    RenameBeforeSync,
    NameBeforeRecord,
    NoLocks,
}

/// Files with a mistake between the store and its disk.
#[derive(Clone)]
struct Broken {
    inner: Handle,
    mistake: Mistake,
    /// A record that waits for its name to be written.
    late: Arc<Mutex<Option<Late>>>,
}

/// A file and the name that it will get.
type Late = (Box<dyn Staged>, PathBuf);

impl Broken {
    fn over(inner: Handle, mistake: Mistake) -> Box<dyn Files> {
        Box::new(Self { inner, mistake, late: Arc::default() })
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broken").field("mistake", &self.mistake).finish_non_exhaustive()
    }
}

impl Files for Broken {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, ReadFailure> {
        self.inner.read(path, limit)
    }

    fn stage(&self, dir: &Path, label: &str, parts: &[&[u8]]) -> io::Result<Box<dyn Staged>> {
        let inner = self.inner.stage(dir, label, parts)?;
        Ok(Box::new(BrokenStaged { inner, files: self.clone() }))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let waits = self.late.lock().unwrap().is_some();
        if self.mistake == Mistake::NoSyncOfDirectories || waits && dir.ends_with("records") {
            return Ok(());
        }
        self.inner.sync_dir(dir)?;
        let late = if dir.ends_with("names") { self.late.lock().unwrap().take() } else { None };
        match late {
            Some((staged, target)) => {
                staged.create(&target)?;
                self.inner.sync_dir(target.parent().unwrap())
            }
            None => Ok(()),
        }
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.make_dir(dir)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.inner.kind(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn lock(&self, path: &Path, note: &str) -> Result<Attempt, StoreError> {
        match self.mistake {
            Mistake::NoLocks => Ok(Attempt::Held(Guard::new(()))),
            _ => self.inner.lock(path, note),
        }
    }

    fn lock_shared(&self, path: &Path) -> Result<Attempt, StoreError> {
        match self.mistake {
            Mistake::NoLocks => Ok(Attempt::Held(Guard::new(()))),
            _ => self.inner.lock_shared(path),
        }
    }

    fn is_foreign_link(&self, path: &Path) -> io::Result<bool> {
        self.inner.is_foreign_link(path)
    }
}

struct BrokenStaged {
    inner: Box<dyn Staged>,
    files: Broken,
}

impl Staged for BrokenStaged {
    fn sync(&self) -> io::Result<()> {
        match self.files.mistake {
            Mistake::NoSyncOfFiles | Mistake::RenameBeforeSync => Ok(()),
            _ => self.inner.sync(),
        }
    }

    fn replace(self: Box<Self>, target: &Path) -> io::Result<()> {
        self.inner.replace(target)?;
        match self.files.mistake {
            Mistake::RenameBeforeSync => self.files.inner.sync_file(target),
            _ => Ok(()),
        }
    }

    fn create(self: Box<Self>, target: &Path) -> io::Result<()> {
        if self.files.mistake == Mistake::NameBeforeRecord && target.parent().unwrap().ends_with("records") {
            *self.files.late.lock().unwrap() = Some((self.inner, target.to_owned()));
            return Ok(());
        }
        self.inner.create(target)?;
        match self.files.mistake {
            Mistake::RenameBeforeSync => self.files.inner.sync_file(target),
            _ => Ok(()),
        }
    }
}

/// What is said of a mistake in one of the scenarios.
fn caught(about: &str, wrap: Wrap) -> String {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.about == about).unwrap();
    Explorer::new(scenario, wrap, 3).explore(20_000).unwrap_err().what
}

#[test]
fn every_way_to_lose_something_is_caught() {
    let one_list = "edits of one list";
    let mistakes: [(Wrap, &str, &str); 5] = [
        (|files| Broken::over(files, Mistake::NoSyncOfFiles), one_list, "cannot be read"),
        (|files| Broken::over(files, Mistake::NoSyncOfDirectories), one_list, "is none of"),
        (|files| Broken::over(files, Mistake::RenameBeforeSync), one_list, "cannot be read"),
        (
            |files| Broken::over(files, Mistake::NameBeforeRecord),
            "a name that new lists take over",
            "is none of",
        ),
        (|files| Broken::over(files, Mistake::NoLocks), one_list, "is none of"),
    ];
    for (wrap, about, expected) in mistakes {
        let what = caught(about, wrap);
        assert!(what.contains(expected), "{what}");
    }
}
