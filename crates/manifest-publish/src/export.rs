//! Lists and images as a directory or a file of their own.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use manifest_transport::archive::{Existing, pack};
use manifest_transport::{Layout, Place, Transport, TransportError};
use tempfile::TempDir;

use crate::error::PublishError;
use crate::push::{Content, Outcome, Progress, PushOptions, Target, push};

/// Something that is exported, under its name.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "a pair of values that anybody may make")]
pub struct Exported<'a> {
    /// What it is.
    pub content: Content<'a>,
    /// The name in `index.json`; without one it is found by its digest or as the only one.
    pub name: Option<String>,
}

/// What an export writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "either a directory or a file; there is no third")]
pub enum ExportTo {
    /// An OCI image layout.
    Directory(PathBuf),
    /// An OCI archive.
    Archive(PathBuf),
}

/// What becomes of what stands where an export is to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IfThere {
    /// It stays, and nothing is written; an empty directory is as good as none.
    #[default]
    Refuse,
    /// A layout gets the exported beside what it has. An archive cannot.
    Append,
    /// The export takes its place once it is complete.
    Replace,
}

/// Writes lists and images with everything in them, where nothing else is.
///
/// Equal content gives equal bytes: `index.json` names them in the order of their names, nothing is dated. The export is
/// made beside its place and takes it in one step; only with [`IfThere::Append`] is it made in its place, content
/// first and names last. The outcomes are in the order of what was given.
///
/// # Errors
/// [`TransportError::Exists`]; [`TransportError::NotALayout`] when what should be replaced holds anything but a layout;
/// else as [`push`].
///
/// Spec: OCI image-spec v1.1.1 `image-layout.md`.
pub async fn export(
    transport: &Transport,
    exported: &[Exported<'_>],
    to: &ExportTo,
    if_there: IfThere,
    options: &PushOptions,
    progress: &dyn Progress,
) -> Result<Vec<Outcome>, PublishError> {
    let write = async |root: &Path| {
        let mut order: Vec<usize> = (0..exported.len()).collect();
        order.sort_by_key(|at| exported.get(*at).map(|one| (&one.name, one.content.list.digest)));
        let mut outcomes = vec![Outcome::default(); exported.len()];
        for at in order {
            let (Some(one), Some(outcome)) = (exported.get(at), outcomes.get_mut(at)) else { continue };
            let place = Place::Layout(Layout::new(root));
            let target = Target { place, name: one.name.clone() };
            *outcome = push(transport, one.content, &target, options, progress).await?;
        }
        Ok::<_, PublishError>(outcomes)
    };
    match (to, if_there) {
        (ExportTo::Directory(directory), IfThere::Append) => write(directory).await,
        (ExportTo::Directory(directory), _) => {
            let directory = &real(directory);
            check_directory(directory, if_there)?;
            let staged = Staged::beside(directory)?;
            let outcomes = write(&staged.layout()).await?;
            staged.keep(directory, if_there)?;
            Ok(outcomes)
        }
        (ExportTo::Archive(file), _) => {
            let existing = match if_there {
                IfThere::Replace => Existing::Replace,
                IfThere::Refuse | IfThere::Append => Existing::Refuse,
            };
            if existing == Existing::Refuse && file.symlink_metadata().is_ok() {
                return Err(TransportError::Exists(file.clone()).into());
            }
            let staged = Staged::beside(file)?;
            let outcomes = write(&staged.layout()).await?;
            pack(&staged.layout(), file, existing).await?;
            Ok(outcomes)
        }
    }
}

/// Where a link leads; what takes the place of a directory must not take that of a link to it.
fn real(directory: &Path) -> PathBuf {
    directory.canonicalize().unwrap_or_else(|_not_there| directory.to_owned())
}

/// Refuses what is there, unless it is an empty directory or a layout that is to be replaced.
fn check_directory(directory: &Path, if_there: IfThere) -> Result<(), TransportError> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(TransportError::Exists(directory.to_owned()));
        }
        entries => entries.map_err(|error| failed("read", directory, error))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| failed("read", directory, error))?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    if names.is_empty() {
        return Ok(());
    }
    if if_there != IfThere::Replace {
        return Err(TransportError::Exists(directory.to_owned()));
    }
    // It is removed with all that is in it, so that must be a layout and nothing else.
    let is_ours = |name: &str| matches!(name, "oci-layout" | "index.json" | "blobs" | ".manifest.lock");
    let not = |why: String| Err(TransportError::NotALayout(directory.to_owned(), why));
    match names.iter().find(|name| !is_ours(name)) {
        Some(other) => not(format!("it holds {other:?} too, and is not replaced")),
        None if !names.iter().any(|name| name == "oci-layout") => not("it has no file oci-layout".to_owned()),
        None => Ok(()),
    }
}

/// A layout that is being written beside the place where it, or the archive of it, will stand.
struct Staged(TempDir);

impl Staged {
    fn beside(target: &Path) -> Result<Self, TransportError> {
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let made = tempfile::Builder::new().prefix(".tmp-").tempdir_in(parent);
        made.map(Self).map_err(|error| failed("create a directory in", parent, error))
    }

    /// In it, so that its mode is that of any new directory.
    fn layout(&self) -> PathBuf {
        self.0.path().join("layout")
    }

    /// Gives the layout its place, for good.
    fn keep(self, directory: &Path, if_there: IfThere) -> Result<(), TransportError> {
        let (layout, old) = (self.layout(), self.0.path().join("old"));
        let error = |error| failed("write", directory, error);
        // A lock of a directory that nobody knew.
        drop(std::fs::remove_file(layout.join(".manifest.lock")));
        if if_there == IfThere::Replace && directory.exists() {
            std::fs::rename(directory, &old).map_err(error)?;
        }
        std::fs::rename(&layout, directory).map_err(|refused| match refused.kind() {
            io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory => TransportError::Exists(directory.to_owned()),
            _ => {
                drop(std::fs::rename(&old, directory));
                error(refused)
            }
        })?;
        let parent = self.0.path().parent().unwrap_or(Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(|error| failed("sync", parent, error))
    }
}

fn failed(action: &'static str, path: &Path, error: io::Error) -> TransportError {
    TransportError::Io(action, path.to_owned(), error)
}
