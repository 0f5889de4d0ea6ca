//! Where the documents of a source are read: manifests, and the configurations that tell platforms.

use bytes::Bytes;
use manifest_core::Descriptor;
use manifest_transport::{Fetched, Place, TransportError, Which};

/// Where the documents of a source are read. What is given is what was asked for, by digest and size.
pub trait Documents: Sync {
    /// Reads a manifest.
    fn manifest(&self, which: &Which) -> impl Future<Output = Result<Fetched, TransportError>> + Send;

    /// Reads the configuration of an image.
    fn config(&self, config: &Descriptor) -> impl Future<Output = Result<Bytes, TransportError>> + Send;
}

impl Documents for Place {
    async fn manifest(&self, which: &Which) -> Result<Fetched, TransportError> {
        Self::manifest(self, which).await
    }

    async fn config(&self, config: &Descriptor) -> Result<Bytes, TransportError> {
        Self::config(self, config).await
    }
}
