//! What is remembered of what registries can do.

use manifest_core::{Digest, MediaType};
use manifest_publish::Probe;
use manifest_store::{Cached, CachedDocument, Store, StoreError};

/// What is remembered of a registry; what another version wrote is as good as nothing.
pub(crate) async fn find(store: &Store, host: &str) -> Result<Option<Probe>, StoreError> {
    let cached = store.cache().find(&name(host)).await?;
    Ok(cached.and_then(|cached| Probe::parse(&cached.documents.first()?.bytes)))
}

/// Remembers what a registry can do, in place of what was remembered of it.
pub(crate) async fn keep(store: &Store, probe: &Probe) -> Result<(), StoreError> {
    let bytes = probe.encode();
    let media_type = MediaType::from("application/vnd.manifest.probe.v1+json");
    let documents = vec![CachedDocument { digest: Digest::sha256(&bytes), media_type, bytes }];
    store.cache().keep(Cached { reference: name(&probe.host), fetched: probe.probed, documents }).await
}

/// The name among references, which all have a slash.
fn name(host: &str) -> String {
    format!("probe:{host}")
}
