//! References: the names of images in registries, and of drafts in a store.

mod grammar;
mod list_name;
mod repository;
mod scope;
mod tag;

use std::fmt;
use std::str::FromStr;

pub use list_name::ListName;
pub use repository::Repository;
pub use tag::{Tag, TagError};

use crate::{Digest, DigestError};

/// The registry of a name that gives none.
const HUB: &str = "docker.io";

/// The domain of drafts, which are in no registry.
const LOCAL: &str = "localhost";

/// Reads and writes a type as its text.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
use serde_as_text;

/// Where an image lives in a registry: repository, and perhaps a tag, a digest, or both.
///
/// A short name is completed as Docker does it: `ubuntu` is `docker.io/library/ubuntu`. The first
/// component is a registry only when it is `localhost`, holds a dot or a colon, or holds an upper-case
/// letter. `Display` prints the completed name, [`familiar`](Self::familiar) the short one. No tag is
/// added unless [`with_default_tag`](Self::with_default_tag) asks for it. When tag and digest are
/// given together the digest says which content is meant and the tag is kept as a note.
///
/// Spec: the grammar of the `reference` package of CNCF distribution, version 0.6.0, with digests of
/// sha256 and sha512 only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    repository: Repository,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

impl Reference {
    /// The registry, with its port if one was given; `docker.io` for the hub.
    pub fn domain(&self) -> &str {
        self.repository.domain()
    }

    /// The name inside the registry, such as `library/ubuntu`.
    pub fn path(&self) -> &str {
        self.repository.path()
    }

    /// The tag, without its colon.
    pub const fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest of the manifest.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The registry and the name inside it.
    pub fn repository(&self) -> Repository {
        self.repository.clone()
    }

    /// This reference with another tag; a digest stays.
    #[must_use]
    pub fn with_tag(self, tag: Tag) -> Self {
        Self { tag: Some(tag), ..self }
    }

    /// This reference with another digest; a tag stays.
    #[must_use]
    pub fn with_digest(self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self }
    }

    /// This reference with the tag `latest`, if it has neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(self) -> Self {
        if self.tag.is_none() && self.digest.is_none() { self.with_tag(Tag::latest()) } else { self }
    }

    /// The shortest text that is this same reference, such as `ubuntu:24.04`.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let means_the_same = |text: &&str| text.parse().as_ref() == Ok(self);
        let in_hub = full.strip_prefix(HUB).and_then(|rest| rest.strip_prefix('/'));
        // A path of the hub may begin like a registry or read like an id: then it is not shortened.
        let short = in_hub.and_then(|path| path.strip_prefix("library/")).filter(means_the_same);
        short.or(in_hub.filter(means_the_same)).unwrap_or(&full).to_owned()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        grammar::parse(text, HUB)
    }
}

impl From<Repository> for Reference {
    fn from(repository: Repository) -> Self {
        Self { repository, tag: None, digest: None }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.repository.to_string();
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag.as_str());
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
        f.pad(&text)
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(Reference);

/// Why a text is not a reference, a repository or the name of a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The text is empty.
    #[error("invalid reference \"\": it is empty")]
    Empty,
    /// The text begins with a scheme, such as `https://`.
    #[error("invalid reference {0:?}: a reference has no scheme, it begins with the registry")]
    Scheme(String),
    /// The text is an id or a digest with no name before it.
    #[error("invalid reference {0:?}: this is an id, not a name")]
    Identifier(String),
    /// What stands for the registry is not a host with an optional port.
    #[error(
        "invalid reference {reference:?}: {domain:?} is not a registry, which is written HOST or HOST:PORT"
    )]
    Domain {
        /// The text as given.
        reference: String,
        /// The first component.
        domain: String,
    },
    /// The name inside the registry has upper-case letters.
    #[error("invalid reference {0:?}: the repository name must be lower case")]
    UpperCase(String),
    /// The name inside the registry is not made as the grammar wants it.
    #[error(
        "invalid reference {0:?}: a repository name is lower-case letters and digits, joined by '/', '.', '_', '__' or '-'"
    )]
    Path(String),
    /// The name inside the registry is too long.
    #[error("invalid reference {reference:?}: the repository name has {found} characters, {limit} are allowed", limit = grammar::PATH_LIMIT)]
    TooLong {
        /// The text as given.
        reference: String,
        /// The length of the name inside the registry.
        found: usize,
    },
    /// What stands behind the colon is not a tag.
    #[error("invalid reference {0:?}")]
    Tag(String, #[source] TagError),
    /// What stands behind the at-sign is not a digest.
    #[error("invalid reference {0:?}")]
    Digest(String, #[source] DigestError),
    /// A repository was asked for, and the text has a tag or a digest.
    #[error("{0:?} is not a repository: it has a tag or a digest")]
    NotARepository(String),
    /// The name of a list was asked for, and the text has a digest.
    #[error("{0:?} is not the name of a list: it has a digest")]
    NotAListName(String),
}

/// So much of a refused text as fits a message.
fn shown(text: &str) -> String {
    text.chars().take(160).collect()
}

#[cfg(test)]
mod tests;
