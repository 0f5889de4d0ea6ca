//! OCI archives, written from an OCI layout.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use manifest_core::{Algorithm, Digest, Hasher, MAX_MANIFEST_SIZE};
use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;

use super::beside;
use super::error::ArchiveError;
use super::file::{self, Links, PIECE, Stop};
use crate::error::TransportError;
use crate::layout::index;

/// What happens to a file that stands where an archive is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Existing {
    /// It stays, and nothing is written.
    Refuse,
    /// The archive takes its place in one step, once it is complete.
    Replace,
}

/// Writes an OCI archive of the OCI layout in `layout`.
///
/// Equal layouts give equal bytes: `oci-layout`, `index.json`, then the blobs in the order of their names, each below
/// its directories, dated 1970, owned by 0:0, mode 0644 (directories 0755), in ustar headers. A blob whose name is too
/// long for one, which is one of sha512, has a long name of GNU tar before it. Blobs are checked against their names
/// while they pass and never kept in memory; other files of the layout stay behind.
///
/// # Errors
/// [`TransportError::Exists`]; [`TransportError::NotALayout`]; [`TransportError::DigestMismatch`] for a blob that is
/// damaged; [`TransportError::Io`]. What stood at `target` stands there still.
///
/// Spec: OCI image-spec v1.1.1 `image-layout.md`; POSIX.1-2017 `pax`, "ustar Interchange Format".
pub async fn pack(layout: &Path, target: &Path, existing: Existing) -> Result<(), TransportError> {
    Packed::write(layout, target, existing).await?.show().await
}

/// An archive that is written beside its place and not seen there yet; it is gone when this is dropped.
#[derive(Debug)]
pub struct Packed {
    staged: NamedTempFile,
    target: PathBuf,
    existing: Existing,
}

impl Packed {
    /// Writes the archive of a layout for `target`.
    ///
    /// # Errors
    /// As [`pack`].
    pub async fn write(layout: &Path, target: &Path, existing: Existing) -> Result<Self, TransportError> {
        let (layout, path) = (layout.to_owned(), target.to_owned());
        unblocked(target, move |stop| {
            let staged = write(&layout, &path, existing, stop)?;
            Ok(Self { staged, target: path, existing })
        })
        .await
    }

    /// Puts the archive in its place, in one step.
    ///
    /// # Errors
    /// [`TransportError::Exists`]; [`TransportError::Io`].
    pub async fn show(self) -> Result<(), TransportError> {
        let Self { staged, target, existing } = self;
        let path = target.clone();
        unblocked(&path, move |_| {
            keep(staged, &target, existing)?;
            let synced = File::open(beside::parent(&target)).and_then(|directory| directory.sync_all());
            synced.map_err(|error| TransportError::Io("sync the directory of", target, error))
        })
        .await
    }
}

/// Does on a thread of its own what may block.
async fn unblocked<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Stop) -> Result<T, TransportError> + Send + 'static,
) -> Result<T, TransportError> {
    let done = file::blocking(move |stop| Ok(work(stop))).await;
    done.unwrap_or_else(|error| {
        Err(match error {
            ArchiveError::Io(action, error) => TransportError::Io(action, path.to_owned(), error),
            error => TransportError::Archive(path.to_owned(), error),
        })
    })
}

fn write(
    layout: &Path,
    target: &Path,
    existing: Existing,
    stop: &Stop,
) -> Result<NamedTempFile, TransportError> {
    if existing == Existing::Refuse && target.symlink_metadata().is_ok() {
        return Err(TransportError::Exists(target.to_owned()));
    }
    let documents = documents(layout)?;
    let blobs = blobs(layout)?;
    let error = |action| move |error| TransportError::Io(action, target.to_owned(), error);
    let staged = beside::file(target).map_err(error("create"))?;
    let mut archive = Builder::new(BufWriter::with_capacity(PIECE, staged.as_file()));
    for (name, content) in &documents {
        append(&mut archive, EntryType::Regular, name, content.len() as u64, content.as_slice())
            .map_err(error("write"))?;
    }
    append(&mut archive, EntryType::Directory, "blobs/", 0, io::empty()).map_err(error("write"))?;
    let mut algorithm = None;
    for blob in &blobs {
        if algorithm.replace(blob.algorithm()) != Some(blob.algorithm()) {
            let name = format!("blobs/{}/", blob.algorithm().as_str());
            append(&mut archive, EntryType::Directory, &name, 0, io::empty()).map_err(error("write"))?;
        }
        append_blob(&mut archive, layout, blob, stop)?;
    }
    let writer = archive.into_inner().map_err(error("write"))?;
    writer.into_inner().map_err(|failed| error("write")(failed.into_error()))?;
    staged.as_file().sync_all().map_err(error("sync"))?;
    stop.check().map_err(error("write"))?;
    Ok(staged)
}

