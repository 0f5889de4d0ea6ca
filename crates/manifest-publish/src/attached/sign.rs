//! Signatures under a tag of their own, which others may add to at the same time.

use std::future::ready;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use manifest_core::{Descriptor, Digest, Document, MediaType};
use manifest_transport::{Expect, Fetched, Guard, Mounted, Place, TransportError};

use super::Signature;
use super::merge::{Merged, merge};
use crate::error::PublishError;

/// How often a tag is looked at again when it is not what was written.
const ROUNDS: u32 = 8;

/// What became of a signature at a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    Present,
    Written,
    Merged,
    /// The target's is something else, and cannot be added to.
    Kept,
}

impl Signature {
    /// Lets the tag have these signatures, beside those that it has. All blobs are there.
    ///
    /// What is written is read back, and written again when somebody else took it away.
    pub(super) async fn write(&self, place: &Place) -> Result<Signed, PublishError> {
        let place = &place.without_mirrors();
        let mut done = Signed::Present;
        for round in 0..ROUNDS {
            let now = place.tag_state(&self.tag).await?;
            let before = now.as_ref().map(|now| now.digest);
            let (how, document) = match before {
                Some(digest) if digest == self.found.digest => return Ok(done),
                None => (Signed::Written, Some(self.bytes().await?)),
                Some(digest) => match self.merged(place, digest).await? {
                    Some(Merged::Same) => return Ok(done),
                    Some(Merged::Document { manifest, config }) => {
                        put_config(place, config).await?;
                        (Signed::Merged, Some(manifest))
                    }
                    None => (Signed::Kept, None),
                },
            };
            let Some(document) = document else { return Ok(Signed::Kept) };
            let expect = match now {
                None => Expect::Absent,
                Some(now) => now.etag.map_or(Expect::Any, Expect::ETag),
            };
            let guard = Guard { expect, before: Some(before) };
            match place.put_named(Some(&self.tag), &self.found.media_type, document, &guard).await {
                Ok(()) => done = how,
                Err(error @ TransportError::Moved { .. }) => place.pause_for_lost(round, error).await?,
                Err(error) => return Err(error.into()),
            }
        }
        let name = format!("{place}:{}", self.tag);
        Err(TransportError::Contended { name, rounds: ROUNDS }.into())
    }

    /// The signatures of the target with those of ours that it lacks; `None` where that cannot be.
    async fn merged(&self, place: &Place, theirs: Digest) -> Result<Option<Merged>, PublishError> {
        let is_one = self.tag.ends_with(".sbom") || self.found.media_type != MediaType::OCI_MANIFEST;
        if is_one {
            return Ok(None);
        }
        let ours = Fetched::kept(&self.tag, &self.found.digest, self.bytes().await?, &self.found.media_type)?;
        let theirs = place.manifest(&theirs.into()).await?;
        let (Some(our_config), Some(their_config)) =
            (config(&self.from, &ours).await?, config(place, &theirs).await?)
        else {
            return Ok(None);
        };
        Ok(merge((&theirs.bytes, &their_config), (&ours.bytes, &our_config)))
    }
}

/// The configuration of a manifest that has one as cosign writes it.
async fn config(place: &Place, of: &Fetched) -> Result<Option<Bytes>, TransportError> {
    match &of.document {
        Document::Image(image) if image.config.media_type == MediaType::OCI_CONFIG => {
            place.config(&image.config).await.map(Some)
        }
        _ => Ok(None),
    }
}

async fn put_config(place: &Place, config: Bytes) -> Result<(), TransportError> {
    let blob = Descriptor::new(MediaType::OCI_CONFIG, Digest::sha256(&config), config.len() as u64);
    if place.has_blob(&blob).await? {
        return Ok(());
    }
    let open = |start: manifest_transport::Start| {
        let rest = usize::try_from(start.offset()).ok().and_then(|at| config.get(at..)).unwrap_or_default();
        let piece = Ok(config.slice_ref(rest));
        let opened = stream::iter([piece]).boxed();
        Box::pin(ready(Ok(opened))) as _
    };
    place.put_blob(&blob, Mounted::Refused, &open).await
}
