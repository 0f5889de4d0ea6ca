//! Writing signatures where they are kept, beside those of others.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use manifest_core::{Descriptor, Digest, MediaType};
use manifest_sign::SignError;
use manifest_sign::sigstore::{
    BUNDLE_MEDIA_TYPE, CosignSignature, EMPTY_CONFIG, SIGNED_PREDICATE, bundle_manifest,
};
use manifest_transport::{Added, Fetched, LookBack, Mounted, Place, ReferrersAt, Signatures, TransportError};
use tokio::sync::OnceCell;

use super::find::{attached, attachment_tag, bundles, simple_signatures};
use super::{Claim, FoundSignature, SignBy, Signature, SignatureForm, Signed, Signing, Vouch};
use crate::adder::{Adder, Around, New, There, What, release};
use crate::error::PublishError;
use crate::progress::{Progress, Step};
use crate::tags::written;

/// Why something cannot have simple signatures.
pub(super) const ONLY_IN_REGISTRIES: &str =
    "only images in registries and in directories (dir:) can have them";

/// Keeps the signatures of manifests at one place.
pub(crate) struct Keeper<'a> {
    place: Place,
    signing: &'a Signing,
    /// Something that is at the place by its digest, for the question whether it compares.
    there: There,
    adder: Adder<'a>,
    progress: &'a dyn Progress,
    /// What signatures say that the images are.
    identity: Option<String>,
    /// Where simple signatures are kept.
    simple: Option<Signatures>,
    empty: OnceCell<()>,
}

/// What a place is called, and what comes of that.
pub(crate) struct Name {
    /// What signatures say that the images are.
    pub(crate) identity: Option<String>,
    /// Where simple signatures are kept.
    pub(crate) simple: Option<Signatures>,
}

impl<'a> Keeper<'a> {
    pub(crate) fn new(
        place: &Place,
        signing: &'a Signing,
        Name { identity, simple }: Name,
        there: There,
        around: Around<'a>,
    ) -> Self {
        let (place, progress) = (place.without_mirrors(), around.progress);
        let (adder, empty) = (Adder::new(&place, around), OnceCell::new());
        Self { place, signing, there, adder, progress, identity, simple, empty }
    }

    /// Signs a manifest with all keys, as far as that was not done before.
    pub(crate) async fn sign(&self, subject: &Descriptor) -> Result<Signed, PublishError> {
        let claim = Claim {
            subject: subject.clone(),
            identity: self.identity.clone(),
            creator: self.signing.creator.clone(),
            timestamp: self.signing.timestamp,
        };
        let mut signed = Signed::default();
        for form in SignatureForm::ALL {
            let by: Vec<&SignBy> = self.signing.of_form(form).collect();
            if by.is_empty() {
                continue;
            }
            let written = match form {
                SignatureForm::Cosign if self.keeps_sigstore() => self.put_simple(&claim, &by).await?,
                SignatureForm::Cosign => self.attach(&claim, &by).await?,
                SignatureForm::Bundle => self.refer(&claim, &by).await?,
                SignatureForm::Simple => self.put_simple(&claim, &by).await?,
            };
            signed.add(Signed { written, present: by.len() - written });
        }
        Ok(signed)
    }

    /// Looks whether everything has stayed where nobody compares, and writes again what has not.
    pub(crate) async fn settle(&self, jobs: usize) -> Result<(), PublishError> {
        self.adder.settle(jobs).await
    }

    /// Signatures as layers of the manifest under the tag of what is signed; how many were written.
    async fn attach(&self, claim: &Claim, by: &[&SignBy]) -> Result<usize, PublishError> {
        let tag = attachment_tag(&claim.subject.digest)?;
        let mut turn = match self.adder.is_known_not_to_compare() {
            true => self.adder.turn(&tag).await?,
            false => None,
        };
        let (mut seen, found) = attached(&self.place, &claim.subject.digest).await?;
        let missing = missing(by, claim, &found);
        if missing.is_empty() {
            release(turn).await;
            return Ok(0);
        }
        if turn.is_none() && !self.adder.compares(&self.there).await {
            turn = self.adder.turn(&tag).await?;
            if turn.is_some() {
                seen = self.place.tagged(tag.as_str()).await?;
            }
        }
        let signatures = self.payloads(claim, &missing).await?;
        let new = New { place: &self.place, signatures: &signatures };
        let (added, stays) = self.place.add_over(tag.as_str(), seen, &new, LookBack::Later).await?;
        release(turn).await;
        if added == Added::Never {
            return Err(PublishError::CannotAddTo { tag: written(&self.place, tag.as_str()) });
        }
        self.adder.note(tag, (stays, &self.there), What::Attached(signatures)).await;
        Ok(missing.len())
    }

