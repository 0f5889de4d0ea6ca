//! Removing blobs, and the temporary files of writers that are gone.
//!
//! Everything is removed by its name within an open directory, so that nobody can lead us elsewhere meanwhile.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use manifest_core::{Algorithm, Digest};

use super::blob::INTAKES;
use super::intake::TEMPORARY;
use super::{Local, PUBLICATIONS, unreadable};
use crate::backend::{Leftover, MarkBlobs, Plan, Swept, Touch};
use crate::files::ReadFailure;
use crate::files::dir::{Dir, File, FileKind, Owner, Stat, owner};
use crate::gc::Marks;
use crate::lock::{Attempt, Guard, Sharing, try_look};
use crate::{PublicationId, RecordId, StoreError};

/// The algorithms whose blobs are kept.
pub(super) const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

/// The lock of the thing with this file name, under which it is written, if there can be one.
type LockOf = fn(&str) -> Option<String>;

/// The longest file name of a name.
const LONGEST_NAME: usize = 200;

impl Local {
    pub(super) fn sweep_files(&self, plan: &Plan, mark: MarkBlobs<'_>) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        let pins = self.read_intakes(plan, &mut swept.leftovers)?;
        let marks = mark(pins)?;
        for algorithm in ALGORITHMS {
            if let Some(dir) = self.open_blobs(algorithm)? {
                let dir = Place { dir, path: self.blob_dir(algorithm) };
                sweep_dir(&dir, algorithm, plan, marks.as_ref(), &mut swept)?;
            }
        }
        Ok(swept)
    }

    /// What those rely on who are still there; the files of the others go.
    fn read_intakes(&self, plan: &Plan, leftovers: &mut Vec<Leftover>) -> Result<Vec<Digest>, StoreError> {
        let Some(dir) = self.open_dir(INTAKES)? else { return Ok(Vec::new()) };
        let place = Place { dir, path: self.root.join(INTAKES) };
        let mut pins = Vec::new();
        for name in place.names()? {
            let name = name?;
            let Some((mut file, size)) = place.open_ours(&name)? else { continue };
            if place.is_owned(&file, &name, plan)? {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(|error| place.refused("read", &name, error))?;
                pins.extend(text.lines().filter_map(|line| line.parse::<Digest>().ok()));
            } else {
                place.remove(&name, size, plan, leftovers)?;
            }
        }
        Ok(pins)
    }

    pub(super) fn tidy_files(&self, plan: &Plan) -> Result<Vec<Leftover>, StoreError> {
        let mut leftovers = Vec::new();
        // What is written beside records, names and publications is written under their locks.
        let locks: [(_, LockOf); 4] = [
            ("records", record_lock),
            ("names", name_lock),
            ("cache", no_lock),
            (PUBLICATIONS, publication_lock),
        ];
        for (name, lock) in locks {
            if let Some(dir) = self.open_dir(name)? {
                let place = Place { dir, path: self.root.join(name) };
                self.tidy_dir(&place, plan, lock, &mut leftovers)?;
            }
        }
        if let Some(dir) = self.open_root()? {
            self.tidy_dir(&Place { dir, path: self.root.clone() }, plan, no_lock, &mut leftovers)?;
        }
        // Elsewhere a waiter cannot tell a lock that was removed from the one that came after it.
        if plan.touch == Touch::Remove && cfg!(unix) {
            self.drop_locks(Some("records"), "record-", record_lock)?;
            self.drop_locks(Some("names"), "name-", name_lock)?;
            self.drop_locks(Some(PUBLICATIONS), "publication-", publication_lock)?;
            // Tags are elsewhere.
            self.drop_locks(None, "tag-", tag_lock)?;
        }
        Ok(leftovers)
    }

    /// Removes the locks of what is gone, while it has them. Who opened one before finds after locking it that it is not
    /// in its place any more, and makes a new one; a lock that somebody has stays.
    fn drop_locks(&self, things: Option<&str>, prefix: &str, lock: LockOf) -> Result<(), StoreError> {
        let opened = things.map(|things| self.open_dir(things)).transpose()?.flatten();
        let Some(dir) = self.open_dir("locks")?.filter(|_| things.is_none() || opened.is_some()) else {
            return Ok(());
        };
        let place = Place { dir, path: self.locks() };
        for name in place.names()?.collect::<Result<Vec<_>, _>>()? {
            let thing = name.to_str().and_then(|name| name.strip_prefix(prefix));
            let Some(thing) = thing.filter(|thing| lock(thing).is_some()) else { continue };
            let is_gone = || match opened.as_ref().map(|things| things.stat(thing)).transpose() {
                Ok(stat) => Ok(stat.flatten().is_none()),
                Err(error) => Err(place.refused("read what is locked by", &name, error)),
            };
            if is_gone()?
                && place.stat(&name)?.is_some_and(|stat| stat.kind == FileKind::Regular)
                && let Attempt::Held(_guard) = self.files.lock(&place.path.join(&name), "")?
                && is_gone()?
            {
                place.dir.remove(&name).map_err(|error| place.refused("remove", &name, error))?;
            }
        }
        Ok(())
    }

