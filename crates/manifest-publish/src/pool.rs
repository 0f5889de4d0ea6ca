//! The blobs of a store, as a place that images are read from.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use manifest_core::Digest;
use manifest_store::{Blobs, Source, Store, StoreError};
use manifest_transport::{Blob, Place, Reader, TransportError};

/// The place of what a store holds itself: of entries whose source is [`Source::HERE`].
pub fn pool(store: &Store) -> Place {
    Place::Reader(Arc::new(Pool(store.blobs())))
}

#[derive(Debug)]
struct Pool(Blobs);

/// As a record keeps it.
impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Source::HERE)
    }
}

impl Reader for Pool {
    fn open(&self, digest: Digest) -> BoxFuture<'_, Result<Blob, TransportError>> {
        Box::pin(async move {
            let failed = move |error: StoreError| TransportError::Reader(digest, Box::new(error));
            let reader = self.0.read(&digest).await.map_err(failed)?.ok_or_else(|| lost(digest))?;
            let pieces = stream::unfold(reader, move |mut reader| async move {
                let piece = reader.next().await?;
                Some((piece.map_err(failed), reader))
            });
            Ok(pieces.boxed())
        })
    }
}

/// A record says that the store holds it, and the store does not.
fn lost(digest: Digest) -> TransportError {
    let path = format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex()).into();
    TransportError::Reader(digest, Box::new(StoreError::Damaged { path, what: "it is missing".to_owned() }))
}
