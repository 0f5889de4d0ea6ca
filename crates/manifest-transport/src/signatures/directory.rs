//! Signatures in a directory: files `signature-1`, `signature-2` and so on for each image; in a `dir:` those of other images than
//! its own have the digest before that.
//!
//! Other programs write there without any lock. Whatever is written gets a number of its own all the same: a file is
//! complete before it gets its name, and no name is taken that is in use.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tempfile::NamedTempFile;

use super::{Found, Kept, MAX_SIGNATURE, MAX_SIGNATURES, check_room};
use crate::archive::{Links, open_file};
use crate::error::TransportError;

/// What the names of signatures begin with, behind what tells whose they are.
const PREFIX: &str = "signature-";

/// How often a number is looked at that is taken and free in turns.
const LOOKS: usize = 8;

/// The files of one image.
#[derive(Clone, Debug)]
pub(super) struct Series {
    directory: PathBuf,
    prefix: String,
    links: Links,
}

impl Series {
    /// All in a directory of a lookaside store.
    pub(super) fn of_store(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), prefix: PREFIX.to_owned(), links: Links::Follow }
    }

    /// Those in a directory of images whose names begin with `whose`.
    pub(super) fn of_image(directory: impl Into<PathBuf>, whose: &str) -> Self {
        Self { directory: directory.into(), prefix: format!("{whose}{PREFIX}"), links: Links::Refuse }
    }

    fn path(&self, number: usize) -> PathBuf {
        self.directory.join(format!("{}{number}", self.prefix))
    }

    fn numbers(&self) -> io::Result<Vec<usize>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(&self.prefix)?.parse().ok());
            // Other spellings of a number, such as `signature-01`, are none of ours.
            numbers.extend(number.filter(|number: &usize| name == *format!("{}{number}", self.prefix)));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Reads a signature; none when there is no such file.
    fn read_one(&self, number: usize, room: usize) -> Result<Option<Bytes>, TransportError> {
        let path = self.path(number);
        let failed = |error| TransportError::Io("read", path.clone(), error);
        let file = match open_file(&path, self.links) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        let limit = MAX_SIGNATURE.min(room);
        let too_large = || TransportError::TooLarge { what: path.display().to_string(), limit: limit as u64 };
        // What it says of itself may change while it is read.
        let length = usize::try_from(file.metadata().map_err(failed)?.len()).unwrap_or(usize::MAX);
        if length > limit {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(length + 1);
        file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > limit {
            return Err(too_large());
        }
        Ok(Some(bytes.into()))
    }
}

/// Gives the signatures of one series to another, behind those that it has.
pub(super) fn hand_over(root: &Path, from: &Series, to: &Series) -> Result<(), TransportError> {
    let failed = |error| TransportError::Io("move signatures in", from.directory.clone(), error);
    for number in from.numbers().map_err(failed)? {
        if let Some(signature) = from.read_one(number, MAX_SIGNATURE)? {
            add(root, to, &signature)?;
            std::fs::remove_file(from.path(number)).map_err(failed)?;
        }
    }
    sync(&from.directory).map_err(failed)
}

/// Reads the signatures of an image, up to the first number that is free.
pub(super) fn read(series: &Series, room: usize) -> Result<Found, TransportError> {
    let mut found = Found::default();
    for number in 1..=MAX_SIGNATURES + 1 {
        let Some(signature) = series.read_one(number, room)? else { break };
        check_room(&series.directory.display().to_string(), &found.signatures, &signature, room)?;
        found.signatures.push(signature);
    }
    found.gap = found.signatures.is_empty() && series.path(2).exists();
    Ok(found)
}

/// Adds a signature under the first number that is free, unless it is there already.
pub(super) fn add(root: &Path, series: &Series, signature: &[u8]) -> Result<Kept, TransportError> {
    let directory = &series.directory;
    make(root, directory).map_err(|error| TransportError::Io("create", directory.clone(), error))?;
    let mut staged = None;
    for number in 1..=MAX_SIGNATURES {
        let path = series.path(number);
        for _ in 0..LOOKS {
            match series.read_one(number, MAX_SIGNATURE)? {
                Some(found) if found == signature => return Ok(Kept::Already(path.display().to_string())),
                Some(_) => break,
                None => {}
            }
            let failed = |error| TransportError::Io("write", path.clone(), error);
            let file = match staged.take() {
                Some(file) => file,
                None => stage(directory, signature).map_err(failed)?,
            };
            match keep(file, &path, directory).map_err(failed)? {
                None => return Ok(Kept::Added(path.display().to_string())),
                // Somebody was quicker, perhaps with the same signature.
                again => staged = again,
            }
        }
    }
    Err(TransportError::TooManySignatures(directory.display().to_string(), MAX_SIGNATURES))
}

/// Removes all signatures of an image, also those behind a gap, which would come back when it is filled.
pub(super) fn remove(series: &Series) -> Result<usize, TransportError> {
    remove_but(&series.directory, series, &|_| false).map(|(removed, _)| removed)
}

/// Removes the signatures of an image but those that stay, which move up where there is a gap before them. How many were
/// removed, and how many stay. One that cannot be read is removed.
pub(super) fn remove_but(
    root: &Path,
    series: &Series,
    stays: &dyn Fn(&[u8]) -> bool,
) -> Result<(usize, usize), TransportError> {
    let directory = &series.directory;
    let failed = |error| TransportError::Io("remove signatures in", directory.to_owned(), error);
    let numbers = match series.numbers() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, 0)),
        numbers => numbers.map_err(failed)?,
    };
    let (mut removed, mut left) = (0, Vec::new());
    // From the end, so that those that are still there have no gap before them.
    for number in numbers.into_iter().rev() {
        if let Ok(Some(signature)) = series.read_one(number, MAX_SIGNATURE)
            && stays(&signature)
        {
            left.push((number, signature));
            continue;
        }
        match std::fs::remove_file(series.path(number)) {
            Ok(()) => removed += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    for (number, signature) in left.iter().rev() {
        let (Kept::Added(at) | Kept::Already(at)) = add(root, series, signature)?;
        let path = series.path(*number);
        if at != path.display().to_string() {
            std::fs::remove_file(path).map_err(failed)?;
        }
    }
    sync(directory).map_err(failed)?;
    Ok((removed, left.len()))
}

/// Makes the directory of an image. Links below the root are refused: what is written there would stand elsewhere.
fn make(root: &Path, directory: &Path) -> io::Result<()> {
    for ancestor in directory.ancestors().take_while(|ancestor| *ancestor != root) {
        if std::fs::symlink_metadata(ancestor).is_ok_and(|metadata| metadata.is_symlink()) {
            let message = format!("{} is a link, which may lead out of the store", ancestor.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o755);
    builder.recursive(true).create(directory)
}

/// Writes the file beside the place where it will stand, for good.
fn stage(directory: &Path, signature: &[u8]) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    // Whoever may look into the store may check signatures; the umask of the user has the last word.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = builder.prefix(".tmp-").tempfile_in(directory)?;
    file.write_all(signature)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Gives the file its name; gives it back when that is in use.
fn keep(file: NamedTempFile, path: &Path, directory: &Path) -> io::Result<Option<NamedTempFile>> {
    match file.persist_noclobber(path) {
        Ok(_) => sync(directory).map(|()| None),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(Some(error.file)),
        Err(error) => Err(error.error),
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
