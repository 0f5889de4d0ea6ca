//! Signatures beside the images that they are of: those of the image that a directory means are `signature-1` and so on, those of
//! another manifest have the digest of that before it.

use std::path::Path;

use bytes::Bytes;
use manifest_core::Digest;

use super::directory::{self, Series};
use super::{Kept, READERS, blocking, check_room};
use crate::directory::Directory;
use crate::error::TransportError;

/// Reads the signatures of a manifest. Those of the image itself may have the digest before them as well, while it is being
/// published.
pub(super) async fn read(
    directory: &Directory,
    digest: &Digest,
    room: usize,
) -> Result<Vec<Bytes>, TransportError> {
    let (series, root) = (series_of(directory, digest).await?, directory.root().to_owned());
    let _turn = READERS.acquire().await.ok();
    let at = root.clone();
    blocking(&root, move || {
        let mut all = Vec::new();
        for series in series {
            for signature in directory::read(&series, room)?.signatures {
                if !all.contains(&signature) {
                    check_room(&at.display().to_string(), &all, &signature, room)?;
                    all.push(signature);
                }
            }
        }
        Ok(all)
    })
    .await
}

/// Adds a signature of a manifest, behind those that it has.
pub(super) async fn add(
    directory: &Directory,
    digest: &Digest,
    signature: &[u8],
) -> Result<Kept, TransportError> {
    let _lock = directory.lock().await?;
    let (series, root) = (series_of(directory, digest).await?, directory.root().to_owned());
    let signature = signature.to_owned();
    blocking(directory.root(), move || match series.into_iter().next() {
        Some(series) => directory::add(&root, &series, &signature),
        None => Ok(Kept::Already(root.display().to_string())),
    })
    .await
}

/// Removes all signatures of a manifest; how many there were.
pub(super) async fn remove(directory: &Directory, digest: &Digest) -> Result<usize, TransportError> {
    let _lock = directory.lock().await?;
    let series = series_of(directory, digest).await?;
    blocking(directory.root(), move || {
        series.iter().try_fold(0, |removed, series| Ok(removed + directory::remove(series)?))
    })
    .await
}

/// Gives signatures from one to another, each of which is the image itself (none) or the manifest with this digest. The caller
/// has the lock.
pub(crate) async fn hand_over(
    root: &Path,
    from: Option<&Digest>,
    to: Option<&Digest>,
) -> Result<(), TransportError> {
    let (from, to, at) = (series(root, from), series(root, to), root.to_owned());
    blocking(root, move || directory::hand_over(&at, &from, &to)).await
}

/// Where the signatures of a manifest are, the place for new ones first.
async fn series_of(directory: &Directory, digest: &Digest) -> Result<Vec<Series>, TransportError> {
    let own = directory.means(digest).await?.then(|| series(directory.root(), None));
    Ok(own.into_iter().chain([series(directory.root(), Some(digest))]).collect())
}

/// Made of a digest that was parsed, which holds no path.
fn series(root: &Path, of: Option<&Digest>) -> Series {
    Series::of_image(root, &of.map_or_else(String::new, |digest| format!("{}.", digest.hex())))
}
