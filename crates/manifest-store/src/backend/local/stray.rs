//! What is in a store that does not belong there, or is not as it should be.

use std::ffi::OsStr;
use std::path::PathBuf;

use manifest_core::Digest;

use super::blob::{BLOBS, INTAKES};
use super::intake::{TEMPORARY, random_name};
use super::sweep::{ALGORITHMS, Place, is_hash};
use super::{Local, PUBLICATIONS, unreadable};
use crate::backend::{Aside, Stray};
use crate::files::dir::{FileKind, Stat};
use crate::{PublicationId, RecordId, StoreError};

/// Where damaged things go.
pub(super) const LOST: &str = "lost+found";

/// The directories of a store.
const DIRS: [&str; 8] = ["records", "names", "locks", "cache", PUBLICATIONS, BLOBS, INTAKES, LOST];

impl Local {
    pub(super) fn find_strays(&self) -> Result<Vec<Stray>, StoreError> {
        let Some(root) = self.open_root()? else { return Ok(Vec::new()) };
        let (root, mut strays) = (Place { dir: root, path: self.root.clone() }, Vec::new());
        look(&root, &mut strays, |name| match name {
            "version" => Some(FileKind::Regular),
            name => DIRS.contains(&name).then_some(FileKind::Directory),
        })?;
        for name in DIRS.iter().filter(|name| ![BLOBS, LOST].contains(name)) {
            if let Some(place) = root.place(name)? {
                look(&place, &mut strays, |file| belongs(name, file).then_some(FileKind::Regular))?;
            }
        }
        if let Some(blobs) = root.place(BLOBS)? {
            let algorithm = |name: &str| ALGORITHMS.into_iter().find(|algorithm| algorithm.as_str() == name);
            look(&blobs, &mut strays, |name| algorithm(name).map(|_| FileKind::Directory))?;
            for algorithm in ALGORITHMS {
                if let Some(place) = blobs.place(algorithm.as_str())? {
                    look(&place, &mut strays, |file| is_hash(algorithm, file).then_some(FileKind::Regular))?;
                }
            }
        }
        strays.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(strays)
    }

    pub(super) fn list_blobs(&self, each: &mut dyn FnMut(Digest, u64)) -> Result<(), StoreError> {
        for algorithm in ALGORITHMS {
            let Some(dir) = self.open_blobs(algorithm)? else { continue };
            let place = Place { dir, path: self.blob_dir(algorithm) };
            for name in place.names()? {
                let name = name?;
                let text = name.to_str().unwrap_or_default();
                if let Ok(digest) = format!("{}:{text}", algorithm.as_str()).parse()
                    && let Some(stat) = place.stat(&name)?.filter(|stat| stat.kind == FileKind::Regular)
                {
                    each(digest, stat.size);
                }
            }
        }
        Ok(())
    }

    /// Moves a thing to `lost+found`, under a name that tells what it was.
    pub(super) fn move_aside(&self, what: &Aside) -> Result<Option<PathBuf>, StoreError> {
        let (dir, name) = match what {
            Aside::Record(id) => (self.open_dir("records")?, id.to_string()),
            Aside::NameFile(file) => (self.open_dir("names")?, file.clone()),
            Aside::Cache(file) => (self.open_dir("cache")?, file.clone()),
            Aside::Publication(id) => (self.open_dir(PUBLICATIONS)?, id.to_string()),
            Aside::Blob(digest) => (self.open_blobs(digest.algorithm())?, digest.hex()),
        };
        let (Some(dir), Some(root)) = (dir, self.open_root()?) else { return Ok(None) };
        let path = self.root.join(LOST);
        let lost = root.make_dir(LOST).map_err(|failure| unreadable(path.clone(), failure))?;
        let kind = match what {
            Aside::Record(_) => "record",
            Aside::NameFile(_) => "name",
            Aside::Cache(_) => "cache",
            Aside::Publication(_) => "publication",
            Aside::Blob(_) => "blob",
        };
        let chance: String = random_name()?.chars().take(8).collect();
        let short: String = name.chars().take(200).collect();
        let new = format!("{kind}-{short}.{chance}");
        dir.move_to(&name, &lost, &new).map_err(|error| StoreError::Io("move", path.join(&new), error))?;
        let synced = lost.sync().and_then(|()| dir.sync());
        synced.map_err(|error| StoreError::NotDurable(path.clone(), error))?;
        Ok(Some(path.join(new)))
    }

