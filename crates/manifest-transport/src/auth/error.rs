//! What can go wrong with a login before anybody has seen it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::file::JsonFault;
use super::helper::HelperError;

/// Why a login could not be looked up. None of them is "there is no login".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The credential file that the user named does not exist.
    #[error("credential file {path} does not exist", path = .0.display())]
    Missing(PathBuf),
    /// A credential file exists and cannot be read.
    #[error("cannot read credential file {path}", path = .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// A credential file is larger than the second field, in bytes.
    #[error("credential file {path} is larger than {1} bytes", path = .0.display())]
    TooLarge(PathBuf, u64),
    /// The text at an origin is not that of a credential file.
    #[error("{0} is no credential file: {1}")]
    Malformed(String, JsonFault),
    /// The entry that serves a registry is unusable: origin, registry host, what is wrong.
    #[error("the login for {1} in {0} cannot be used: {2}")]
    Entry(String, String, &'static str),
    /// The helper that an origin names for a registry did not answer.
    #[error("no login from the helper named in {0}")]
    Helper(String, #[source] HelperError),
    /// A credential file cannot be written.
    #[error("cannot write credential file {path}", path = .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// Another process kept a credential file locked for the whole of the allowed wait.
    #[error("credential file {path} is in use by another process (waited {s} s)", path = .0.display(), s = .1.as_secs())]
    Busy(PathBuf, Duration),
    /// The helper that an origin names did not keep or forget a login.
    #[error("the helper named in {0} did not change the login")]
    NotChanged(String, #[source] HelperError),
    /// What keeps the logins of a registry has no place for one repository: the key, and what keeps them.
    #[error("a login for {0} alone cannot be kept: {1} keeps one login for each registry")]
    WholeRegistry(String, String),
    /// The text names neither a registry nor something in one.
    #[error("{0:?} is not a registry, such as quay.io or localhost:5000")]
    Key(String),
}
