//! Why a task ended.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a task ended without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    Usage(String),
    /// A program could not be started; with what would help.
    Missing { program: String, help: String },
    /// A program ran and said no; how it ended.
    Program { line: String, status: String },
    /// A file could not be read or written; the first field completes "cannot …".
    File(&'static str, PathBuf, io::Error),
    /// The answer of the task is no, for these reasons.
    Refused(Vec<String>),
    /// A step of `test` failed; it has said why.
    Step(&'static str),
    /// A program said something that was not understood.
    Answer { program: &'static str, problem: String },
}

impl Failure {
    /// Completes "cannot `doing` `path`".
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File(doing, path, error)
    }

    /// 2 for misuse, 1 for everything else.
    pub(crate) fn exit_code(&self) -> u8 {
        if matches!(self, Self::Usage(_)) { 2 } else { 1 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(problem) => f.write_str(problem),
            Self::Missing { program, help } => write!(f, "{program} is not there; {help}"),
            Self::Program { line, status } => write!(f, "`{line}` ended with {status}"),
            Self::File(doing, path, error) => write!(f, "cannot {doing} {}: {error}", path.display()),
            Self::Refused(reasons) => f.write_str(&reasons.join("\nerror: ")),
            Self::Step(name) => write!(f, "{name} failed"),
            Self::Answer { program, problem } => {
                write!(f, "the answer of {program} makes no sense: {problem}")
            }
        }
    }
}
