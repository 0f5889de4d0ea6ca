//! Where images are imported from.

use std::path::{Path, PathBuf, absolute};

use manifest_publish::Offered;
use manifest_transport::{Archive, ArchiveKind, Directory, Layout, Location, Offer, Origin, Pick, Place};

use crate::error::CliError;

/// Where images are imported from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum From {
    Layout(PathBuf),
    Directory(PathBuf),
    Archive(ArchiveKind, PathBuf),
    Stdin(ArchiveKind),
}

impl From {
    /// A layout at a path that means the same wherever it is read again.
    pub(super) fn layout(path: &Path) -> Result<Self, CliError> {
        Ok(Self::Layout(whole(path)?))
    }

    /// A file, a layout when it is a directory and no kind was given, or standard input.
    pub(super) fn path(kind: Option<ArchiveKind>, path: &Path) -> Result<Self, CliError> {
        let or_either = kind.unwrap_or(ArchiveKind::Either);
        match kind {
            _ if path == Path::new("-") => Ok(Self::Stdin(or_either)),
            None if path.is_dir() => Self::layout(path),
            _ => Ok(Self::Archive(or_either, whole(path)?)),
        }
    }

    /// What is written with its transport, and which image of it is meant.
    pub(super) fn location(location: Location) -> Result<(Self, Pick), CliError> {
        match location {
            Location::Layout(path, pick) => Ok((Self::layout(&path)?, pick)),
            Location::Directory(path, pick) => Ok((Self::Directory(whole(&path)?), pick)),
            Location::Archive(kind, path, pick) => Ok((Self::path(Some(kind), &path)?, pick)),
            other => {
                let message = format!("{other} is neither a layout, a directory nor an archive");
                Err(CliError::Misuse(message, "manifest add takes images of registries and of the store"))
            }
        }
    }

    /// Opens it, and lists what is in it.
    pub(super) async fn open(&self) -> Result<(Place, Vec<Offer>), CliError> {
        let archive = match self {
            Self::Layout(path) => {
                let layout = Layout::new(path);
                let offers = layout.offers().await?;
                return Ok((Place::Layout(layout), offers));
            }
            Self::Directory(path) => {
                let directory = Directory::new(path);
                let offers = vec![directory.offer().await?];
                return Ok((Place::Directory(directory), offers));
            }
            Self::Archive(kind, path) => Archive::new(*kind, path),
            Self::Stdin(kind) => Archive::spool(*kind, "-", std::io::stdin()).await?,
        };
        let offers = archive.offers().await?;
        Ok((Place::Archive(archive), offers))
    }

    /// An image of it, as it would be written; the transport of an archive tells whether the manifest lies in it.
    pub(super) fn typed(&self, image: &Offered) -> String {
        let pick = match image.names.first() {
            Some(name) => Pick::Name(name.clone()),
            None => Pick::Digest(image.descriptor.digest),
        };
        let kind = match image.origin {
            Origin::Synthesised => ArchiveKind::Docker,
            _ => ArchiveKind::Oci,
        };
        let location = match self {
            Self::Layout(path) => Location::Layout(path.clone(), pick),
            Self::Directory(path) => Location::Directory(path.clone(), pick),
            Self::Archive(_, path) => Location::Archive(kind, path.clone(), pick),
            Self::Stdin(_) => Location::Archive(kind, PathBuf::from("-"), pick),
        };
        location.to_string()
    }
}

fn whole(path: &Path) -> Result<PathBuf, CliError> {
    absolute(path).map_err(|error| CliError::File("find", path.to_owned(), error))
}