    /// The records in `lost+found`.
    pub(super) fn lost_records(&self) -> Result<Vec<PathBuf>, StoreError> {
        let Some(root) = self.open_root()? else { return Ok(Vec::new()) };
        let Some(lost) = Place { dir: root, path: self.root.clone() }.place(LOST)? else {
            return Ok(Vec::new());
        };
        let mut records = Vec::new();
        for name in lost.names()? {
            let name = name?;
            if name.to_str().is_some_and(|name| name.starts_with("record-")) {
                records.push(lost.path.join(name));
            }
        }
        Ok(records)
    }

    /// How many files and directories there are, the directory of the store among them.
    pub(super) fn count_inodes(&self) -> Result<u64, StoreError> {
        match self.open_root()? {
            Some(dir) => Place { dir, path: self.root.clone() }.count(DEPTH),
            None => Ok(0),
        }
    }
}

/// How deep a store is: what lies deeper is not ours.
const DEPTH: usize = 3;

impl Place {
    fn place(&self, name: &str) -> Result<Option<Self>, StoreError> {
        let path = self.path.join(name);
        // What is no directory is told by who looks at this one.
        Ok(self.dir.dir(name).ok().map(|dir| Self { dir, path }))
    }

    fn count(&self, depth: usize) -> Result<u64, StoreError> {
        let mut count = 1;
        for name in self.names()? {
            let name = name?;
            let Some(stat) = self.stat(&name)? else { continue };
            let below = name.to_str().filter(|_| stat.kind == FileKind::Directory && depth > 0);
            count += match below.and_then(|name| self.dir.dir(name).ok()) {
                Some(dir) => Self { dir, path: self.path.join(&name) }.count(depth - 1)?,
                None => 1,
            };
        }
        Ok(count)
    }
}

/// Whether a file of this name belongs into a directory.
fn belongs(dir: &str, file: &str) -> bool {
    match dir {
        "records" => file.parse::<RecordId>().is_ok(),
        PUBLICATIONS => file.parse::<PublicationId>().is_ok(),
        "locks" => {
            file == "pool"
                || ["record-", "name-", "publication-", "tag-"].iter().any(|kind| file.starts_with(kind))
        }
        INTAKES => file.len() == 32 && crate::id::is_hex(file),
        _ => !file.starts_with('.'),
    }
}

/// Looks at each thing in a directory; `expected` tells what has to stand under a name, if anything.
fn look(
    place: &Place,
    strays: &mut Vec<Stray>,
    expected: impl Fn(&str) -> Option<FileKind>,
) -> Result<(), StoreError> {
    for name in place.names()? {
        let name = name?;
        let Some(stat) = place.stat(&name)? else { continue };
        let (what, is_damage) = match judge(&name, &stat, &expected) {
            Some(found) => found,
            None => continue,
        };
        strays.push(Stray { path: place.path.join(&name), what, is_damage });
    }
    Ok(())
}

fn judge(name: &OsStr, stat: &Stat, expected: impl Fn(&str) -> Option<FileKind>) -> Option<(String, bool)> {
    let kind = stat.kind.as_str();
    let text = name.to_str().unwrap_or_default();
    match expected(text) {
        Some(wanted) if wanted != stat.kind => {
            Some((format!("it is {kind} and should be {}", wanted.as_str()), true))
        }
        // Those who left them are looked for elsewhere.
        None if text.starts_with(TEMPORARY) && stat.kind == FileKind::Regular => None,
        None => Some((format!("it is {kind} that does not belong here"), false)),
        Some(_) if stat.is_open_to_others => Some(("others than its owner may use it".to_owned(), false)),
        Some(_) => None,
    }
}
