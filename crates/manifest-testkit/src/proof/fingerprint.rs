//! What lies on a disk, so that one can see whether anybody touched it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use manifest_core::Digest;

/// What stands at each path below a directory, the directory itself included; links are not followed.
pub(super) fn of_tree(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::from([(dir.to_owned(), of(dir))]);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all.extend(of_tree(&entry.path()));
        } else {
            all.insert(entry.path(), of(&entry.path()));
        }
    }
    all
}

/// What stands at a path: kind, mode and content.
pub(super) fn of(path: &Path) -> String {
    let Ok(found) = fs::symlink_metadata(path) else { return "nothing".to_owned() };
    let (kind, mode) = (found.file_type(), found.permissions().mode());
    let content = if kind.is_symlink() {
        format!("link to {:?}", fs::read_link(path))
    } else if kind.is_dir() {
        "directory".to_owned()
    } else if kind.is_fifo() {
        "pipe".to_owned()
    } else {
        fs::read(path).map_or_else(|error| error.to_string(), |bytes| Digest::sha256(&bytes).to_string())
    };
    format!("{mode:o} {content}")
}

/// What differs between two trees, in words.
pub(super) fn difference(before: &BTreeMap<PathBuf, String>, after: &BTreeMap<PathBuf, String>) -> String {
    let of = |tree: &BTreeMap<PathBuf, String>, path: &Path| {
        tree.get(path).cloned().unwrap_or_else(|| "nothing".to_owned())
    };
    let mut paths: Vec<&PathBuf> = before.keys().chain(after.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    let lines =
        changed.map(|path| format!("{}: {} became {}", path.display(), of(before, path), of(after, path)));
    lines.collect::<Vec<_>>().join("\n")
}
