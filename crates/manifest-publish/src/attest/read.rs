//! What one attestation says.

use manifest_core::{Annotations, Descriptor, Digest, Tag};
use manifest_sign::sigstore::{
    BUNDLE_MEDIA_TYPE, Bundle, CERTIFICATE_ANNOTATION, CREATED_ANNOTATION, ENVELOPE_MEDIA_TYPE, Envelope,
    MAX_BUNDLE_SIZE, PREDICATE_ANNOTATION, SIGNED_PREDICATE, STATEMENT_PREDICATE_ANNOTATION, Seen, SignedBy,
    SigstoreVerifier,
};
use manifest_sign::{KeyId, Refusal};
use manifest_transport::{Fetched, Place, TransportError};
use tokio::sync::Semaphore;

use super::AttestationForm;
use crate::signing::is_about_content;

/// A larger blob is read while no other is, in bytes: decoded it takes some times that.
const LIGHT: u64 = 256 << 10;

/// Where cosign says what the predicate of an attachment is.
const COSIGN_PREDICATE: &str = "predicateType";

/// An attestation that was found, or what stands in the place of one. It proves nothing unless it was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundAttestation {
    /// What it is attached to.
    pub subject: Digest,
    /// How it is kept.
    pub form: AttestationForm,
    /// The repository, layout or archive that it is in.
    pub place: String,
    /// The manifest that it is in.
    pub manifest: Digest,
    /// The tag of that, where it is found by one.
    pub tag: Option<Tag>,
    /// The blob, as the manifest describes it.
    pub blob: Descriptor,
    /// What kind of predicate it holds: what is in it counts, and what stands beside it where it cannot be read.
    pub predicate_type: Option<String>,
    /// Who is said to have signed it; `None` where it cannot be read.
    pub signed_by: Option<SignedBy>,
    /// When its manifest says that it was made, which may be any text.
    pub created: Option<String>,
    /// Why it cannot be read, or is not about its subject.
    pub problem: Option<Refusal>,
    /// The key that made it, or why it does not count, where keys were given.
    pub verified: Option<Result<KeyId, Refusal>>,
}

/// Where an attestation was found.
pub(super) struct At<'a> {
    pub(super) place: &'a Place,
    pub(super) subject: Digest,
    pub(super) form: AttestationForm,
    pub(super) manifest: &'a Fetched,
    pub(super) tag: Option<&'a Tag>,
}

/// With what it is read.
pub(super) struct Terms<'a> {
    pub(super) verifier: Option<&'a SigstoreVerifier>,
    /// How many bytes may still be read.
    pub(super) left: &'a mut u64,
    /// Whoever has it reads something large.
    pub(super) alone: &'a Semaphore,
}

impl At<'_> {
    /// Reads a blob that should be an attestation; nothing where it is a signature.
    pub(super) async fn read(
        &self,
        blob: &Descriptor,
        beside: &Annotations,
        terms: &mut Terms<'_>,
    ) -> Result<Option<FoundAttestation>, TransportError> {
        let told = told(&blob.annotations).or_else(|| told(beside));
        // Kept until the blob is looked into. It is never closed.
        let _alone = if blob.size > LIGHT { terms.alone.acquire().await.ok() } else { None };
        let content = self.content(blob, terms.left).await?;
        let mut seen = content.as_ref().map_err(Clone::clone).and_then(|bytes| self.seen(blob, bytes));
        if let Ok(seen) = &mut seen
            && blob.annotations.contains_key(CERTIFICATE_ANNOTATION)
        {
            seen.signed_by = SignedBy::Certificate;
        }
        let said = seen.as_ref().ok().map(|seen| seen.statement.predicate_type().to_owned());
        if told.is_none_or(|told| told == SIGNED_PREDICATE) && said.as_deref() == Some(SIGNED_PREDICATE) {
            return Ok(None);
        }
        let problem = match &seen {
            Ok(seen) => seen.expect(&self.subject, told).err(),
            Err(refusal) => Some(refusal.clone()),
        };
        let verified = terms.verifier.map(|verifier| match (&problem, &content, &said) {
            (None, Ok(bytes), Some(kind)) => self.verify(blob, bytes, verifier, kind),
            (Some(refusal), ..) | (None, Err(refusal), _) => Err(refusal.clone()),
            (None, Ok(_), None) => Err(Refusal::Unsigned),
        });
        Ok(Some(FoundAttestation {
            subject: self.subject,
            form: self.form,
            place: self.place.to_string(),
            manifest: self.manifest.digest,
            tag: self.tag.cloned(),
            blob: blob.clone(),
            predicate_type: said.or_else(|| told.map(str::to_owned)),
            signed_by: seen.ok().map(|seen| seen.signed_by),
            created: beside.get(CREATED_ANNOTATION).cloned(),
            problem,
            verified,
        }))
    }

    /// The blob, or why it is none that is read.
    async fn content(
        &self,
        blob: &Descriptor,
        left: &mut u64,
    ) -> Result<Result<bytes::Bytes, Refusal>, TransportError> {
        let limit = usize::try_from(*left).unwrap_or(MAX_BUNDLE_SIZE).min(MAX_BUNDLE_SIZE);
        match self.place.blob_bytes(blob, limit).await {
            Ok(bytes) => {
                *left = left.saturating_sub(bytes.len() as u64);
                Ok(Ok(bytes))
            }
            Err(error) if is_about_content(&error) => Ok(Err(Refusal::Unreadable(error.to_string()))),
            Err(error) => Err(error),
        }
    }

    fn seen(&self, blob: &Descriptor, bytes: &[u8]) -> Result<Seen, Refusal> {
        match blob.media_type.as_str() {
            BUNDLE_MEDIA_TYPE => Seen::bundle(bytes),
            ENVELOPE_MEDIA_TYPE => Seen::envelope(bytes),
            // Who attaches a statement may call it JSON.
            _ => Seen::statement(bytes),
        }
    }

    /// Its type and its subject are compared with what was shown, and not with what stands beside it.
    fn verify(
        &self,
        blob: &Descriptor,
        bytes: &[u8],
        verifier: &SigstoreVerifier,
        kind: &str,
    ) -> Result<KeyId, Refusal> {
        let verified = match blob.media_type.as_str() {
            BUNDLE_MEDIA_TYPE => Bundle::decode(bytes)?.verify(verifier, &self.subject, kind)?,
            ENVELOPE_MEDIA_TYPE => Envelope::decode(bytes)?.verify(verifier, &self.subject, kind)?,
            _ => return Err(Refusal::Unsigned),
        };
        Ok(verified.0)
    }
}

/// The type of the predicate, as it stands beside it.
fn told(annotations: &Annotations) -> Option<&str> {
    let keys = [PREDICATE_ANNOTATION, STATEMENT_PREDICATE_ANNOTATION, COSIGN_PREDICATE];
    keys.into_iter().find_map(|key| annotations.get(key)).map(String::as_str)
}
