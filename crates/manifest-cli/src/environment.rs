//! What the program is told besides its arguments.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use manifest_transport::config::{ConfigError, SignatureStores};

/// Variables and circumstances of a run, gathered in one place so that tests can make their own.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct Environment {
    /// The variables.
    pub variables: BTreeMap<OsString, OsString>,
    /// Whether standard error is a terminal, so that progress can be drawn there.
    pub terminal: bool,
    /// Whether standard input is a terminal, so that somebody can be asked.
    pub asks: bool,
    /// The user's number, for the runtime directory of containers' tools.
    pub uid: Option<u32>,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            terminal: std::io::stderr().is_terminal(),
            asks: std::io::stdin().is_terminal(),
            uid: uid(),
        }
    }

    /// A variable that is set to something.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.get_even_empty(name).filter(|value| !value.is_empty())
    }

    /// A variable that is set, if to nothing.
    pub(crate) fn get_even_empty(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// The place of the store when nobody names one.
    pub(crate) fn store(&self) -> Option<OsString> {
        // A relative XDG_DATA_HOME is invalid by its specification and counts as not set.
        let data = self.path("XDG_DATA_HOME").filter(|path| path.is_absolute());
        let data = data.or_else(|| Some(self.path("HOME")?.join(".local/share")));
        self.get("MANIFEST_STORE").map(OsStr::to_owned).or_else(|| Some(data?.join("manifest").into()))
    }

    /// A file below the directory of the user's settings.
    pub(crate) fn config(&self, file: &str) -> Option<PathBuf> {
        // As for the place of the store, a relative directory counts as not set.
        let directory = self.path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        Some(directory.or_else(|| Some(self.path("HOME")?.join(".config")))?.join(file))
    }

    /// The variables that are text and set to something, for the clients of the clouds.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (String, String)> {
        let text = |(name, value): (&OsString, &OsString)| {
            Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()))
        };
        self.variables.iter().filter_map(text).filter(|(_, value)| !value.is_empty())
    }

    /// What decides where simple signatures are kept.
    pub(crate) fn signatures(&self) -> manifest_transport::SignatureEnvironment {
        let (home, is_root) = (self.path("HOME"), self.uid == Some(0));
        manifest_transport::SignatureEnvironment { registries_d: None, home, is_root }
    }

    /// Where simple signatures are kept by the files in a directory that the user named.
    pub(crate) fn signature_stores(&self, directory: &Path) -> Result<SignatureStores, ConfigError> {
        let registries_d = Some(directory.to_owned());
        SignatureStores::find(&manifest_transport::SignatureEnvironment { registries_d, ..self.signatures() })
    }

    /// What decides where logins are looked for.
    pub(crate) fn logins(&self) -> manifest_transport::auth::Environment {
        manifest_transport::auth::Environment {
            xdg_runtime_dir: self.path("XDG_RUNTIME_DIR"),
            xdg_config_home: self.path("XDG_CONFIG_HOME"),
            home: self.path("HOME"),
            docker_config: self.path("DOCKER_CONFIG"),
            registry_auth_file: self.path("REGISTRY_AUTH_FILE"),
            docker_auth_config: self.get("DOCKER_AUTH_CONFIG").and_then(OsStr::to_str).map(Into::into),
            uid: self.uid,
            path: self.get("PATH").map(OsStr::to_owned),
        }
    }
}

#[cfg(unix)]
fn uid() -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    // The owner of our own entry in /proc is who we are; spares a system-call crate.
    std::fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}

#[cfg(not(unix))]
fn uid() -> Option<u32> {
    None
}
