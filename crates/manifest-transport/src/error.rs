//! What can go wrong between here and the place where an image lives.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use manifest_core::{Algorithm, DecodeError, Digest, JsonError, MediaType};

use crate::archive::ArchiveError;
use crate::auth::{CredentialError, RealmDoubt};

/// Why content could not be read or written.
///
/// A `request` is a method and a URL without its query, since queries may hold secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// There is no such image, tag or blob; a registry may also mean "not for you".
    #[error("{0} does not exist")]
    NotFound(String),
    /// The registry wants a login, and there is none or it was not accepted.
    #[error("{host} does not accept {login}{}{}", purpose(.repository), reason(.message))]
    NotAuthorised {
        /// The registry.
        host: String,
        /// The repository; empty where the registry as a whole was asked.
        repository: String,
        /// Which login was offered, such as `the login in /home/ann/.docker/config.json`.
        login: String,
        /// What the registry said.
        message: String,
    },
    /// The registry knows who asks and forbids it.
    #[error("{host} does not allow {request}{}", reason(.message))]
    Denied {
        /// The registry.
        host: String,
        /// What was asked.
        request: String,
        /// What the registry said.
        message: String,
    },
    /// The registry refuses the request, and would refuse it again.
    #[error("the registry answered {status} to {request}{}", reason(.message))]
    Refused {
        /// What was asked.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The registry's error code, such as `MANIFEST_INVALID`; empty when it named none.
        code: String,
        /// What the registry said.
        message: String,
    },
    /// Every attempt failed.
    #[error("{request} failed {attempts} times, with pauses of {s:.1} s: {last}", s = .waited.as_secs_f64())]
    Exhausted {
        /// What was asked.
        request: String,
        /// How often.
        attempts: u32,
        /// The time spent in pauses by the whole command.
        waited: Duration,
        /// What the last attempt met.
        last: String,
    },
    /// The server asks for a longer pause than the command may still wait.
    #[error("{host} asks to come back in {} s, which is more than this command may still wait", .after.as_secs())]
    ComeBack {
        /// The registry.
        host: String,
        /// The pause it asks for.
        after: Duration,
    },
    /// The connection failed for a reason that another attempt does not cure.
    #[error("cannot reach {host}: {message}")]
    Unreachable {
        /// The registry.
        host: String,
        /// What the network said, with its causes.
        message: String,
    },
    /// A server sends us somewhere where we do not follow.
    #[error("{request}: the server sends us to {to}, which {why}")]
    Untrusted {
        /// What was asked.
        request: String,
        /// The scheme, host and port that the server named.
        to: String,
        /// Why not.
        why: String,
    },
    /// The configuration forbids the use of the registry.
    #[error("{host} is blocked: {file} says so of {prefix}", file = .file.display())]
    Blocked {
        /// The registry.
        host: String,
        /// The prefix that is blocked.
        prefix: String,
        /// The file that says so.
        file: PathBuf,
    },
    /// The registry's token server may not have the login.
    #[error("the registry {registry} wants your login sent to {server}, which {why}")]
    Realm {
        /// The registry.
        registry: String,
        /// The token server.
        server: String,
        /// Why not.
        why: RealmDoubt,
    },
    /// The server's answer is not one that the protocol knows.
    #[error("{request}: {what}")]
    Protocol {
        /// What was asked.
        request: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// Content is not what its digest says.
    #[error("{what} should be {expected}, but its content is {found}")]
    DigestMismatch {
        /// What was read.
        what: String,
        /// The digest that asked for it.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// Content has another size than its descriptor says.
    #[error("{what} should have {expected} bytes, but has {found}")]
    SizeMismatch {
        /// What was read.
        what: String,
        /// The size in its descriptor.
        expected: u64,
        /// The size of what came; one more than expected when reading was cut there.
        found: u64,
    },
    /// A document is larger than what is read of its kind.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What was read.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A document is not a manifest that can be trusted.
    #[error("{what} is not a usable manifest")]
    Decode {
        /// What was read.
        what: String,
        /// Why not.
        source: DecodeError,
    },
    /// Lists lie within lists, further down than is followed.
    #[error("{0} has lists within lists, more than {1} deep")]
    TooDeep(Digest, usize),
    /// More hangs on a manifest than is looked at.
    #[error("{0} names more than {1} manifests and blobs")]
    TooMany(Digest, usize),
    /// More refers to a manifest than is looked at.
    #[error("more than {1} manifests refer to {0}")]
    TooManyReferrers(Digest, usize),
    /// The tag that should hold the index of what refers to a manifest holds something else.
    #[error("the tag {name} should be an index of referrers, and is {media_type}")]
    NotReferrers {
        /// The whole name.
        name: String,
        /// What it is.
        media_type: MediaType,
    },
    /// Others change a tag so often that nothing can be added to it.
    #[error("the tag {name} was changed by others each of the {rounds} times that it was added to")]
    Contended {
        /// The whole name.
        name: String,
        /// How often it was tried.
        rounds: u32,
    },
    /// A configuration is not JSON that can be trusted.
    #[error("{what} is not a usable image configuration")]
    Config {
        /// What was read.
        what: String,
        /// Why not.
        source: JsonError,
    },
    /// The login could not be looked up.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// A certificate directory, or the TLS library, is not usable.
    #[error("cannot set up TLS for {host}: {message}")]
    Tls {
        /// The registry.
        host: String,
        /// What is wrong.
        message: String,
    },
    /// A directory is not an OCI image layout.
    #[error("{path} is not an OCI image layout: {why}", path = .0.display(), why = .1)]
    NotALayout(PathBuf, String),
    /// A directory is not one of images (`dir:`), or holds something else.
    #[error("{path} is not a directory of an image (dir:): {why}", path = .0.display(), why = .1)]
    NotAnImageDirectory(PathBuf, String),
    /// A place holds one image, which has no name there.
    #[error("{0} gives no names to images")]
    Nameless(String),
    /// A file is not an archive of images that can be used.
    #[error("{path} is not a usable archive", path = .0.display())]
    Archive(PathBuf, #[source] ArchiveError),
    /// Something stands already where a file was to be written.
    #[error("{path} exists already", path = .0.display())]
    Exists(PathBuf),
    /// A tag is not what it was expected to be: somebody else has set or removed it.
    #[error("the tag {name} has moved{}", .found.map_or_else(String::new, |found| format!(" to {found}")))]
    Moved {
        /// The whole name.
        name: String,
        /// What it means now; none when it is gone, or cannot be read.
        found: Option<Digest>,
    },
    /// More signatures are kept of an image than are looked at.
    #[error("{0} has more than {1} signatures")]
    TooManySignatures(String, usize),
    /// Signatures cannot be changed where they are kept.
    #[error("cannot {action} signatures {store}: {why}")]
    SignatureStore {
        /// What was to be done: `add` or `remove`.
        action: &'static str,
        /// Where, such as `at https://sigs.example.com`.
        store: String,
        /// Why not.
        why: &'static str,
    },
    /// The place can only be read from, which an archive can.
    #[error("{0} can only be read from")]
    ReadOnly(String),
    /// A [`Reader`](crate::Reader) failed, for a reason of its own.
    #[error("{0} cannot be read")]
    Reader(Digest, #[source] Box<dyn Error + Send + Sync>),
    /// Another process keeps a layout or a directory locked.
    #[error("the directory {path} is in use by another process (waited {s} s)", path = .0.display(), s = .1.as_secs())]
    LayoutBusy(PathBuf, Duration),
    /// The system refused; the first field completes "cannot …".
    #[error("cannot {0} {path}", path = .1.display())]
    Io(&'static str, PathBuf, #[source] io::Error),
}

impl TransportError {
    /// The same, with a word on what may be the reason where a registry finds fault with content of this algorithm.
    pub(crate) fn of_algorithm(self, algorithm: Algorithm) -> Self {
        match self {
            Self::Refused { request, status: 400, code, message } if algorithm != Algorithm::Sha256 => {
                let hint = format!("the registry may not support digests of {}", algorithm.as_str());
                let message = if message.is_empty() { hint } else { format!("{message} ({hint})") };
                Self::Refused { request, status: 400, code, message }
            }
            other => other,
        }
    }
}

fn purpose(repository: &str) -> String {
    if repository.is_empty() { String::new() } else { format!(" for {repository}") }
}

fn reason(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
