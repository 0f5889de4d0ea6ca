//! What is to be verified.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Document, Kind, Match};
use manifest_transport::{Fetched, Place};

use super::{Required, Role, VerifyError, VerifyOptions};
use crate::error::{MAX_NESTING, PublishError};
use crate::resolve::describe;
use crate::survey::check;

/// Whether the children of a list must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Children {
    /// They are read, and must be what the list says of them.
    Read,
    /// What the list says of them is enough.
    Named,
}

/// The list with everything in it that is wanted, or the image; each digest once.
pub(super) async fn walk(
    place: &Place,
    subject: &Fetched,
    options: &VerifyOptions,
    children: Children,
) -> Result<Vec<(Descriptor, Role)>, VerifyError> {
    let about = describe(subject);
    let Document::List(list, _) = &subject.document else { return Ok(vec![(about, Role::Image)]) };
    let mut seen = BTreeSet::from([about.digest]);
    let mut found = Vec::new();
    if options.required != Required::Children {
        found.push((about.clone(), Role::List));
    }
    if options.required == Required::List {
        return Ok(found);
    }
    let (mut level, mut missing) = (list.entries().to_vec(), options.platforms.clone());
    for _ in 0..=MAX_NESTING {
        let mut chosen = choose(level, options, &mut missing);
        chosen.retain(|entry| seen.insert(entry.digest));
        let below = look(place, &chosen, options, children).await?;
        found.extend(chosen.into_iter().map(|entry| (entry, Role::Child)));
        if below.is_empty() {
            if let Some(wanted) = missing.first() {
                return Err(VerifyError::NoSuchPlatform { list: about.digest, wanted: wanted.to_string() });
            }
            return if found.is_empty() { Err(VerifyError::Nothing(about.digest)) } else { Ok(found) };
        }
        level = below;
    }
    Err(PublishError::TooDeep(about.digest).into())
}

/// The entries for the platforms that are wanted, every one that serves, and the lists that are looked into for more of
/// them; `missing` keeps the platforms for which there was nothing yet.
fn choose(
    entries: Vec<Descriptor>,
    options: &VerifyOptions,
    missing: &mut Vec<manifest_core::Platform>,
) -> Vec<Descriptor> {
    if options.platforms.is_empty() {
        return entries;
    }
    let platforms: Vec<_> =
        entries.iter().map(|entry| entry.platform.as_ref().filter(|_| !entry.is_attestation())).collect();
    let mut wanted = BTreeSet::new();
    for platform in &options.platforms {
        let serving = platform.select(Match::Strict, platforms.iter().copied());
        if !serving.is_empty() {
            missing.retain(|missing| missing != platform);
        }
        wanted.extend(serving);
    }
    let is_wanted = |(at, entry): &(usize, Descriptor)| {
        wanted.contains(at) || (options.recursive && entry.media_type.kind() == Kind::List)
    };
    entries.into_iter().enumerate().filter(is_wanted).map(|(_, entry)| entry).collect()
}

/// Reads entries as far as that is needed, and gives what is in the lists among them.
async fn look(
    place: &Place,
    entries: &[Descriptor],
    options: &VerifyOptions,
    children: Children,
) -> Result<Vec<Descriptor>, PublishError> {
    let enter = |entry: &Descriptor| options.recursive && entry.media_type.kind() == Kind::List;
    let read = stream::iter(entries.iter().filter(|entry| children == Children::Read || enter(entry)));
    let below: Vec<Vec<Descriptor>> = read
        .map(|entry| async move {
            let fetched = place.manifest(&entry.digest.into()).await?;
            check(entry, &fetched)?;
            Ok::<_, PublishError>(match fetched.document {
                Document::List(list, _) if options.recursive => list.entries().to_vec(),
                Document::List(..) | Document::Image(_) => Vec::new(),
            })
        })
        .buffered(options.jobs.max(1))
        .try_collect()
        .await?;
    Ok(below.concat())
}
