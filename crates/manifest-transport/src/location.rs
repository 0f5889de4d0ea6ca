//! Where an image is, as people type it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use manifest_core::{Digest, DigestError, Reference, ReferenceError};

use crate::archive::ArchiveKind;

/// Where an image or list is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// In a registry: `docker://HOST/REPOSITORY[:TAG][@DIGEST]`, the default for a text without a transport.
    Registry(Reference),
    /// In an OCI image layout: `oci:DIRECTORY[:NAME]`, `oci:DIRECTORY:@POSITION` or `oci:DIRECTORY@DIGEST`.
    Layout(PathBuf, Pick),
    /// In a directory: `dir:DIRECTORY`, or another manifest there than the image itself: `dir:DIRECTORY@DIGEST`.
    Directory(PathBuf, Pick),
    /// In an archive: `oci-archive:FILE` or `docker-archive:FILE`, with the same behind it as for a layout. Of a Docker
    /// archive the position counts the images.
    Archive(ArchiveKind, PathBuf, Pick),
    /// In our own store: `store:NAME`, also the default for names below `localhost/`.
    Store(String),
}

/// Which manifest of an OCI image layout or an archive is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pick {
    /// The only one.
    Only,
    /// The one with this name in `index.json`; in an archive a short name is good for the whole one.
    Name(String),
    /// The one at this position in `index.json`, counted from 0.
    Position(usize),
    /// The one with this digest, whether `index.json` names it or not.
    Digest(Digest),
}

/// Why a text does not say where an image is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// The reference to a registry is not valid.
    #[error("{0:?} is not a valid image reference")]
    Reference(String, #[source] ReferenceError),
    /// The transport exists elsewhere, but is not supported here.
    #[error(
        "the transport {0:?} is not supported; docker://, oci:, dir:, oci-archive:, docker-archive: and store: are"
    )]
    Unsupported(String),
    /// No directory stands behind `oci:` or `dir:`.
    #[error("{0:?} names no directory; it is written {form}", form = directory_form(.0))]
    NoDirectory(String),
    /// No file stands behind the transport of an archive.
    #[error("{0:?} names no file; it is written {prefix}:FILE[:NAME]", prefix = .1.as_str())]
    NoFile(String, ArchiveKind),
    /// The digest of a manifest in a layout or an archive is not valid.
    #[error("{0:?} does not end with a valid digest")]
    Digest(String, #[source] DigestError),
    /// The position of a manifest in a layout or an archive is not a number.
    #[error("{0:?} does not end with a position, which is written as in oci:DIRECTORY:@0")]
    Position(String),
}

/// Transports that other tools have and we do not.
const OTHERS: [&str; 3] = ["containers-storage", "docker-daemon", "ostree"];

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if let Some(rest) = text.strip_prefix("docker://") {
            return registry(rest);
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            let (path, pick) = picked(text, rest)?;
            let path = path.ok_or_else(|| LocationError::NoDirectory(text.to_owned()))?;
            return Ok(Self::Layout(path, pick));
        }
        if let Some(rest) = text.strip_prefix("dir:") {
            let (path, pick) = match digested(text, rest)? {
                Some((path, digest)) => (path, Pick::Digest(digest)),
                None => (rest, Pick::Only),
            };
            if path.is_empty() {
                return Err(LocationError::NoDirectory(text.to_owned()));
            }
            return Ok(Self::Directory(path.into(), pick));
        }
        for kind in [ArchiveKind::Oci, ArchiveKind::Docker] {
            if let Some(rest) = text.strip_prefix(kind.as_str()).and_then(|rest| rest.strip_prefix(':')) {
                let (path, pick) = picked(text, rest)?;
                let path = path.ok_or_else(|| LocationError::NoFile(text.to_owned(), kind))?;
                return Ok(Self::Archive(kind, path, pick));
            }
        }
        if let Some(name) = text.strip_prefix("store:") {
            return Ok(Self::Store(name.to_owned()));
        }
        if let Some((transport, _)) = text.split_once(':').filter(|(transport, _)| OTHERS.contains(transport))
        {
            return Err(LocationError::Unsupported(format!("{transport}:")));
        }
        if text.starts_with("localhost/") {
            return Ok(Self::Store(text.to_owned()));
        }
        match text.split_once("://") {
            Some((transport, _)) => Err(LocationError::Unsupported(format!("{transport}://"))),
            None => registry(text),
        }
    }
}

fn registry(text: &str) -> Result<Location, LocationError> {
    let reference: Reference =
        text.parse().map_err(|error| LocationError::Reference(text.to_owned(), error))?;
    Ok(Location::Registry(reference.with_default_tag()))
}

