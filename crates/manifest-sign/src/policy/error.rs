//! Why a policy cannot be used.

use std::io;
use std::path::PathBuf;

use manifest_core::JsonError;

/// Why a policy, or a key that it names, cannot be used. Nothing is accepted then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// There is no policy in any of the places where one is looked for.
    #[error("there is no policy: looked for {}", shown(.0))]
    NotFound(Vec<PathBuf>),
    /// A file cannot be read.
    #[error("cannot read {path}", path = .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// A file is larger than what is read of it.
    #[error("{path} is larger than {1} bytes", path = .0.display())]
    TooLarge(PathBuf, usize),
    /// The policy is not JSON that two readers would understand alike.
    #[error("the policy {path} cannot be used: it is {1}", path = .0.display())]
    Json(PathBuf, JsonError),
    /// The policy says something that it must not say.
    #[error("the policy {file} cannot be used: {at}: {what}", file = .file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The place in it, such as `transports["docker"]["r.example.com"][0].keyPath`.
        at: String,
        /// What is wrong there.
        what: String,
    },
}

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
}
