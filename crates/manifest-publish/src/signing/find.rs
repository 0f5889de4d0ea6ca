//! The signatures of a manifest, wherever they are kept.

use manifest_core::{Descriptor, Digest, Document, Tag};
use manifest_sign::MAX_PAYLOAD_SIZE;
use manifest_transport::{Fetched, Place, Tagged, TransportError};

use super::document::{BUNDLE, PREDICATE_SIGN, PREDICATE_TYPE, SIMPLE_SIGNING};
use super::{Signature, SignatureForm, SimpleStore};
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
    pub signature: Result<Signature, String>,
}

/// Finds all signatures of a manifest, in all forms; with `simple` those that are no images, too. Nothing of them is
/// checked but that each is where it says.
///
/// # Errors
/// [`PublishError`] when the place cannot be read. What stands where a signature should be and is none is found as such.
pub async fn signatures_of(
    place: &Place,
    digest: &Digest,
    simple: Option<&dyn SimpleStore>,
) -> Result<Vec<FoundSignature>, PublishError> {
    let place = &place.without_mirrors();
    let mut found = match attached(place, digest).await {
        Ok((_, found)) => found,
        Err(error) if is_about_content(&error) => {
            vec![unreadable(SignatureForm::Cosign, attachment_tag(digest)?.to_string(), &error)]
        }
        Err(error) => return Err(error.into()),
    };
    found.extend(bundles(place, digest).await?);
    if let Some(simple) = simple {
        found.extend(simple_signatures(place, digest, simple).await?);
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
        let found = FoundSignature {
            form,
            at: tag.to_string(),
            signature: Err("it is a list, and no manifest of signatures".to_owned()),
        };
        return Ok((Some(tagged), vec![found]));
    };
    let mut found = Vec::new();
    for layer in image.layers.iter().take(MAX_SIGNATURES) {
        let at = format!("{tag} {}", layer.digest);
        let signature = if layer.media_type.as_str() == SIMPLE_SIGNING {
            small(place, layer, &mut left)
                .await?
                .map(|payload| Signature::Cosign { payload, annotations: layer.annotations.clone() })
        } else {
            Err(format!("its layer is {}, and no payload of a signature", layer.media_type))
        };
        found.push(FoundSignature { form, at, signature });
    }
    Ok((Some(tagged), found))
}

/// The bundles that refer to a manifest and are signatures, not attestations.
pub(super) async fn bundles(place: &Place, digest: &Digest) -> Result<Vec<FoundSignature>, TransportError> {
    let (mut found, mut left) = (Vec::new(), MAX_BYTES);
    for referrer in place.referrers(digest, Some(&BUNDLE.into())).await?.into_iter().take(MAX_SIGNATURES) {
        if is_attestation(referrer.annotations.get(PREDICATE_TYPE)) {
            continue;
        }
        let at = referrer.digest.to_string();
        let read = match place.manifest(&referrer.digest.into()).await {
            Ok(fetched) => bundle(place, digest, &fetched, &mut left).await?,
            Err(error) if is_about_content(&error) => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        let signature = match read {
            Ok(None) => continue,
            Ok(Some(signature)) => Ok(signature),
            Err(why) => Err(why),
        };
        found.push(FoundSignature { form: SignatureForm::Bundle, at, signature });
    }
    Ok(found)
}

/// The bundle in a manifest; nothing when it is an attestation, or why it is no bundle.
async fn bundle(
    place: &Place,
    subject: &Digest,
    fetched: &Fetched,
    left: &mut u64,
) -> Result<Result<Option<Signature>, String>, TransportError> {
    let Document::Image(image) = &fetched.document else {
        return Ok(Err("it is a list, and no manifest of a bundle".to_owned()));
    };
    if image.subject.as_ref().map(|subject| subject.digest) != Some(*subject) {
        return Ok(Err(format!("it does not refer to {subject}, under which it is listed")));
    }
    let annotations = &image.annotations;
    if is_attestation(annotations.get(PREDICATE_TYPE)) {
        return Ok(Ok(None));
    }
    let [layer] = image.layers.as_slice() else {
        return Ok(Err(format!("it has {} layers, and a bundle is one", image.layers.len())));
    };
    if layer.media_type.as_str() != BUNDLE {
        return Ok(Err(format!("its layer is {}, and no bundle", layer.media_type)));
    }
    let read = small(place, layer, left).await?;
    Ok(read.map(|bundle| Some(Signature::Bundle { bundle, annotations: annotations.clone() })))
}

fn is_attestation(predicate_type: Option<&String>) -> bool {
    predicate_type.is_some_and(|predicate_type| predicate_type != PREDICATE_SIGN)
}

/// The signatures that are no images.
pub(super) async fn simple_signatures(
    place: &Place,
    digest: &Digest,
    simple: &dyn SimpleStore,
) -> Result<Vec<FoundSignature>, PublishError> {
    let read = simple.read(place, digest).await;
    let read = read.map_err(|source| PublishError::SimpleStore { of: place.to_string(), source })?;
    let numbered = read.into_iter().enumerate().map(|(at, signature)| FoundSignature {
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
) -> Result<Result<bytes::Bytes, String>, TransportError> {
    let limit = usize::try_from(*left).unwrap_or(MAX_PAYLOAD_SIZE).min(MAX_PAYLOAD_SIZE);
    match place.blob_bytes(blob, limit).await {
        Ok(bytes) => {
            *left = left.saturating_sub(bytes.len() as u64);
            Ok(Ok(bytes))
        }
        Err(error) if is_about_content(&error) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Whether an error tells of what was read and not of the reading.
const fn is_about_content(error: &TransportError) -> bool {
    matches!(
        error,
        TransportError::NotFound(_)
            | TransportError::TooLarge { .. }
            | TransportError::DigestMismatch { .. }
            | TransportError::SizeMismatch { .. }
            | TransportError::Decode { .. }
    )
}

fn unreadable(form: SignatureForm, at: String, error: &TransportError) -> FoundSignature {
    FoundSignature { form, at, signature: Err(error.to_string()) }
}
