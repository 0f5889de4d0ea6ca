//! The attestations of a list and its entries, wherever they are kept.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Digest, Document, Tag};
use manifest_sign::sigstore::{
    BUNDLE_MEDIA_TYPE, ENVELOPE_MEDIA_TYPE, PREDICATE_ANNOTATION, SIGNED_PREDICATE, STATEMENT_MEDIA_TYPE,
    SigstoreVerifier,
};
use manifest_transport::{Fetched, Place, TransportError};
use tokio::sync::Semaphore;

use super::AttestationForm;
use super::read::{At, FoundAttestation, Terms};
use crate::error::PublishError;
use crate::signing::is_about_content;
use crate::subject::Subject;

/// What BuildKit calls its attestations; they may be entries of a list and refer to their images as well.
const BUILDKIT_ARTIFACT_TYPE: &str = "application/vnd.docker.attestation.manifest.v1+json";

/// Attestations of one subject and place that are read.
const MAX_ATTESTATIONS: usize = 1_000;

/// Bytes of the attestations of one subject and place that are read; the rest is told and not looked into.
const MAX_BYTES: u64 = 64 << 20;

/// Something that attestations are looked for of, at a place.
struct Look {
    place: Place,
    subject: Digest,
    /// The entry of a list that is an attestation of it.
    entry: Option<Digest>,
}

/// Finds the attestations of a list and its entries, or of an image: where they are read, and at the other places in `also`. Each is told
/// once, the list's first.
///
/// Whether `verifier` accepts them is told where it is given; what it does not accept is found as well. Nothing is believed: what is not
/// about its subject, or of another type than stands beside it, is found as such.
///
/// # Errors
/// [`PublishError`] when a place cannot be read. What stands where an attestation should be and is none is found as such.
pub async fn attestations_of(
    subject: &Subject,
    also: &[Place],
    verifier: Option<&SigstoreVerifier>,
    jobs: usize,
) -> Result<Vec<FoundAttestation>, PublishError> {
    let (looks, alone) = (looks(subject, also)?, Semaphore::new(1));
    let mut found =
        stream::iter(&looks).map(|look| Box::pin(look.attestations(verifier, &alone))).buffered(jobs.max(1));
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    while let Some(some) = found.try_next().await? {
        all.extend(some.into_iter().filter(|one| seen.insert((one.subject, one.manifest, one.blob.digest))));
    }
    Ok(all)
}

/// All that is to be looked for, the list before its entries.
fn looks(subject: &Subject, also: &[Place]) -> Result<Vec<Look>, PublishError> {
    let fetched = subject.fetched();
    let mut looks: Vec<Look> = Vec::new();
    let mut add = |places: Vec<Place>, subject: Digest, entry: Option<Digest>| {
        for place in places.iter().chain(also).map(Place::without_mirrors) {
            let is_known =
                |known: &Look| (&known.place, known.subject, known.entry) == (&place, subject, entry);
            // What is read as one stream has no other manifests.
            if !matches!(place, Place::Reader(_)) && !looks.iter().any(is_known) {
                looks.push(Look { place, subject, entry });
            }
        }
    };
    add(subject.places_of_itself()?, fetched.digest, None);
    if let Document::List(list, _) = &fetched.document {
        for entry in list.entries() {
            let places = vec![subject.place_of(&entry.digest)?];
            match (entry.is_attestation(), entry.attested()) {
                (false, _) => add(places, entry.digest, None),
                (true, Some(attested)) => add(places, attested, Some(entry.digest)),
                (true, None) => {}
            }
        }
    }
    Ok(looks)
}

impl Look {
    async fn attestations(
        &self,
        verifier: Option<&SigstoreVerifier>,
        alone: &Semaphore,
    ) -> Result<Vec<FoundAttestation>, TransportError> {
        let mut left = MAX_BYTES;
        let terms = &mut Terms { verifier, left: &mut left, alone };
        if let Some(entry) = &self.entry {
            return self.of_entry(entry, terms).await;
        }
        let mut found = self.referring(terms).await?;
        found.extend(self.under_the_tag(terms).await?);
        Ok(found)
    }

