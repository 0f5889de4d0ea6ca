//! Attaching a statement.

use bytes::Bytes;
use jiff::Timestamp;
use manifest_core::{Descriptor, Digest, Document, MediaType};
use manifest_sign::SignError;
use manifest_sign::sigstore::{
    BUNDLE_MEDIA_TYPE, Bundle, EMPTY_CONFIG, MAX_BUNDLE_SIZE, PREDICATE_ANNOTATION, STATEMENT_MEDIA_TYPE,
    STATEMENT_PREDICATE_ANNOTATION, Statement, bundle_manifest, statement_manifest,
};
use manifest_store::Publications;
use manifest_transport::{Fetched, Mounted, Noted, Place, Transport};

use super::{AttestBy, Attested, Attesting, PredicateError};
use crate::adder::{Adder, Around};
use crate::error::PublishError;
use crate::progress::Progress;
use crate::signing::is_about_content;

/// Attestations of one subject that are compared with the one that is to be attached.
const MAX_COMPARED: usize = 1_000;

/// Attaches what is to be attached to each of the subjects, which are at the place. What is there already in the same words, and by the
/// same key if it is signed, is not written again.
///
/// `turns` is where others that add to the same tag can be kept away, if there is such a place. Where nobody compares it is looked
/// a moment later whether all of it has stayed, and what has not is written again.
///
/// # Errors
/// [`PublishError::Predicate`]; [`PublishError::Sign`]; what reading and writing brings. What was attached until then stays.
pub async fn attest(
    transport: &Transport,
    (place, subjects): (&Place, &[Descriptor]),
    attesting: &Attesting,
    turns: Option<&Publications>,
    progress: &dyn Progress,
) -> Result<Vec<Attested>, PublishError> {
    let place = &place.without_mirrors();
    let adder = &Adder::new(place, Around { clock: transport.clock(), turns, progress });
    let mut attached = Vec::new();
    for subject in subjects {
        attached.push(Writing { place, attesting, adder }.attach(subject).await?);
    }
    adder.settle(1).await?;
    Ok(attached)
}

struct Writing<'a> {
    place: &'a Place,
    attesting: &'a Attesting,
    adder: &'a Adder<'a>,
}

impl Writing<'_> {
    async fn attach(&self, subject: &Descriptor) -> Result<Attested, PublishError> {
        let by = self.attesting.by.as_ref();
        let statement = self.attesting.predicate.about(&subject.digest, self.name().as_deref());
        let statement = statement.map_err(PredicateError::from)?;
        let key = by.map(|by| by.signer.key().clone());
        let subject = Descriptor::new(subject.media_type.clone(), subject.digest, subject.size);
        if let Some(manifest) = self.find(&subject.digest, &statement).await? {
            return Ok(Attested { subject, manifest, is_new: false, noted: None, key });
        }
        let created = self.attesting.timestamp.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let (created, kind) = (created.map(|created| created.to_string()), statement.predicate_type());
        let (media_type, content, manifest) = match by {
            Some(by) => {
                let bundle = signed(by, statement.clone()).await?.encode();
                let manifest = bundle_manifest(&subject, &bundle, kind, created.as_deref());
                (BUNDLE_MEDIA_TYPE, bundle, manifest)
            }
            None => {
                let content = statement.encode();
                let manifest = statement_manifest(&subject, &content, kind, created.as_deref());
                (STATEMENT_MEDIA_TYPE, content, manifest)
            }
        };
        self.put(media_type, content.into()).await?;
        let empty = Bytes::from_static(EMPTY_CONFIG);
        self.put(MediaType::OCI_EMPTY.as_str(), empty).await?;
        let manifest = Bytes::from(manifest);
        let digest = Digest::sha256(&manifest);
        let fetched = Fetched::kept("an attestation", &digest, manifest, &MediaType::OCI_MANIFEST)?;
        let noted = match self.adder.refer((&subject.digest, fetched), None).await? {
            Noted::ByTag(tag) => Some(tag),
            _ => None,
        };
        Ok(Attested { subject, manifest: digest, is_new: true, noted, key })
    }

    /// What a subject is called: its repository, as cosign has it. What lies in files has no such name.
    fn name(&self) -> Option<String> {
        self.place.registry_host()?;
        let text = self.place.to_string();
        Some(text.strip_prefix("docker://").unwrap_or(&text).to_owned())
    }

    /// The manifest with the same attestation, if it is there.
    async fn find(&self, subject: &Digest, statement: &Statement) -> Result<Option<Digest>, PublishError> {
        let (media_type, annotation) = match self.attesting.by {
            Some(_) => (BUNDLE_MEDIA_TYPE, PREDICATE_ANNOTATION),
            None => (STATEMENT_MEDIA_TYPE, STATEMENT_PREDICATE_ANNOTATION),
        };
        let kind = statement.predicate_type();
        let mut listed = self.place.referrers(subject, Some(&media_type.into())).await?;
        listed.retain(|one| one.annotations.get(annotation).is_none_or(|told| told == kind));
        for referrer in listed.into_iter().take(MAX_COMPARED) {
            match self.is_same(&referrer, subject, statement).await {
                Ok(true) => return Ok(Some(referrer.digest)),
                Ok(false) => {}
                // What cannot be read is not the same.
                Err(PublishError::Transport(error)) if is_about_content(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn is_same(
        &self,
        referrer: &Descriptor,
        subject: &Digest,
        statement: &Statement,
    ) -> Result<bool, PublishError> {
        let fetched = self.place.manifest(&referrer.digest.into()).await?;
        let (Some((of, _)), Document::Image(image)) = (fetched.as_referrer(), &fetched.document) else {
            return Ok(false);
        };
        let ([layer], true) = (&image.layers[..], of == *subject) else { return Ok(false) };
        let Some(by) = &self.attesting.by else {
            return Ok(layer.digest == Digest::sha256(&statement.encode()));
        };
        let bundle = self.place.blob_bytes(layer, MAX_BUNDLE_SIZE).await?;
        let said = Bundle::decode(&bundle)
            .and_then(|bundle| bundle.verify(&by.verifier, subject, statement.predicate_type()));
        Ok(said.is_ok_and(|(_, said)| said.encode() == statement.encode()))
    }

    /// Writes a blob unless it is there.
    async fn put(&self, media_type: &str, bytes: Bytes) -> Result<(), PublishError> {
        let blob = Descriptor::new(media_type.into(), Digest::sha256(&bytes), bytes.len() as u64);
        if !self.place.has_blob(&blob).await? {
            self.place.put_bytes(&blob, Mounted::Refused, &bytes).await?;
        }
        Ok(())
    }
}

/// Lets the key sign, beside whatever else goes on.
async fn signed(by: &AttestBy, statement: Statement) -> Result<Bundle, PublishError> {
    let (signer, key) = (by.signer.clone(), by.signer.key().clone());
    let signed = tokio::task::spawn_blocking(move || Bundle::sign(&*signer, &statement)).await;
    Ok(signed.map_err(|_panicked| SignError::Failed(key, "it did not answer".to_owned()))??)
}
