//! Signatures under a tag of their own, which others may add to at the same time.

use bytes::Bytes;
use manifest_core::{Descriptor, Digest, Document, MediaType};
use manifest_transport::{Added, Addition, Fetched, LookBack, Mounted, Onto, Place, TransportError};

use super::Signature;
use super::merge::{Merged, merge};
use crate::error::PublishError;

impl Signature {
    /// Lets the tag have these signatures, beside those that it has. All blobs are there.
    pub(super) async fn write(&self, place: &Place) -> Result<Added, PublishError> {
        let place = &place.without_mirrors();
        let (added, _) =
            place.add_to(&self.tag, &Copied { signature: self, place }, LookBack::AtOnce).await?;
        Ok(added)
    }
}

/// Signatures on their way from one place to another.
struct Copied<'a> {
    signature: &'a Signature,
    place: &'a Place,
}

impl Addition for Copied<'_> {
    type Error = PublishError;

    async fn onto(&self, now: Option<&Fetched>) -> Result<Onto, PublishError> {
        let Self { signature, place } = *self;
        let found = &signature.found;
        let Some(now) = now else {
            return Ok(Onto::Document(found.media_type.clone(), signature.bytes().await?));
        };
        if now.digest == found.digest {
            return Ok(Onto::Within);
        }
        if signature.tag.ends_with(".sbom") || found.media_type != MediaType::OCI_MANIFEST {
            return Ok(Onto::Never);
        }
        let ours = signature.bytes().await?;
        let ours = Fetched::kept(&signature.tag, &found.digest, ours, &found.media_type)?;
        let Some(config) = config(&signature.from, &ours).await? else { return Ok(Onto::Never) };
        join(place, now, (&ours.bytes, &config)).await
    }
}

/// A manifest of signatures with those of ours, a manifest and its configuration, that it lacks. The new configuration is
/// written.
async fn join(place: &Place, now: &Fetched, ours: (&[u8], &[u8])) -> Result<Onto, PublishError> {
    let Some(theirs) = config(place, now).await? else { return Ok(Onto::Never) };
    Ok(match merge((&now.bytes, &theirs), ours) {
        None => Onto::Never,
        Some(Merged::Same) => Onto::Within,
        Some(Merged::Document { manifest, config }) => {
            put_config(place, &config).await?;
            Onto::Document(MediaType::OCI_MANIFEST, manifest)
        }
    })
}

/// The configuration of a manifest that has one as cosign writes it.
pub(crate) async fn config(place: &Place, of: &Fetched) -> Result<Option<Bytes>, TransportError> {
    match &of.document {
        Document::Image(image)
            if image.config.media_type == MediaType::OCI_CONFIG
                && image.media_type == MediaType::OCI_MANIFEST =>
        {
            place.config(&image.config).await.map(Some)
        }
        _ => Ok(None),
    }
}

/// Writes the configuration of a manifest that is new, so that it need not be asked for.
pub(crate) async fn put_config(place: &Place, config: &Bytes) -> Result<(), TransportError> {
    let blob = Descriptor::new(MediaType::OCI_CONFIG, Digest::sha256(config), config.len() as u64);
    place.put_bytes(&blob, Mounted::Refused, config).await
}
