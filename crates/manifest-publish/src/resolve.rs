//! From what a user names to the entries that go into a list.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Known;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Digest, Document, ImageManifest, Kind, Match, Platform};
use manifest_transport::{Fetched, Which};

use crate::documents::Documents;
use crate::error::{MAX_NESTING, ResolveError};
use crate::survey::check;

/// Manifests of one list that are read at once.
const AT_ONCE: usize = 8;
/// Entries that nested lists may come to: more than any list that a registry takes can hold.
const MAX_ENTRIES: usize = 40_000;

/// Which entries of a source are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct Selection {
    /// All entries of a list.
    pub all: bool,
    /// The entries for these platforms, normalised and strict; a single image must be for one of them.
    pub platforms: Vec<Platform>,
    /// The platform that the user gives to a single image, so that its configuration need not be read; in a list, the
    /// platform of the entry that is meant.
    pub given: Option<Platform>,
    /// Whether attestations come along with the images that they describe.
    pub attestations: Attestations,
    /// A list becomes one entry itself, and its own entries are left in it.
    pub nest: bool,
}

/// Whether attestations come along with the images that they describe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attestations {
    /// They come along.
    #[default]
    Keep,
    /// They stay behind.
    Drop,
}

/// What a source turned out to be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resolved {
    /// The digest of the document that was named.
    pub digest: Digest,
    /// Its descriptor, for those who need the document itself: type, digest, size and artifact type.
    pub descriptor: Descriptor,
    /// The entries that were chosen.
    pub entries: Vec<Descriptor>,
    /// Whether the source was a list.
    pub was_list: bool,
    /// The document.
    pub fetched: Fetched,
}

/// Reads a source and chooses its entries; `what` names it in messages.
///
/// One request for a list, whose entries are not looked into unless they lack a platform; for an image one more,
/// for the configuration that tells its platform.
///
/// # Errors
/// [`ResolveError::SeveralPlatforms`] and [`ResolveError::NoSuchPlatform`] name the platforms that there are.
pub async fn resolve<D: Documents>(
    place: &D,
    which: &Which,
    selection: &Selection,
    what: &str,
) -> Result<Resolved, ResolveError> {
    let fetched = place.manifest(which).await?;
    let descriptor = describe(&fetched);
    let (entries, was_list) = match &fetched.document {
        Document::List(..) if selection.nest => (vec![descriptor.clone()], true),
        Document::List(list, _) => {
            let flat = flatten(place, list.entries().to_vec(), what).await?;
            (choose(fill(place, flat, what).await?, selection, what)?, true)
        }
        Document::Image(image) => (vec![of_image(place, image, &descriptor, selection, what).await?], false),
    };
    Ok(Resolved { digest: fetched.digest, descriptor, entries, was_list, fetched })
}

/// The descriptor of a document: its type, digest and size, and the type of an artifact.
pub fn describe(fetched: &Fetched) -> Descriptor {
    let mut descriptor =
        Descriptor::new(fetched.media_type.clone(), fetched.digest, fetched.bytes.len() as u64);
    descriptor.artifact_type = match &fetched.document {
        Document::Image(image) => image.artifact_type.clone(),
        Document::List(list, _) => list.artifact_type().cloned(),
    };
    descriptor
}

async fn of_image<D: Documents>(
    place: &D,
    image: &ImageManifest,
    descriptor: &Descriptor,
    selection: &Selection,
    what: &str,
) -> Result<Descriptor, ResolveError> {
    let mut entry = descriptor.clone();
    entry.platform = match &selection.given {
        Some(given) => Some(given.clone()),
        None => platform(place, image, what).await?,
    };
    let fits = |wanted: &Platform| entry.platform.as_ref().is_some_and(|is| wanted.same_machine_as(is));
    match selection.platforms.first() {
        Some(wanted) if !selection.platforms.iter().any(fits) => {
            let platforms = entry.platform.iter().map(ToString::to_string).collect();
            Err(ResolveError::NoSuchPlatform { what: what.to_owned(), wanted: wanted.to_string(), platforms })
        }
        _ => Ok(entry),
    }
}

/// The platform that an image's configuration tells; artifacts have none.
async fn platform<D: Documents>(
    place: &D,
    image: &ImageManifest,
    what: &str,
) -> Result<Option<Platform>, ResolveError> {
    if !image.has_platform() {
        return Ok(None);
    }
    let bytes = place.config(&image.config).await?;
    Platform::from_config(&bytes).map_err(|source| ResolveError::Config {
        what: what.to_owned(),
        digest: image.config.digest,
        source,
    })
}

