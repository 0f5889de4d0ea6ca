//! The places where credential files lie.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

use super::error::CredentialError;
use super::file::{CredentialFile, Shape};
use crate::secret::Secret;

/// Bytes that are read of a credential file.
const MAX_FILE: u64 = 1024 * 1024;

/// What the search takes from a process's environment, handed in by who may read it.
///
/// An empty value counts as none.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// `DOCKER_CONFIG`: the directory of docker's config.json.
    pub docker_config: Option<PathBuf>,
    /// `REGISTRY_AUTH_FILE`: one file, to the exclusion of the others.
    pub registry_auth_file: Option<PathBuf>,
    /// `DOCKER_AUTH_CONFIG`: the text of a credential file.
    pub docker_auth_config: Option<Secret>,
    /// The user's number, for `/run/containers/<uid>`; to be set on Linux only.
    pub uid: Option<u32>,
    /// `PATH`, through which helpers are found; its relative elements are ignored.
    pub path: Option<OsString>,
}

/// One place to look at.
#[derive(Clone, Debug)]
pub(super) enum Place {
    File { path: PathBuf, shape: Shape, when_absent: WhenAbsent },
    Text { name: &'static str, text: Secret },
}

/// What it means when a file cannot be opened.
#[derive(Clone, Copy, Debug)]
pub(super) enum WhenAbsent {
    /// The user named it: an error.
    Fail,
    /// It need not exist.
    PassOver,
    /// It need not exist and may lie in a directory closed to us.
    PassOverClosed,
}

impl Environment {
    /// The places the environment leads to, in the order of the search.
    pub(super) fn places(&self) -> Vec<Place> {
        match set(&self.registry_auth_file) {
            Some(path) => vec![Place::named(path)],
            None => default_places(self),
        }
    }

    /// The file that new logins are kept in: the one that the user named, docker's where its directory is named, or
    /// auth.json, in the runtime directory if there is one.
    pub(super) fn kept_in(&self) -> Option<PathBuf> {
        let docker = || Some(set(&self.docker_config)?.join("config.json"));
        let runtime = || Some(set(&self.xdg_runtime_dir)?.join("containers/auth.json"));
        let by_number = || {
            // Only root can make it.
            let directory = PathBuf::from(format!("/run/containers/{}", self.uid?));
            (self.uid == Some(0) || directory.is_dir()).then(|| directory.join("auth.json"))
        };
        let config = || set(&self.xdg_config_home).or_else(|| Some(set(&self.home)?.join(".config")));
        let named = set(&self.registry_auth_file).or_else(docker).or_else(runtime).or_else(by_number);
        named.or_else(|| Some(config()?.join("containers/auth.json")))
    }
}

impl Place {
    /// A file that need not exist.
    pub(super) fn optional(path: PathBuf) -> Self {
        Self::File { path, shape: Shape::Sections, when_absent: WhenAbsent::PassOver }
    }

    /// A file that the user named.
    pub(super) fn named(path: PathBuf) -> Self {
        Self::File { path, shape: Shape::Sections, when_absent: WhenAbsent::Fail }
    }

    /// The text, or nothing when it may be absent and is.
    pub(super) async fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, CredentialError> {
        match self {
            Self::Text { text, .. } => Ok(Some(Zeroizing::new(text.expose().as_bytes().to_vec()))),
            Self::File { path, when_absent, .. } => match read(path).await {
                Ok(Some(text)) => Ok(Some(text)),
                Ok(None) => Err(CredentialError::TooLarge(path.clone(), MAX_FILE)),
                Err(error) => when_absent.judge(path, error).map(|()| None),
            },
        }
    }

