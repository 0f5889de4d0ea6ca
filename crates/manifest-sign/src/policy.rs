//! What must be signed, and by whom: `policy.json` of containers' tools.
//!
//! A [`Policy`] is asked for the [`Rules`] of one [`Image`]: the most specific scope alone applies, and of its list all
//! requirements must hold. The rules judge what was found, and open no file: the keys that they name are read before, as
//! [`KeyFiles`]. What makes a signature good is told by a [`KeyCheck`].
//!
//! Spec: containers-policy.json(5).

mod check;
mod error;
mod identity;
mod image;
mod judge;
mod keys;
mod members;
mod parse;
mod requirement;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use check::{CheckError, KeyCheck, KeyFiles, Opened};
pub use error::PolicyError;
pub use identity::Identity;
pub use image::Image;
pub use judge::{Denied, Looked, Rules, Signature, Verdict, Why};
pub use keys::Keys;
pub use requirement::{KeySource, Requirement, Unsupported};

/// The requirements of one transport by their scope; `""` is all of it.
type Scopes = BTreeMap<String, Vec<Requirement>>;

/// What must be signed, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    default: Vec<Requirement>,
    transports: BTreeMap<String, Scopes>,
}

/// The same requirement for every image.
impl From<Requirement> for Policy {
    fn from(requirement: Requirement) -> Self {
        Self { default: vec![requirement], transports: BTreeMap::new() }
    }
}

impl Policy {
    /// Reads a policy; `file` is for messages.
    ///
    /// # Errors
    /// [`PolicyError`] names the first thing that is not as it must be: members that are not known, that stand twice or
    /// that do not go together, an empty list, no `default`.
    pub fn decode(bytes: &[u8], file: &Path) -> Result<Self, PolicyError> {
        parse::decode(bytes, file)
    }

    /// Reads the policy in a file.
    ///
    /// # Errors
    /// [`PolicyError`], also when there is no such file.
    pub fn open(file: &Path) -> Result<Self, PolicyError> {
        Self::decode(&check::read(file)?, file)
    }

    /// Reads the policy of the user, or else that of the system; `home` is the user's home directory.
    ///
    /// # Errors
    /// [`PolicyError::NotFound`] when there is neither: then nothing says what may be accepted.
    pub fn find(home: Option<&Path>) -> Result<Self, PolicyError> {
        let files = Self::search_path(home);
        for file in &files {
            match Self::open(file) {
                Err(PolicyError::Io(_, error)) if error.kind() == std::io::ErrorKind::NotFound => {}
                found => return found,
            }
        }
        Err(PolicyError::NotFound(files))
    }

    /// The files where a policy is looked for, of which the first that exists alone counts; `home` is the user's home
    /// directory.
    pub fn search_path(home: Option<&Path>) -> Vec<PathBuf> {
        let of_user =
            home.filter(|home| home.is_absolute()).map(|home| home.join(".config/containers/policy.json"));
        of_user.into_iter().chain([PathBuf::from("/etc/containers/policy.json")]).collect()
    }

    /// What is demanded of an image: the list of the narrowest scope that it lies in, and of no other.
    pub fn rules(&self, image: &Image) -> Rules<'_> {
        let transport = image.transport();
        let scopes = self.transports.get(transport);
        let found = scopes.and_then(|scopes| {
            image.scopes().into_iter().find_map(|scope| Some((scopes.get(&scope)?, scope)))
        });
        let (requirements, at) = match found {
            Some((list, scope)) => (list, format!("transports[{transport:?}][{scope:?}]")),
            None => (&self.default, "default".to_owned()),
        };
        Rules { at, requirements, reference: image.reference().cloned() }
    }
}
