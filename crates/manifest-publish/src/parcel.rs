//! Archives and directories as targets, which have no tags: an archive is made beside the place where it will be, a directory in
//! its place; both are seen in one step.

use std::fs;
use std::io;
use std::path::Path;

use manifest_core::Digest;
use manifest_transport::archive::{Existing, Packed, Workshop, tidy};
use manifest_transport::{Archive, Directory, Layout, Place, TransportError};

/// An archive or a directory on its way.
#[derive(Debug, Default)]
pub(crate) enum Parcel {
    /// Nothing is there, or somebody else's.
    #[default]
    None,
    /// It is complete, and nobody sees it.
    Packed(Packed),
    /// It is where it should be.
    Shown,
    /// The directory means the list; what it meant before.
    Means(Option<Digest>),
}

/// The archive that a target is.
pub(crate) const fn archive(place: &Place) -> Option<&Archive> {
    if let Place::Archive(archive) = place { Some(archive) } else { None }
}

/// The directory that a target is.
pub(crate) const fn directory(place: &Place) -> Option<&Directory> {
    if let Place::Directory(directory) = place { Some(directory) } else { None }
}

/// Whether nobody sees what is brought to a target until it is shown as a whole.
pub(crate) const fn is_shown_at_once(place: &Place) -> bool {
    matches!(place, Place::Archive(_) | Place::Directory(_))
}

/// What is asked what it has: an archive that is to be made has nothing, as a layout that is not there.
pub(crate) fn surveyed(place: &Place) -> Place {
    archive(place).map_or_else(|| place.clone(), |archive| Place::Layout(Layout::new(archive.path())))
}

/// Refuses a file that is there, and a directory that is not.
pub(crate) fn look(archive: &Archive) -> Result<(), TransportError> {
    let path = archive.path();
    if path.symlink_metadata().is_ok() {
        return Err(TransportError::Exists(path.to_owned()));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = fs::metadata(parent).and_then(|found| match found.is_dir() {
        true => Ok(()),
        false => Err(io::ErrorKind::NotADirectory.into()),
    });
    found.map_err(|error| TransportError::Io("write in", parent.to_owned(), error))
}

/// Whether the archive is there already, in a publication that goes on; refuses any other file. What was half made when it
/// was cut off is removed.
pub(crate) async fn look_again(archive: &Archive, list: Digest) -> Result<Parcel, TransportError> {
    tidy(archive.path());
    if is_ours(archive, list).await {
        return Ok(Parcel::Shown);
    }
    look(archive).map(|()| Parcel::None)
}

/// A layout that becomes an archive.
pub(crate) struct Packing {
    staged: Workshop,
    place: Place,
}

impl Packing {
    pub(crate) fn begin(archive: &Archive) -> Result<Self, TransportError> {
        let staged = Workshop::beside(archive.path())?;
        let place = Place::Layout(Layout::new(staged.layout()));
        Ok(Self { staged, place })
    }

    /// Where its content is brought to.
    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) async fn finish(self, archive: &Archive) -> Result<Parcel, TransportError> {
        Packed::write(&self.staged.layout(), archive.path(), Existing::Refuse).await.map(Parcel::Packed)
    }
}

impl Parcel {
    /// Lets the archive be seen; when that fails it is gone.
    pub(crate) async fn show(&mut self) -> Result<(), TransportError> {
        match std::mem::take(self) {
            Self::Packed(packed) => {
                // From here on it may be there, whatever is said of it.
                let shown = packed.show().await;
                if !matches!(shown, Err(TransportError::Exists(_))) {
                    *self = Self::Shown;
                }
                shown
            }
            other => {
                *self = other;
                Ok(())
            }
        }
    }
}

/// Removes an archive that means the list, and what was half made; why another archive stays.
pub(crate) async fn take_back(
    archive: &Archive,
    list: Digest,
) -> Result<Option<&'static str>, TransportError> {
    let path = archive.path();
    tidy(path);
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    if !is_ours(archive, list).await {
        return Ok(Some("it is not the one that was written"));
    }
    fs::remove_file(path).map_err(|error| TransportError::Io("remove", path.to_owned(), error))?;
    Ok(None)
}

/// Whether the file is an archive of the list.
async fn is_ours(archive: &Archive, list: Digest) -> bool {
    let offers = archive.offers().await;
    offers.is_ok_and(|offers| offers.iter().any(|offer| offer.descriptor.digest == list))
}
