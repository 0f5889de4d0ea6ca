//! The signatures of a manifest, wherever they are kept.

use std::collections::BTreeMap;

use bytes::Bytes;
use manifest_core::{Descriptor, Digest, Document, Tag};
use manifest_sign::sigstore::{
    BUNDLE_MEDIA_TYPE, CosignSignature, MAX_BUNDLE_SIZE, PAYLOAD_MEDIA_TYPE, PREDICATE_ANNOTATION,
    SIGNED_PREDICATE, bundle_layer,
};
use manifest_sign::{MAX_PAYLOAD_SIZE, Refusal};
use manifest_transport::{Fetched, Place, ReferrersAt, Signatures, Tagged, TransportError};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Signature, SignatureForm};
use crate::error::PublishError;

/// Bytes of signatures of one manifest and form that are read.
const MAX_BYTES: u64 = 6 << 20;

/// Bytes of signatures of one manifest that may be in memory beside those of many others.
const LIGHT: usize = 256 << 10;

/// Signatures of one manifest and form that are read.
const MAX_SIGNATURES: usize = 1_000;

/// A signature that was found, or what stands in the place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundSignature {
    /// How it is kept.
    pub form: SignatureForm,
    /// Where it stands: the tag and the digest of the layer, the digest of the manifest that refers to what is signed, or its
    /// number.
    pub at: String,
    /// The signature, of which nothing is checked yet; or why it cannot be read.
    pub signature: Result<Signature, Refusal>,
}

/// Room for the signatures of many manifests that are read at once. What is large waits for its turn, so that memory stays
/// bounded, whatever somebody has attached to each of them.
#[derive(Debug)]
pub(crate) struct Room(Semaphore);

impl Default for Room {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

/// What one manifest takes of the room, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share<'a> {
    room: &'a Room,
    used: u64,
    turn: Option<SemaphorePermit<'a>>,
}

impl<'a> Share<'a> {
    pub(crate) const fn of(room: &'a Room) -> Self {
        Self { room, used: 0, turn: None }
    }

    /// Waits until there is room for so many bytes more. Nobody waits twice, so that two cannot wait for one another.
    async fn take(&mut self, bytes: u64) {
        self.used = self.used.saturating_add(bytes);
        if self.used > LIGHT as u64 && self.turn.is_none() {
            self.turn = self.room.0.acquire().await.ok();
        }
    }
}

/// Finds the signatures of a manifest in these forms.
pub(crate) async fn find(
    place: &Place,
    digest: &Digest,
    forms: &[SignatureForm],
    simple: Option<&Signatures>,
    share: &mut Share<'_>,
) -> Result<Vec<FoundSignature>, PublishError> {
    let mut found = Vec::new();
    let own = place.own_signatures();
    let is_wanted = |kept: &&Signatures| {
        forms.contains(&SignatureForm::Simple)
            || (kept.keeps_sigstore() && forms.contains(&SignatureForm::Cosign))
    };
    if let Some(simple) = simple.or(own.as_ref()).filter(is_wanted) {
        found.extend(simple_within(simple, digest, share).await?);
        found.retain(|one| forms.contains(&one.form));
    }
    let place = &place.without_mirrors();
    if forms.contains(&SignatureForm::Cosign) {
        found.extend(match attached_within(place, digest, share).await {
            Ok((_, attached)) => attached,
            Err(error) if is_about_content(&error) => {
                let (form, at) = (SignatureForm::Cosign, attachment_tag(digest)?.to_string());
                vec![FoundSignature { form, at, signature: Err(unreadable(&error)) }]
            }
            Err(error) => return Err(error.into()),
        });
    }
    if forms.contains(&SignatureForm::Bundle) {
        found.extend(bundles_within(place, digest, ReferrersAt::Anywhere, share).await?);
    }
    Ok(found)
}

/// Simple signatures; more or larger ones than are read are one that cannot be read.
async fn simple_within(
    simple: &Signatures,
    digest: &Digest,
    share: &mut Share<'_>,
) -> Result<Vec<FoundSignature>, TransportError> {
    let mut read = simple_signatures(simple, digest, LIGHT).await;
    if matches!(read, Err(TransportError::TooLarge { .. })) {
        share.take(LIGHT as u64 + 1).await;
        read = simple_signatures(simple, digest, usize::MAX).await;
    }
    match read {
        Err(error @ (TransportError::TooManySignatures(..) | TransportError::TooLarge { .. })) => {
            let (form, at) = (SignatureForm::Simple, "signature-1".to_owned());
            Ok(vec![FoundSignature { form, at, signature: Err(unreadable(&error)) }])
        }
        found => found,
    }
}

