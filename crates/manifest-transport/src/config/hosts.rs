//! `config.toml`: how single registries are spoken to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::document::{ConfigError, read};
use super::registries::{ConfigFile, Registries};

/// What our own `config.toml` says: one table for each registry.
///
/// ```toml
/// [host."registry.example.com"]
/// cert-dir = "/etc/ssl/registry"
/// ```
///
/// Members that we do not know are an error: a word that is mistyped must not switch something off without a sound.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Hosts {
    /// The registries by `host[:port]`.
    #[serde(default)]
    pub host: BTreeMap<String, HostConfig>,
    /// The policy that images must meet when they are added: a file, or the word `default` for that of containers' tools.
    pub policy: Option<PathBuf>,
}

/// How one registry is spoken to.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct HostConfig {
    /// Whether its certificate is not checked, and plain HTTP will do.
    pub insecure: Option<bool>,
    /// A directory with `*.crt`, and `*.cert` with `*.key`.
    pub cert_dir: Option<PathBuf>,
    /// A file with the authorities that its certificate may be signed by, besides those of the system.
    pub ca: Option<PathBuf>,
    /// The file where its login lies.
    pub authfile: Option<PathBuf>,
    /// The helper that has its login: the `NAME` of a program `docker-credential-NAME`.
    pub credentials_helper: Option<String>,
    /// Token servers that may have its login although they belong to another domain.
    pub auth_hosts: Vec<String>,
    /// Where it is read from first: registries, also with a path.
    pub mirrors: Vec<String>,
    /// The bytes of a blob that are sent in one request.
    pub chunk_size: Option<u64>,
}

impl Hosts {
    /// Reads the file; relative paths in it begin in its directory.
    ///
    /// # Errors
    /// [`ConfigError`] with file and line.
    pub fn read(file: ConfigFile<'_>) -> Result<Self, ConfigError> {
        let mut hosts: Self = read(file.path, file.text)?;
        let directory = file.path.parent().unwrap_or(Path::new(""));
        if let Some(policy) = hosts.policy.as_mut().filter(|policy| *policy != Path::new("default")) {
            *policy = directory.join(&*policy);
        }
        for (name, host) in &mut hosts.host {
            if name.is_empty() || name.contains(['/', '@', ' ']) {
                let why = "a host is written as in registry.example.com or localhost:5000";
                return Err(ConfigError::Value(file.path.to_owned(), format!("[host.{name:?}]"), why));
            }
            for path in [&mut host.cert_dir, &mut host.ca, &mut host.authfile].into_iter().flatten() {
                *path = directory.join(&*path);
            }
            if host.authfile.is_some() && host.credentials_helper.is_some() {
                let why = "a login lies in one place, here or with credentials-helper";
                return Err(ConfigError::Value(file.path.to_owned(), "authfile".to_owned(), why));
            }
        }
        Ok(hosts)
    }

    /// Lets the mirrors of this file take the place of those that the same registries have in others.
    ///
    /// # Errors
    /// [`ConfigError`] names a mirror that is none.
    pub fn mirror(&self, registries: &mut Registries, file: &Path) -> Result<(), ConfigError> {
        let with = self.host.iter().filter(|(_, host)| !host.mirrors.is_empty());
        with.into_iter().try_for_each(|(name, host)| registries.mirror(name, &host.mirrors, file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Hosts, ConfigError> {
        Hosts::read(ConfigFile { path: Path::new("/etc/m/config.toml"), text })
    }

    #[test]
    fn each_registry_has_a_table() {
        let hosts = parse(
            r#"
            [host."r.io"]
            insecure = true
            cert-dir = "certs"
            ca = "/ca.pem"
            auth-hosts = ["auth.example.com"]
            mirrors = ["m.io/hub"]
            chunk-size = 1048576
            authfile = "auth.json"
            [host."localhost:5000"]
            credentials-helper = "pass"
            "#,
        )
        .unwrap();
        let one = &hosts.host["r.io"];
        assert_eq!(one.cert_dir.as_deref(), Some(Path::new("/etc/m/certs")));
        assert_eq!(one.ca.as_deref(), Some(Path::new("/ca.pem")));
        assert_eq!(one.authfile.as_deref(), Some(Path::new("/etc/m/auth.json")));
        assert_eq!((one.insecure, one.chunk_size), (Some(true), Some(1 << 20)));
        assert_eq!(hosts.host["localhost:5000"].credentials_helper.as_deref(), Some("pass"));
        let mut registries = Registries::default();
        hosts.mirror(&mut registries, Path::new("config.toml")).unwrap();
        let route = registries.route(&"r.io/app".parse().unwrap());
        assert_eq!((route.mirrors[0].host.as_str(), route.mirrors[0].path.as_str()), ("m.io", "hub/app"));
        assert_eq!(parse("").unwrap().host.len(), 0);
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        for (text, part) in [
            ("[host.\"r.io\"]\ninsecrue = true\n", "config.toml, line 2: unknown field `insecrue`"),
            ("\n[hosts.\"r.io\"]\n", "line 2: unknown field `hosts`"),
            ("[host.\"r.io\"]\nchunk-size = -1\n", "line 2"),
            ("[host.\"https://r.io\"]\n", "[host.\"https://r.io\"]"),
            ("[host.\"r.io\"]\nauthfile = \"a\"\ncredentials-helper = \"b\"\n", "authfile"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