    fn tidy_dir(
        &self,
        place: &Place,
        plan: &Plan,
        lock: LockOf,
        leftovers: &mut Vec<Leftover>,
    ) -> Result<(), StoreError> {
        for name in place.names()? {
            let name = name?;
            let Some(label) = name.to_str().and_then(|name| name.strip_prefix(TEMPORARY)) else { continue };
            let Some(stat) = place.stat(&name)?.filter(|stat| stat.kind == FileKind::Regular) else {
                continue;
            };
            if plan.touch == Touch::Look {
                leftovers.push(Leftover { path: place.path.join(&name), size: stat.size });
                continue;
            }
            let lock = lock(label.rsplit_once('-').map_or(label, |(label, _)| label));
            let plan = match lock {
                Some(_) => plan.for_temporary(),
                // Nothing but time tells of a file without a lock.
                None => Plan { grace: crate::backend::A_DAY, ..*plan },
            };
            if !plan.is_old(stat.modified) {
                continue;
            }
            let _guard = match lock {
                Some(lock) => match self.free_lock(&lock, plan.touch)? {
                    Some(guard) => Some(guard),
                    None => continue,
                },
                None => None,
            };
            // Whoever had the lock may have given the file its name, or removed it.
            if place.stat(&name)?.is_some() {
                place.remove(&name, stat.size, &plan, leftovers)?;
            }
        }
        Ok(())
    }

    /// A lock, if nobody has it.
    fn free_lock(&self, lock: &str, touch: Touch) -> Result<Option<Guard>, StoreError> {
        let path = self.locks().join(lock);
        let attempt = match touch {
            Touch::Remove => Some(self.files.lock(&path, "")?),
            Touch::Look | Touch::DryRun => try_look(&path, Sharing::Alone)?,
        };
        Ok(match attempt {
            Some(Attempt::Held(guard)) => Some(guard),
            Some(Attempt::Busy(_)) => None,
            None => Some(Guard::new(())),
        })
    }
}

/// The lock of what is written beside a record.
fn record_lock(label: &str) -> Option<String> {
    label.parse::<RecordId>().ok().map(|id| format!("record-{id}"))
}

/// The lock of what is written beside a name.
fn name_lock(label: &str) -> Option<String> {
    is_escaped(label).then(|| format!("name-{label}"))
}

/// The lock of what is written beside a publication.
fn publication_lock(label: &str) -> Option<String> {
    label.parse::<PublicationId>().ok().map(|id| format!("publication-{id}"))
}

/// The lock of a tag.
fn tag_lock(label: &str) -> Option<String> {
    is_escaped(label).then(|| format!("tag-{label}"))
}

fn no_lock(_: &str) -> Option<String> {
    None
}

/// Whether this can be the file name of a name.
fn is_escaped(file: &str) -> bool {
    let is_kept = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    let is_plain = |text: &str| {
        let mut parts = text.split('%');
        let first = parts.next().unwrap_or_default();
        first.bytes().all(is_kept)
            && parts.all(|part| {
                part.split_at_checked(2)
                    .is_some_and(|(digits, rest)| crate::id::is_hex(digits) && rest.bytes().all(is_kept))
            })
    };
    if file.is_empty() || file.len() > LONGEST_NAME {
        return false;
    }
    match file.split_once("%%") {
        // The beginning of a long name may end within what stands for a byte.
        Some((kept, hash)) => {
            is_hash(Algorithm::Sha256, hash) && kept.bytes().all(|byte| is_kept(byte) || byte == b'%')
        }
        None => is_plain(file),
    }
}

