//! Errors for people and programs: what failed, what would help, and the exit code.

mod meaning;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use manifest_core::{EditError, EncodeError, Format, ReferenceError};
use manifest_publish::verify::{Refused, VerifyError};
use manifest_publish::{ImportError, PublishError, ResolveError};
use manifest_sign::SignError;
use manifest_sign::policy::PolicyError;
use manifest_store::{PublicationId, StoreError, UpdateError};
use manifest_transport::auth::CredentialError;
use manifest_transport::config::ConfigError;
use manifest_transport::{LocationError, TransportError};
use serde::Serialize;

use self::meaning::Meaning;
use crate::context::Context;
use crate::table::clean;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// What was asked for makes no sense; the second field says what would.
    #[error("{0}")]
    Misuse(String, &'static str),
    #[error("{0:?} is not a valid list name")]
    Name(String, #[source] ReferenceError),
    #[error(transparent)]
    Location(#[from] LocationError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Edit(#[from] EditError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Publish(Box<PublishError>),
    #[error(transparent)]
    Import(Box<ImportError>),
    #[error("{0} has no entry for {1}; it has {2}")]
    NoSuchPlatform(String, String, String),
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// No login is kept for a registry.
    #[error("there is no login for {0}")]
    NoLogin(String),
    /// Nothing is remembered of an image.
    #[error("nothing is remembered of {0}")]
    NotRemembered(String),
    /// No push was cut off, or none of this list.
    #[error("no push{} was cut off", .0.as_ref().map(|list| format!(" of {list}")).unwrap_or_default())]
    NothingCutOff(Option<String>),
    /// Nothing is known of a publication.
    #[error("there is no publication {0}")]
    NoSuchPublication(PublicationId),
    /// Somebody needs the record to stay.
    #[error("{what} is held by {by}")]
    Held {
        /// The record, as people call it.
        what: String,
        /// Those who hold it.
        by: String,
        /// Whether all of them are lists that have entries of it.
        lists_only: bool,
    },
    /// Another error, of which this verb knows better what would help.
    #[error("{0}")]
    Advised(Box<Self>, String),
    /// The system refused; the first field completes "cannot …".
    #[error("cannot {0} {path}", path = .1.display())]
    File(&'static str, PathBuf, #[source] io::Error),
    /// There is something already where a file was to be made.
    #[error("{path} exists", path = .0.display())]
    Exists(PathBuf),
    /// A key file is not used, or not made; the first field completes "cannot …".
    #[error("cannot {0} the key in {path}", path = .1.display())]
    Key(&'static str, PathBuf, #[source] SignError),
    /// A key of GnuPG's is not used.
    #[error("cannot sign with the key {0} of GnuPG")]
    GnupgKey(String, #[source] SignError),
    /// A list was never pushed, so that there is nothing to be signed.
    #[error("{0} was not pushed yet, so that nothing of it is in a registry")]
    NotPushed(String),
    /// Signatures that were to go are still there.
    #[error("the registry deletes nothing, so these stay: {}", .0.join(", "))]
    NotDeleted(Vec<String>),
    /// It cannot be told whether something is signed.
    #[error(transparent)]
    Verify(Box<VerifyError>),
    /// Something is not signed as it must be.
    #[error("{0}")]
    NotVerified(NotSigned),
    /// A policy does not let something into a list.
    #[error("the policy does not let it in: {0}")]
    NotLetIn(NotSigned),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Standard output is closed: nobody reads any more, which is no error.
    #[error("nobody reads the output")]
    ClosedPipe,
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    #[error("interrupted")]
    Interrupted(Signal),
    #[error("cannot start: {0}")]
    Start(#[source] io::Error),
}

/// A signal that ends a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
}

/// What is not signed as it must be.
#[derive(Debug)]
pub(crate) struct NotSigned {
    /// The worst of the answers, in a word.
    answer: &'static str,
    text: String,
    /// Where it is, as it can be given again.
    pub(crate) target: String,
}

impl NotSigned {
    /// Tells of what was refused, of `all` digests; `None` if nothing was.
    pub(crate) fn new(target: &str, all: usize, refused: Vec<(String, Refused)>) -> Option<Self> {
        let (count, more) = (refused.len(), refused.len().saturating_sub(1));
        let (name, worst) = refused.into_iter().max_by_key(|(_, refused)| badness(refused.kind()))?;
        let others = if more > 0 { format!("; and {more} more of {all}") } else { String::new() };
        let of = if count == all && all == 1 { String::new() } else { format!("{name}: ") };
        let text = format!("{target} is not signed as it must be: {of}{}{others}", worst.text());
        Some(Self { answer: worst.kind(), text, target: target.to_owned() })
    }
}

impl fmt::Display for NotSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Somebody who means harm before somebody who forgot something.
fn badness(kind: &str) -> u8 {
    match kind {
        "unsigned" => 0,
        "unreadable" => 1,
        "expired" => 2,
        "unknown-key" => 3,
        "rejected" => 4,
        _ => 5,
    }
}

impl From<VerifyError> for CliError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Publish(error) => error.into(),
            error => Self::Verify(Box::new(error)),
        }
    }
}

impl From<TransportError> for CliError {
    fn from(error: TransportError) -> Self {
        PublishError::from(error).into()
    }
}

impl From<CredentialError> for CliError {
    fn from(error: CredentialError) -> Self {
        TransportError::Credentials(error).into()
    }
}

impl From<PublishError> for CliError {
    fn from(error: PublishError) -> Self {
        Self::Publish(Box::new(error))
    }
}

impl From<ImportError> for CliError {
    fn from(error: ImportError) -> Self {
        Self::Import(Box::new(error))
    }
}

impl<E: Into<Self>> From<UpdateError<E>> for CliError {
    fn from(error: UpdateError<E>) -> Self {
        match error {
            UpdateError::Store(error) => Self::Store(error),
            UpdateError::Edit(error) => error.into(),
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::ClosedPipe } else { Self::Output(error) }
    }
}

/// What went wrong in a command that goes on to the end of its arguments.
#[derive(Debug, Default)]
pub(crate) struct Failures(Option<u8>);

impl Failures {
    /// Tells of an error; the exit code of the first is that of the command.
    pub(crate) fn add(&mut self, context: &Context, error: impl Into<CliError>) {
        let error = error.into();
        context.ui.error(&error);
        self.0 = self.0.or(Some(error.exit()));
    }

    /// Whether everything went well so far.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The exit code of the command.
    pub(crate) fn code(&self) -> u8 {
        self.0.unwrap_or_default()
    }
}

/// The error object of `--output json`.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorObject {
    error: Body,
}

#[derive(Debug, Serialize)]
struct Body {
    kind: &'static str,
    message: String,
    causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    exit: u8,
}

impl CliError {
    /// The exit code.
    pub(crate) fn exit(&self) -> u8 {
        self.meaning().exit
    }

    /// The same error with another hint, when it is of this kind.
    pub(crate) fn advise(self, kind: &str, hint: impl Into<String>) -> Self {
        if self.meaning().kind == kind { Self::Advised(Box::new(self), hint.into()) } else { self }
    }

    /// The hint for a verb that edits a list and has no `--format` itself.
    pub(crate) fn advise_format(self, list: &str) -> Self {
        let to = |format| format!("manifest create --amend --format {format} {list} changes its format");
        match &self {
            Self::Encode(error) | Self::Store(StoreError::Unencodable(error)) => match error {
                EncodeError::NotRepresentable { format: Format::Docker, .. }
                | EncodeError::OciChild { .. } => Self::Advised(Box::new(self), to("oci")),
                EncodeError::NotRepresentable { .. } => Self::Advised(Box::new(self), to("v2s2")),
                _ => self,
            },
            _ => self,
        }
    }

    /// For people: the error, its causes and what would help, a line each.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("error: {}", clean(&self.to_string()));
        for cause in self.causes() {
            text.push_str("\n  because: ");
            text.push_str(&clean(&cause));
        }
        if let Some(hint) = self.meaning().hint {
            text.push_str("\nhint: ");
            text.push_str(&clean(&hint));
        }
        text
    }

    /// For programs.
    pub(crate) fn object(&self) -> ErrorObject {
        let Meaning { kind, exit, hint } = self.meaning();
        ErrorObject { error: Body { kind, message: self.to_string(), causes: self.causes(), hint, exit } }
    }

    fn causes(&self) -> Vec<String> {
        if let Self::Advised(error, _) = self {
            return error.causes();
        }
        let mut causes = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        causes
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}
