//! Keeping logins: the one file that they are written to, and the helpers that it names.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use serde::Serialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::error::CredentialError;
use super::file::{BASE64, CredentialFile, JsonFault, Shape, Wanted, split_key};
use super::helper::Helpers;
use super::key::LoginKey;
use super::place::{Environment, Place};
use crate::lock::Users;
use crate::secret::Secret;

/// How long to wait for another process that writes the same file.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// A credential file that logins are kept in, with the helpers that it names.
///
/// Where the file names a helper for a registry, the helper keeps the login. What else stands in the file stays as
/// it is. A change is one atomic replacement, of mode 0600; changes made here wait for each other, by a lock on
/// `FILE.lock`. Other programs know nothing of it.
///
/// Spec: containers-auth.json(5); the keys of docker's config.json where the file is docker's.
#[derive(Clone, Debug)]
pub struct LoginFile {
    path: PathBuf,
    keys: Keys,
    helpers: Helpers,
}

/// How the keys of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    Containers,
    Docker,
}

/// What keeps the login of a key in a file.
enum Keeper<'a> {
    File,
    Helper(&'a str),
}

impl LoginFile {
    /// The file where containers' tools keep logins: the one that the user named in the environment; docker's,
    /// where the environment names its directory; auth.json in the runtime directory, or where there is none, in
    /// the configuration directory. Nothing when the environment names no directory at all.
    pub fn usual(environment: &Environment) -> Option<Self> {
        Some(Self::at(environment.kept_in()?, environment))
    }

    /// This file, as containers' tools write it.
    pub fn at(path: impl Into<PathBuf>, environment: &Environment) -> Self {
        Self { path: path.into(), keys: Keys::Containers, helpers: Helpers::new(environment.path.as_ref()) }
    }

    /// This file, as docker writes it: a login is for a whole registry, and that of the Hub has an address as its key.
    pub fn of_docker(path: impl Into<PathBuf>, environment: &Environment) -> Self {
        Self { keys: Keys::Docker, ..Self::at(path, environment) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a login in the place of the one that is there; says where it is kept.
    ///
    /// # Errors
    /// [`CredentialError`]; the file is as it was then.
    pub async fn save(
        &self,
        key: &LoginKey,
        username: &str,
        password: &Secret,
    ) -> Result<String, CredentialError> {
        let text = self.key(key)?;
        let mut open = self.open().await?;
        let entry = match open.keeper(key)? {
            Keeper::File => {
                let pair = Zeroizing::new(format!("{username}:{}", password.expose()));
                json!({ "auth": BASE64.encode(pair.as_bytes()) })
            }
            Keeper::Helper(name) => {
                let kept = self.helpers.store(name, &text, username, password).await;
                kept.map_err(|error| CredentialError::NotChanged(self.origin(), error))?;
                let origin = format!("docker-credential-{name}, named in {}", self.path.display());
                // An empty entry says that the helper has it; a login that was kept here before must not go first.
                open.auths.insert(text, json!({}));
                open.write().await?;
                return Ok(origin);
            }
        };
        open.auths.insert(text, entry);
        open.write().await?;
        Ok(self.origin())
    }

    /// Forgets a login, under whatever name of the registry it is kept; whether there was one.
    ///
    /// # Errors
    /// [`CredentialError`]; the file is as it was then.
    pub async fn remove(&self, key: &LoginKey) -> Result<bool, CredentialError> {
        if !self.path.exists() {
            return Ok(false);
        }
        let mut open = self.open().await?;
        let same = |text: &str| split_key(text, Shape::Sections) == (key.host().to_owned(), key.path());
        let mut found = open.remove(same);
        if let Ok(Keeper::Helper(name)) = open.keeper(key) {
            let wanted = Wanted::new(key.host(), "");
            for server in wanted.servers() {
                let erased = self.helpers.erase(name, server).await;
                found |= erased.map_err(|error| CredentialError::NotChanged(self.origin(), error))?;
            }
        }
        if found {
            open.write().await?;
        }
        Ok(found)
    }

    /// Forgets all logins, also those that helpers named for single registries keep; returns their keys.
    ///
    /// # Errors
    /// [`CredentialError`]; the file is as it was then.
    pub async fn remove_all(&self) -> Result<Vec<String>, CredentialError> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let mut open = self.open().await?;
        let mut keys: Vec<String> = open.auths.keys().cloned().collect();
        for (name, server) in open.parsed.kept_by_helpers() {
            let erased = self.helpers.erase(name, server).await;
            let erased = erased.map_err(|error| CredentialError::NotChanged(self.origin(), error))?;
            if erased && !keys.iter().any(|key| key == server) {
                keys.push(server.to_owned());
            }
        }
        open.remove(|_| true);
        open.write().await?;
        keys.sort();
        Ok(keys)
    }

    fn key(&self, key: &LoginKey) -> Result<String, CredentialError> {
        match self.keys {
            Keys::Containers => Ok(key.to_string()),
            Keys::Docker => key.of_docker(),
        }
    }

    fn origin(&self) -> String {
        self.path.display().to_string()
    }

    /// Locks and reads the file, of which a link is followed: what it stands for is replaced, and not the link.
    async fn open(&self) -> Result<Open, CredentialError> {
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_absent| self.path.clone());
        let failed = |error| CredentialError::Write(path.clone(), error);
        make_private(&parent(&path)).map_err(failed)?;
        let mut lock = path.clone().into_os_string();
        lock.push(".lock");
        let lock = crate::lock::hold(lock.into(), Users::Owner, LOCK_TIMEOUT).await.map_err(failed)?;
        let lock = lock.ok_or_else(|| CredentialError::Busy(path.clone(), LOCK_TIMEOUT))?;
        let text = Place::optional(path.clone()).read().await?.unwrap_or_default();
        let malformed =
            |fault: serde_json::Error| CredentialError::Malformed(self.origin(), JsonFault::from(fault));
        let parsed = CredentialFile::parse(&text, Shape::Sections)
            .map_err(|fault| CredentialError::Malformed(self.origin(), fault))?;
        let mut members = Map::new();
        if !text.trim_ascii().is_empty() {
            members = serde_json::from_slice(&text).map_err(malformed)?;
        }
        // That it is an object, if it is there, was found out by parsing the file.
        let auths = match members.remove("auths") {
            Some(Value::Object(auths)) => auths,
            _ => Map::new(),
        };
        Ok(Open { path, members, auths, parsed, _lock: lock })
    }
}

