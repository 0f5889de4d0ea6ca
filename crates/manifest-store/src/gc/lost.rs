//! Records that were moved aside. They may be put right and back, with what they hold.

use std::path::Path;

use manifest_core::Digest;

use crate::StoreError;
use crate::catalog::Catalog;
use crate::files::ReadFailure;
use crate::files::dir::Dir;

/// Where damaged things go.
const LOST: &str = "lost+found";

/// The damaged records in `lost+found`, where a store has one: each is an error of its own.
pub(super) fn records(catalog: Catalog<'_>) -> Result<Vec<StoreError>, StoreError> {
    // `blobs/<algorithm>/<hex>` lies three levels below the root.
    let file = catalog.0.blob_file(&Digest::sha256(b""));
    let Some(root) = file.as_deref().and_then(|file| file.ancestors().nth(3)) else { return Ok(Vec::new()) };
    let path = root.join(LOST);
    let mut records = Vec::new();
    let refused = |error| StoreError::Io("list", path.clone(), error);
    let Some(lost) = open(root)? else { return Ok(records) };
    for name in lost.names().map_err(refused)? {
        let name = name.map_err(refused)?;
        if name.to_str().is_some_and(|name| name.starts_with("record-")) {
            let what = "it was moved there because it is damaged, and nobody knows what it holds";
            records.push(StoreError::damaged(path.join(name), what));
        }
    }
    Ok(records)
}

fn open(root: &Path) -> Result<Option<Dir>, StoreError> {
    match Dir::open(root).and_then(|root| root.dir(LOST)) {
        Ok(lost) => Ok(Some(lost)),
        Err(ReadFailure::Io(error)) => Err(StoreError::Io("list", root.join(LOST), error)),
        // What is no directory holds nothing of ours.
        Err(_) => Ok(None),
    }
}
