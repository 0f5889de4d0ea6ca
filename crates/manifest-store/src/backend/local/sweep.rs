//! Removing blobs, and the temporary files of writers that are gone.
//!
//! Everything is removed by its name within an open directory, so that nobody can lead us elsewhere meanwhile.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use manifest_core::{Algorithm, Digest};

use super::blob::INTAKES;
use super::intake::TEMPORARY;
use super::{Local, unreadable};
use crate::StoreError;
use crate::backend::{Leftover, MarkBlobs, Plan, Swept, Touch};
use crate::files::ReadFailure;
use crate::files::dir::{Dir, File, FileKind, Owner, Stat, owner};
use crate::gc::Marks;
use crate::lock::Attempt;

/// The algorithms whose blobs are kept.
pub(super) const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

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
        // What is written beside records and names is written under their locks.
        for (name, lock) in [("records", Some("record-")), ("names", Some("name-")), ("cache", None)] {
            if let Some(dir) = self.open_dir(name)? {
                let place = Place { dir, path: self.root.join(name) };
                self.tidy_dir(&place, plan, lock, &mut leftovers)?;
            }
        }
        if let Some(dir) = self.open_root()? {
            self.tidy_dir(&Place { dir, path: self.root.clone() }, plan, None, &mut leftovers)?;
        }
        Ok(leftovers)
    }

    fn tidy_dir(
        &self,
        place: &Place,
        plan: &Plan,
        lock: Option<&str>,
        leftovers: &mut Vec<Leftover>,
    ) -> Result<(), StoreError> {
        // Nothing but time tells of a file without a lock.
        let plan = match lock {
            Some(_) => plan.for_temporary(),
            None => Plan { grace: crate::backend::A_DAY, ..*plan },
        };
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
            if !plan.is_old(stat.modified) {
                continue;
            }
            let label = label.rsplit_once('-').map_or(label, |(label, _)| label);
            let _guard = match lock.map(|prefix| self.locks().join(format!("{prefix}{label}"))) {
                Some(path) => match self.files.lock(&path, "")? {
                    Attempt::Held(guard) => Some(guard),
                    Attempt::Busy(_) => continue,
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

    /// Whether somebody keeps a file locked. Asking is a lock, too, which who just looks does not take.
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
