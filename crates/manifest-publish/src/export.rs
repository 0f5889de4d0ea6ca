//! Lists and images as a directory or a file of their own.

mod swap;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use manifest_transport::archive::{Existing, Workshop, pack};
use manifest_transport::{Directory, Layout, Place, Transport, TransportError};
use tempfile::TempDir;

use self::swap::swap;
use crate::error::PublishError;
use crate::progress::Progress;
use crate::push::{Content, Effort, Outcome, PushOptions, Target, push};

/// Something that is exported, under its name.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "a pair of values that anybody may make")]
pub struct Exported<'a> {
    /// What it is.
    pub content: Content<'a>,
    /// The name in `index.json`; without one it is found by its digest or as the only one. A directory has no names.
    pub name: Option<String>,
}

/// What an export writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is a fourth when there is another form")]
pub enum ExportTo {
    /// An OCI image layout.
    Directory(PathBuf),
    /// A directory with one list or image in it, `dir:`.
    Image(PathBuf),
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
/// [`TransportError::Exists`]; [`TransportError::NotALayout`] and [`TransportError::NotAnImageDirectory`] when what should be
/// replaced holds anything else; [`TransportError::Nameless`] for several in a directory, which has one;
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
            let (place, names) = match to {
                ExportTo::Image(_) => (Place::Directory(Directory::new(root)), Vec::new()),
                ExportTo::Directory(_) | ExportTo::Archive(_) => {
                    (Place::Layout(Layout::new(root)), one.name.iter().cloned().collect())
                }
            };
            let target = Target { place, names, effort: Effort::Required };
            for done in push(transport, one.content, &[target], options, progress, None).await?.targets {
                *outcome = done?;
            }
        }
        Ok::<_, PublishError>(outcomes)
    };
    if let (ExportTo::Image(directory), 2..) = (to, exported.len()) {
        return Err(TransportError::Nameless(format!("dir:{}", directory.display())).into());
    }
    match (to, if_there) {
        (ExportTo::Directory(directory) | ExportTo::Image(directory), IfThere::Append) => {
            write(directory).await
        }
        (ExportTo::Directory(directory) | ExportTo::Image(directory), _) => {
            let directory = &real(directory);
            let form = if let ExportTo::Image(_) = to { Form::Image } else { Form::Layout };
            check_directory(directory, (directory, form), if_there)?;
            let staged = Staged::beside(directory)?;
            let outcomes = write(&staged.layout()).await?;
            staged.keep(directory, form, if_there)?;
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
            let staged = Workshop::beside(file)?;
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

/// What an export makes of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Layout,
    Image,
}

impl Form {
    /// The file without which it is not of this form.
    const fn marker(self) -> &'static str {
        match self {
            Self::Layout => "oci-layout",
            Self::Image => "version",
        }
    }

    /// Whether a file of this name belongs to it.
    fn has(self, name: &str) -> bool {
        match self {
            Self::Layout => matches!(name, "oci-layout" | "index.json" | "blobs" | ".manifest.lock"),
            // What a killed push left lies there with the rest.
            Self::Image => {
                matches!(name, "version" | "manifest.json" | ".manifest.lock")
                    || name.starts_with(".tmp-")
                    || is_of_image(name)
            }
        }
    }

    fn not(self, directory: &Path, why: String) -> TransportError {
        match self {
            Self::Layout => TransportError::NotALayout(directory.to_owned(), why),
            Self::Image => TransportError::NotAnImageDirectory(directory.to_owned(), why),
        }
    }
}

