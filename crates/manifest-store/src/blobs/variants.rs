//! The same layer in other compressions.

use std::collections::{BTreeMap, BTreeSet};

use manifest_core::{Digest, Document, MAX_CONFIG_SIZE, MAX_MANIFEST_SIZE, MediaType};

use super::{Blobs, Verified};
use crate::StoreError;
use crate::backend::Backend;
use crate::catalog::{Catalog, Found};
use crate::held::{Seen, walk};

/// A blob that is some layer, in one of its compressions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variant {
    /// Its digest.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// The type that an image gives it.
    pub media_type: MediaType,
    /// The digest of the layer when it is not compressed.
    pub diff_id: Digest,
}

impl Blobs {
    /// The blobs that are the same layer as `layer`, which is the digest of one of them or the layer's diff ID: sorted by
    /// digest. What belongs together is told by the configurations of the images that records hold.
    ///
    /// # Errors
    /// As [`Blobs::has`]; [`StoreError::Damaged`] for a record or a manifest that cannot be read.
    pub async fn variants(&self, layer: &Digest) -> Result<Vec<Variant>, StoreError> {
        let layer = *layer;
        self.run(move |backend| {
            let known = known_layers(backend)?;
            let mut ids: BTreeSet<Digest> =
                known.iter().filter(|((digest, _), _)| *digest == layer).map(|((_, id), _)| *id).collect();
            ids.insert(layer);
            let mut variants = Vec::new();
            for ((digest, diff_id), media_type) in known.into_iter().filter(|((_, id), _)| ids.contains(id)) {
                if let Some(size) = backend.blob_size(&digest)? {
                    variants.push(Variant { digest, size, media_type, diff_id });
                }
            }
            Ok(variants)
        })
        .await
    }
}

/// All layers of images that are held here: by digest and diff ID, with the type that an image gives them.
fn known_layers(backend: &dyn Backend) -> Result<BTreeMap<(Digest, Digest), MediaType>, StoreError> {
    let content = |digest: Digest, limit: usize| -> Result<Option<Vec<u8>>, StoreError> {
        Verified::open(backend, digest)?.map(|content| content.all(limit)).transpose()
    };
    let (mut known, mut seen) = (BTreeMap::new(), Seen::new());
    for id in backend.ids()? {
        let Some(Found { record, .. }) = Catalog(backend).read_raw(id)? else { continue };
        walk(record.held(), &mut seen, &mut |held| {
            if !held.may_lead() {
                return Ok(None);
            }
            let Some(bytes) = content(held.digest, MAX_MANIFEST_SIZE)? else { return Ok(None) };
            if let Ok(Document::Image(image)) = Document::decode(&bytes, held.media_type.as_ref())
                && image.config.media_type.is_image_config()
                && let Some(config) = content(image.config.digest, MAX_CONFIG_SIZE)?
            {
                let layers = image.layers_with_ids(&config);
                known.extend(layers.map(|(layer, id)| ((layer.digest, id), layer.media_type.clone())));
            }
            Ok(held.children(&bytes).unwrap_or_default())
        })?;
    }
    Ok(known)
}