/// The file while it is locked.
struct Open {
    path: PathBuf,
    /// All members but `auths`.
    members: Map<String, Value>,
    auths: Map<String, Value>,
    parsed: CredentialFile,
    _lock: File,
}

impl Open {
    fn keeper(&self, key: &LoginKey) -> Result<Keeper<'_>, CredentialError> {
        let wanted = Wanted::new(key.host(), "");
        let own = self.parsed.own_helper(&wanted);
        match own.or_else(|| self.parsed.creds_store().filter(|_| key.path().is_empty())) {
            Some(name) if key.path().is_empty() => Ok(Keeper::Helper(name)),
            // It would be asked before the file.
            Some(name) => {
                let keeper = format!("docker-credential-{name}");
                Err(CredentialError::WholeRegistry(key.to_string(), keeper))
            }
            None => Ok(Keeper::File),
        }
    }

    /// Removes the entries whose key is meant; whether there was one.
    fn remove(&mut self, meant: impl Fn(&str) -> bool) -> bool {
        let before = self.auths.len();
        self.auths.retain(|key, _| !meant(key));
        self.auths.len() < before
    }

    async fn write(&self) -> Result<(), CredentialError> {
        let mut whole = self.members.clone();
        whole.insert("auths".to_owned(), Value::Object(self.auths.clone()));
        let mut text = Zeroizing::new(Vec::new());
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut writer = serde_json::Serializer::with_formatter(&mut *text, tabs);
        whole.serialize(&mut writer).map_err(|error| self.failed(error.into()))?;
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || replace(&path, &text)).await;
        written.map_err(io::Error::other).and_then(|written| written).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> CredentialError {
        CredentialError::Write(self.path.clone(), error)
    }
}

/// Makes a directory that nobody else may look into, unless it is there.
fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Replaces a file in one step by one that only its owner may read, which is the mode of new temporary files.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(parent(path))?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(parent(path))?.sync_all()
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
