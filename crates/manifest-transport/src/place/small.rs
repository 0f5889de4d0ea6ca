//! Blobs that are small enough to be held in memory.

use std::future::ready;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use manifest_core::Descriptor;

use super::Place;
use crate::error::TransportError;
use crate::registry::Mounted;
use crate::start::Start;
use crate::stream::collect;

impl Place {
    /// Reads a blob of at most `limit` bytes, checked.
    ///
    /// # Errors
    /// [`TransportError::TooLarge`] without reading anything; as [`blob`](Self::blob).
    pub async fn blob_bytes(&self, blob: &Descriptor, limit: usize) -> Result<Bytes, TransportError> {
        let what = format!("blob {} of {self}", blob.digest);
        if blob.size > limit as u64 {
            return Err(TransportError::TooLarge { what, limit: limit as u64 });
        }
        collect(self.blob(blob).await?, blob, limit, what).await
    }

    /// Writes a blob that is these bytes.
    ///
    /// # Errors
    /// As [`put_blob`](Self::put_blob).
    pub async fn put_bytes(
        &self,
        blob: &Descriptor,
        mounted: Mounted,
        bytes: &Bytes,
    ) -> Result<(), TransportError> {
        let open = |start: Start| {
            let rest =
                usize::try_from(start.offset()).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
            let opened = stream::iter([Ok(bytes.slice_ref(rest))]).boxed();
            Box::pin(ready(Ok(opened))) as _
        };
        self.put_blob(blob, mounted, &open).await
    }
}
