//! Whether blobs are what their digests say, and those that records hold are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use manifest_core::{Digest, MAX_MANIFEST_SIZE};

use super::Finding;
use super::inspect::Inspection;
use crate::backend::{Aside, Backend};
use crate::blobs::Verified;
use crate::catalog::Catalog;
use crate::held::walk;
use crate::{Record, Source, StoreError};

/// What records hold.
#[derive(Debug, Default)]
pub(super) struct Needs {
    by_digest: BTreeMap<Digest, Need>,
    /// Manifests that were walked over.
    seen: BTreeSet<Digest>,
}

/// A blob that records hold.
#[derive(Debug)]
struct Need {
    size: Option<u64>,
    /// What one of those records is called.
    by: String,
}

impl Inspection<'_> {
    /// Notes what a record holds, and counts what it does not.
    pub(super) fn needs_of(&mut self, record: &Record) -> Result<(), StoreError> {
        let sources = record.sources();
        let is_remote =
            |digest: &Digest| sources.place_of(digest).is_none_or(|source| source.place != Source::HERE);
        self.report.remote += record.entries().iter().filter(|entry| is_remote(&entry.digest)).count() as u64;

        let (catalog, title) = (self.catalog, record.title());
        let Needs { by_digest, seen } = &mut self.needs;
        walk(record.held(), seen, &mut |held| {
            let need =
                by_digest.entry(held.digest).or_insert_with(|| Need { size: held.size, by: title.clone() });
            need.size = need.size.or(held.size);
            if !held.may_lead() {
                return Ok(None);
            }
            // What is wrong with it is found out later.
            let content = match Verified::open(catalog.0, held.digest) {
                Ok(Some(content)) if content.size() <= MAX_MANIFEST_SIZE as u64 => {
                    content.all(MAX_MANIFEST_SIZE)
                }
                Ok(_) => return Ok(None),
                Err(error) => Err(error),
            };
            match content {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.is_damage() => {
                    let is_own = record.encoded().digest == held.digest;
                    Ok(is_own.then(|| record.encoded().bytes.clone()))
                }
                Err(error) => Err(error),
            }
        })
    }

    pub(super) fn blobs(&mut self) -> Result<(), StoreError> {
        let mut all = Vec::new();
        self.backend().each_blob(&mut |digest, size| all.push((digest, size)))?;
        for (digest, size) in all {
            let need = self.needs.by_digest.remove(&digest);
            match wrong(self.backend(), digest, size, need.as_ref().and_then(|need| need.size))? {
                None => self.report.blobs.add(size),
                Some(what) => self.damaged_blob(digest, what, need.as_ref()),
            }
        }
        for (digest, need) in std::mem::take(&mut self.needs.by_digest) {
            // It may have come while the others were listed.
            if self.backend().blob_size(&digest).is_ok_and(|size| size.is_some()) {
                continue;
            }
            let path = self.backend().blob_path(&digest);
            let lost = format!("content of {}; the list itself is whole", need.by);
            self.add(Finding::damage(&path, format!("{digest} is missing"), lost));
        }
        Ok(())
    }

    fn damaged_blob(&mut self, digest: Digest, what: String, need: Option<&Need>) {
        let lost = match need {
            Some(need) => format!("content of {}; the list itself is whole", need.by),
            None => "nothing that a record holds".to_owned(),
        };
        let path = self.backend().blob_path(&digest);
        self.damaged.push(DamagedBlob { digest, size: need.and_then(|need| need.size) });
        self.add(Finding::damage(&path, what, lost).repair("move it to lost+found", false));
    }
}

/// A blob that was found damaged.
#[derive(Clone, Copy, Debug)]
pub(super) struct DamagedBlob {
    digest: Digest,
    /// How many bytes it should have, if that is known.
    size: Option<u64>,
}

impl DamagedBlob {
    /// Moves it to `lost+found`, unless somebody wrote it anew meanwhile; the path that is whole or free by then.
    /// Needs the lock of the pool, alone.
    pub(super) fn set_aside(self, catalog: Catalog<'_>) -> Result<Option<PathBuf>, StoreError> {
        let Self { digest, size: wanted } = self;
        let is_free = match catalog.0.blob_size(&digest)? {
            None => true,
            Some(size) => {
                wrong(catalog.0, digest, size, wanted)?.is_none()
                    || catalog.0.set_aside(&Aside::Blob(digest))?.is_some()
            }
        };
        Ok(is_free.then(|| catalog.0.blob_path(&digest)))
    }
}

/// What is wrong with a blob; nothing if it is whole, or gone by now.
fn wrong(
    backend: &dyn Backend,
    digest: Digest,
    size: u64,
    wanted: Option<u64>,
) -> Result<Option<String>, StoreError> {
    if let Some(wanted) = wanted.filter(|wanted| *wanted != size) {
        return Ok(Some(format!("it has {size} bytes instead of {wanted}")));
    }
    let read = || -> Result<(), StoreError> {
        let Some(mut content) = Verified::open(backend, digest)? else { return Ok(()) };
        while content.next()?.is_some() {}
        Ok(())
    };
    match read() {
        Ok(()) => Ok(None),
        Err(StoreError::Damaged { what, .. }) => Ok(Some(what)),
        Err(error) => Err(error),
    }
}
