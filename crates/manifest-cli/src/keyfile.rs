//! Files with keys: reading them, and making new ones.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use manifest_store::StoreError;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::error::CliError;
use crate::outputfile::{Readers, directory, stage};

/// The largest file with keys that is read, in bytes: a ring of OpenPGP may hold many.
const LARGEST: usize = 4 << 20;

/// The two families of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Keys with an owner, as GnuPG has them.
    OpenPgp,
    /// Plain keys, as cosign and `openssl` have them.
    Sigstore,
}

impl Family {
    /// Tells by what a file begins with: OpenPGP is binary, or has armour of its own.
    pub(crate) fn of(file: &[u8]) -> Self {
        const ARMOUR: &[u8] = b"-----BEGIN PGP ";
        let is_binary = file.first().is_some_and(|first| first & 0x80 != 0);
        if is_binary || file.windows(ARMOUR.len()).any(|window| window == ARMOUR) {
            Self::OpenPgp
        } else {
            Self::Sigstore
        }
    }
}

/// Reads a file with keys, which may be secret.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let failed = |error| CliError::File("read the key in", path.to_owned(), error);
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    // Room for all of it, so that no copy stays behind where the memory grew.
    let room = usize::try_from(length).unwrap_or(LARGEST).clamp(64 << 10, LARGEST) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > LARGEST {
        let why = format!("it is larger than {LARGEST} bytes");
        return Err(CliError::Key("open", path.to_owned(), manifest_sign::SignError::NotAKey(why)));
    }
    Ok(bytes)
}

/// What becomes of a file that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfThere {
    /// It stays, and nothing is made.
    Refuse,
    /// It goes once the new one is whole.
    Replace,
}

/// The two files of a key that is being made. Without content they leave nothing behind.
#[derive(Debug)]
pub(crate) struct NewKeyFiles {
    secret: NewFile,
    public: NewFile,
}

impl NewKeyFiles {
    /// Finds out whether `PREFIX.key` and `PREFIX` with another ending can be made.
    pub(crate) fn prepare(prefix: &Path, public_ending: &str, if_there: IfThere) -> Result<Self, CliError> {
        if prefix.as_os_str().as_encoded_bytes().last().is_none_or(|last| *last == b'/') {
            let message = format!("{:?} is no beginning of a file name", prefix.display().to_string());
            return Err(CliError::Misuse(message, "--output-prefix release makes release.key"));
        }
        let with = |ending: &str| {
            let mut name: OsString = prefix.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let secret = NewFile::prepare(with(".key"), Readers::Owner, if_there)?;
        let public = NewFile::prepare(with(public_ending), Readers::Everybody, if_there)?;
        Ok(Self { secret, public })
    }

    /// Where the secret key will be.
    pub(crate) fn secret(&self) -> &Path {
        &self.secret.path
    }

    /// Where its public half will be.
    pub(crate) fn public(&self) -> &Path {
        &self.public.path
    }

    /// Writes both, each whole or not at all. The secret comes first: the public half can be had from it again.
    pub(crate) fn write(mut self, secret: &[u8], public: &[u8]) -> Result<(), CliError> {
        self.secret.fill(secret)?;
        self.public.fill(public)?;
        let directory = directory(&self.secret.path).to_owned();
        let key = self.secret.path.clone();
        self.secret.name()?;
        self.public.name().map_err(|error| {
            let hint = format!("{} is made; manifest key public prints its public half", key.display());
            CliError::Advised(Box::new(error), hint)
        })?;
        sync(&directory).map_err(|error| {
            let error = CliError::Store(StoreError::NotDurable(directory, error));
            CliError::Advised(Box::new(error), "the key is there; sync makes it last".to_owned())
        })
    }
}

/// A file that waits for its content.
#[derive(Debug)]
struct NewFile {
    path: PathBuf,
    staged: NamedTempFile,
    if_there: IfThere,
}

impl NewFile {
    fn prepare(path: PathBuf, readers: Readers, if_there: IfThere) -> Result<Self, CliError> {
        match fs::symlink_metadata(&path) {
            Ok(_) if if_there == IfThere::Refuse => return Err(CliError::Exists(path)),
            Ok(there) if there.is_dir() => {
                return Err(CliError::File("write", path, io::ErrorKind::IsADirectory.into()));
            }
            _ => {}
        }
        match stage(&path, readers) {
            Ok(staged) => Ok(Self { path, staged, if_there }),
            Err(error) => Err(CliError::File("write", path, error)),
        }
    }

    fn fill(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let file = self.staged.as_file_mut();
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(|error| CliError::File("write", self.path.clone(), error))
    }

    /// Gives it its name. Who made a file of this name meanwhile keeps it.
    fn name(self) -> Result<(), CliError> {
        let Self { path, staged, if_there } = self;
        let named = match if_there {
            IfThere::Refuse => staged.persist_noclobber(&path),
            IfThere::Replace => staged.persist(&path),
        };
        match named {
            Ok(_) => Ok(()),
            Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(CliError::Exists(path))
            }
            Err(refused) => Err(CliError::File("write", path, refused.error)),
        }
    }
}

#[cfg(unix)]
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync(_directory: &Path) -> io::Result<()> {
    Ok(())
}