/// Finds all signatures of a manifest, in all forms; with `simple` ([`Transport::signatures`]) those that are no images, too.
/// Nothing of them is checked but that each is where it says.
///
/// [`Transport::signatures`]: manifest_transport::Transport::signatures
///
/// # Errors
/// [`PublishError`] when the place cannot be read. What stands where a signature should be and is none is found as such.
pub async fn signatures_of(
    place: &Place,
    digest: &Digest,
    simple: Option<&Signatures>,
) -> Result<Vec<FoundSignature>, PublishError> {
    find(place, digest, &SignatureForm::ALL, simple, &mut Share::of(&Room::default())).await
}

/// The tag under which the signatures of a manifest stand, in the form of cosign.
///
/// # Errors
/// Where there can be no such tag, since the digest is too long.
pub(super) fn attachment_tag(digest: &Digest) -> Result<Tag, TransportError> {
    let text = format!("{}-{}.sig", digest.algorithm().as_str(), digest.hex());
    text.parse().map_err(|error| TransportError::Protocol {
        request: format!("find the signatures of {digest}"),
        what: format!("{error}"),
    })
}

/// The signatures under the tag of a manifest, and what the tag means.
pub(super) async fn attached(
    place: &Place,
    digest: &Digest,
) -> Result<(Option<Tagged>, Vec<FoundSignature>), TransportError> {
    attached_within(place, digest, &mut Share::of(&Room::default())).await
}

async fn attached_within(
    place: &Place,
    digest: &Digest,
    share: &mut Share<'_>,
) -> Result<(Option<Tagged>, Vec<FoundSignature>), TransportError> {
    // Where there can be no tag nobody has attached anything.
    let Ok(tag) = attachment_tag(digest) else { return Ok((None, Vec::new())) };
    let Some(tagged) = place.tagged(tag.as_str()).await? else { return Ok((None, Vec::new())) };
    let (form, mut left) = (SignatureForm::Cosign, MAX_BYTES);
    let Document::Image(image) = &tagged.manifest.document else {
        let no = Refusal::Unreadable("it is a list, and no manifest of signatures".to_owned());
        let found = FoundSignature { form, at: tag.to_string(), signature: Err(no) };
        return Ok((Some(tagged), vec![found]));
    };
    let mut found: Vec<FoundSignature> = Vec::new();
    // Several keys may have signed the same payload: where it stands.
    let mut known: BTreeMap<(Digest, u64), usize> = BTreeMap::new();
    for layer in image.layers.iter().take(MAX_SIGNATURES) {
        let again =
            known.get(&(layer.digest, layer.size)).and_then(|at| found.get(*at)).map(|one| &one.signature);
        let payload = match again {
            _ if layer.media_type.as_str() != PAYLOAD_MEDIA_TYPE => Err(not_a_payload(layer)),
            // Each signature has a copy of it.
            Some(Ok(Signature::Cosign(one))) if one.payload().len() as u64 > left => Err(too_much()),
            Some(Ok(Signature::Cosign(one))) => {
                let size = one.payload().len() as u64;
                left = left.saturating_sub(size);
                share.take(size).await;
                Ok(one.payload().to_vec())
            }
            Some(Err(refusal)) => Err(refusal.clone()),
            _ => {
                share.take(layer.size.min(left)).await;
                known.insert((layer.digest, layer.size), found.len());
                small(place, layer, &mut left, MAX_PAYLOAD_SIZE).await?.map(Vec::from)
            }
        };
        let signature = payload.and_then(|payload| CosignSignature::from_layer(layer, payload));
        let at = format!("{tag} {}", layer.digest);
        found.push(FoundSignature { form, at, signature: signature.map(Signature::Cosign) });
    }
    if let Some(more) = image.layers.len().checked_sub(MAX_SIGNATURES).filter(|more| *more > 0) {
        let no = Refusal::Unreadable(format!("{more} more are not read, only {MAX_SIGNATURES}"));
        found.push(FoundSignature { form, at: tag.to_string(), signature: Err(no) });
    }
    Ok((Some(tagged), found))
}

/// The bundles that refer to a manifest and are signatures, not attestations.
pub(super) async fn bundles(
    place: &Place,
    digest: &Digest,
    at: ReferrersAt,
) -> Result<Vec<FoundSignature>, TransportError> {
    bundles_within(place, digest, at, &mut Share::of(&Room::default())).await
}

