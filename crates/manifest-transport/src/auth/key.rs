//! What a login is kept for.

use std::fmt;
use std::str::FromStr;

use manifest_core::Repository;

use super::error::CredentialError;
use super::file::{HUB, HUB_ADDRESS, canonical_host};

/// What a login is kept for: a registry, or what lies below a path in it.
///
/// Read from `HOST[:PORT][/PATH]`; a scheme before it and `/v1/` or `/v2/` behind it are left out, for people copy
/// addresses. Shown as containers' tools write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginKey {
    host: String,
    path: String,
}

impl LoginKey {
    /// The registry: `host[:port]`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository or namespace; empty for the whole registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The key under which docker keeps the login.
    pub(super) fn of_docker(&self) -> Result<String, CredentialError> {
        if !self.path.is_empty() {
            return Err(CredentialError::WholeRegistry(self.to_string(), "docker".to_owned()));
        }
        Ok(if self.host == HUB { HUB_ADDRESS } else { &self.host }.to_owned())
    }
}

impl FromStr for LoginKey {
    type Err = CredentialError;

    fn from_str(text: &str) -> Result<Self, CredentialError> {
        let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
        let path = match path.trim_end_matches('/') {
            "v1" | "v2" => "",
            path => path,
        };
        // The grammar of references tells what a registry is, and what lies in one.
        let name = if path.is_empty() { format!("{host}/x") } else { format!("{host}/{path}") };
        match name.parse::<Repository>() {
            Ok(repository) if canonical_host(repository.domain()) == canonical_host(host) => {
                Ok(Self { host: canonical_host(host), path: path.to_owned() })
            }
            _ => Err(CredentialError::Key(text.to_owned())),
        }
    }
}

impl fmt::Display for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_and_what_lies_in_them_are_read_as_people_write_them() {
        for (text, shown) in [
            ("quay.io", "quay.io"),
            ("Quay.io", "quay.io"),
            ("localhost", "localhost"),
            ("localhost:5000", "localhost:5000"),
            ("[::1]:5000", "[::1]:5000"),
            ("https://r.io/", "r.io"),
            ("http://r.io:5000/v2/", "r.io:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("quay.io/team", "quay.io/team"),
            ("quay.io/team/app/", "quay.io/team/app"),
            ("docker.io/ann", "docker.io/ann"),
        ] {
            assert_eq!(text.parse::<LoginKey>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_no_reference_could_name_is_refused() {
        for text in
            ["", "quay", "app/x", "r.io/App", "r.io/app:v1", "r.io/a b", "r.io//a", "ann@r.io", "r.io/a@x"]
        {
            assert!(matches!(text.parse::<LoginKey>(), Err(CredentialError::Key(_))), "{text}");
        }
    }
}
