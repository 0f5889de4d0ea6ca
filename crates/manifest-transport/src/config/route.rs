//! Where a repository is read from and written to.

use std::path::PathBuf;

use crate::manifest::At;

/// Where a repository is read from and written to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The repository itself: what is written goes here.
    pub home: Endpoint,
    /// Where it is read from before it is asked itself, in this order.
    pub mirrors: Vec<Endpoint>,
    /// Why it is not to be used at all.
    pub blocked: Option<Blocked>,
}

/// One place where a repository lies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// The registry: `host[:port]`.
    pub host: String,
    /// The path of the repository in it.
    pub path: String,
    /// Whether certificates are not checked, and plain HTTP will do.
    pub insecure: bool,
    /// What it is asked for.
    pub pulls: Pulls,
}

/// What a mirror is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pulls {
    /// Everything.
    #[default]
    All,
    /// What is asked for by its digest.
    Digest,
    /// What is asked for by a tag.
    Tag,
}

impl Pulls {
    /// Whether a mirror serves this.
    pub(crate) fn serve(self, at: &At) -> bool {
        match self {
            Self::All => true,
            Self::Digest => matches!(at, At::Digest(_)),
            Self::Tag => matches!(at, At::Tag(_)),
        }
    }
}

/// What forbids a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blocked {
    /// The prefix of the rule.
    pub prefix: String,
    /// The file where it stands.
    pub file: PathBuf,
}
