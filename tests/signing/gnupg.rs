//! A home of GnuPG.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use manifest_testkit::{Ran, Workspace, program};

/// A home of GnuPG, whose agent is ended with it.
pub struct Gnupg(PathBuf);

impl Gnupg {
    pub fn new(workspace: &Workspace) -> Self {
        let home = workspace.path().join("gnupg");
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        Self(home)
    }

    pub fn home(&self) -> &Path {
        &self.0
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(program("gpg"));
        command.env("GNUPGHOME", &self.0).args(["--batch", "--no-tty", "--pinentry-mode", "loopback"]);
        command
    }

    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        Ran::of(self.command().args(arguments)).ok().to_owned()
    }

    /// Makes a key as people do; its fingerprint.
    #[track_caller]
    pub fn generate(&self, name: &str, algorithm: &str, passphrase: &str) -> String {
        let user = format!("{name} <{name}@example.com>");
        self.ok(&["--passphrase", passphrase, "--quick-gen-key", &user, algorithm, "sign", "never"]);
        let listed = self.ok(&["--with-colons", "--list-keys", &user]);
        let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    /// Writes the secret key, or its public half, to a file.
    #[track_caller]
    pub fn export(&self, what: &str, fingerprint: &str, passphrase: &str, to: &Path) {
        let to = to.display().to_string();
        self.ok(&["--passphrase", passphrase, "--yes", "--output", &to, what, fingerprint]);
    }

    /// Takes a key away again, so that only its file is left.
    #[track_caller]
    pub fn forget(&self, fingerprint: &str) {
        self.ok(&["--yes", "--delete-secret-keys", fingerprint]);
    }
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        let mut command = Command::new("gpgconf");
        command.env("GNUPGHOME", &self.0).args(["--kill", "all"]);
        drop(command.stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
}
