//! What is signed, in which order, and under which name.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Digest, Document, Kind, Reference};
use manifest_store::Publications;
use manifest_transport::{Fetched, Place, Transport};

use super::find::attachment_tag;
use super::keep::{Name, ONLY_IN_REGISTRIES};
use super::{Keeper, SignatureForm, Signed, Signing};
use crate::adder::Around;
use crate::course::Course;
use crate::error::{MAX_NESTING, PublishError};
use crate::progress::Progress;
use crate::push::Target;

/// Signs a list or an image that is at a place, with everything in it as far as that is wanted, deepest first and the list
/// last. What the keys have signed before is not signed again.
///
/// `name` is the tag that it is signed as, `turns` where others that sign at the same time can be kept away, if there is
/// such a place.
///
/// # Errors
/// [`PublishError::CannotHold`] before anything is written; [`PublishError::Sign`]; what reading and writing brings. What was
/// signed until then stays.
pub async fn sign(
    transport: &Transport,
    (place, subject, name): (&Place, &Fetched, Option<&str>),
    (signing, jobs): (&Signing, usize),
    turns: Option<&Publications>,
    progress: &dyn Progress,
) -> Result<Signed, PublishError> {
    let entries = match &subject.document {
        Document::List(list, _) if signing.children => list.entries(),
        _ => &[],
    };
    let about = Descriptor::new(subject.media_type.clone(), subject.digest, subject.bytes.len() as u64);
    let name = name.map(str::to_owned);
    let names = name.as_slice();
    let name = name_of(transport, signing, (place, names), &about.digest);
    check(signing, &name, place, entries, &about.digest).await?;
    let there = (about.digest, about.media_type.clone(), subject.bytes.clone());
    let around = Around { clock: transport.clock(), turns, progress };
    let keeper = Keeper::new(place, signing, name, there, around);
    all(&keeper, place, (entries, &about), jobs).await
}

/// Signs what a publication has brought to a target; `place` is where that is now.
pub(crate) async fn sign_brought(
    course: &Course<'_>,
    (target, place): (&Target, &Place),
    progress: &dyn Progress,
) -> Result<Option<Signed>, PublishError> {
    let (signing, list) = (&course.options.signing, course.content.list);
    if signing.is_nothing() {
        return Ok(None);
    }
    let about = Descriptor::new(list.media_type.clone(), list.digest, list.bytes.len() as u64);
    let there = (list.digest, list.media_type.clone(), Bytes::from(list.bytes.clone()));
    let name = name_at(course, target);
    let turns = course.journal.map(crate::journal::Journal::publications);
    let around = Around { clock: course.transport.clock(), turns, progress };
    let keeper = Keeper::new(place, signing, name, there, around);
    let entries = if signing.children { course.brought() } else { &[] };
    all(&keeper, place, (entries, &about), course.options.jobs).await.map(Some)
}

/// Refuses a target that cannot hold the signatures that are wanted, before anything is sent there.
pub(crate) async fn check_target(course: &Course<'_>, target: &Target) -> Result<(), PublishError> {
    let (signing, list) = (&course.options.signing, &course.content.list.digest);
    check(signing, &name_at(course, target), &target.place, course.brought(), list).await
}

async fn check(
    signing: &Signing,
    name: &Name,
    place: &Place,
    entries: &[Descriptor],
    list: &Digest,
) -> Result<(), PublishError> {
    let refuse = |form, why: String| Err(PublishError::CannotHold { target: place.to_string(), form, why });
    let uses = |form| signing.of_form(form).next().is_some();
    let entries = entries.iter().map(|entry| &entry.digest).filter(|_| signing.children);
    if uses(SignatureForm::Simple) {
        let Some(simple) = &name.simple else {
            return refuse(SignatureForm::Simple, ONLY_IN_REGISTRIES.to_owned());
        };
        simple.ready().await?;
    }
    for form in [SignatureForm::Simple, SignatureForm::Cosign] {
        if uses(form) && name.identity.is_none() {
            return refuse(form, "it has no reference that a signature could state".to_owned());
        }
    }
    let own = place.own_signatures().filter(|_| uses(SignatureForm::Cosign));
    if let Some(own) = &own {
        own.ready().await?;
    }
    let is_by_tag = uses(SignatureForm::Cosign) && own.is_none();
    let mut digests = entries.chain([list]).filter(|_| is_by_tag);
    if let Some(digest) = digests.find(|digest| attachment_tag(digest).is_err()) {
        return refuse(SignatureForm::Cosign, format!("the digest {digest} is too long for a tag"));
    }
    Ok(())
}