/// Puts the archive in its place.
fn keep(staged: NamedTempFile, target: &Path, existing: Existing) -> Result<(), TransportError> {
    let kept = match existing {
        Existing::Replace => staged.persist(target),
        Existing::Refuse => staged.persist_noclobber(target),
    };
    kept.map(drop).map_err(|failed| match failed.error {
        error if error.kind() == io::ErrorKind::AlreadyExists => TransportError::Exists(target.to_owned()),
        error => TransportError::Io("write", target.to_owned(), error),
    })
}

/// Reads the two documents of a layout, which must be one.
fn documents(layout: &Path) -> Result<[(&'static str, Vec<u8>); 2], TransportError> {
    let not = |why| TransportError::NotALayout(layout.to_owned(), why);
    let marker = match document(&layout.join("oci-layout"), 4096) {
        Err(TransportError::Io(_, _, error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(not("it has no file oci-layout".to_owned()));
        }
        read => read?,
    };
    index::check_version(&marker).map_err(not)?;
    let path = layout.join("index.json");
    let index = document(&path, MAX_MANIFEST_SIZE)?;
    index::decode(&index)
        .map_err(|source| TransportError::Decode { what: path.display().to_string(), source })?;
    Ok([("oci-layout", marker), ("index.json", index)])
}

fn document(path: &Path, limit: usize) -> Result<Vec<u8>, TransportError> {
    let file = file::open(path, Links::Refuse);
    let file = file.map_err(|error| TransportError::Io("open", path.to_owned(), error))?;
    let mut content = Vec::new();
    let read = file.take(limit as u64 + 1).read_to_end(&mut content);
    read.map_err(|error| TransportError::Io("read", path.to_owned(), error))?;
    if content.len() > limit {
        return Err(TransportError::TooLarge { what: path.display().to_string(), limit: limit as u64 });
    }
    Ok(content)
}

/// The blobs of a layout, by their names; whatever else lies beside them is not one.
fn blobs(layout: &Path) -> Result<Vec<Digest>, TransportError> {
    let mut blobs = Vec::new();
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let directory = layout.join("blobs").join(algorithm.as_str());
        let error = |error| TransportError::Io("read", directory.clone(), error);
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(error)?,
        };
        for entry in entries {
            let name = entry.map_err(error)?.file_name();
            let digest: Option<Digest> =
                name.to_str().and_then(|hex| format!("{}:{hex}", algorithm.as_str()).parse().ok());
            blobs.extend(digest);
        }
    }
    blobs.sort_unstable();
    Ok(blobs)
}

fn append_blob<W: Write>(
    archive: &mut Builder<W>,
    layout: &Path,
    blob: &Digest,
    stop: &Stop,
) -> Result<(), TransportError> {
    let name = super::blob_name(blob);
    let path = layout.join(&name);
    let file = file::open(&path, Links::Refuse);
    let file = file.map_err(|error| TransportError::Io("open", path.clone(), error))?;
    let size = file.metadata().map_err(|error| TransportError::Io("read", path.clone(), error))?.len();
    // No more than was there at first, so that the header stays true while somebody writes to the file.
    let mut content = Passing { from: file.take(size), hasher: blob.algorithm().hasher(), stop };
    append(archive, EntryType::Regular, &name, size, &mut content)
        .map_err(|error| TransportError::Io("pack", path.clone(), error))?;
    let found = content.hasher.finish();
    if found != *blob {
        let what = path.display().to_string();
        return Err(TransportError::DigestMismatch { what, expected: *blob, found });
    }
    Ok(())
}

/// Writes one member.
fn append<W: Write>(
    archive: &mut Builder<W>,
    kind: EntryType,
    name: &str,
    size: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    archive.append_data(&mut header, name, content)
}

/// The content of a blob while it is copied.
struct Passing<'a, R> {
    from: R,
    hasher: Hasher,
    stop: &'a Stop,
}

impl<R: Read> Read for Passing<'_, R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.stop.check()?;
        let read = self.from.read(to)?;
        self.hasher.update(to.get(..read).unwrap_or_default());
        Ok(read)
    }
}
