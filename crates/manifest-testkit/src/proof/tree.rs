//! Directories as a whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Copies a directory with everything in it; times and owners are new.
///
/// # Panics
/// If something cannot be read or written.
pub(super) fn copy(from: &Path, to: &Path) {
    try_copy(from, to).unwrap_or_else(|error| panic!("cannot copy {}: {error}", from.display()));
}

/// As [`copy`], for a place that may be too small.
pub(super) fn try_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            try_copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// All files below a directory.
pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// The temporary files below a directory.
pub(super) fn temporary(dir: &Path) -> Vec<PathBuf> {
    let is_temporary =
        |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".tmp-"));
    files(dir).into_iter().filter(is_temporary).collect()
}
