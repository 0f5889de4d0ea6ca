//! Repositories.

use std::fmt;
use std::str::FromStr;

use super::{Reference, ReferenceError, serde_as_text, shown};

/// A repository: a registry and a name inside it, such as `docker.io/library/ubuntu`.
///
/// Short names are completed as in a [`Reference`]. Note that a lone `localhost:5000` is the image
/// `localhost` of the hub with the tag `5000`, and so no repository.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    pub(super) domain: String,
    pub(super) path: String,
}

impl Repository {
    /// The registry, with its port if one was given; `docker.io` for the hub.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The name inside the registry, such as `library/ubuntu`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let reference: Reference = text.parse()?;
        if reference.tag.is_some() || reference.digest.is_some() {
            return Err(ReferenceError::NotARepository(shown(text)));
        }
        Ok(reference.repository)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.domain, self.path))
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(Repository);
