//! What is looked at, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use manifest_core::{Digest, ListName};

use super::{CheckReport, Finding, Repair};
use crate::backend::{Aside, Backend, Key, LockKey, Stop, Stray};
use crate::cache;
use crate::catalog::Catalog;
use crate::lock::{Attempt, Guard};
use crate::{PublicationId, Record, RecordId, StoreError, publications};

/// What is to be done where nothing can be moved aside.
const BY_HAND: &str = "move it elsewhere with the tools of the service";

/// A look at a store.
pub(super) struct Inspection<'a> {
    pub(super) catalog: Catalog<'a>,
    pub(super) repair: Repair,
    note: String,
    pub(super) report: CheckReport,
    /// What something was found of.
    objects: BTreeSet<String>,
    /// The names that each readable record lists.
    pub(super) listed: BTreeMap<RecordId, Vec<ListName>>,
    /// The names that really lead to a record.
    pub(super) has: BTreeSet<ListName>,
    /// Records that cannot be read: they may have names, and need blobs.
    pub(super) unreadable: Vec<RecordId>,
    pub(super) needs: super::pool::Needs,
    /// Blobs that records held when they were read, and that are not there.
    pub(super) missing: BTreeSet<Digest>,
    /// Blobs that are to be moved aside when nobody writes any.
    pub(super) damaged: Vec<super::pool::DamagedBlob>,
}

impl<'a> Inspection<'a> {
    pub(super) fn new(catalog: Catalog<'a>, repair: Repair, note: String) -> Self {
        Self {
            catalog,
            repair,
            note,
            report: CheckReport::default(),
            objects: BTreeSet::new(),
            listed: BTreeMap::new(),
            has: BTreeSet::new(),
            unreadable: Vec::new(),
            needs: super::pool::Needs::default(),
            missing: BTreeSet::new(),
            damaged: Vec::new(),
        }
    }

    pub(super) fn run(&mut self) -> Result<(), Stop> {
        let (damage, others): (Vec<Stray>, Vec<Stray>) =
            self.backend().strays()?.into_iter().partition(|stray| stray.is_damage);
        for stray in damage {
            self.add(Finding::damage(&stray.path, stray.what, "what should be there, if it ever was"));
        }
        self.records()?;
        self.names()?;
        self.blobs()?;
        self.cache()?;
        self.publications()?;
        for stray in others {
            self.add(Finding::leftover(stray.path.display(), stray.what));
        }
        Ok(())
    }

    /// Adds what was found, unless something was found of this object before: that is closest to the cause.
    pub(super) fn add(&mut self, finding: Finding) {
        if self.objects.insert(finding.object.clone()) {
            self.report.findings.push(finding);
        }
    }

    pub(super) fn knows(&self, path: &Path) -> bool {
        self.objects.contains(&path.display().to_string())
    }

