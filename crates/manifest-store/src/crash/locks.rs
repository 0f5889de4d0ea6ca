//! Locks that behave like `flock`: of a handle each, and gone with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::lock::Sharing;

/// The locks that are held on a machine.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: BTreeMap<PathBuf, Vec<Held>>,
    count: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// No two locks have the same, at any time.
    number: u64,
    writer: usize,
    sharing: Sharing,
}

impl Locks {
    /// Tries to lock a file: the number of the lock, or those who have it.
    pub(super) fn lock(&mut self, writer: usize, path: &Path, sharing: Sharing) -> Result<u64, Vec<Held>> {
        let held = self.held.entry(path.to_owned()).or_default();
        if !held.iter().all(|held| (held.sharing, sharing) == (Sharing::Shared, Sharing::Shared)) {
            return Err(held.clone());
        }
        self.count += 1;
        held.push(Held { number: self.count, writer, sharing });
        Ok(self.count)
    }

    pub(super) fn unlock(&mut self, path: &Path, number: u64) {
        self.drop_all(|at, held| at == path && held.number == number);
    }

    /// Takes back all locks of a writer.
    pub(super) fn abandon(&mut self, writer: usize) {
        self.drop_all(|_, held| held.writer == writer);
    }

    fn drop_all(&mut self, ends: impl Fn(&Path, &Held) -> bool) {
        self.held.retain(|path, held| {
            held.retain(|held| !ends(path, held));
            !held.is_empty()
        });
    }

    /// Who has the lock of a file.
    pub(super) fn holders(&self, path: &Path) -> &[Held] {
        self.held.get(path).map_or(&[], Vec::as_slice)
    }

    /// Who has which lock, and whether they share it.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Path, Vec<(usize, bool)>)> {
        self.held.iter().map(|(path, held)| {
            let mut writers: Vec<_> =
                held.iter().map(|held| (held.writer, held.sharing == Sharing::Shared)).collect();
            writers.sort_unstable();
            (&**path, writers)
        })
    }
}
