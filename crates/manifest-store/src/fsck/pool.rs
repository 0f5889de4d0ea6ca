//! Whether blobs are what their digests say, and those that records hold are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use manifest_core::{Digest, MAX_MANIFEST_SIZE};

use super::Finding;
use super::inspect::Inspection;
use crate::backend::{Aside, Backend};
use crate::blobs::Verified;
use crate::catalog::Catalog;
use crate::held::{Held, Seen, walk};
use crate::{Record, Source, StoreError};

/// What records hold.
#[derive(Debug, Default)]
pub(super) struct Needs {
    by_digest: BTreeMap<Digest, Need>,
    seen: Seen,
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

        for unreadable in self.needs.add(self.catalog, record)? {
            let lost =
                format!("what else {} needs is not known; gc removes no content meanwhile", record.title());
            self.add(Finding::damage(&unreadable.path, unreadable.what, lost));
        }
        Ok(())
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
        for digest in std::mem::take(&mut self.needs.by_digest).into_keys() {
            if is_missing(self.backend(), &digest)? {
                self.missing.insert(digest);
            }
        }
        Ok(())
    }

    fn damaged_blob(&mut self, digest: Digest, what: String, need: Option<&Need>) {
        let lost = match need {
            Some(need) => need.lost(),
            None => "nothing that a record holds".to_owned(),
        };
        let path = self.backend().blob_path(&digest);
        self.damaged.push(DamagedBlob { digest, size: need.and_then(|need| need.size) });
        self.add(Finding::damage(&path, what, lost).repair(self.aside(), false));
    }
}

impl Need {
    fn lost(&self) -> String {
        format!("content of {}; the list itself is whole", self.by)
    }
}

/// A blob that records hold as a manifest, and that is none.
struct NoManifest {
    path: PathBuf,
    what: String,
}

impl Needs {
    /// Notes what a record holds; the manifests of which it is not known what they hold.
    fn add(&mut self, catalog: Catalog<'_>, record: &Record) -> Result<Vec<NoManifest>, StoreError> {
        let (Self { by_digest, seen }, mut unreadable) = (self, Vec::new());
        walk(record.held(), seen, &mut |held| {
            let need =
                by_digest.entry(held.digest).or_insert_with(|| Need { size: held.size, by: record.title() });
            need.size = need.size.or(held.size);
            if !held.may_lead() {
                return Ok(None);
            }
            let Some(bytes) = manifest(catalog, record, held)? else { return Ok(None) };
            held.children(&bytes).or_else(|error| {
                let (path, what) = (catalog.0.blob_path(&held.digest), held.no_manifest(&error));
                unreadable.push(NoManifest { path, what });
                Ok(None)
            })
        })?;
        Ok(unreadable)
    }
}

/// The bytes of what may be a manifest. What is wrong with it is found out later.
fn manifest(catalog: Catalog<'_>, record: &Record, held: &Held) -> Result<Option<Vec<u8>>, StoreError> {
    let content = match Verified::open(catalog.0, held.digest) {
        Ok(Some(content)) if content.size() <= MAX_MANIFEST_SIZE as u64 => content.all(MAX_MANIFEST_SIZE),
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
}

/// Those of these blobs that records hold and that are not there. Needs the lock of the pool, shared: what is held then
/// is not collected meanwhile.
pub(super) fn still_missing(
    catalog: Catalog<'_>,
    missing: &BTreeSet<Digest>,
) -> Result<Vec<Finding>, StoreError> {
    let mut needs = Needs::default();
    for id in catalog.0.all_ids()? {
        match catalog.read_raw(id) {
            Ok(Some(found)) => drop(needs.add(catalog, &found.record)?),
            Ok(None) => {}
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
    }
    let mut findings = Vec::new();
    for (digest, need) in needs.by_digest.iter().filter(|(digest, _)| missing.contains(digest)) {
        if is_missing(catalog.0, digest)? {
            let path = catalog.0.blob_path(digest);
            findings.push(Finding::damage(&path, format!("{digest} is missing"), need.lost()));
        }
    }
    Ok(findings)
}

/// Whether nothing is where a blob should be. Something else is told of elsewhere.
fn is_missing(backend: &dyn Backend, digest: &Digest) -> Result<bool, StoreError> {
    match backend.blob_size(digest) {
        Ok(size) => Ok(size.is_none()),
        Err(error) if error.is_damage() => Ok(false),
        Err(error) => Err(error),
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