    pub(super) fn backend(&self) -> &'a dyn Backend {
        self.catalog.0
    }

    /// What becomes of something damaged.
    pub(super) fn aside(&self) -> &'static str {
        match self.backend().lost_and_found() {
            Some(_) => "move it to lost+found",
            None => BY_HAND,
        }
    }

    /// A lock, when it is free now; who looks at a whole store does not wait for each part of it.
    pub(super) fn lock(&self, key: &LockKey) -> Result<Option<Guard>, StoreError> {
        match self.backend().lock(key, &self.note)? {
            Attempt::Held(guard) => Ok(Some(guard)),
            Attempt::Busy(_) => Ok(None),
        }
    }

    fn records(&mut self) -> Result<(), StoreError> {
        for id in self.backend().ids()? {
            match self.catalog.read(id) {
                Ok(Some(found)) => self.record(&found.record)?,
                Ok(None) => {}
                Err(StoreError::Damaged { what, .. }) => {
                    self.unreadable.push(id);
                    self.damaged_record(id, what)?;
                }
                Err(error @ StoreError::NewerVersion { .. }) => {
                    self.unreadable.push(id);
                    let path = self.backend().path(&Key::Record(id));
                    let lost = "nothing; a newer release reads it";
                    self.add(Finding::damage(&path, error.to_string(), lost));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn record(&mut self, record: &Record) -> Result<(), StoreError> {
        self.report.records += 1;
        self.listed.insert(record.id(), record.listed().to_vec());
        self.has.extend(record.names().iter().cloned());
        if let Err(number) = leads_back(record) {
            let path = self.backend().path(&Key::Record(record.id()));
            let lost = format!("what {} was before change {number}; what it is now is whole", record.title());
            self.add(Finding::damage(&path, "its history does not lead back", lost));
        }
        self.needs_of(record)
    }

    fn damaged_record(&mut self, id: RecordId, what: String) -> Result<(), StoreError> {
        let key = Key::Record(id);
        let path = self.backend().path(&key);
        if self.knows(&path) {
            return Ok(());
        }
        let document = match self.backend().read(&key) {
            Ok(slot) if slot.bytes.as_deref().is_some_and(document_is_whole) => {
                "; its document is whole and begins with the third line"
            }
            _ => "",
        };
        let lost = format!("the record{document}; other records and all blobs are not affected");
        let moved = self.repair == Repair::Yes && self.move_record(id)?;
        self.add(Finding::damage(&path, what, lost).repair(self.aside(), moved));
        Ok(())
    }

    /// Moves a damaged record to `lost+found`, unless somebody has it locked or wrote it anew. Whether that was done.
    fn move_record(&self, id: RecordId) -> Result<bool, StoreError> {
        let Some(_guard) = self.lock(&LockKey::Record(id))? else { return Ok(false) };
        match self.catalog.read_raw(id) {
            Err(StoreError::Damaged { .. }) => Ok(self.backend().set_aside(&Aside::Record(id))?.is_some()),
            // What cannot be read now may be whole.
            Err(error) => Err(error),
            Ok(_) => Ok(false),
        }
    }

    fn publications(&mut self) -> Result<(), StoreError> {
        for id in self.backend().publications()? {
            let path = self.backend().path(&Key::Publication(id));
            match publications::read(self.backend(), id) {
                Ok(_) => {}
                Err(_) if self.knows(&path) => {}
                Err(StoreError::Damaged { what, .. }) => {
                    let moved = self.repair == Repair::Yes && self.move_publication(id)?;
                    let lost = "how far a push is, and what its tags meant before; lists and registries are not affected";
                    self.add(Finding::damage(&path, what, lost).repair(self.aside(), moved));
                }
                Err(error @ StoreError::NewerVersion { .. }) => {
                    let lost = "nothing; a newer release reads it";
                    self.add(Finding::damage(&path, error.to_string(), lost));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The same for what is known of a publication.
    fn move_publication(&self, id: PublicationId) -> Result<bool, StoreError> {
        let Some(_guard) = self.lock(&LockKey::Publication(id))? else { return Ok(false) };
        match publications::read(self.backend(), id) {
            Err(StoreError::Damaged { .. }) => {
                Ok(self.backend().set_aside(&Aside::Publication(id))?.is_some())
            }
            Err(error) => Err(error),
            Ok(_) => Ok(false),
        }
    }

    fn cache(&mut self) -> Result<(), StoreError> {
        for file in self.backend().cached()? {
            match cache::read(self.backend(), file.clone()) {
                Ok(_) => {}
                Err(StoreError::Damaged { path, what }) => {
                    if self.knows(&path) {
                        continue;
                    }
                    let moved = self.repair == Repair::Yes
                        && self.backend().set_aside(&Aside::Cache(file))?.is_some();
                    let lost = "what was remembered of a reference; it can be read again where it came from";
                    let how = match self.backend().lost_and_found() {
                        Some(_) => "move it to lost+found",
                        None => "remove it",
                    };
                    self.add(Finding::damage(&path, what, lost).repair(how, moved));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Follows the history back; the number of the change before which nothing is known, though it should be.
fn leads_back(record: &Record) -> Result<(), u64> {
    let mut bytes = record.encoded().bytes.clone();
    for (number, change) in record.history().numbered().rev() {
        match change.before {
            None => break,
            // A change of names or sources left the document as it was.
            Some(before) if before == change.after && change.revert.is_none() => {}
            Some(_) => bytes = change.document_before(&bytes).ok_or(number)?,
        }
    }
    Ok(())
}

/// Whether what follows the header of a damaged record is the document that the header names.
fn document_is_whole(bytes: &[u8]) -> bool {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n').skip(1);
    let (Some(header), Some(document)) = (lines.next(), lines.next()) else { return false };
    !document.is_empty() && String::from_utf8_lossy(header).contains(&Digest::sha256(document).to_string())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::backend::Local;
    use crate::files::{Disk, Files, Kind, ReadFailure, Staged};
    use crate::lock::Attempt;

    /// A disk that cannot read records any more after a while.
    #[derive(Debug)]
    struct Failing {
        left: AtomicUsize,
    }

    impl Files for Failing {
        fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, ReadFailure> {
            let is_record = path.parent().is_some_and(|dir| dir.ends_with("records"));
            let step = |left: usize| left.checked_sub(1);
            if is_record && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step).is_err() {
                return Err(ReadFailure::Io(io::Error::other("the disk is tired")));
            }
            Disk.read(path, limit)
        }
        fn stage(&self, dir: &Path, label: &str, parts: &[&[u8]]) -> io::Result<Box<dyn Staged>> {
            Disk.stage(dir, label, parts)
        }
        fn sync_dir(&self, dir: &Path) -> io::Result<()> {
            Disk.sync_dir(dir)
        }
        fn make_dir(&self, dir: &Path) -> io::Result<()> {
            Disk.make_dir(dir)
        }
        fn kind(&self, path: &Path) -> io::Result<Kind> {
            Disk.kind(path)
        }
        fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
            Disk.list(dir)
        }
        fn remove(&self, path: &Path) -> io::Result<()> {
            Disk.remove(path)
        }
        fn lock(&self, path: &Path, note: &str) -> Result<Attempt, StoreError> {
            Disk.lock(path, note)
        }
        fn lock_shared(&self, path: &Path) -> Result<Attempt, StoreError> {
            Disk.lock_shared(path)
        }
        fn is_foreign_link(&self, path: &Path) -> io::Result<bool> {
            Disk.is_foreign_link(path)
        }
    }

    #[test]
    fn a_record_that_cannot_be_read_at_the_moment_stays_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let id: RecordId = "a".repeat(64).parse().unwrap();
        let record = dir.path().join("records").join(id.to_string());
        // It is read when it is found damaged, for its document, and under its lock.
        for (reads, is_moved) in [(1, false), (2, false), (3, true)] {
            let store = Local::new(dir.path().to_owned(), Box::new(Failing { left: reads.into() }));
            store.prepare().unwrap();
            std::fs::File::create(&record).unwrap();
            let mut inspection = Inspection::new(Catalog(&store), Repair::Yes, String::new());
            assert_eq!(inspection.run().is_ok(), is_moved, "{reads} reads");
            assert_eq!(record.exists(), !is_moved, "{reads} reads");
        }
    }
}
