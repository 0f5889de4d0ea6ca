//! What object storage answers, and what that means.

use std::error::Error as _;
use std::io;
use std::path::Path;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

use super::http::Answer;
use crate::StoreError;

/// What a failed conditional write tells about the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not made: something else is there than was expected.
    Refused,
    /// Not made: too many at once.
    Busy,
    /// Not made: nothing was sent.
    NotSent,
    /// Made or not made.
    Unknown,
    /// Not made, and never will be.
    Final,
}

impl Verdict {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. } => {
                Self::Refused
            }
            Error::NotFound { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::InvalidPath { .. }
            | Error::UnknownConfigurationKey { .. } => Self::Final,
            _ => match (answer(error), transport(error)) {
                (Some(Answer { status: 409 | 429, .. }), _) => Self::Busy,
                (Some(Answer { status: 300..=407 | 410..=499, .. }), _) => Self::Final,
                (None, Some(HttpErrorKind::Connect)) => Self::NotSent,
                _ => Self::Unknown,
            },
        }
    }
}

/// The error of a call that could not do `what` with the thing at `path`.
///
/// Nothing of what the service said is repeated but its status and its code: the rest may hold what was signed.
pub(super) fn failed(what: &'static str, path: &Path, error: &Error) -> StoreError {
    let path = path.to_owned();
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            StoreError::Forbidden(what, path, cause(error))
        }
        Error::Generic { .. } if is_of_machine(error) => {
            let why = "no login stands in the environment, and the machine has none of its own";
            StoreError::Forbidden(what, path, io::Error::new(io::ErrorKind::PermissionDenied, why))
        }
        Error::Generic { .. } | Error::JoinError { .. } if Verdict::of(error) != Verdict::Final => {
            StoreError::Unreachable(what, path, cause(error))
        }
        _ => StoreError::Io(what, path, cause(error)),
    }
}

/// The reason of a failure in our words.
pub(super) fn cause(error: &Error) -> io::Error {
    let (kind, words) = match error {
        Error::NotFound { .. } => (io::ErrorKind::NotFound, "there is no such bucket or object"),
        Error::AlreadyExists { .. } => (io::ErrorKind::AlreadyExists, "it is there already"),
        Error::Precondition { .. } | Error::NotModified { .. } => {
            (io::ErrorKind::AlreadyExists, "it has changed meanwhile")
        }
        Error::PermissionDenied { .. } => (io::ErrorKind::PermissionDenied, "the login does not allow it"),
        Error::Unauthenticated { .. } => {
            (io::ErrorKind::PermissionDenied, "the login is missing or not accepted")
        }
        Error::NotSupported { .. } | Error::NotImplemented { .. } => {
            (io::ErrorKind::Unsupported, "the service does not support it")
        }
        Error::InvalidPath { .. } => {
            (io::ErrorKind::InvalidInput, "its name cannot be the name of an object")
        }
        _ => match (answer(error), transport(error)) {
            (Some(answer), _) => return io::Error::other(answer.to_string()),
            (None, Some(HttpErrorKind::Timeout)) => {
                (io::ErrorKind::TimedOut, "the service did not answer in time")
            }
            (None, Some(HttpErrorKind::Connect)) => (io::ErrorKind::NotConnected, "no connection"),
            (None, Some(_)) => (io::ErrorKind::ConnectionReset, "the connection broke"),
            (None, None) => (io::ErrorKind::Other, "the service failed"),
        },
    };
    let detail = match transport(error) {
        Some(HttpErrorKind::Connect) => innermost(error),
        _ => code(&error.to_string()).map(str::to_owned),
    };
    match detail {
        Some(detail) => io::Error::new(kind, format!("{words} ({detail})")),
        None => io::Error::new(kind, words),
    }
}

/// Whether it was not the store that failed, but the service that a machine in a cloud asks for its own login when the
/// environment has none. `object_store` says so in words only.
fn is_of_machine(error: &Error) -> bool {
    let text = error.to_string();
    ["//169.254.169.254/", "//169.254.170.2/", "//metadata/", "//metadata.google.internal/"]
        .iter()
        .any(|host| text.contains(host))
}

/// The errors below, from the outside in.
fn chain(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&error| error.source())
}

/// What was answered to a write.
fn answer(error: &Error) -> Option<&Answer> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// What became of the connection; the innermost error knows best.
fn transport(error: &Error) -> Option<HttpErrorKind> {
    chain(error).filter_map(|error| error.downcast_ref::<HttpError>()).last().map(HttpError::kind)
}

/// What the system said, such as "Connection refused".
fn innermost(error: &Error) -> Option<String> {
    chain(error).last().and_then(|error| error.downcast_ref::<io::Error>()).map(ToString::to_string)
}

/// The code in a document of errors, such as `NoSuchBucket`.
pub(super) fn code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_word = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_word && !code.is_empty()).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(source: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::Generic { store: "S3", source: Box::new(source) }
    }

    fn path(source: &'static str) -> Error {
        Error::PermissionDenied { path: "x".to_owned(), source: source.into() }
    }

    #[test]
    fn failures_of_writes_are_judged_by_what_they_leave_open() {
        let answered =
            |status| generic(HttpError::new(HttpErrorKind::Unknown, Answer { status, code: None }));
        let lost = |kind| generic(HttpError::new(kind, io::Error::other("x")));
        let table = [
            (Error::Precondition { path: String::new(), source: "".into() }, Verdict::Refused),
            (Error::AlreadyExists { path: String::new(), source: "".into() }, Verdict::Refused),
            (path("no"), Verdict::Final),
            (answered(409), Verdict::Busy),
            (answered(429), Verdict::Busy),
            (answered(400), Verdict::Final),
            (answered(301), Verdict::Final),
            (answered(408), Verdict::Unknown),
            (answered(500), Verdict::Unknown),
            (answered(503), Verdict::Unknown),
            (lost(HttpErrorKind::Connect), Verdict::NotSent),
            // A connection that was closed may have been closed after the request was done.
            (lost(HttpErrorKind::Request), Verdict::Unknown),
            (lost(HttpErrorKind::Interrupted), Verdict::Unknown),
            (lost(HttpErrorKind::Timeout), Verdict::Unknown),
            (generic(io::Error::other("x")), Verdict::Unknown),
        ];
        for (error, verdict) in table {
            assert_eq!(Verdict::of(&error), verdict, "{error}");
        }
    }

    #[test]
    fn a_login_that_is_nowhere_is_told_from_a_service_that_fails() {
        let asked = "Error performing PUT http://169.254.169.254/latest/api/token in 1 ms";
        let error = failed("read", Path::new("s3://b/x"), &generic(io::Error::other(asked)));
        assert!(matches!(error, StoreError::Forbidden(..)), "{error}");
        let error = failed("read", Path::new("s3://b/x"), &generic(io::Error::other("http://b.example/x")));
        assert!(matches!(error, StoreError::Unreachable(..)), "{error}");
    }

    #[test]
    fn messages_hold_the_code_of_an_answer_and_nothing_else_of_it() {
        let body = "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>hunter2</StringToSign></Error>";
        let error = failed("read", Path::new("s3://b/x"), &path(body));
        assert!(matches!(error, StoreError::Forbidden(..)), "{error}");
        let text = format!("{error}: {}", error.source().unwrap());
        assert!(text.ends_with("the login does not allow it (SignatureDoesNotMatch)"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(code("<Code>no\nword</Code>"), None);
        assert_eq!(code("<Code>open"), None);
    }
}
