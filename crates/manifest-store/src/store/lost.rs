//! Content that a record holds and that is not there.

use std::collections::BTreeMap;

use manifest_core::{Digest, MAX_MANIFEST_SIZE};

use super::Store;
use crate::backend::Backend;
use crate::blobs::Verified;
use crate::catalog::spread;
use crate::held::{Held, Seen, walk};
use crate::{Record, StoreError};

impl Store {
    /// What is missing or wrong of the content that a record holds now, each an error of its own.
    ///
    /// Manifests are read; of what they name only presence and size are looked at, so that this takes no longer than
    /// the record is large. [`Store::check`] compares everything with its digest.
    ///
    /// # Errors
    /// What disks and services refuse.
    pub async fn lost(&self, record: &Record) -> Result<Vec<StoreError>, StoreError> {
        let roots = record.held_now();
        if roots.is_empty() {
            return Ok(Vec::new());
        }
        let lost = self.read(move |catalog| lost(catalog.0, roots)).await?;
        if lost.is_empty() {
            return Ok(lost);
        }
        // What nobody holds any more may have been collected meanwhile.
        match self.load(&record.id().into()).await {
            Ok(now) if now.sources() == record.sources() => Ok(lost),
            Ok(_) | Err(StoreError::NotFound(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn lost(backend: &dyn Backend, roots: Vec<Held>) -> Result<Vec<StoreError>, StoreError> {
    let missing =
        |digest: &Digest| StoreError::damaged(backend.blob_path(digest), format!("{digest} is missing"));
    let (mut lost, mut leaves) = (Vec::new(), BTreeMap::new());
    walk(roots, &mut Seen::new(), &mut |held| {
        if !held.may_lead() {
            leaves.insert(held.digest, held.size);
            return Ok(None);
        }
        let read = match Verified::open(backend, held.digest) {
            Ok(None) => Err(missing(&held.digest)),
            Ok(Some(content)) => content.all(MAX_MANIFEST_SIZE),
            Err(error) => Err(error),
        };
        let unreadable =
            |error| StoreError::damaged(backend.blob_path(&held.digest), held.no_manifest(&error));
        match read.and_then(|bytes| held.children(&bytes).map_err(unreadable)) {
            Err(error) if error.is_damage() => {
                lost.push(error);
                Ok(None)
            }
            children => children,
        }
    })?;
    let leaves: Vec<(Digest, Option<u64>)> = leaves.into_iter().collect();
    let look = |(digest, wanted): &(Digest, Option<u64>)| match (backend.blob_size(digest), wanted) {
        (Ok(None), _) => Some(Ok(missing(digest))),
        (Ok(Some(size)), Some(wanted)) if size != *wanted => {
            let what = format!("{digest} has {size} bytes instead of {wanted}");
            Some(Ok(StoreError::damaged(backend.blob_path(digest), what)))
        }
        (Ok(Some(_)), _) => None,
        (Err(error), _) if error.is_damage() => Some(Ok(error)),
        (Err(error), _) => Some(Err(error)),
    };
    for found in spread(&leaves, backend.width(), look) {
        lost.push(found?);
    }
    Ok(lost)
}