    /// Makes signatures and writes their payloads.
    async fn payloads(&self, claim: &Claim, by: &[&SignBy]) -> Result<Vec<CosignSignature>, PublishError> {
        let (mut made, mut known) = (Vec::new(), BTreeSet::new());
        for by in by {
            let Signature::Cosign(signature) = self.made(by, claim).await? else { continue };
            let blob = signature.layer();
            // Keys that sign in the same second sign the same bytes.
            if known.insert(blob.digest) {
                let payload = Bytes::copy_from_slice(signature.payload());
                self.place.put_bytes(&blob, Mounted::Refused, &payload).await?;
            }
            made.push(signature);
        }
        Ok(made)
    }

    /// Signatures as bundles in manifests that refer to what is signed; how many were written.
    async fn refer(&self, claim: &Claim, by: &[&SignBy]) -> Result<usize, PublishError> {
        // Where it is known who keeps track of referrers nobody else is asked.
        let at = match self.adder.is_by_registry() {
            None => ReferrersAt::Anywhere,
            Some(true) => ReferrersAt::Registry,
            Some(false) => ReferrersAt::Tag,
        };
        let found = bundles(&self.place, &claim.subject.digest, at).await?;
        let missing = missing(by, claim, &found);
        if missing.is_empty() {
            return Ok(0);
        }
        let mut made = Vec::new();
        for by in &missing {
            let Signature::Bundle(bundle) = self.made(by, claim).await? else { continue };
            self.put_empty().await?;
            self.place.put_bytes(&described(BUNDLE_MEDIA_TYPE, &bundle), Mounted::Refused, &bundle).await?;
            let created = claim.timestamp.and_then(|seconds| Timestamp::from_second(seconds).ok());
            let created = created.map(|created| created.to_string());
            let manifest = bundle_manifest(&claim.subject, &bundle, SIGNED_PREDICATE, created.as_deref());
            let manifest = Bytes::from(manifest);
            let digest = Digest::sha256(&manifest);
            made.push(Fetched::kept("a signature", &digest, manifest, &MediaType::OCI_MANIFEST)?);
        }
        for fetched in made {
            self.adder.refer((&claim.subject.digest, fetched), Some(&self.there)).await?;
        }
        Ok(missing.len())
    }

    /// The configuration of manifests that need none, once for the place.
    async fn put_empty(&self) -> Result<(), TransportError> {
        let put = || async {
            let (bytes, blob) =
                (Bytes::from_static(EMPTY_CONFIG), described(MediaType::OCI_EMPTY.as_str(), EMPTY_CONFIG));
            if self.place.has_blob(&blob).await? {
                return Ok(());
            }
            self.place.put_bytes(&blob, Mounted::Refused, &bytes).await
        };
        self.empty.get_or_try_init(put).await.copied()
    }

    /// Whether signatures of sigstore are files, as those are that are no images anywhere.
    fn keeps_sigstore(&self) -> bool {
        self.simple.as_ref().is_some_and(Signatures::keeps_sigstore)
    }

    /// Signatures that are no images; how many were written.
    async fn put_simple(&self, claim: &Claim, by: &[&SignBy]) -> Result<usize, PublishError> {
        let digest = &claim.subject.digest;
        let Some(simple) = &self.simple else {
            let (target, form) = (self.place.to_string(), SignatureForm::Simple);
            return Err(PublishError::CannotHold { target, form, why: ONLY_IN_REGISTRIES.to_owned() });
        };
        let found = simple_signatures(simple, digest, usize::MAX).await?;
        let missing = missing(by, claim, &found);
        for by in &missing {
            match self.made(by, claim).await? {
                Signature::Simple(message) => simple.add(digest, &message).await?,
                Signature::Cosign(signature) => simple.add(digest, &signature.to_stored()).await?,
                Signature::Bundle(_) => continue,
            };
        }
        Ok(missing.len())
    }

    /// Lets a key sign, beside whatever else goes on.
    async fn made(&self, by: &SignBy, claim: &Claim) -> Result<Signature, PublishError> {
        let (vouch, of) = (Arc::clone(&by.vouch), claim.clone());
        let key = vouch.key().clone();
        let made = tokio::task::spawn_blocking(move || vouch.sign(&of)).await;
        let made =
            made.map_err(|_panicked| SignError::Failed(key.clone(), "it did not answer".to_owned()))??;
        if made.form() != by.vouch.form() {
            let what = format!("it gave a signature of the form {}", made.form());
            return Err(SignError::Failed(key, what).into());
        }
        let signed = Step::Signed(&claim.subject, &key, made.form());
        self.progress.step(&self.place, signed);
        Ok(made)
    }
}

impl std::fmt::Debug for Keeper<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Those whose signature is not among what was found.
pub(super) fn missing<'b>(by: &[&'b SignBy], claim: &Claim, found: &[FoundSignature]) -> Vec<&'b SignBy> {
    let found: Vec<&Signature> = found.iter().filter_map(|found| found.signature.as_ref().ok()).collect();
    let is_there = |vouch: &dyn Vouch| found.iter().any(|found| vouch.has(found, claim));
    by.iter().copied().filter(|by| !is_there(&*by.vouch)).collect()
}

fn described(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type.into(), Digest::sha256(bytes), bytes.len() as u64)
}