async fn bundles_within(
    place: &Place,
    digest: &Digest,
    at: ReferrersAt,
    share: &mut Share<'_>,
) -> Result<Vec<FoundSignature>, TransportError> {
    let (mut found, mut left) = (Vec::new(), MAX_BYTES);
    let listed = place.referrers_at(digest, Some(&BUNDLE_MEDIA_TYPE.into()), at).await?;
    for referrer in listed.into_iter().take(MAX_SIGNATURES) {
        if is_attestation(&referrer.annotations) {
            continue;
        }
        let read = match place.manifest(&referrer.digest.into()).await {
            Ok(fetched) if matches!(&fetched.document, Document::Image(image) if is_attestation(&image.annotations)) =>
            {
                continue;
            }
            Ok(fetched) => bundle(place, digest, &fetched, (&mut left, share)).await?,
            Err(error) if is_about_content(&error) => Err(unreadable(&error)),
            Err(error) => return Err(error),
        };
        let (form, at) = (SignatureForm::Bundle, referrer.digest.to_string());
        found.push(FoundSignature { form, at, signature: read.map(Signature::Bundle) });
    }
    Ok(found)
}

/// The bundle in a manifest, or why it is none.
async fn bundle(
    place: &Place,
    subject: &Digest,
    fetched: &Fetched,
    (left, share): (&mut u64, &mut Share<'_>),
) -> Result<Result<Bytes, Refusal>, TransportError> {
    match bundle_layer(&fetched.bytes, subject) {
        Ok(layer) => {
            share.take(layer.size.min(*left)).await;
            small(place, &layer, left, MAX_BUNDLE_SIZE).await
        }
        Err(refusal) => Ok(Err(refusal)),
    }
}

fn too_much() -> Refusal {
    Refusal::Unreadable(format!("no more than {MAX_BYTES} bytes of signatures are read"))
}

fn not_a_payload(layer: &Descriptor) -> Refusal {
    let media_type: String = layer.media_type.as_str().chars().take(80).collect();
    Refusal::Unreadable(format!("it is of type {media_type:?}, not {PAYLOAD_MEDIA_TYPE:?}"))
}

/// Whether it says that it attaches something else than a signature.
fn is_attestation(annotations: &manifest_core::Annotations) -> bool {
    annotations.get(PREDICATE_ANNOTATION).is_some_and(|predicate| predicate != SIGNED_PREDICATE)
}

/// The signatures that are no images.
pub(super) async fn simple_signatures(
    simple: &Signatures,
    digest: &Digest,
    room: usize,
) -> Result<Vec<FoundSignature>, TransportError> {
    let numbered = simple.read_within(digest, room).await?.into_iter().enumerate().map(|(at, signature)| {
        let at = format!("signature-{}", at + 1);
        // What no OpenPGP message begins with stands before the name of another form.
        if simple.keeps_sigstore() && signature.first() == Some(&0) {
            let signature = CosignSignature::from_stored(&signature).map(Signature::Cosign);
            return FoundSignature { form: SignatureForm::Cosign, at, signature };
        }
        FoundSignature { form: SignatureForm::Simple, at, signature: Ok(Signature::Simple(signature)) }
    });
    Ok(numbered.collect())
}

/// Reads a blob that is a signature, or says why it is none.
async fn small(
    place: &Place,
    blob: &Descriptor,
    left: &mut u64,
    limit: usize,
) -> Result<Result<Bytes, Refusal>, TransportError> {
    match place.blob_bytes(blob, usize::try_from(*left).map_or(limit, |left| limit.min(left))).await {
        Ok(bytes) => {
            *left = left.saturating_sub(bytes.len() as u64);
            Ok(Ok(bytes))
        }
        Err(error) if is_about_content(&error) => Ok(Err(unreadable(&error))),
        Err(error) => Err(error),
    }
}

/// Whether an error tells of what was read and not of the reading.
pub(crate) const fn is_about_content(error: &TransportError) -> bool {
    matches!(
        error,
        TransportError::NotFound(_)
            | TransportError::TooLarge { .. }
            | TransportError::DigestMismatch { .. }
            | TransportError::SizeMismatch { .. }
            | TransportError::Decode { .. }
    )
}

fn unreadable(error: &TransportError) -> Refusal {
    Refusal::Unreadable(match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })
}
