//! Writing signatures where they are kept, beside those of others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use manifest_core::{Descriptor, Digest, MediaType, Tag};
use manifest_sign::SignError;
use manifest_sign::sigstore::{
    Added as Layer, Attachment, BUNDLE_MEDIA_TYPE, CosignSignature, EMPTY_CONFIG, SIGNED_PREDICATE,
    bundle_manifest,
};
use manifest_store::{Lease, Publications, StoreError};
use manifest_transport::{
    Added, Addition, Clock, Fetched, LookBack, Mounted, Noted, Onto, Place, ReferrersAt, Signatures, Stays,
    TransportError,
};
use tokio::sync::OnceCell;

use super::find::{attached, attachment_tag, bundles, simple_signatures};
use super::{Claim, FoundSignature, SignBy, Signature, SignatureForm, Signed, Signing, Vouch};
use crate::attached::{config, put_config};
use crate::error::PublishError;
use crate::progress::{Progress, Step};
use crate::tags::written;

/// The shortest pause before it is looked whether signatures have stayed where nobody compares; it may be three times as
/// long. Whoever has read the tag just before has set it by then.
const SECOND_LOOK: Duration = Duration::from_millis(250);

/// Why something cannot have simple signatures.
pub(super) const ONLY_IN_REGISTRIES: &str =
    "only images in registries and in directories (dir:) can have them";

/// How often they may be gone again.
const ROUNDS: u32 = 8;

/// Keeps the signatures of manifests at one place.
pub(crate) struct Keeper<'a> {
    place: Place,
    signing: &'a Signing,
    /// Something that is at the place by its digest, for the question whether it compares.
    there: (Digest, MediaType, Bytes),
    clock: &'a dyn Clock,
    /// Where others that sign can be kept away.
    turns: Option<&'a Publications>,
    progress: &'a dyn Progress,
    /// What signatures say that the images are.
    identity: Option<String>,
    /// Where simple signatures are kept.
    simple: Option<Signatures>,
    compares: OnceCell<bool>,
    empty: OnceCell<()>,
    /// Whether the registry itself keeps track of what refers to a manifest.
    by_registry: OnceLock<bool>,
    /// What may have been taken away again.
    unsure: Mutex<Vec<Unsure>>,
    is_not_alone: AtomicBool,
}

/// What a keeper works with.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) clock: &'a dyn Clock,
    pub(crate) turns: Option<&'a Publications>,
    pub(crate) progress: &'a dyn Progress,
}

/// What a place is called, and what comes of that.
pub(crate) struct Name {
    /// What signatures say that the images are.
    pub(crate) identity: Option<String>,
    /// Where simple signatures are kept.
    pub(crate) simple: Option<Signatures>,
}

/// Something that was added to a tag and may not have stayed.
struct Unsure {
    tag: Tag,
    what: What,
}

enum What {
    Attached(Vec<CosignSignature>),
    Referrer(Box<Fetched>),
}

/// New signatures for a tag.
struct New<'a> {
    place: &'a Place,
    signatures: &'a [CosignSignature],
}

impl Addition for New<'_> {
    type Error = PublishError;

    async fn onto(&self, now: Option<&Fetched>) -> Result<Onto, PublishError> {
        let mut attachment = match now {
            None => Attachment::new(),
            Some(now) => {
                let Some(config) = config(self.place, now).await? else { return Ok(Onto::Never) };
                match Attachment::read(&now.bytes, &config) {
                    Ok(attachment) => attachment,
                    Err(_no_attachment) => return Ok(Onto::Never),
                }
            }
        };
        let is_new = |is_new, signature| attachment.add(signature) == Layer::Appended || is_new;
        if !self.signatures.iter().fold(false, is_new) {
            return Ok(Onto::Within);
        }
        let (manifest, config) = attachment.encode();
        put_config(self.place, &config.into()).await?;
        Ok(Onto::Document(MediaType::OCI_MANIFEST, manifest.into()))
    }
}

impl<'a> Keeper<'a> {
    pub(crate) fn new(
        place: &Place,
        signing: &'a Signing,
        Name { identity, simple }: Name,
        there: (Digest, MediaType, Bytes),
        Around { clock, turns, progress }: Around<'a>,
    ) -> Self {
        Self {
            place: place.without_mirrors(),
            signing,
            there,
            clock,
            turns: turns.filter(|_| place.registry_host().is_some()),
            progress,
            identity,
            simple,
            compares: OnceCell::new(),
            empty: OnceCell::new(),
            by_registry: OnceLock::new(),
            unsure: Mutex::default(),
            is_not_alone: AtomicBool::new(false),
        }
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
        let mut last = None;
        for _ in 0..=ROUNDS {
            let unsure = std::mem::take(&mut *self.unsure());
            let Some(first) = unsure.first() else { return Ok(()) };
            last = Some(first.tag.clone());
            self.clock.pause(SECOND_LOOK.mul_f64(1.0 + 2.0 * self.clock.chance())).await;
            // What stands under one tag must not be in its own way.
            let mut by_tag: BTreeMap<Tag, Vec<Unsure>> = BTreeMap::new();
            unsure.into_iter().for_each(|one| by_tag.entry(one.tag.clone()).or_default().push(one));
            stream::iter(by_tag.into_values())
                .map(|of_tag| async move {
                    for one in of_tag {
                        self.look_again(one).await?;
                    }
                    Ok::<_, PublishError>(())
                })
                .buffer_unordered(jobs)
                .try_collect::<()>()
                .await?;
        }
        match last {
            Some(tag) if !self.unsure().is_empty() => {
                let name = written(&self.place, tag.as_str());
                Err(TransportError::Contended { name, rounds: ROUNDS }.into())
            }
            _ => Ok(()),
        }
    }