/// Whether it is the name of a blob, a manifest or a signature in a directory.
fn is_of_image(name: &str) -> bool {
    let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let is_hex = matches!(first.len(), 64 | 128) && first.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_signature = |name: &str| {
        let number = name.strip_prefix("signature-");
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match rest {
        None => is_hex || is_signature(name),
        Some(rest) => is_hex && (rest == "manifest.json" || is_signature(rest)),
    }
}

/// Refuses what is at `here`, unless it is an empty directory or one of this form that is to be replaced; messages name
/// `directory`.
fn check_directory(
    here: &Path,
    (directory, form): (&Path, Form),
    if_there: IfThere,
) -> Result<(), TransportError> {
    let entries = match std::fs::read_dir(here) {
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
    // It is removed with all that is in it, so that must be of the form and nothing else.
    match names.iter().find(|name| !form.has(name)) {
        Some(other) => Err(form.not(directory, format!("it holds {other:?} too, and is not replaced"))),
        None if !names.iter().any(|name| name == form.marker()) => {
            Err(form.not(directory, format!("it has no file {}", form.marker())))
        }
        None => Ok(()),
    }
}

/// A layout that is being written beside the place where it will stand.
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
    fn keep(self, directory: &Path, form: Form, if_there: IfThere) -> Result<(), TransportError> {
        let layout = self.layout();
        // A lock of a directory that nobody knew.
        drop(std::fs::remove_file(layout.join(".manifest.lock")));
        match std::fs::rename(&layout, directory) {
            Ok(()) => self.sync(),
            Err(refused) if is_taken(&refused) => match if_there {
                IfThere::Replace => self.replace(directory, form),
                IfThere::Refuse | IfThere::Append => Err(TransportError::Exists(directory.to_owned())),
            },
            Err(refused) => Err(failed("write", directory, refused)),
        }
    }

    /// Puts the layout in the place of another, which is removed only when the new one is there for good.
    fn replace(self, directory: &Path, form: Form) -> Result<(), TransportError> {
        let (layout, spare, back) = (self.layout(), self.0.path().join("old"), self.0.path().join("new"));
        let (done, is_back) = match swap(&layout, directory, &spare) {
            // It may have become something else while the new one was being written.
            Ok(old) => {
                match check_directory(&old, (directory, form), IfThere::Replace).and_then(|()| self.sync()) {
                    Ok(()) => (Ok(()), true),
                    failed => (failed, swap(&old, directory, &back).is_ok()),
                }
            }
            Err(error) => (Err(failed("write", directory, error)), spare.symlink_metadata().is_err()),
        };
        if !is_back {
            let kept = self.0.keep();
            let error = done.err().map_or_else(|| io::ErrorKind::Other.into(), io::Error::other);
            return Err(failed("put back what is kept in", &kept, error));
        }
        done
    }

    fn sync(&self) -> Result<(), TransportError> {
        let parent = self.0.path().parent().unwrap_or(Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(|error| failed("sync", parent, error))
    }
}

/// Whether something stands where a directory should go that it cannot take the place of.
fn is_taken(refused: &io::Error) -> bool {
    let kinds =
        [io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::AlreadyExists, io::ErrorKind::NotADirectory];
    kinds.contains(&refused.kind())
}

fn failed(action: &'static str, path: &Path, error: io::Error) -> TransportError {
    TransportError::Io(action, path.to_owned(), error)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A staged layout with a file `new`, beside a directory with these files.
    fn staged(files: &[&str]) -> (TempDir, PathBuf, Staged) {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("out");
        fs::create_dir(&directory).unwrap();
        files.iter().for_each(|file| drop(File::create(directory.join(file)).unwrap()));
        let staged = Staged::beside(&directory).unwrap();
        fs::create_dir(staged.layout()).unwrap();
        File::create(staged.layout().join("new")).unwrap();
        (home, directory, staged)
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_files_of_a_directory_are_known_by_their_names() {
        let hex = "a1".repeat(32);
        for (name, is_ours) in [
            ("version".to_owned(), true),
            ("manifest.json".to_owned(), true),
            ("signature-12".to_owned(), true),
            (hex.clone(), true),
            (format!("{hex}.manifest.json"), true),
            (format!("{hex}.signature-1"), true),
            (".tmp-x".to_owned(), true),
            ("signature-".to_owned(), false),
            ("signature-1.txt".to_owned(), false),
            (format!("{hex}.json"), false),
            (format!("{hex}0"), false),
            ("index.json".to_owned(), false),
            ("notes".to_owned(), false),
        ] {
            assert_eq!(Form::Image.has(&name), is_ours, "{name}");
        }
    }

    #[test]
    fn a_layout_is_replaced_and_what_became_something_else_meanwhile_stays() {
        for (files, if_there, expected) in [
            (&[][..], IfThere::Refuse, &["new"][..]),
            (&[], IfThere::Replace, &["new"]),
            (&["index.json", "oci-layout"], IfThere::Replace, &["new"]),
            (&["index.json", "oci-layout"], IfThere::Refuse, &["index.json", "oci-layout"]),
            (&["notes.txt", "oci-layout"], IfThere::Replace, &["notes.txt", "oci-layout"]),
        ] {
            let (home, directory, staged) = staged(files);
            let kept = staged.keep(&directory, Form::Layout, if_there);
            assert_eq!(names(&directory), expected, "{kept:?}");
            assert_eq!(kept.is_ok(), expected == ["new"], "{kept:?}");
            assert_eq!(names(home.path()), ["out"]);
            if let Err(error) = kept {
                assert!(error.to_string().contains(&directory.display().to_string()), "{error}");
            }
        }
    }
}
