//! Whether a blob is where it should be.

use futures_util::stream::StreamExt as _;
use manifest_core::Descriptor;

use super::Place;
use crate::error::TransportError;

impl Place {
    /// Looks whether a blob is there, and what its descriptor says.
    ///
    /// A registry is asked and taken at its word, with one HEAD: that it has the digest, and how long it is. What lies
    /// in files is read whole, since nobody else vouches for it.
    ///
    /// # Errors
    /// [`TransportError::NotFound`], [`TransportError::SizeMismatch`] and [`TransportError::DigestMismatch`] say what
    /// is wrong with the blob; others that it could not be looked at.
    pub async fn look_at_blob(&self, blob: &Descriptor) -> Result<(), TransportError> {
        if let Self::Repository(remote) = self {
            return remote.registry.look_at_blob(&remote.path, blob).await;
        }
        let mut content = self.blob(blob).await?;
        while let Some(piece) = content.next().await {
            piece?;
        }
        Ok(())
    }
}