/// Chooses among the entries of a list; `what` names the list in messages.
///
/// Attestations are never chosen themselves, they come along. A list of one image needs no choice.
///
/// # Errors
/// [`ResolveError::SeveralPlatforms`] and [`ResolveError::NoSuchPlatform`] name the platforms that there are.
pub fn choose(
    mut entries: Vec<Descriptor>,
    selection: &Selection,
    what: &str,
) -> Result<Vec<Descriptor>, ResolveError> {
    if selection.attestations == Attestations::Drop {
        entries.retain(|entry| !entry.is_attestation());
    }
    if selection.all {
        return Ok(entries);
    }
    let images: Vec<&Descriptor> = entries.iter().filter(|entry| !entry.is_attestation()).collect();
    let platforms =
        || images.iter().filter_map(|entry| entry.platform.as_ref()).map(ToString::to_string).collect();
    let find = |wanted: &Platform| {
        let found = wanted.select(Match::Strict, images.iter().map(|entry| entry.platform.as_ref()));
        let first = found.first().and_then(|at| images.get(*at));
        first.map(|entry| entry.digest).ok_or_else(|| ResolveError::NoSuchPlatform {
            what: what.to_owned(),
            wanted: wanted.to_string(),
            platforms: platforms(),
        })
    };
    let wanted = selection.platforms.iter().chain(&selection.given);
    let mut chosen: Vec<Digest> = wanted.map(find).collect::<Result<_, _>>()?;
    match (chosen.is_empty(), images.as_slice()) {
        (true, [only]) => chosen.push(only.digest),
        (true, _) => {
            return Err(ResolveError::SeveralPlatforms { what: what.to_owned(), platforms: platforms() });
        }
        (false, _) => {}
    }
    let meant = |digest: &Digest| chosen.contains(digest);
    entries.retain(|entry| meant(&entry.digest) || entry.attested().is_some_and(|attested| meant(&attested)));
    Ok(entries)
}

/// Puts the entries of nested lists in the place of the lists; each list is read once.
async fn flatten<D: Documents>(
    place: &D,
    mut entries: Vec<Descriptor>,
    what: &str,
) -> Result<Vec<Descriptor>, ResolveError> {
    let mut read: BTreeMap<Digest, Vec<Descriptor>> = BTreeMap::new();
    for _ in 0..MAX_NESTING {
        if entries.iter().all(|entry| entry.media_type.kind() != Kind::List) {
            return Ok(entries);
        }
        let mut flat = Vec::with_capacity(entries.len());
        for entry in entries {
            if entry.media_type.kind() != Kind::List {
                flat.push(entry);
            } else {
                let inner = match read.entry(entry.digest) {
                    Known::Occupied(known) => known.into_mut(),
                    Known::Vacant(unknown) => unknown.insert(entries_of(place, &entry).await?),
                };
                flat.extend(inner.iter().cloned());
            }
            if flat.len() > MAX_ENTRIES {
                return Err(ResolveError::TooMany(what.to_owned()));
            }
        }
        entries = flat;
    }
    Err(ResolveError::TooDeep(what.to_owned()))
}

/// The entries of a list in a list.
async fn entries_of<D: Documents>(place: &D, list: &Descriptor) -> Result<Vec<Descriptor>, ResolveError> {
    match read_child(place, list).await?.document {
        Document::List(list, _) => Ok(list.entries().to_vec()),
        // Its media type is that of a list, and it was checked.
        Document::Image(_) => Ok(Vec::new()),
    }
}

/// Reads a child, which must be what the list says of it.
async fn read_child<D: Documents>(place: &D, entry: &Descriptor) -> Result<Fetched, ResolveError> {
    let fetched = place.manifest(&entry.digest.into()).await?;
    check(entry, &fetched).map_err(|untrue| ResolveError::Untrue(Box::new(untrue)))?;
    Ok(fetched)
}

/// Looks into entries of which the list does not say what platform they are for; into each digest once.
async fn fill<D: Documents>(
    place: &D,
    mut entries: Vec<Descriptor>,
    what: &str,
) -> Result<Vec<Descriptor>, ResolveError> {
    let told = |p: &Platform| !p.os.is_empty() && !p.architecture.is_empty();
    let untold = |entry: &Descriptor| {
        entry.artifact_type.is_none() && !entry.is_attestation() && !entry.platform.as_ref().is_some_and(told)
    };
    let ask: BTreeMap<Digest, Descriptor> =
        entries.iter().filter(|entry| untold(entry)).map(|entry| (entry.digest, entry.clone())).collect();
    let one = |entry: Descriptor| async move {
        let fetched = read_child(place, &entry).await?;
        let platform = match &fetched.document {
            Document::Image(image) => platform(place, image, what).await?,
            Document::List(..) => None,
        };
        Ok::<_, ResolveError>((entry.digest, platform))
    };
    let found: BTreeMap<Digest, Option<Platform>> =
        stream::iter(ask.into_values()).map(one).buffer_unordered(AT_ONCE).try_collect().await?;
    for entry in entries.iter_mut().filter(|entry| untold(entry)) {
        entry.platform = found.get(&entry.digest).cloned().flatten();
    }
    Ok(entries)
}
