//! The signatures of a manifest, wherever they are kept.

use bytes::Bytes;
use manifest_core::{Descriptor, Digest, Document, Tag};
use manifest_sign::sigstore::{
    BUNDLE_MEDIA_TYPE, CosignSignature, MAX_BUNDLE_SIZE, PREDICATE_ANNOTATION, SIGNED_PREDICATE, bundle_layer,
};
use manifest_sign::{MAX_PAYLOAD_SIZE, Refusal};
use manifest_transport::{Fetched, Place, ReferrersAt, Signatures, Tagged, TransportError};

use super::{Signature, SignatureForm};
use crate::error::PublishError;

/// Bytes of signatures of one manifest and form that are read.
const MAX_BYTES: u64 = 16 << 20;

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

/// Finds all signatures of a manifest, in all forms; with `simple` ([`Transport::signatures`]) those that are no images, too. Nothing of them is
/// checked but that each is where it says.
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
    let place = &place.without_mirrors();
    let mut found = match attached(place, digest).await {
        Ok((_, found)) => found,
        Err(error) if is_about_content(&error) => {
            let (form, at) = (SignatureForm::Cosign, attachment_tag(digest)?.to_string());
            vec![FoundSignature { form, at, signature: Err(unreadable(&error)) }]
        }
        Err(error) => return Err(error.into()),
    };
    found.extend(bundles(place, digest, ReferrersAt::Anywhere).await?);
    if let Some(simple) = simple {
        found.extend(simple_signatures(simple, digest).await?);
    }
    Ok(found)
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
    // Where there can be no tag nobody has attached anything.
    let Ok(tag) = attachment_tag(digest) else { return Ok((None, Vec::new())) };
    let Some(tagged) = place.tagged(tag.as_str()).await? else { return Ok((None, Vec::new())) };
    let (form, mut left) = (SignatureForm::Cosign, MAX_BYTES);
    let Document::Image(image) = &tagged.manifest.document else {
        let no = Refusal::Unreadable("it is a list, and no manifest of signatures".to_owned());
        let found = FoundSignature { form, at: tag.to_string(), signature: Err(no) };
        return Ok((Some(tagged), vec![found]));
    };
    let mut found = Vec::new();
    for layer in image.layers.iter().take(MAX_SIGNATURES) {
        let payload = small(place, layer, &mut left, MAX_PAYLOAD_SIZE).await?;
        let signature = payload.and_then(|payload| CosignSignature::from_layer(layer, payload.to_vec()));
        let at = format!("{tag} {}", layer.digest);
        found.push(FoundSignature { form, at, signature: signature.map(Signature::Cosign) });
    }
    Ok((Some(tagged), found))
}

/// The bundles that refer to a manifest and are signatures, not attestations.
pub(super) async fn bundles(
    place: &Place,
    digest: &Digest,
    at: ReferrersAt,
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
            Ok(fetched) => bundle(place, digest, &fetched, &mut left).await?,
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
    left: &mut u64,
) -> Result<Result<Bytes, Refusal>, TransportError> {
    match bundle_layer(&fetched.bytes, subject) {
        Ok(layer) => small(place, &layer, left, MAX_BUNDLE_SIZE).await,
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Whether it says that it attaches something else than a signature.
fn is_attestation(annotations: &manifest_core::Annotations) -> bool {
    annotations.get(PREDICATE_ANNOTATION).is_some_and(|predicate| predicate != SIGNED_PREDICATE)
}

/// The signatures that are no images.
pub(super) async fn simple_signatures(
    simple: &Signatures,
    digest: &Digest,
) -> Result<Vec<FoundSignature>, TransportError> {
    let numbered = simple.read(digest).await?.into_iter().enumerate().map(|(at, signature)| FoundSignature {
        form: SignatureForm::Simple,
        at: format!("signature-{}", at + 1),
        signature: Ok(Signature::Simple(signature)),
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
