//! Bringing what is attached to a target, when the list and its entries are there and no tag has moved yet.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Digest};
use manifest_transport::{Added, Kept, Place, Signatures, TransportError};

use super::{Attached, AttachedAction, AttachedOutcome, AttachedStep, Brought, LeftOut, Referrer, Signature};
use crate::deliver::{Delivery, ROUNDS, has_lost_something};
use crate::error::PublishError;
use crate::progress::Progress;
use crate::push::Outcome;
use crate::signing::{self, Room, Share, SignatureForm, find};
use crate::tags::written;
use crate::together::Promised;

impl Attached {
    /// Brings everything to a place; what was carried for it is added to what the place got already.
    pub(crate) async fn bring(
        &self,
        delivery: Delivery<'_>,
        place: &Place,
        outcome: &mut Outcome,
        progress: &dyn Progress,
    ) -> Result<(), PublishError> {
        let with = &delivery.course.options.with;
        let mut attached = AttachedOutcome::default();
        if with.referrers {
            let brought = self.bring_referrers(delivery, place, outcome, progress).await?;
            attached.referrers = Some(brought);
        }
        if with.signatures {
            let brought = self.bring_signatures(delivery, place, outcome, progress).await?;
            attached.signatures = Some(brought);
        }
        outcome.attached = attached;
        Ok(())
    }

    async fn bring_referrers(
        &self,
        delivery: Delivery<'_>,
        place: &Place,
        outcome: &mut Outcome,
        progress: &dyn Progress,
    ) -> Result<Brought, PublishError> {
        // What comes from the target itself is there.
        let (here, elsewhere): (Vec<_>, Vec<_>) = self.referrers.iter().partition(|one| one.from == *place);
        let mut brought = Brought { present: here.len(), ..Brought::default() };
        let roots: Vec<_> = elsewhere.iter().map(|one| (one.manifest.clone(), one.from.clone())).collect();
        let present = content(delivery, place, &roots, outcome, progress).await?;
        let listed = listed(&elsewhere, place, delivery.course.options.jobs).await?;
        let is_there =
            |one: &&Referrer| present.contains(&one.manifest.digest) && listed.contains(&one.manifest.digest);
        let (there, due): (Vec<_>, Vec<_>) = elsewhere.into_iter().partition(is_there);
        // Those of one subject follow one another, so that they are not in each other's way.
        let mut by_subject: BTreeMap<Digest, Vec<&Referrer>> = BTreeMap::new();
        due.iter().for_each(|one| by_subject.entry(one.subject).or_default().push(one));
        stream::iter(by_subject.into_values())
            .map(|group| async move {
                for referrer in group {
                    referrer.write(place).await?;
                }
                Ok::<_, PublishError>(())
            })
            .buffer_unordered(delivery.course.options.jobs)
            .try_collect::<()>()
            .await?;
        (brought.present, brought.written) = (brought.present + there.len(), due.len());
        Ok(brought)
    }

    async fn bring_signatures(
        &self,
        delivery: Delivery<'_>,
        place: &Place,
        outcome: &mut Outcome,
        progress: &dyn Progress,
    ) -> Result<Brought, PublishError> {
        let jobs = delivery.course.options.jobs;
        if let Some(beside) = place.own_signatures() {
            return self.keep_beside(&beside, place, progress).await;
        }
        let asked =
            stream::iter(self.signatures.iter().filter(|one| one.from != *place)).map(|one| async move {
                let is_there = place.named_digest(&one.tag).await? == Some(one.found.digest);
                Ok::<_, PublishError>((!is_there).then_some(one))
            });
        let due: Vec<Option<&Signature>> = asked.buffered(jobs).try_collect().await?;
        let due: Vec<&Signature> = due.into_iter().flatten().collect();
        let roots: Vec<_> = due.iter().map(|one| (one.manifest(), one.from.clone())).collect();
        content(delivery, place, &roots, outcome, progress).await?;
        let mut brought = Brought { present: self.signatures.len() - due.len(), ..Brought::default() };
        // Those of one tag follow one another.
        let written: Vec<Vec<Added>> = stream::iter(due.chunk_by(|one, next| one.tag == next.tag))
            .map(|group| async move {
                let mut done = Vec::new();
                for signature in group {
                    let signed = signature.write(place).await?;
                    if signed == Added::Never {
                        progress.left_out(&LeftOut::Kept { tag: written(place, &signature.tag) });
                    }
                    done.push(signed);
                }
                Ok::<_, PublishError>(done)
            })
            .buffer_unordered(jobs)
            .try_collect()
            .await?;
        for signed in written.into_iter().flatten() {
            *match signed {
                Added::Written => &mut brought.written,
                Added::Joined => &mut brought.merged,
                Added::Never => &mut brought.kept,
                _ => &mut brought.present,
            } += 1;
        }
        Ok(brought)
    }

