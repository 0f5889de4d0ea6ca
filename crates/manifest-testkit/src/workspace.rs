//! A directory for a run of a program under test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::ran::Ran;

/// A directory with a home, a store and an environment that knows of nothing else.
///
/// ```no_run
/// # use manifest_testkit::Workspace;
/// # let binary = "manifest";
/// // A test of the command line writes env!("CARGO_BIN_EXE_manifest") for the program.
/// let workspace = Workspace::new();
/// workspace.run(binary, ["create", "app:v1"]).ok();
/// ```
#[derive(Debug)]
pub struct Workspace {
    dir: TempDir,
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

impl Workspace {
    /// Makes an empty workspace.
    ///
    /// # Panics
    /// If the directories cannot be made.
    pub fn new() -> Self {
        let workspace = Self { dir: TempDir::new().expect("a temporary directory") };
        for (_, dir) in workspace.env() {
            std::fs::create_dir_all(dir).expect("a directory");
        }
        workspace
    }

    /// The directory; programs run in it.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The home directory.
    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// Where the store of image lists will be, `$XDG_DATA_HOME/manifest`; it does not exist at first.
    pub fn store(&self) -> PathBuf {
        self.path().join("home/.local/share/manifest")
    }

    /// The directory of the containers' configuration files, `$XDG_CONFIG_HOME/containers`.
    pub fn containers_config(&self) -> PathBuf {
        self.path().join("home/.config/containers")
    }

    /// Writes a file, its directory too; returns its path.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(relative);
        let dir = path.parent().expect("a file has a directory");
        std::fs::create_dir_all(dir).expect("a directory");
        std::fs::write(&path, content)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }

    /// The environment of a program: home and the XDG directories, each of them existing.
    pub fn env(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("HOME", self.home()),
            ("XDG_CONFIG_HOME", self.path().join("home/.config")),
            ("XDG_DATA_HOME", self.path().join("home/.local/share")),
            ("XDG_STATE_HOME", self.path().join("home/.local/state")),
            ("XDG_CACHE_HOME", self.path().join("home/.cache")),
            ("XDG_RUNTIME_DIR", self.path().join("run")),
            ("TMPDIR", self.path().join("tmp")),
        ]
    }

    /// A command that runs in this workspace, with nothing in its environment but
    /// [`env`](Self::env) and `PATH`.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(self.env());
        command.current_dir(self.path());
        command
    }

    /// Runs a program with these arguments.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn run<I>(&self, program: impl AsRef<OsStr>, arguments: I) -> Ran
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        Ran::of(self.command(program).args(arguments))
    }
}
