//! What a policy needs to be told about keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::error::PolicyError;
use super::requirement::KeySource;
use crate::error::{Refusal, SignError};
use crate::signer::KeyId;

/// A larger file of keys, or policy, is not read, in bytes.
const MAX_FILE: usize = 4 * 1024 * 1024;

/// Whatever can tell whether a key has made a signature.
pub trait KeyCheck {
    /// Opens an OpenPGP message that one key of these keyrings must have signed, and gives what was signed. The time at
    /// which keys must be valid is that of whoever checks.
    ///
    /// # Errors
    /// [`CheckError`]: what is wrong with the signature, or with a keyring.
    fn open_simple(&self, keyrings: &[&[u8]], envelope: &[u8]) -> Result<Opened, CheckError>;

    /// Checks the bare signature of a public key, in PEM, over a payload.
    ///
    /// # Errors
    /// [`CheckError`]: what is wrong with the signature, or with the key.
    fn check_sigstore(&self, key: &[u8], payload: &[u8], signature: &[u8]) -> Result<KeyId, CheckError>;
}

/// What was in an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "what was signed and who signed it; built by every checker")]
pub struct Opened {
    /// What was signed.
    pub payload: Vec<u8>,
    /// Who signed it: the primary key, so that subkeys of one key are not taken for several signers.
    pub key: KeyId,
}

/// Why a key has not made a signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The signature does not count.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The key that it was to be checked with cannot be used.
    #[error(transparent)]
    Key(#[from] SignError),
}

/// The content of the files of keys that a policy names.
#[derive(Clone, Debug, Default)]
pub struct KeyFiles(BTreeMap<PathBuf, Vec<u8>>);

impl KeyFiles {
    /// Reads these files, each at most 4 MiB.
    ///
    /// # Errors
    /// [`PolicyError`] names the first that cannot be read.
    pub fn read<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Self, PolicyError> {
        let paths: BTreeSet<_> = paths.into_iter().collect();
        let each = paths.into_iter().map(|path| Ok((path.to_owned(), read(path)?)));
        each.collect::<Result<_, _>>().map(Self)
    }

    /// The key; none when it lies in a file that was not read.
    pub(super) fn key<'a>(&'a self, source: &'a KeySource) -> Option<&'a [u8]> {
        match source {
            KeySource::File(path) => self.0.get(path).map(Vec::as_slice),
            KeySource::Data(data) => Some(data),
        }
    }
}

/// Reads a whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, PolicyError> {
    let failed = |error| PolicyError::Io(path.to_owned(), error);
    // A pipe would keep us waiting for ever.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MAX_FILE {
        return Err(PolicyError::TooLarge(path.to_owned(), MAX_FILE));
    }
    Ok(bytes)
}
