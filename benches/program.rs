//! The programs that are measured, and what each needs around it.

use std::path::{Path, PathBuf};
use std::process::Command;

use manifest_testkit::{Ran, Tool, Workspace};

use crate::job::Step;

/// The program under test, built as it is shipped.
pub(crate) const MANIFEST: &str = env!("CARGO_BIN_EXE_manifest");

/// The peers, and how each is asked for its version.
pub(crate) const PEERS: &[(&str, &[&str])] = &[
    ("buildah", &["--version"]),
    ("skopeo", &["--version"]),
    ("oras", &["version"]),
    ("crane", &["version"]),
    ("regctl", &["version"]),
    ("curl", &["--version"]),
];

/// The path of a program, if it is on the `PATH`.
pub(crate) fn found(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Those of these programs that are not here.
pub(crate) fn missing(names: &[&'static str]) -> Vec<&'static str> {
    names.iter().copied().filter(|name| found(name).is_none()).collect()
}

/// `manifest` with a home and a store of its own, both empty at first.
#[derive(Debug, Default)]
pub(crate) struct Ours(Workspace);

impl Ours {
    pub(crate) fn step(&self, arguments: &[&str]) -> Step {
        Step::from(self.0.command(MANIFEST).args(arguments))
    }

    /// Runs it unmeasured.
    pub(crate) fn run(&self, arguments: &[&str]) {
        self.0.run(MANIFEST, arguments).ok();
    }

    /// Writes a file into its directory; the path.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        self.0.write(name, content)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.0.store()
    }
}

/// buildah with a home and a storage of its own.
#[derive(Debug)]
pub(crate) struct Buildah(Tool);

impl Buildah {
    pub(crate) fn new() -> Self {
        Self(Tool::new("buildah"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.0.command();
        // With this, root too has its cache of blob locations below its home, and not one with the machine.
        command.env("_CONTAINERS_ROOTLESS_UID", "1000").arg("manifest").args(arguments);
        command
    }

    /// `buildah manifest` with these arguments.
    pub(crate) fn step(&self, arguments: &[&str]) -> Step {
        Step::from(&mut self.command(arguments))
    }

    /// Runs it unmeasured.
    pub(crate) fn run(&self, arguments: &[&str]) {
        Ran::of(&mut self.command(arguments)).ok();
    }

    pub(crate) fn storage(&self) -> PathBuf {
        self.0.root()
    }

    /// Makes it forget where it has seen which blob, as on a machine that has never pushed.
    pub(crate) fn forget_blobs(&self) {
        forget_blobs(&self.0);
    }
}

/// skopeo with a home of its own.
#[derive(Debug)]
pub(crate) struct Skopeo(Tool);

impl Skopeo {
    pub(crate) fn new() -> Self {
        Self(Tool::new("skopeo"))
    }

    /// A copy by a skopeo that knows of no blobs.
    pub(crate) fn cold_copy(&self, from: &str, to: &str) -> Step {
        forget_blobs(&self.0);
        let flags = ["copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"];
        Step::from(self.0.command().args(flags).arg(from).arg(to))
    }
}

fn forget_blobs(tool: &Tool) {
    let cache = tool.home().join(".local/share/containers/cache");
    if cache.exists() {
        std::fs::remove_dir_all(cache).expect("a cache that can be removed");
    }
}

/// A program that needs nothing but its arguments.
pub(crate) fn plain(name: &str, arguments: &[&str]) -> Step {
    let path = found(name).unwrap_or_else(|| panic!("{name} was on the PATH a moment ago"));
    let mut command = Command::new(path);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", std::env::temp_dir());
    Step::from(command.args(arguments))
}

/// Puts a copy of one directory in the place of another.
pub(crate) fn restore(saved: &Path, place: &Path) {
    if place.exists() {
        std::fs::remove_dir_all(place).expect("a directory that can be removed");
    }
    Ran::of(Command::new("cp").arg("-a").arg(saved).arg(place)).ok();
}
