//! An archive whose members are known.

use std::io;
use std::time::SystemTime;

use bytes::Bytes;
use manifest_core::{Digest, List, MAX_MANIFEST_SIZE};

use super::ArchiveKind;
use super::docker::{self, Images};
use super::error::ArchiveError;
use super::file::{PIECE, Source, Span, Stop};
use super::members::Members;
use crate::layout::index;
use crate::location::Pick;
use crate::offer;

/// What tells that a file has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    inode: (u64, u64),
}

impl Stamp {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        #[cfg(unix)]
        let inode = {
            use std::os::unix::fs::MetadataExt as _;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let inode = (0, 0);
        Self { len: metadata.len(), modified: metadata.modified().ok(), inode }
    }
}

/// An archive whose members are known.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) source: Source,
    pub(super) members: Members,
    pub(super) content: Content,
    /// None for what came through a pipe.
    pub(super) stamp: Option<Stamp>,
}

#[derive(Debug)]
pub(super) enum Content {
    Oci(Box<List>),
    Docker(Images),
}

impl Opened {
    pub(super) fn new(
        source: Source,
        kind: ArchiveKind,
        stamp: Option<Stamp>,
        stop: &Stop,
    ) -> Result<Self, ArchiveError> {
        let members = Members::read(&source, stop)?;
        let content = match form(&members, kind)? {
            Form::Oci => Content::Oci(Box::new(read_index(&source, &members)?)),
            Form::Docker => Content::Docker(Images::read(&source, &members, stop)?),
        };
        Ok(Self { source, members, content, stamp })
    }

    /// Reads some bytes of a member, and says what is left of it.
    pub(super) fn piece(&self, span: Span) -> io::Result<(Bytes, Span)> {
        let size = usize::try_from(span.size).unwrap_or(usize::MAX).min(PIECE);
        let mut piece = vec![0; size];
        let read = self.source.read_at(&mut piece, span.at)?;
        piece.truncate(read);
        Ok((piece.into(), span.after(read as u64)))
    }
}

impl Content {
    /// How many manifests there are.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Oci(list) => list.entries().len(),
            Self::Docker(images) => images.images.len(),
        }
    }

    /// Their names.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::Oci(list) => list.entries().iter().filter_map(|entry| offer::names(entry).next()).collect(),
            Self::Docker(images) => {
                images.images.iter().flat_map(|image| image.names.iter().map(String::as_str)).collect()
            }
        }
    }

    /// The digest of the manifest that is meant, if there is one; one that is asked for by its digest may lie
    /// deeper.
    pub(super) fn find(&self, pick: &Pick) -> Option<Digest> {
        match self {
            Self::Oci(list) => find_entry(list, pick),
            Self::Docker(images) => images.find(pick).map(|image| image.descriptor.digest),
        }
    }
}

fn find_entry(list: &List, pick: &Pick) -> Option<Digest> {
    let named = |like: fn(&str, &str) -> bool, wanted: &str| {
        list.entries().iter().find(|entry| offer::names(entry).any(|name| like(name, wanted)))
    };
    let found = match pick {
        Pick::Digest(digest) => return Some(*digest),
        Pick::Name(wanted) => index::find(list, pick)
            .or_else(|| named(|name, wanted| name == wanted, wanted))
            .or_else(|| named(offer::same_image, wanted)),
        Pick::Only | Pick::Position(_) => index::find(list, pick),
    };
    found.map(|entry| entry.digest)
}

enum Form {
    Oci,
    Docker,
}

/// How an archive is read that is meant to be of a kind.
fn form(members: &Members, kind: ArchiveKind) -> Result<Form, ArchiveError> {
    let (oci, docker) = (members.has("oci-layout"), members.has(docker::MANIFEST));
    let (an_oci, a_docker) = ("an OCI archive", "a Docker archive");
    let other = |wanted, found, kind: ArchiveKind| {
        Err(ArchiveError::OtherKind { wanted, found, found_prefix: kind.as_str() })
    };
    match (kind, oci, docker) {
        (ArchiveKind::Oci | ArchiveKind::Either, true, _) | (ArchiveKind::Docker, true, true) => {
            Ok(Form::Oci)
        }
        (ArchiveKind::Docker | ArchiveKind::Either, false, true) => Ok(Form::Docker),
        (ArchiveKind::Oci, false, true) => other(an_oci, a_docker, ArchiveKind::Docker),
        (ArchiveKind::Docker, true, false) => other(a_docker, an_oci, ArchiveKind::Oci),
        (_, false, false) if members.has("repositories") || members.has_suffix("/layer.tar") => {
            Err(ArchiveError::Legacy)
        }
        (_, false, false) => Err(ArchiveError::NoImages),
    }
}

fn read_index(source: &Source, members: &Members) -> Result<List, ArchiveError> {
    let marker = members.content(source, "oci-layout", 4096)?;
    index::check_version(&marker).map_err(|why| ArchiveError::Document("it is not an OCI layout:", why))?;
    let bytes = members.content(source, "index.json", MAX_MANIFEST_SIZE)?;
    index::decode(&bytes).map_err(ArchiveError::Index)
}

/// The member of an OCI archive that is a blob.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}