/// What stands before a digest at the end, and the digest; `whole` is for messages.
fn digested<'a>(whole: &str, rest: &'a str) -> Result<Option<(&'a str, Digest)>, LocationError> {
    let Some((before, digest)) = rest.rsplit_once('@').filter(|(_, end)| end.contains(':')) else {
        return Ok(None);
    };
    let digest = digest.parse().map_err(|error| LocationError::Digest(whole.to_owned(), error))?;
    Ok(Some((before, digest)))
}

/// How a directory is written with its transport.
fn directory_form(text: &str) -> &'static str {
    if text.starts_with("dir:") { "dir:DIRECTORY" } else { "oci:DIRECTORY[:NAME]" }
}

/// The path, if there is one, and which manifest is meant; `whole` is for messages.
fn picked(whole: &str, rest: &str) -> Result<(Option<PathBuf>, Pick), LocationError> {
    let path = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
    if let Some((before, digest)) = digested(whole, rest)? {
        return Ok((path(before), Pick::Digest(digest)));
    }
    let (before, name) = rest.split_once(':').unwrap_or((rest, ""));
    let pick = match name.strip_prefix('@') {
        Some(at) => {
            Pick::Position(at.parse().map_err(|_not_a_number| LocationError::Position(whole.to_owned()))?)
        }
        None if name.is_empty() => Pick::Only,
        None => Pick::Name(name.to_owned()),
    };
    Ok((path(before), pick))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => write!(f, "docker://{reference}"),
            Self::Layout(path, pick) => write!(f, "oci:{}{pick}", path.display()),
            Self::Directory(path, pick) => write!(f, "dir:{}{pick}", path.display()),
            Self::Archive(kind, path, pick) => write!(f, "{}:{}{pick}", kind.as_str(), path.display()),
            Self::Store(name) => write!(f, "store:{name}"),
        }
    }
}

/// As it stands behind the directory or file.
impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => Ok(()),
            Self::Name(name) => write!(f, ":{name}"),
            Self::Position(at) => write!(f, ":@{at}"),
            Self::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_mean_places() {
        let digest = Digest::sha256(b"");
        for (text, shown) in [
            ("docker://r.io/app:1".to_owned(), "docker://r.io/app:1".to_owned()),
            ("r.io/app".to_owned(), "docker://r.io/app:latest".to_owned()),
            ("alpine".to_owned(), "docker://docker.io/library/alpine:latest".to_owned()),
            ("localhost:5000/app".to_owned(), "docker://localhost:5000/app:latest".to_owned()),
            (format!("r.io/app@{digest}"), format!("docker://r.io/app@{digest}")),
            ("localhost/app:1".to_owned(), "store:localhost/app:1".to_owned()),
            ("store:app".to_owned(), "store:app".to_owned()),
            ("oci:dir".to_owned(), "oci:dir".to_owned()),
            ("oci:dir:".to_owned(), "oci:dir".to_owned()),
            ("oci:/a/b:1.0".to_owned(), "oci:/a/b:1.0".to_owned()),
            ("oci:/a/b:r.io/app:1.0".to_owned(), "oci:/a/b:r.io/app:1.0".to_owned()),
            ("oci:dir:@2".to_owned(), "oci:dir:@2".to_owned()),
            ("oci-archive:a.tar".to_owned(), "oci-archive:a.tar".to_owned()),
            ("oci-archive:/a.tar:r.io/app:1".to_owned(), "oci-archive:/a.tar:r.io/app:1".to_owned()),
            ("docker-archive:a.tar:@1".to_owned(), "docker-archive:a.tar:@1".to_owned()),
            (format!("docker-archive:a.tar@{digest}"), format!("docker-archive:a.tar@{digest}")),
            (format!("oci:dir@{digest}"), format!("oci:dir@{digest}")),
            ("dir:/a/b".to_owned(), "dir:/a/b".to_owned()),
            ("dir:a:b@c".to_owned(), "dir:a:b@c".to_owned()),
            (format!("dir:/a:b@{digest}"), format!("dir:/a:b@{digest}")),
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn texts_that_mean_nothing_say_why() {
        for (text, part) in [
            ("oci:", "names no directory"),
            ("oci::x", "names no directory"),
            ("oci:d:@x", "position"),
            ("oci:d@sha256:12", "valid digest"),
            ("oci-archive:", "it is written oci-archive:FILE[:NAME]"),
            ("docker-archive::x", "it is written docker-archive:FILE[:NAME]"),
            ("docker-archive:a@sha256:12", "valid digest"),
            ("oci-archive:a:@-1", "position"),
            ("dir:", "it is written dir:DIRECTORY"),
            ("dir:a@sha256:12", "valid digest"),
            ("containers-storage:x", "not supported"),
            ("library://x/y", "\"library://\" is not supported"),
            ("docker://", "not a valid image reference"),
            ("Foo Bar", "not a valid image reference"),
        ] {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
