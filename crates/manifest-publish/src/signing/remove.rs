//! Taking signatures away.

use manifest_core::{Digest, Tag};
use manifest_sign::Claims;
use manifest_transport::{Deleted, Place, ReferrersAt, Signatures};

use super::FoundSignature;
use super::find::{attachment_tag, bundles};
use crate::error::PublishError;
use crate::tags::written;

/// What became of signatures that were to be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemovedSignatures {
    /// How many tags, manifests and simple signatures are gone.
    pub removed: usize,
    /// How many simple signatures name the same repository of another registry, and stay beside those that were removed.
    pub others: usize,
    /// What the place does not delete.
    pub stays: Vec<String>,
}

/// Deletes all signatures of a manifest: the tag of its attached ones with what it means, manifests with bundles that refer
/// to it, and with `simple` those that are no images. Attestations stay.
///
/// # Errors
/// [`PublishError`] when the place cannot be read or written. That it deletes nothing is told, and no error.
pub async fn remove_signatures(
    place: &Place,
    digest: &Digest,
    simple: Option<&Signatures>,
) -> Result<RemovedSignatures, PublishError> {
    let place = &place.without_mirrors();
    let mut removed = RemovedSignatures::default();
    if let Ok(tag) = attachment_tag(digest)
        && let Some(attached) = place.named_digest(tag.as_str()).await?
    {
        let mut deleted = place.delete_tag(tag.as_str()).await?;
        if let (Deleted::Unsupported, Place::Repository(remote)) = (deleted, place) {
            // Nothing else is under that tag, so its manifest may go as well.
            deleted = remote.delete_manifest(&attached).await?;
        }
        removed.note(deleted, || written(place, tag.as_str()));
    }
    for FoundSignature { at, .. } in bundles(place, digest, ReferrersAt::Anywhere).await? {
        if let (Place::Directory(directory), Ok(bundle)) = (place, at.parse::<Digest>()) {
            directory.remove_manifest(&bundle).await?;
            removed.removed += 1;
            continue;
        }
        let (Place::Repository(remote), Ok(bundle)) = (place, at.parse::<Digest>()) else {
            removed.stays.push(format!("{place}@{at}"));
            continue;
        };
        let deleted = remote.delete_manifest(&bundle).await?;
        removed.note(deleted, || format!("{place}@{at}"));
        if deleted == Deleted::Done {
            place.forget_referrer(&Tag::of_referrers(digest), &bundle).await?;
        }
    }
    let own = place.own_signatures();
    if let Some(simple) = simple.or(own.as_ref()) {
        let here = simple.clone();
        let is_of_others = move |signature: &[u8]| {
            let name = Claims::of_simple(signature).ok().and_then(|claims| claims.identity);
            name.is_some_and(|name| here.are_beside_those_of(&name))
        };
        let (gone, others) = simple.remove_but(digest, is_of_others).await?;
        removed.removed += gone;
        removed.others += others;
    }
    Ok(removed)
}

impl RemovedSignatures {
    fn note(&mut self, deleted: Deleted, what: impl FnOnce() -> String) {
        match deleted {
            Deleted::Done => self.removed += 1,
            _ => self.stays.push(what()),
        }
    }
}
