//! How large a store is.

use std::fs;

use super::tree;
use crate::proof::facts::Listed;
use crate::proof::{Subject, Violation, ensure};

/// How many files a store has, and how much they hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// All files.
    files: usize,
    bytes: u64,
    records: usize,
    names: usize,
    locks: usize,
    blobs: usize,
    temporary: usize,
}

impl Size {
    pub(super) fn of(subject: &Subject) -> Self {
        let store = subject.directory().expect("a store in a directory");
        let count = |dir: &str| tree::files(&store.join(dir)).len();
        let files = tree::files(store);
        // A file may be gone by now.
        let bytes = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|found| found.len()).sum();
        Self {
            files: files.len(),
            bytes,
            records: count("records"),
            names: count("names"),
            locks: count("locks"),
            blobs: count("blobs"),
            temporary: tree::temporary(store).len(),
        }
    }

    pub(super) fn told(&self) -> String {
        let Self { files, bytes, records, names, locks, blobs, temporary } = self;
        format!(
            "{files} files, {} kB ({records} records, {names} names, {locks} locks, {blobs} blobs, {temporary} temporary)",
            bytes / 1000
        )
    }

    /// Each file belongs to a list, or to one of its names, or to all.
    pub(super) fn explained(&self, lists: &[Listed]) -> Result<(), Violation> {
        let names: usize = lists.iter().map(|list| list.names.len()).sum();
        let bound = |what: &str, found: usize, most: usize| {
            ensure(found <= most, || {
                format!("there are {found} {what}, and {most} are explained: {}", self.told())
            })
        };
        bound("records", self.records, lists.len())?;
        bound("names", self.names, names)?;
        // That of all blobs besides.
        bound("locks", self.locks, lists.len() + names + 1)?;
        bound("temporary files", self.temporary, 0)?;
        // The version besides.
        bound("files", self.files, self.records + self.names + self.locks + self.blobs + 1)
    }
}
