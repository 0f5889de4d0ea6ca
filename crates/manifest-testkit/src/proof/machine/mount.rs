//! Mounts that go away with what they are for.

use std::fs;
use std::path::{Path, PathBuf};

use super::system;

/// A file system that is unmounted when this is dropped.
pub(super) struct Mount(PathBuf);

impl Mount {
    pub(super) fn tmpfs(dir: &Path, options: &str) -> Self {
        make(&[dir]);
        system(&["mount", "-t", "tmpfs", "-o", options, "tmpfs", &dir.to_string_lossy()]);
        Self(dir.to_owned())
    }

    /// Another view of a file or directory, in the place of one that is there.
    pub(super) fn bind(of: &Path, on: &Path) -> Self {
        system(&["mount", "--bind", &of.to_string_lossy(), &on.to_string_lossy()]);
        Self(on.to_owned())
    }

    /// Another view of a directory, through which nothing can be written.
    pub(super) fn readonly(of: &Path, dir: &Path) -> Self {
        make(&[dir]);
        let mount = Self::bind(of, dir);
        system(&["mount", "-o", "remount,bind,ro", &dir.to_string_lossy()]);
        mount
    }

    /// A view of a directory whose changes go to `upper`, a directory with room for its own; without one nothing can
    /// be written.
    pub(super) fn overlay(lower: &Path, upper: Option<&Path>, dir: &Path) -> Self {
        let options = match upper {
            Some(upper) => {
                let (changes, work) = (upper.join("changes"), upper.join("work"));
                make(&[dir, &changes, &work]);
                let [lower, upper, work] = [lower, &changes, &work].map(Path::display);
                format!("lowerdir={lower},upperdir={upper},workdir={work}")
            }
            None => {
                let nothing = dir.with_extension("nothing");
                make(&[dir, &nothing]);
                format!("lowerdir={}:{}", nothing.display(), lower.display())
            }
        };
        system(&["mount", "-t", "overlay", "-o", &options, "overlay", &dir.to_string_lossy()]);
        Self(dir.to_owned())
    }
}

fn make(dirs: &[&Path]) {
    dirs.iter().for_each(|dir| fs::create_dir_all(dir).expect("a directory"));
}

impl Drop for Mount {
    fn drop(&mut self) {
        let umount = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
        umount.expect("umount");
    }
}