    /// The file and how it is called, or nothing when it may be absent and is.
    pub(super) async fn open(&self) -> Result<Option<(CredentialFile, String)>, CredentialError> {
        let Some(text) = self.read().await? else { return Ok(None) };
        let (shape, origin) = match self {
            Self::Text { name, .. } => (Shape::Sections, (*name).to_owned()),
            Self::File { path, shape, .. } => (*shape, path.display().to_string()),
        };
        match CredentialFile::parse(&text, shape) {
            Ok(file) => Ok(Some((file, origin))),
            Err(fault) => Err(CredentialError::Malformed(origin, fault)),
        }
    }
}

impl WhenAbsent {
    fn judge(self, path: &Path, error: io::Error) -> Result<(), CredentialError> {
        let absent = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        let closed = error.kind() == io::ErrorKind::PermissionDenied;
        match self {
            Self::Fail if absent => Err(CredentialError::Missing(path.to_owned())),
            Self::PassOver | Self::PassOverClosed if absent => Ok(()),
            Self::PassOverClosed if closed => Ok(()),
            Self::Fail | Self::PassOver | Self::PassOverClosed => {
                Err(CredentialError::Io(path.to_owned(), error))
            }
        }
    }
}

/// The content of a file, or nothing when it is too large.
async fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = tokio::fs::File::open(path).await?;
    let mut text = Zeroizing::new(Vec::new());
    file.take(MAX_FILE + 1).read_to_end(&mut text).await?;
    Ok(u64::try_from(text.len()).is_ok_and(|length| length <= MAX_FILE).then_some(text))
}

fn set(path: &Option<PathBuf>) -> Option<PathBuf> {
    path.clone().filter(|path| !path.as_os_str().is_empty())
}

fn default_places(environment: &Environment) -> Vec<Place> {
    let below_home = |name: &str| set(&environment.home).map(|home| home.join(name));
    let file = |path: PathBuf, shape| Place::File { path, shape, when_absent: WhenAbsent::PassOver };
    let sections = |directory: Option<PathBuf>, name: &str| {
        directory.map(|directory| file(directory.join(name), Shape::Sections))
    };
    let runtime = sections(set(&environment.xdg_runtime_dir), "containers/auth.json").or_else(|| {
        let path = format!("/run/containers/{}/auth.json", environment.uid?).into();
        let when_absent = WhenAbsent::PassOverClosed;
        Some(Place::File { path, shape: Shape::Sections, when_absent })
    });
    let config = set(&environment.xdg_config_home).or_else(|| below_home(".config"));
    let docker = set(&environment.docker_config).or_else(|| below_home(".docker"));
    let text = environment.docker_auth_config.clone().filter(|text| !text.is_empty());
    [
        runtime,
        sections(config, "containers/auth.json"),
        sections(docker, "config.json"),
        below_home(".dockercfg").map(|path| file(path, Shape::Flat)),
        text.map(|text| Place::Text { name: "DOCKER_AUTH_CONFIG", text }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_logins_are_kept_where_they_are_found_first() {
        let path = |path: &str| Some(PathBuf::from(path));
        let everything = Environment {
            registry_auth_file: path("/own"),
            docker_config: path("/dock"),
            xdg_runtime_dir: path("/run/user/1"),
            xdg_config_home: path("/config"),
            home: path("/home/ann"),
            ..Environment::default()
        };
        let mut environment = everything;
        assert_eq!(environment.kept_in(), path("/own"));
        environment.registry_auth_file = path("");
        assert_eq!(environment.kept_in(), path("/dock/config.json"));
        environment.docker_config = None;
        assert_eq!(environment.kept_in(), path("/run/user/1/containers/auth.json"));
        environment.xdg_runtime_dir = path("");
        assert_eq!(environment.kept_in(), path("/config/containers/auth.json"));
        environment.xdg_config_home = None;
        assert_eq!(environment.kept_in(), path("/home/ann/.config/containers/auth.json"));
        environment.uid = Some(0);
        assert_eq!(environment.kept_in(), path("/run/containers/0/auth.json"));
        assert_eq!(Environment::default().kept_in(), None);
    }

    #[test]
    fn without_a_runtime_directory_the_users_number_names_it() {
        let environment = Environment { uid: Some(1000), ..Environment::default() };
        match default_places(&environment).as_slice() {
            [Place::File { path, when_absent: WhenAbsent::PassOverClosed, .. }] => {
                assert_eq!(path, Path::new("/run/containers/1000/auth.json"));
            }
            places => panic!("{places:?}"),
        }
    }
}
