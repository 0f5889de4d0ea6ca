//! The names of drafts.

use std::fmt;
use std::str::FromStr;

use super::{LOCAL, Reference, ReferenceError, grammar, serde_as_text, shown};

/// The name of a draft in a store, such as `localhost/app:1.0`.
///
/// A name is a [`Reference`] with a tag and without a digest. Unlike there, a text without a registry
/// is not looked for on the hub: `app` is `localhost/app:latest`. A text with a registry is completed
/// as usual: `docker.io/foo` is `docker.io/library/foo:latest`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListName(Reference);

impl ListName {
    /// The name as a reference; it has a tag and no digest.
    pub fn reference(&self) -> &Reference {
        &self.0
    }

    /// Whether the name belongs to no registry, and so says nothing about where to push.
    pub fn is_local(&self) -> bool {
        self.0.domain() == LOCAL
    }
}

impl TryFrom<Reference> for ListName {
    type Error = ReferenceError;

    fn try_from(reference: Reference) -> Result<Self, ReferenceError> {
        if reference.digest().is_some() {
            return Err(ReferenceError::NotAListName(shown(&reference.to_string())));
        }
        Ok(Self(reference.with_default_tag()))
    }
}

impl FromStr for ListName {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        grammar::parse(text, LOCAL)?.try_into()
    }
}

impl fmt::Display for ListName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ListName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

serde_as_text!(ListName);
