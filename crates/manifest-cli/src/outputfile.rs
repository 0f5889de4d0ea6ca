//! `--digestfile` and `--metadata-file`: made sure of before anything is pushed, and written only when it was.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::CliError;

/// A file that waits for its content; without any it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct OutputFile {
    path: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// A new file, which takes its name when it is whole.
    Staged(NamedTempFile),
    /// A pipe or device that somebody reads.
    Open(File),
}

impl OutputFile {
    /// Finds out whether the file can be written.
    pub(crate) fn prepare(path: &Path) -> Result<Self, CliError> {
        let error = |error| CliError::File("write", path.to_owned(), error);
        let place = match fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(error(io::ErrorKind::IsADirectory.into())),
            Ok(there) if !there.is_file() => {
                Place::Open(File::options().write(true).open(path).map_err(error)?)
            }
            _ => Place::Staged(stage(path, Readers::Everybody).map_err(error)?),
        };
        Ok(Self { path: path.to_owned(), place })
    }

    /// Writes this and nothing else.
    pub(crate) fn write(self, text: &str) -> Result<(), CliError> {
        let Self { path, place } = self;
        let written = match place {
            Place::Open(mut file) => file.write_all(text.as_bytes()),
            Place::Staged(mut file) => file
                .write_all(text.as_bytes())
                .and_then(|()| file.persist(&path).map(drop).map_err(|error| error.error)),
        };
        written.map_err(|error| CliError::File("write what the push brought to", path, error))
    }
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Whomever the umask lets.
    Everybody,
    /// The user alone, from the first moment on.
    Owner,
}

/// Makes a file without content beside the one that it will become.
pub(crate) fn stage(path: &Path, readers: Readers) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(match readers {
        Readers::Everybody => 0o666,
        Readers::Owner => 0o600,
    }));
    builder.prefix(".manifest-").tempfile_in(directory(path))
}

/// The directory that a file is in.
pub(crate) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}
