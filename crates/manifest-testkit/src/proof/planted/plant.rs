//! Links, and where they are planted.

use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::path::PathBuf;

use super::Field;

/// The number of a user who is not us and need not exist.
const SOMEBODY: u32 = 54_321;

/// A link in a store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plant {
    at: At,
    to: To,
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Record,
    Name,
    Version,
    LockOfRecord,
    LockOfName,
    /// The lock of a name that nobody has yet.
    LockOfNewName,
    /// A name that nobody has yet.
    NewName,
    /// What looks like a file that is being written.
    TemporaryRecord,
    TemporaryName,
    Records,
    Names,
    Locks,
    Blobs,
    BlobsOfAlgorithm,
    Intakes,
    /// Where `fsck --repair` puts what is damaged; a record is.
    LostAndFound,
    /// The store itself, exchanged between two commands.
    Store,
}

/// Where it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// To a file of somebody else.
    File,
    /// To a place where nothing is yet.
    Nothing,
    /// To an empty directory of somebody else.
    Empty,
    /// To a directory of somebody else with something in it.
    Full,
    /// It is a second name of a file of somebody else.
    HardLink,
    /// Its own content has a second name outside.
    SecondName,
}

impl Plant {
    /// All that can be planted.
    pub(super) fn all() -> Vec<Self> {
        let files = [
            At::Record,
            At::Name,
            At::Version,
            At::LockOfRecord,
            At::LockOfName,
            At::LockOfNewName,
            At::NewName,
            At::TemporaryRecord,
            At::TemporaryName,
        ];
        let existing = [At::Record, At::Name, At::Version, At::LockOfRecord, At::LockOfName];
        let directories = [
            At::Records,
            At::Names,
            At::Locks,
            At::Blobs,
            At::BlobsOfAlgorithm,
            At::Intakes,
            At::LostAndFound,
            At::Store,
        ];
        let pairs = |places: &[At], targets: &[To]| -> Vec<Self> {
            places.iter().flat_map(|at| targets.iter().map(|to| Self { at: *at, to: *to })).collect()
        };
        let mut all = pairs(&files, &[To::File, To::Nothing, To::Full, To::HardLink]);
        all.extend(pairs(&existing, &[To::SecondName]));
        all.extend(pairs(&directories, &[To::Empty, To::Full, To::Nothing]));
        all
    }

    /// Plants the link in place of what stands there.
    pub(super) fn put(self, field: &Field) {
        let at = self.at.path(field);
        let file = field.outside.join("file");
        if self.to == To::SecondName {
            return fs::hard_link(at, field.outside.join("second")).expect("a hard link");
        }
        if self.at == At::LostAndFound {
            fs::write(At::Record.path(field), "no record").expect("a record that may be written");
        }
        if self.at == At::BlobsOfAlgorithm {
            fs::create_dir_all(at.with_file_name("")).expect("a directory");
        }
        if fs::symlink_metadata(&at).is_ok() {
            fs::rename(&at, at.with_extension("away")).expect("something that may be renamed");
        }
        let target = match self.to {
            To::HardLink => return fs::hard_link(file, at).expect("a hard link"),
            To::File | To::SecondName => file,
            To::Nothing => field.outside.join("nothing"),
            To::Empty => field.outside.join("empty"),
            To::Full => field.outside.join("full"),
        };
        symlink(target, &at).expect("a link");
        lchown(&at, Some(SOMEBODY), Some(SOMEBODY)).expect("this needs root, who may give links away");
    }
}

impl At {
    fn path(self, field: &Field) -> PathBuf {
        let id = &field.id;
        let below = match self {
            Self::Record => format!("records/{id}"),
            Self::Name => "names/localhost%2fone%3alatest".to_owned(),
            Self::Version => "version".to_owned(),
            Self::LockOfRecord => format!("locks/record-{id}"),
            Self::LockOfName => "locks/name-localhost%2fone%3alatest".to_owned(),
            Self::LockOfNewName => "locks/name-localhost%2fnew%3alatest".to_owned(),
            Self::NewName => "names/localhost%2fnew%3alatest".to_owned(),
            Self::TemporaryRecord => format!("records/.tmp-{id}-aaaaaaaaaaaa"),
            Self::TemporaryName => format!("names/.tmp-{id}-aaaaaaaaaaaa"),
            Self::Records => "records".to_owned(),
            Self::Names => "names".to_owned(),
            Self::Locks => "locks".to_owned(),
            Self::Blobs => "blobs".to_owned(),
            Self::BlobsOfAlgorithm => "blobs/sha256".to_owned(),
            Self::Intakes => "intakes".to_owned(),
            Self::LostAndFound => "lost+found".to_owned(),
            Self::Store => return field.store().to_owned(),
        };
        field.store().join(below)
    }
}
