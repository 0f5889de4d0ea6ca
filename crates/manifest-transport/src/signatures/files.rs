//! Finds the files of `registries.d`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::archive::{Links, open_file};
use crate::config::{ConfigError, ConfigFile, SignatureStores};

/// Bytes that are read of one file.
const MAX_FILE: u64 = 1 << 20;

/// What the search takes from a process's environment, handed in by who may read it.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct SignatureEnvironment {
    /// The directory with the files, where the user named one, to the exclusion of others.
    pub registries_d: Option<PathBuf>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// Whether the user is root, who keeps signatures for the whole machine.
    pub is_root: bool,
}

impl SignatureEnvironment {
    /// The directories of which the first that exists alone counts.
    fn directories(&self) -> Vec<PathBuf> {
        let home = self.home.iter().map(|home| home.join(".config/containers/registries.d"));
        home.chain([PathBuf::from("/etc/containers/registries.d")]).collect()
    }

    /// Where signatures are kept when no file says anything.
    fn fallback(&self) -> Option<PathBuf> {
        if self.is_root {
            return Some(PathBuf::from("/var/lib/containers/sigstore"));
        }
        self.home.as_ref().map(|home| home.join(".local/share/containers/sigstore"))
    }
}

impl SignatureStores {
    /// Reads all files `*.yaml` of the directory that the user named, or else of `~/.config/containers/registries.d`,
    /// or else of `/etc/containers/registries.d`.
    ///
    /// # Errors
    /// [`ConfigError`], also when the directory that the user named is not there.
    pub fn find(environment: &SignatureEnvironment) -> Result<Self, ConfigError> {
        let mut stores = Self::default();
        if let Some(fallback) = environment.fallback() {
            stores = stores.with_fallback(fallback);
        }
        for path in files(environment)? {
            let text = text(&path).map_err(|error| ConfigError::Read(path.clone(), error))?;
            stores.read(ConfigFile { path: &path, text: &text })?;
        }
        Ok(stores)
    }
}

/// The files, in the order of their names.
fn files(environment: &SignatureEnvironment) -> Result<Vec<PathBuf>, ConfigError> {
    if let Some(named) = &environment.registries_d {
        return list(named).map_err(|error| ConfigError::Read(named.clone(), error));
    }
    for directory in environment.directories() {
        match list(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found.map_err(|error| ConfigError::Read(directory, error)),
        }
    }
    Ok(Vec::new())
}

fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    paths.sort();
    Ok(paths)
}

fn text(path: &Path) -> io::Result<String> {
    let file: File = open_file(path, Links::Follow)?;
    let mut text = String::new();
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_FILE {
        let message = format!("it is larger than {MAX_FILE} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}
