//! Where the workspace lies.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;

/// The checkout that the task works on.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace that this program was started from by cargo.
    pub(crate) fn find() -> Result<Self, Failure> {
        // At run time first: a checkout that was moved after the build is still found.
        let crate_dir = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = crate_dir.join("../..");
        let root = root.canonicalize().map_err(Failure::file("find the workspace", &root))?;
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The cargo that started this program, in the root of the workspace.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root).args(arguments);
        // What `cargo run` sets for this package would make build scripts run again in every step.
        for (name, _) in std::env::vars_os() {
            if name
                .to_str()
                .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
            {
                command.env_remove(name);
            }
        }
        command
    }

    /// Whether cargo has the subcommand `name`, such as `nextest`.
    pub(crate) fn has_subcommand(&self, name: &str) -> bool {
        let output = self.cargo(&[name, "--version"]).output();
        output.is_ok_and(|output| output.status.success())
    }
}