/// What a target is called.
pub(super) fn name_at(course: &Course<'_>, target: &Target) -> Name {
    let (signing, list) = (&course.options.signing, &course.content.list.digest);
    name_of(course.transport, signing, (&target.place, &target.names), list)
}

/// What signatures say that the images are: what was given, else the target with its first tag, as podman does it for
/// the list and everything in it alike, or with the digest of the list. What lies in files has no such name.
fn name_of(
    transport: &Transport,
    signing: &Signing,
    (place, names): (&Place, &[String]),
    list: &Digest,
) -> Name {
    let text = place.to_string();
    let own = place.registry_host().map(|_| text.strip_prefix("docker://").unwrap_or(&text));
    let own = own.map(|repository| match names.first() {
        Some(tag) => format!("{repository}:{tag}"),
        None => format!("{repository}@{list}"),
    });
    let is_wanted = signing.of_form(SignatureForm::Simple).next().is_some();
    let reference: Option<Reference> = own.as_ref().filter(|_| is_wanted).and_then(|own| own.parse().ok());
    let simple = reference.and_then(|reference| transport.signatures(&reference));
    let simple = simple.or_else(|| place.own_signatures());
    Name { identity: signing.identity.clone().or(own), simple }
}

/// Signs everything, and looks whether it has stayed.
async fn all(
    keeper: &Keeper<'_>,
    place: &Place,
    (entries, list): (&[Descriptor], &Descriptor),
    jobs: usize,
) -> Result<Signed, PublishError> {
    let read = async |digest: &Digest| Ok(place.manifest(&(*digest).into()).await?);
    let levels = levels(read, entries, list, jobs).await?;
    let mut signed = Signed::default();
    for level in &levels {
        let done: Vec<Signed> = stream::iter(level)
            .map(|subject| Box::pin(keeper.sign(subject)))
            .buffer_unordered(jobs.max(1))
            .try_collect()
            .await?;
        done.into_iter().for_each(|one| signed.add(one));
    }
    keeper.settle(jobs.max(1)).await?;
    Ok(signed)
}

/// What can be signed of a list or an image: everything in it, the deepest first, and itself last; each manifest once.
///
/// # Errors
/// [`PublishError`] when a list in it cannot be read, or lists are nested too deeply.
pub async fn subjects_of(
    place: &Place,
    subject: &Fetched,
    jobs: usize,
) -> Result<Vec<Descriptor>, PublishError> {
    let entries = match &subject.document {
        Document::List(list, _) => list.entries(),
        Document::Image(_) => &[],
    };
    let about = Descriptor::new(subject.media_type.clone(), subject.digest, subject.bytes.len() as u64);
    let read = async |digest: &Digest| Ok(place.manifest(&(*digest).into()).await?);
    Ok(levels(read, entries, &about, jobs).await?.concat())
}

/// The list last, before it its entries, before these those of the lists among them, and so on; each manifest once.
pub(super) async fn levels(
    read: impl AsyncFn(&Digest) -> Result<Fetched, PublishError>,
    entries: &[Descriptor],
    list: &Descriptor,
    jobs: usize,
) -> Result<Vec<Vec<Descriptor>>, PublishError> {
    let mut seen = BTreeSet::from([list.digest]);
    let (mut levels, mut level) = (vec![vec![list.clone()]], entries.to_vec());
    loop {
        level.retain(|entry| seen.insert(entry.digest));
        if level.is_empty() {
            levels.reverse();
            return Ok(levels);
        }
        let lists = level.iter().filter(|entry| entry.media_type.kind() == Kind::List);
        let below: Vec<Vec<Descriptor>> = stream::iter(lists)
            .map(|entry| async {
                Ok::<_, PublishError>(match read(&entry.digest).await?.document {
                    Document::List(list, _) => list.entries().to_vec(),
                    Document::Image(_) => Vec::new(),
                })
            })
            .buffered(jobs.max(1))
            .try_collect()
            .await?;
        if levels.len() > MAX_NESTING + 1 {
            return Err(PublishError::TooDeep(list.digest));
        }
        levels.push(std::mem::replace(&mut level, below.concat()));
    }
}