    async fn look_again(&self, one: Unsure) -> Result<(), PublishError> {
        let turn = self.turn(&one.tag).await?;
        let added = match &one.what {
            What::Attached(signatures) => {
                let new = New { place: &self.place, signatures };
                self.place.add_to(one.tag.as_str(), &new, LookBack::Later).await?.0
            }
            What::Referrer(fetched) => self.place.note_referrer(fetched, LookBack::Later).await?.1,
        };
        release(turn).await;
        if added != Added::Present {
            self.unsure().push(one);
        }
        Ok(())
    }

    fn unsure(&self) -> std::sync::MutexGuard<'_, Vec<Unsure>> {
        self.unsure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signatures as layers of the manifest under the tag of what is signed; how many were written.
    async fn attach(&self, claim: &Claim, by: &[&SignBy]) -> Result<usize, PublishError> {
        let tag = attachment_tag(&claim.subject.digest)?;
        let mut turn = match self.compares.get() {
            Some(false) => self.turn(&tag).await?,
            _ => None,
        };
        let (mut seen, found) = attached(&self.place, &claim.subject.digest).await?;
        let missing = missing(by, claim, &found);
        if missing.is_empty() {
            release(turn).await;
            return Ok(0);
        }
        if turn.is_none() && !self.compares().await {
            turn = self.turn(&tag).await?;
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
        self.note(tag, stays, What::Attached(signatures)).await;
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
        let at = match self.by_registry.get() {
            None => ReferrersAt::Anywhere,
            Some(true) => ReferrersAt::Registry,
            Some(false) => ReferrersAt::Tag,
        };
        let found = bundles(&self.place, &claim.subject.digest, at).await?;
        let missing = missing(by, claim, &found);
        if missing.is_empty() {
            return Ok(0);
        }
        let tag = Tag::of_referrers(&claim.subject.digest);
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
            let is_noted_here = self.by_registry.get() != Some(&true) && !self.place.is_known_to_compare();
            let turn = if is_noted_here { self.turn(&tag).await? } else { None };
            let (noted, stays) = self.place.put_referrer_unseen(&fetched, LookBack::Later).await?;
            release(turn).await;
            if noted != Noted::ByLayout {
                self.by_registry.get_or_init(|| noted == Noted::ByRegistry);
            }
            self.note(tag.clone(), stays, What::Referrer(Box::new(fetched))).await;
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

    /// Whether others cannot take anything away; asked once, and told when they can.
    async fn compares(&self) -> bool {
        let ask = || async {
            let (digest, media_type, bytes) = &self.there;
            let compares = self.place.is_known_to_compare()
                || self.place.compares(digest, media_type, bytes.clone()).await;
            if !compares {
                self.progress.signatures_not_compared(&self.place);
            }
            compares
        };
        *self.compares.get_or_init(ask).await
    }

    /// Notes what may be taken away again.
    async fn note(&self, tag: Tag, stays: Stays, what: What) {
        let is_sure = match stays {
            Stays::Surely => true,
            Stays::IfCompared => self.compares().await,
            _ => {
                self.compares().await;
                false
            }
        };
        if !is_sure {
            self.unsure().push(Unsure { tag, what });
        }
    }

    /// Keeps others that share the store away from a tag.
    async fn turn(&self, tag: &Tag) -> Result<Option<Vec<Lease>>, PublishError> {
        let Some(turns) = self.turns else { return Ok(None) };
        match turns.lease_tags(BTreeSet::from([written(&self.place, tag.as_str())])).await {
            Ok(leases) => Ok(Some(leases)),
            Err(error @ StoreError::Busy(..)) => Err(error.into()),
            Err(error) => {
                if !self.is_not_alone.swap(true, Ordering::Relaxed) {
                    self.progress.not_alone(&error);
                }
                Ok(None)
            }
        }
    }
}

impl std::fmt::Debug for Keeper<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("place", &self.place).finish_non_exhaustive()
    }
}

async fn release(turn: Option<Vec<Lease>>) {
    for lease in turn.into_iter().flatten() {
        lease.release().await;
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
