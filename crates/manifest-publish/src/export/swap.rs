//! Two directories that change places.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Puts `new` in the place of what stands at `place`, and tells where that is then: where `new` was, or at `spare`, which must
/// be on the same file system.
///
/// In one step where the system has one. Else there is a moment in which nothing stands at the place; when that is not
/// what it ends with, the old one is put back.
pub(super) fn swap(new: &Path, place: &Path, spare: &Path) -> io::Result<PathBuf> {
    swap_by(exchange, new, place, spare)
}

fn swap_by(
    exchange: impl Fn(&Path, &Path) -> io::Result<()>,
    new: &Path,
    place: &Path,
    spare: &Path,
) -> io::Result<PathBuf> {
    match exchange(new, place) {
        Ok(()) => return Ok(new.to_owned()),
        // What some file systems say of a flag that they do not know.
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => {}
        Err(error) => return Err(error),
    }
    fs::rename(place, spare)?;
    match fs::rename(new, place) {
        Ok(()) => Ok(spare.to_owned()),
        Err(error) => {
            // Should this fail too, the old one is at the spare place.
            fs::rename(spare, place)?;
            Err(error)
        }
    }
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Exchange = fn(&Path, &Path) -> io::Result<()>;

    const WAYS: [Exchange; 3] = [
        exchange,
        |_, _| Err(io::ErrorKind::Unsupported.into()),
        |_, _| Err(io::ErrorKind::InvalidInput.into()),
    ];

    /// A directory with directories in it, each with a file of its own name.
    fn dir(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::File::create(dir.path().join(name).join(name)).unwrap();
        }
        dir
    }

    #[test]
    fn the_new_one_takes_the_place_and_the_old_one_is_still_there() {
        for way in WAYS {
            let dir = dir(&["new", "place"]);
            let at = |name: &str| dir.path().join(name);
            let old = swap_by(way, &at("new"), &at("place"), &at("spare")).unwrap();
            assert!(at("place/new").exists() && old.join("place").exists());
            swap_by(way, &old, &at("place"), &at("back")).unwrap();
            assert!(at("place/place").exists());
        }
    }

    #[test]
    fn the_old_one_stays_when_the_new_one_cannot_take_its_place() {
        for way in WAYS {
            let dir = dir(&["place"]);
            let at = |name: &str| dir.path().join(name);
            let refused = swap_by(way, &at("gone"), &at("place"), &at("spare")).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::NotFound);
            assert!(at("place/place").exists());
        }
    }
}