    /// Keeps signatures where they are files beside the images. What cosign attaches under tags and is no signature has no
    /// place there.
    async fn keep_beside(
        &self,
        beside: &Signatures,
        place: &Place,
        progress: &dyn Progress,
    ) -> Result<Brought, PublishError> {
        let (mut brought, room) = (Brought::default(), Room::default());
        for Signature { tag, of, from, .. } in &self.signatures {
            let found = match tag.ends_with(".sig") {
                true => find(from, of, &[SignatureForm::Cosign], None, &mut Share::of(&room)).await?,
                false => Vec::new(),
            };
            let mut is_kept = !found.is_empty();
            for found in found {
                match found.signature {
                    Ok(signing::Signature::Cosign(signature)) => {
                        match beside.add(of, &signature.to_stored()).await? {
                            Kept::Added(_) => brought.written += 1,
                            _ => brought.present += 1,
                        }
                    }
                    _ => is_kept = false,
                }
            }
            if !is_kept {
                brought.kept += 1;
                progress.left_out(&LeftOut::NoPlace { tag: written(from, tag), target: place.to_string() });
            }
        }
        Ok(brought)
    }

    /// What would be done at a place.
    pub(crate) async fn plan(&self, place: &Place, jobs: usize) -> Result<Vec<AttachedStep>, PublishError> {
        let all: Vec<&Referrer> = self.referrers.iter().collect();
        let listed = listed(&all, place, jobs).await?;
        let mut steps = Vec::new();
        for Referrer { manifest, subject, from, .. } in &self.referrers {
            let is_there = from == place
                || (listed.contains(&manifest.digest) && place.has_manifest(&manifest.digest).await?);
            let action = if is_there { AttachedAction::Skip } else { AttachedAction::Write };
            let (manifest, from) = (manifest.clone(), from.clone());
            steps.push(AttachedStep { manifest, of: *subject, tag: None, from, action });
        }
        for signature in &self.signatures {
            let Signature { tag, of, found, from, .. } = signature;
            let action = match place.named_digest(tag).await? {
                None => AttachedAction::Write,
                Some(digest) if digest == found.digest => AttachedAction::Skip,
                Some(_) => AttachedAction::Merge,
            };
            let (manifest, tag, from) = (signature.manifest(), Some(tag.clone()), from.clone());
            steps.push(AttachedStep { manifest, of: *of, tag, from, action });
        }
        Ok(steps)
    }
}

impl Referrer {
    /// Writes it where everything that it names is.
    async fn write(&self, place: &Place) -> Result<(), PublishError> {
        let (digest, from) = (self.manifest.digest, self.from.to_string());
        let fetched = self.fetched().await.map_err(|source| PublishError::Copy { digest, from, source })?;
        Ok(place.put_referrer(&fetched).await.map(drop)?)
    }
}

/// Those that the place lists under their subjects.
async fn listed(
    referrers: &[&Referrer],
    place: &Place,
    jobs: usize,
) -> Result<BTreeSet<Digest>, TransportError> {
    let subjects: BTreeSet<Digest> = referrers.iter().map(|one| one.subject).collect();
    let listed = place.referrers_of_all(&subjects, jobs).await?;
    Ok(listed.into_values().flatten().map(|one| one.digest).collect())
}

/// Brings everything that these manifests name, but not the manifests themselves; those of them that are there.
async fn content(
    delivery: Delivery<'_>,
    place: &Place,
    roots: &[(Descriptor, Place)],
    outcome: &mut Outcome,
    progress: &dyn Progress,
) -> Result<BTreeSet<Digest>, PublishError> {
    let digests: BTreeSet<Digest> = roots.iter().map(|(root, _)| root.digest).collect();
    let mut round = 0;
    loop {
        let mut plan = delivery.survey().of_all(roots, place).await?;
        // One that another one names as a child has to come before that.
        plan.manifests.retain(|step| step.depth > 0 || !digests.contains(&step.manifest.digest));
        let present = plan.present.iter().copied().collect();
        match delivery.carry(&plan, Promised::new(), place, progress).await {
            Ok(carried) => {
                outcome.add(&carried);
                return Ok(present);
            }
            Err(PublishError::Transport(error)) if round < ROUNDS && has_lost_something(&error) => {
                place.pause_for_lost(round, error).await?;
            }
            Err(error) => return Err(error),
        }
        round += 1;
    }
}
