//! What can be wrong with an archive.

use std::io;

use manifest_core::{DecodeError, Digest};

use super::unpack::Compression;

/// Why an archive of images cannot be used.
///
/// Names of members are shown as they stand in the archive, cut when they are long.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// A header is not one of a tar archive; the offset counts bytes in the archive, unpacked.
    #[error("it is not a tar archive, or damaged: there is no header at byte {0}")]
    NotTar(u64),
    /// It ends before it is complete.
    #[error("it ends too early, in {0}")]
    Truncated(String),
    /// It has more members than are read.
    #[error("it has more than {0} members")]
    TooManyMembers(usize),
    /// The names of its members are longer than what is read.
    #[error("the names of its members have more than {0} bytes")]
    LongNames(usize),
    /// A name of a member, or the extended header of one, is longer than what is read.
    #[error("the header at byte {0} is longer than {1} bytes")]
    LongHeader(u64, u64),
    /// An extended header cannot be understood, or says of all members what only one can be.
    #[error("the extended header at byte {0} is not valid")]
    BadHeader(u64),
    /// Two headers of a member name two sizes, so that two readers could see two archives.
    #[error("the size of {name:?} is {header} bytes in one header and {extended} in another")]
    TwoSizes {
        /// The member.
        name: String,
        /// The size in the plain header.
        header: u64,
        /// The size in the extended header.
        extended: u64,
    },
    /// A member is of a kind that is not read.
    #[error("{0:?} is a sparse file, which is not supported; pack the archive without --sparse")]
    Sparse(String),
    /// A member that has no content says that it has some.
    #[error("{0:?} is a link or directory, but has content")]
    UnexpectedContent(String),
    /// A name leads out of the archive.
    #[error("the name {0:?} leads out of the archive")]
    NameLeadsOut(String),
    /// Two members have one name.
    #[error("it has two members {0:?}")]
    Duplicate(String),
    /// A link leads out of the archive.
    #[error("the link {name:?} leads out of the archive, to {to:?}")]
    LinkLeadsOut {
        /// The link.
        name: String,
        /// Where to.
        to: String,
    },
    /// A link leads to a link, and that to another, and so on.
    #[error("{0:?} is reached by more than {1} links")]
    LinkLoop(String, usize),
    /// A member is missing that another one names.
    #[error("it has no {0:?}")]
    NoMember(String),
    /// A member is a directory or a device where a file is needed.
    #[error("{0:?} is not a regular file")]
    NotAFile(String),
    /// A document in it is larger than what is read of its kind.
    #[error("{0:?} is larger than {1} bytes")]
    LargeMember(String, u64),
    /// A document in it is not what it has to be.
    #[error("{0} {1}")]
    Document(&'static str, String),
    /// The index of an OCI archive is not usable.
    #[error("its index.json is not usable")]
    Index(#[source] DecodeError),
    /// It was made by Docker before version 1.10.
    #[error(
        "it is a Docker archive of the format before Docker 1.10, without manifest.json, which is not supported"
    )]
    Legacy,
    /// It is an archive of the other kind.
    #[error("it is not {wanted}, but {found}; write {found_prefix}: instead")]
    OtherKind {
        /// What was asked for.
        wanted: &'static str,
        /// What it is.
        found: &'static str,
        /// The transport that reads it.
        found_prefix: &'static str,
    },
    /// It is a tar archive of something else.
    #[error("it holds no images: there is neither oci-layout nor manifest.json in it")]
    NoImages,
    /// A Docker image has other layers than its configuration says.
    #[error("{config:?} has {expected} diff IDs, but there are {found} layers")]
    LayerCount {
        /// The configuration.
        config: String,
        /// Layers in the configuration.
        expected: usize,
        /// Layers in `manifest.json`.
        found: usize,
    },
    /// The content of a member is not what names it.
    #[error("{member:?} should be {expected}, but its content is {found}")]
    WrongContent {
        /// The member.
        member: String,
        /// The digest that is claimed.
        expected: Digest,
        /// The digest of its content.
        found: Digest,
    },
    /// What is compressed cannot be unpacked.
    #[error("cannot unpack {0}, which is compressed with {1}")]
    Unpack(String, Compression, #[source] io::Error),
    /// What is compressed is too large unpacked.
    #[error("{0} has more than {1} bytes unpacked")]
    UnpackedTooLarge(String, u64),
    /// What is compressed or comes through a pipe cannot be kept in the directory for temporary files.
    #[error("cannot keep it in a temporary file")]
    Spool(#[source] io::Error),
    /// It cannot be read; the text completes "cannot …".
    #[error("cannot {0} it")]
    Io(&'static str, #[source] io::Error),
}

/// A name for a message: hostile ones are long.
pub(super) fn brief(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(160).collect()
}

/// The same in quotation marks, where a message may also name something else than a member.
pub(super) fn quoted(name: &[u8]) -> String {
    format!("{:?}", brief(name))
}
