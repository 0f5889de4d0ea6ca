//! What a registry can do, found out by trying; and how what was tried is taken away again.

use bytes::Bytes;
use manifest_core::{Descriptor, Digest};

use super::RemoteRepository;
use crate::error::TransportError;
use crate::registry::{Deleted, Pieced};

impl RemoteRepository {
    /// Whether the registry has the referrers API, asked of a digest that nothing has.
    ///
    /// # Errors
    /// When the registry cannot be asked.
    ///
    /// Spec: OCI distribution-spec v1.1.1, "Listing Referrers".
    pub async fn serves_referrers(&self) -> Result<bool, TransportError> {
        self.registry.serves_referrers(&self.path).await
    }

    /// Sends a blob in two pieces; a registry that does not take them does not have the blob then.
    ///
    /// # Errors
    /// When no upload can be begun; that pieces are not taken is an outcome, not an error.
    ///
    /// Spec: OCI distribution-spec v1.1.1, "Pushing a blob in chunks".
    pub async fn try_pieces(&self, blob: &Descriptor, bytes: &Bytes) -> Result<Pieced, TransportError> {
        self.registry.try_pieces(&self.path, blob, bytes).await
    }

    /// Deletes a manifest, with all tags that mean it.
    ///
    /// # Errors
    /// When the registry cannot be asked, or does not allow it.
    ///
    /// Spec: OCI distribution-spec v1.1.1, "Deleting Manifests".
    pub async fn delete_manifest(&self, digest: &Digest) -> Result<Deleted, TransportError> {
        self.registry.delete(&self.path, &format!("manifests/{digest}")).await
    }

    /// Deletes a blob from the repository, whatever needs it.
    ///
    /// # Errors
    /// When the registry cannot be asked, or does not allow it.
    ///
    /// Spec: OCI distribution-spec v1.1.1, "Deleting Blobs".
    pub async fn delete_blob(&self, digest: &Digest) -> Result<Deleted, TransportError> {
        self.registry.delete(&self.path, &format!("blobs/{digest}")).await
    }
}
