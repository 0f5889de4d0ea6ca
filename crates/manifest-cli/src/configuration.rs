//! Finds the configuration files: our own, and those of containers' tools.

use std::io;
use std::path::{Path, PathBuf};

use manifest_transport::auth::CredentialSearch;
use manifest_transport::config::{ConfigFile, HostConfig, Hosts, Registries, SignatureStores};
use manifest_transport::{Settings, Tls};

use crate::environment::Environment;
use crate::error::CliError;
use crate::short;

/// What the configuration files say.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    hosts: Hosts,
    registries: Registries,
    certs_dirs: Vec<PathBuf>,
    /// Where simple signatures are kept.
    signatures: SignatureStores,
    /// Whether the environment names one file with all logins, which goes before files of single hosts.
    one_authfile: bool,
}

impl Configuration {
    /// Reads all files that are there.
    pub(crate) fn read(environment: &Environment) -> Result<Self, CliError> {
        let mut registries = Registries::default();
        for path in registries_files(environment)? {
            if let Some(text) = text(&path)? {
                registries.read(ConfigFile { path: &path, text: &text })?;
            }
        }
        let mut hosts = Hosts::default();
        if let Some(path) = environment.config("manifest/config.toml")
            && let Some(text) = text(&path)?
        {
            hosts = Hosts::read(ConfigFile { path: &path, text: &text })?;
            hosts.mirror(&mut registries, &path)?;
        }
        let certs_dirs = environment.path("HOME").map(|home| home.join(".config/containers/certs.d"));
        let of_system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
        let certs_dirs = certs_dirs.into_iter().chain(of_system).collect();
        let one_authfile = environment.path("REGISTRY_AUTH_FILE").is_some();
        let signatures = SignatureStores::find(&environment.signatures())?;
        Ok(Self { hosts, registries, certs_dirs, signatures, one_authfile })
    }

    /// What is said of a registry (`host[:port]`).
    pub(crate) fn host(&self, host: &str) -> Option<&HostConfig> {
        self.hosts.host.get(host)
    }

    /// The policy that images must meet when they are added.
    pub(crate) fn policy(&self) -> Option<&Path> {
        self.hosts.policy.as_deref()
    }

    /// The file where the login of a registry lies, if it has one of its own.
    pub(crate) fn authfile(&self, host: &str) -> Option<&Path> {
        self.host(host).filter(|_| !self.one_authfile)?.authfile.as_deref()
    }

    /// The helper that has the login of a registry, if it has one of its own.
    pub(crate) fn helper(&self, host: &str) -> Option<&str> {
        self.host(host).filter(|_| !self.one_authfile)?.credentials_helper.as_deref()
    }

    /// The search, with the places that single registries have.
    pub(crate) fn logins(&self, mut search: CredentialSearch) -> CredentialSearch {
        for host in self.hosts.host.keys() {
            if let Some(file) = self.authfile(host) {
                search = search.with_file_of(host, file);
            } else if let Some(name) = self.helper(host) {
                search = search.with_helper_of(host, name);
            }
        }
        search
    }

    /// The whole name of an image that leaves its registry out.
    pub(crate) fn full(&self, text: &str) -> Result<String, CliError> {
        short::full(&self.registries, text)
    }

    /// Where registries are really found.
    pub(crate) const fn registries(&self) -> &Registries {
        &self.registries
    }

    /// Adds to settings, in which the words of the user stand, what the files say besides.
    pub(crate) fn complete(&self, settings: &mut Settings) {
        for (name, host) in &self.hosts.host {
            let tls = settings.hosts.entry(name.clone()).or_default();
            tls.verify = tls.verify.or(host.insecure.map(|insecure| !insecure));
            if *tls == (Tls { verify: tls.verify, ..Tls::default() }) {
                (tls.cert_dir, tls.ca) = (host.cert_dir.clone(), host.ca.clone());
            }
            settings.auth_hosts.extend(host.auth_hosts.iter().map(|server| (name.clone(), server.clone())));
            settings.chunk.extend(host.chunk_size.map(|size| (name.clone(), size)));
        }
        settings.registries = self.registries.clone();
        settings.signatures = self.signatures.clone();
        settings.certs_dirs = self.certs_dirs.clone();
    }
}

/// The files of containers' tools, in the order in which they are read.
fn registries_files(environment: &Environment) -> Result<Vec<PathBuf>, CliError> {
    let named = environment.path("CONTAINERS_REGISTRIES_CONF");
    let named = named.or_else(|| environment.path("REGISTRIES_CONFIG_PATH"));
    let of_user = environment.path("HOME").map(|home| home.join(".config/containers/registries.conf"));
    let of_system = PathBuf::from("/etc/containers/registries.conf");
    let dropped = |file: &Path| drop_ins(&file.with_extension("conf.d"));
    let user_has_one = of_user.as_deref().filter(|file| named.is_none() && file.exists());
    let mut files = Vec::new();
    match (&named, user_has_one) {
        (Some(named), _) => {
            // What is named is there.
            std::fs::metadata(named).map_err(|error| CliError::File("read", named.clone(), error))?;
            files.push(named.clone());
        }
        // Who has a file wants nothing of the system's.
        (None, Some(of_user)) => {
            files.push(of_user.to_owned());
            files.extend(dropped(of_user)?);
            return Ok(files);
        }
        (None, None) => files.push(of_system.clone()),
    }
    files.extend(dropped(&of_system)?);
    if let Some(of_user) = &of_user {
        files.extend(dropped(of_user)?);
    }
    Ok(files)
}

/// The files of a drop-in directory, in the order of their names.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    let failed = |error| CliError::File("read", directory.to_owned(), error);
    let entries = match std::fs::read_dir(directory) {
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
    let mut paths: Vec<_> =
        paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "conf")).collect();
    paths.sort();
    Ok(paths)
}

/// The text of a file; nothing when there is none.
fn text(path: &Path) -> Result<Option<String>, CliError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(CliError::File("read", path.to_owned(), error)),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
