//! Adding to tags to which others may add at the same time, each something of their own, with a second look at what somebody
//! else may have taken away again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Digest, MediaType, Tag};
use manifest_sign::sigstore::{Added as Layer, Attachment, CosignSignature};
use manifest_store::{Lease, Publications, StoreError};
use manifest_transport::{
    Added, Addition, Clock, Fetched, LookBack, Noted, Onto, Place, Stays, TransportError,
};
use tokio::sync::OnceCell;

use crate::attached::{config, put_config};
use crate::error::PublishError;
use crate::progress::Progress;
use crate::tags::written;

/// The shortest pause before it is looked whether something has stayed where nobody compares; it may be three times as
/// long. Whoever has read the tag just before has set it by then.
const SECOND_LOOK: Duration = Duration::from_millis(250);

/// How often something may be gone again.
const ROUNDS: u32 = 8;

/// Something that is at a place by its digest, for the question whether that compares.
pub(crate) type There = (Digest, MediaType, Bytes);

/// What an adder works with.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) clock: &'a dyn Clock,
    pub(crate) turns: Option<&'a Publications>,
    pub(crate) progress: &'a dyn Progress,
}

/// Adds to tags of one place: to those of signatures, and to those that stand in for the referrers API.
pub(crate) struct Adder<'a> {
    place: Place,
    clock: &'a dyn Clock,
    /// Where others that add can be kept away.
    turns: Option<&'a Publications>,
    progress: &'a dyn Progress,
    compares: OnceCell<bool>,
    /// Whether the registry itself keeps track of what refers to a manifest.
    by_registry: OnceLock<bool>,
    /// What may have been taken away again.
    unsure: Mutex<Vec<Unsure>>,
    is_not_alone: AtomicBool,
}

/// Something that was added to a tag and may not have stayed.
struct Unsure {
    tag: Tag,
    what: What,
}

pub(crate) enum What {
    Attached(Vec<CosignSignature>),
    Referrer(Box<Fetched>),
}

/// New signatures for a tag.
pub(crate) struct New<'a> {
    pub(crate) place: &'a Place,
    pub(crate) signatures: &'a [CosignSignature],
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

impl<'a> Adder<'a> {
    pub(crate) fn new(place: &Place, Around { clock, turns, progress }: Around<'a>) -> Self {
        Self {
            place: place.clone(),
            clock,
            turns: turns.filter(|_| place.registry_host().is_some()),
            progress,
            compares: OnceCell::new(),
            by_registry: OnceLock::new(),
            unsure: Mutex::default(),
            is_not_alone: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_known_not_to_compare(&self) -> bool {
        self.compares.get() == Some(&false)
    }

    /// Whether the registry itself keeps track of what refers to a manifest, if that is known.
    pub(crate) fn is_by_registry(&self) -> Option<bool> {
        self.by_registry.get().copied()
    }

    /// Writes a manifest that refers to a subject, so that it is found by that. Without anything that is `there`
    /// it is itself what the place is asked about.
    pub(crate) async fn refer(
        &self,
        (subject, fetched): (&Digest, Fetched),
        there: Option<&There>,
    ) -> Result<Noted, PublishError> {
        let tag = Tag::of_referrers(subject);
        let is_noted_here = self.is_by_registry() != Some(true) && !self.place.is_known_to_compare();
        let turn = if is_noted_here { self.turn(&tag).await? } else { None };
        let put = self.place.put_referrer_unseen(&fetched, LookBack::Later).await;
        release(turn).await;
        let (noted, stays) = put?;
        if noted != Noted::ByLayout {
            self.by_registry.get_or_init(|| noted == Noted::ByRegistry);
        }
        let own = (fetched.digest, fetched.media_type.clone(), fetched.bytes.clone());
        self.note(tag, (stays, there.unwrap_or(&own)), What::Referrer(Box::new(fetched))).await;
        Ok(noted)
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

    /// Whether others cannot take anything away; asked once, and told when they can.
    pub(crate) async fn compares(&self, there: &There) -> bool {
        let ask = || async {
            let (digest, media_type, bytes) = there;
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
    pub(crate) async fn note(&self, tag: Tag, (stays, there): (Stays, &There), what: What) {
        let is_sure = match stays {
            Stays::Surely => true,
            Stays::IfCompared => self.compares(there).await,
            _ => {
                self.compares(there).await;
                false
            }
        };
        if !is_sure {
            self.unsure().push(Unsure { tag, what });
        }
    }

    /// Keeps others that share the store away from a tag.
    pub(crate) async fn turn(&self, tag: &Tag) -> Result<Option<Vec<Lease>>, PublishError> {
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

pub(crate) async fn release(turn: Option<Vec<Lease>>) {
    for lease in turn.into_iter().flatten() {
        lease.release().await;
    }
}
