//! Other people's programs.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::ran::Ran;

/// The Debian package of each program whose package has another name.
const PACKAGES: &[(&str, &str)] = &[
    ("htpasswd", "apache2-utils"),
    ("gpg", "gnupg"),
    ("node", "nodejs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("chattr", "e2fsprogs"),
    ("prlimit", "util-linux"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
];

/// Where the programs of the administrator are, which not every `PATH` names.
const SBIN: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The path of a program that a test needs.
///
/// # Panics
/// If it is not installed, with the command that installs it: a test never skips itself.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(SBIN.map(PathBuf::from));
    let found = dirs.map(|dir| dir.join(name)).find(|file| file.is_file());
    let package = PACKAGES.iter().find(|(program, _)| *program == name).map_or(name, |(_, package)| package);
    found.unwrap_or_else(|| panic!("this test needs {name}: apt-get install {package}"))
}

/// skopeo, buildah or podman in a home of its own: own policy (accepts anything), own registries, own
/// storage, so that tests can run side by side and leave nothing behind but one thing: podman and
/// buildah, run by root, note where blobs were seen in the machine's own cache below `/var/lib`.
///
/// ```no_run
/// # use manifest_testkit::Tool;
/// let buildah = Tool::new("buildah");
/// let podman = buildah.sibling("podman"); // the same storage
/// buildah.run(["manifest", "create", "app:v1"]).ok();
/// podman.run(["manifest", "inspect", "app:v1"]).ok();
/// ```
#[derive(Clone, Debug)]
pub struct Tool {
    name: String,
    program: PathBuf,
    driver: String,
    dir: Arc<TempDir>,
}

impl Tool {
    /// Finds the program and makes its home. Storage uses the `vfs` driver.
    ///
    /// # Panics
    /// If the program is not installed, or the home cannot be made.
    pub fn new(name: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let tool = Self {
            name: name.to_owned(),
            program: program(name),
            driver: "vfs".to_owned(),
            dir: Arc::new(dir),
        };
        let config = tool.config();
        for dir in [&config.join("registries.d"), &tool.root(), &tool.runroot(), &tool.path("tmp")] {
            fs::create_dir_all(dir).expect("a directory");
        }
        fs::write(tool.policy(), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).expect("a policy");
        fs::write(config.join("registries.conf"), "unqualified-search-registries = []\n").expect("a file");
        tool.write_storage_conf();
        tool
    }

    /// Uses another storage driver, such as `overlay`.
    pub fn driver(mut self, driver: &str) -> Self {
        self.driver = driver.to_owned();
        self.write_storage_conf();
        self
    }

    /// Another program with the same home and storage.
    pub fn sibling(&self, name: &str) -> Self {
        Self { name: name.to_owned(), program: program(name), ..self.clone() }
    }

    /// The home directory.
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// The directory of configuration files, `$HOME/.config/containers`.
    pub fn config(&self) -> PathBuf {
        self.path("home/.config/containers")
    }

    /// The file of the policy.
    pub fn policy(&self) -> PathBuf {
        self.config().join("policy.json")
    }

    /// The graph root of the storage.
    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// The run root of the storage.
    pub fn runroot(&self) -> PathBuf {
        self.path("runroot")
    }

    /// The environment that makes any program of the family use this home and storage.
    pub fn env(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("HOME", self.home()),
            ("XDG_CONFIG_HOME", self.path("home/.config")),
            ("XDG_DATA_HOME", self.path("home/.local/share")),
            ("XDG_RUNTIME_DIR", self.runroot()),
            ("TMPDIR", self.path("tmp")),
            ("CONTAINERS_STORAGE_CONF", self.config().join("storage.conf")),
            ("CONTAINERS_REGISTRIES_CONF", self.config().join("registries.conf")),
        ]
    }

    /// A command of the program, with nothing in its environment but this and `PATH`, and with the
    /// options that name the storage.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(self.env());
        match self.name.as_str() {
            "skopeo" => {
                command.arg("--policy").arg(self.policy());
                // Run by root, skopeo shares one cache of blob locations with the whole machine; with
                // this it takes the one below the home, as it does for other users.
                command.env("_CONTAINERS_ROOTLESS_UID", "1000");
                command.arg("--registries.d").arg(self.config().join("registries.d"));
            }
            "buildah" | "podman" => {
                command.arg("--root").arg(self.root()).arg("--runroot").arg(self.runroot());
                command.args(["--storage-driver", &self.driver]);
            }
            _ => {}
        }
        command
    }

    /// Runs the program with these arguments.
    pub fn run<I>(&self, arguments: I) -> Ran
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        Ran::of(self.command().args(arguments))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write_storage_conf(&self) {
        let quoted = |path: &Path| format!("{:?}", path.to_str().expect("a path in UTF-8"));
        let text = format!(
            "[storage]\ndriver = {:?}\ngraphroot = {}\nrunroot = {}\n",
            self.driver,
            quoted(&self.root()),
            quoted(&self.runroot())
        );
        fs::write(self.config().join("storage.conf"), text).expect("a configuration of the storage");
    }
}

#[cfg(test)]
mod tests {
    use super::program;

    #[test]
    #[should_panic(expected = "apt-get install no-such-program")]
    fn a_missing_program_is_a_failure_that_says_what_to_install() {
        program("no-such-program");
    }
}
