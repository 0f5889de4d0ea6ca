//! What is wrong with content that could not be read, as opposed to with the way to it.

use std::error::Error;

use manifest_store::StoreError;
use manifest_transport::TransportError;

use super::finding::About;

/// Tells what is wrong with content.
///
/// # Errors
/// The error itself when it says nothing about the content, such as one of the network.
pub(super) fn problem(error: TransportError) -> Result<(About, String), TransportError> {
    let about = match &error {
        TransportError::NotFound(_)
        | TransportError::NotALayout(..)
        | TransportError::NotAnImageDirectory(..) => About::Missing,
        TransportError::SizeMismatch { .. } => About::Size,
        TransportError::DigestMismatch { .. } => About::Digest,
        TransportError::TooLarge { .. } | TransportError::Decode { .. } | TransportError::Config { .. } => {
            About::Unreadable
        }
        TransportError::Reader(_, inner) => match inner.downcast_ref::<StoreError>() {
            Some(StoreError::Damaged { .. } | StoreError::NoBlob(_)) => About::Missing,
            _ => return Err(error),
        },
        _ => return Err(error),
    };
    Ok((about, chain(&error)))
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use manifest_core::Digest;

    use super::*;

    #[test]
    fn what_is_wrong_with_content_is_told_from_trouble_on_the_way() {
        let digest = Digest::sha256(b"");
        let what = || "blob x".to_owned();
        let damaged = || StoreError::Damaged { path: "blobs/x".into(), what: "it is missing".to_owned() };
        for (error, about) in [
            (TransportError::NotFound(what()), Some(About::Missing)),
            (TransportError::NotALayout("x".into(), what()), Some(About::Missing)),
            (TransportError::SizeMismatch { what: what(), expected: 1, found: 2 }, Some(About::Size)),
            (TransportError::TooLarge { what: what(), limit: 1 }, Some(About::Unreadable)),
            (TransportError::Reader(digest, Box::new(damaged())), Some(About::Missing)),
            (TransportError::Reader(digest, Box::new(io::Error::other("x"))), None),
            (TransportError::Io("read", "x".into(), io::ErrorKind::PermissionDenied.into()), None),
            (TransportError::Unreachable { host: what(), message: what() }, None),
        ] {
            let text = error.to_string();
            assert_eq!(problem(error).ok().map(|(about, _)| about), about, "{text}");
        }
        let (_, text) = problem(TransportError::Reader(digest, Box::new(damaged()))).unwrap();
        assert_eq!(text, format!("{digest} cannot be read: blobs/x is damaged: it is missing"));
    }
}