    /// Those in manifests that refer to the subject.
    async fn referring(&self, terms: &mut Terms<'_>) -> Result<Vec<FoundAttestation>, TransportError> {
        let mut listed = self.place.referrers(&self.subject, None).await?;
        listed.retain(is_attestation);
        let mut found = Vec::new();
        for referrer in listed.into_iter().take(MAX_ATTESTATIONS) {
            let Some(manifest) = readable(self.place.manifest(&referrer.digest.into()).await)? else {
                continue;
            };
            // What is listed is a claim.
            if manifest.as_referrer().is_none_or(|(of, _)| of != self.subject) {
                continue;
            }
            found.extend(self.layers(&manifest, None, terms).await?);
        }
        Ok(found)
    }

    /// Those under the tag that cosign gives them.
    async fn under_the_tag(&self, terms: &mut Terms<'_>) -> Result<Vec<FoundAttestation>, TransportError> {
        let tag = format!("{}-{}.att", self.subject.algorithm().as_str(), self.subject.hex());
        // Where there can be no tag nobody has attached anything.
        let Ok(tag) = tag.parse::<Tag>() else { return Ok(Vec::new()) };
        match readable(self.place.tagged(tag.as_str()).await)?.flatten() {
            Some(tagged) => self.layers(&tagged.manifest, Some(&tag), terms).await,
            None => Ok(Vec::new()),
        }
    }

    /// Those in an entry of the list.
    async fn of_entry(
        &self,
        entry: &Digest,
        terms: &mut Terms<'_>,
    ) -> Result<Vec<FoundAttestation>, TransportError> {
        match readable(self.place.manifest(&(*entry).into()).await)? {
            Some(manifest) => self.layers(&manifest, None, terms).await,
            None => Ok(Vec::new()),
        }
    }

    async fn layers(
        &self,
        manifest: &Fetched,
        tag: Option<&Tag>,
        terms: &mut Terms<'_>,
    ) -> Result<Vec<FoundAttestation>, TransportError> {
        let Document::Image(image) = &manifest.document else { return Ok(Vec::new()) };
        let is_bundle = image.artifact_type.as_ref().is_some_and(|kind| kind.as_str() == BUNDLE_MEDIA_TYPE);
        let form = match (tag, self.entry) {
            (Some(_), _) => AttestationForm::Cosign,
            (None, Some(_)) => AttestationForm::Entry,
            (None, None) if is_bundle => AttestationForm::Bundle,
            (None, None) => AttestationForm::Statement,
        };
        let known = [BUNDLE_MEDIA_TYPE, ENVELOPE_MEDIA_TYPE, STATEMENT_MEDIA_TYPE];
        let at = At { place: &self.place, subject: self.subject, form, manifest, tag };
        let mut found = Vec::new();
        for layer in image.layers.iter().take(MAX_ATTESTATIONS) {
            // BuildKit says that others are to be passed over.
            if form == AttestationForm::Entry && !known.contains(&layer.media_type.as_str()) {
                continue;
            }
            found.extend(at.read(layer, &image.annotations, terms).await?);
        }
        Ok(found)
    }
}

/// Whether something that refers to the subject says that it is an attestation.
fn is_attestation(referrer: &Descriptor) -> bool {
    let artifact_type = referrer.artifact_type.as_ref().map_or("", |kind| kind.as_str());
    match artifact_type {
        BUNDLE_MEDIA_TYPE => {
            referrer.annotations.get(PREDICATE_ANNOTATION).is_none_or(|kind| kind != SIGNED_PREDICATE)
        }
        STATEMENT_MEDIA_TYPE | ENVELOPE_MEDIA_TYPE | BUILDKIT_ARTIFACT_TYPE => true,
        _ => false,
    }
}

/// What was read; `None` when it is gone, or no manifest.
fn readable<T>(read: Result<T, TransportError>) -> Result<Option<T>, TransportError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if is_about_content(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
