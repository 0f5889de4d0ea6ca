//! Tags.

use std::fmt;
use std::str::FromStr;

use super::{serde_as_text, shown};
use crate::Digest;

/// The longest tag, in characters.
const LIMIT: usize = 128;

/// A tag: 1 to 128 letters, digits, underscores, dots and hyphens; case counts.
///
/// Neither a dot nor a hyphen stands first, so a tag is always safe as part of a URL path.
///
/// Spec: OCI distribution-spec v1.1.1, "Pulling manifests".
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// The tag that is meant when none is given.
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// The tag under which a registry without the referrers API keeps the index of what refers to `subject`.
    ///
    /// Spec: OCI distribution-spec v1.1.1, "Referrers Tag Schema".
    pub fn of_referrers(subject: &Digest) -> Self {
        // Names of algorithms known here are short and plain, so only a long value is cut.
        Self(format!("{}-{:.64}", subject.algorithm().as_str(), subject.hex()))
    }

    /// The text of the tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        if text.is_empty() {
            return Err(TagError::Empty);
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !text.starts_with(is_word) || !text.chars().all(|c| is_word(c) || matches!(c, '.' | '-')) {
            return Err(TagError::Character(shown(text)));
        }
        if text.len() > LIMIT {
            return Err(TagError::TooLong { tag: shown(text), found: text.len() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

serde_as_text!(Tag);

/// Why a text is not a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// The text is empty.
    #[error("invalid tag \"\": it is empty")]
    Empty,
    /// A character does not belong in a tag, or not at its beginning.
    #[error(
        "invalid tag {0:?}: it holds letters, digits, '_', '.' and '-', and begins with none of '.' and '-'"
    )]
    Character(String),
    /// The tag is too long.
    #[error("invalid tag {tag:?}: it has {found} characters, {LIMIT} are allowed")]
    TooLong {
        /// The text as given.
        tag: String,
        /// Its length.
        found: usize,
    },
}