fn sweep_dir(
    place: &Place,
    algorithm: Algorithm,
    plan: &Plan,
    marks: Option<&Marks>,
    swept: &mut Swept,
) -> Result<(), StoreError> {
    for name in place.names()? {
        let name = name?;
        let text = name.to_str().unwrap_or_default();
        if text.starts_with(TEMPORARY) {
            if let Some((file, size)) = place.open_ours(&name)?
                && !place.is_owned(&file, &name, plan)?
            {
                place.remove(&name, size, plan, &mut swept.leftovers)?;
            }
            continue;
        }
        if is_hash(algorithm, text)
            && let Some(stat) = place.stat(&name)?.filter(|stat| stat.kind == FileKind::Regular)
        {
            let is_needed = marks.is_none_or(|marks| marks.has(algorithm, text));
            if is_needed || !plan.is_old(stat.modified) {
                swept.kept = (swept.kept.0 + 1, swept.kept.1 + stat.size);
                continue;
            }
            if plan.touch == Touch::Remove {
                place.dir.remove(&name).map_err(|error| place.refused("remove", &name, error))?;
            }
            swept.removed = (swept.removed.0 + 1, swept.removed.1 + stat.size);
        }
    }
    Ok(())
}

/// Whether this can be the name of a blob.
pub(super) fn is_hash(algorithm: Algorithm, name: &str) -> bool {
    name.len() == algorithm.hex_len() && crate::id::is_hex(name)
}

/// An open directory, and its path for messages.
pub(super) struct Place {
    pub(super) dir: Dir,
    pub(super) path: PathBuf,
}

impl Place {
    pub(super) fn refused(&self, what: &'static str, name: &OsStr, error: io::Error) -> StoreError {
        StoreError::Io(what, self.path.join(name), error)
    }

    pub(super) fn names(
        &self,
    ) -> Result<impl Iterator<Item = Result<std::ffi::OsString, StoreError>>, StoreError> {
        let failed = |error| StoreError::Io("list", self.path.clone(), error);
        Ok(self.dir.names().map_err(failed)?.map(move |name| name.map_err(failed)))
    }

    pub(super) fn stat(&self, name: &OsStr) -> Result<Option<Stat>, StoreError> {
        self.dir.stat(Path::new(name)).map_err(|error| self.refused("read", name, error))
    }

    /// Opens a regular file, and tells its size; what is none is passed over.
    fn open_ours(&self, name: &OsStr) -> Result<Option<(File, u64)>, StoreError> {
        let Some(text) = name.to_str() else { return Ok(None) };
        match self.dir.read(text) {
            Ok(file) => {
                let size = file.metadata().map_err(|error| self.refused("read", name, error))?.len();
                Ok(Some((file, size)))
            }
            Err(ReadFailure::Missing | ReadFailure::NotAFile) => Ok(None),
            Err(failure) => Err(unreadable(self.path.join(name), failure)),
        }
    }

    /// Whether somebody keeps a file locked. Asking takes a lock, too, and who asks keeps everybody else from making files
    /// meanwhile; who just looks does not.
    fn is_owned(&self, file: &File, name: &OsStr, plan: &Plan) -> Result<bool, StoreError> {
        if plan.touch == Touch::Look {
            return Ok(false);
        }
        let owner = owner(file).map_err(|error| self.refused("lock", name, error))?;
        Ok(matches!(owner, Owner::Alive))
    }

    fn remove(
        &self,
        name: &OsStr,
        size: u64,
        plan: &Plan,
        leftovers: &mut Vec<Leftover>,
    ) -> Result<(), StoreError> {
        if plan.touch == Touch::Remove {
            self.dir.remove(name).map_err(|error| self.refused("remove", name, error))?;
        }
        leftovers.push(Leftover { path: self.path.join(name), size });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::name_file;

    #[test]
    fn only_what_can_be_the_file_of_a_name_has_its_lock() {
        let long = |fill: &str| format!("{}/{}:{}", "h".repeat(60), "p".repeat(190), fill.repeat(100));
        for name in ["app", "app:v1_A-b", "[::1]:5000/a/b:1", &long("a"), &long("A")] {
            assert!(is_escaped(&name_file(&name.parse().unwrap())), "{name}");
        }
        let cut = format!("{}%4%%{}", "h".repeat(98), "0".repeat(64));
        assert!(is_escaped(&cut));
        for bad in ["", "App", "a/b", "a%", "a%4", "a%4G", "a%4é", "a b", "a%%00", &"a".repeat(201)] {
            assert!(!is_escaped(bad), "{bad}");
        }
    }
}
