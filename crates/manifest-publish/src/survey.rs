//! What the target has and what it lacks.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Digest, Document, Kind, MediaType};
use manifest_store::{Source, Sources};
use manifest_transport::{Fetched, Location, LocationError, Place, Transport, TransportError};
use tokio::sync::OnceCell;

use crate::error::{MAX_NESTING, PublishError};
use crate::plan::{Missing, Plan, Surveyed};
use crate::push::PushOptions;

/// Bytes of manifests that are kept until they are written; those beyond are read twice.
const KEPT_BYTES: u64 = 16 << 20;

/// A blob of at most so many bytes is sent as soon as it would be asked for.
const SMALL: u64 = 64 << 10;
/// With fewer manifests it is not worth a request to know whether the target is new.
const FEW: usize = 4;

/// An entry that has to be at the target, and where it can be read.
struct Wanted {
    entry: Descriptor,
    from: Place,
}

/// Where the places of sources are found.
#[derive(Clone, Copy)]
pub(crate) struct Origins<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) sources: &'a Sources,
    /// What the store holds itself.
    pub(crate) here: Option<&'a Place>,
}

impl<'a> Origins<'a> {
    fn source_of(&self, entry: &Digest) -> Result<&'a Source, PublishError> {
        self.sources.place_of(entry).ok_or(PublishError::NoSource(*entry))
    }

    /// The place of a source, as a record keeps it.
    pub(crate) fn place(&self, text: &str) -> Result<Place, PublishError> {
        let refused = |source| PublishError::Place(text.to_owned(), source);
        if let (Source::HERE, Some(here)) = (text, self.here) {
            return Ok(here.clone());
        }
        let location: Location = text.parse().map_err(refused)?;
        let unsupported = || refused(LocationError::Unsupported(Source::HERE.to_owned()));
        self.transport.open(&location).map(|(place, _)| place).ok_or_else(unsupported)
    }

    /// The place of an entry.
    pub(crate) fn of(&self, entry: &Digest) -> Result<Place, PublishError> {
        self.place(&self.source_of(entry)?.place)
    }
}

/// Pairs every entry with its source.
fn wanted(entries: &[Descriptor], origins: Origins<'_>) -> Result<Vec<Wanted>, PublishError> {
    let (mut places, mut seen) = (BTreeMap::<&str, Place>::new(), BTreeSet::new());
    let one = |entry: &Descriptor| {
        let place = origins.source_of(&entry.digest)?.place.as_str();
        let from = match places.entry(place) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => new.insert(origins.place(place)?).clone(),
        };
        Ok(Wanted { entry: entry.clone(), from })
    };
    entries.iter().filter(|entry| seen.insert(entry.digest)).map(one).collect()
}

/// The entries where they are read, and everything in the lists among them; each digest once.
pub(crate) async fn everything(
    entries: &[Descriptor],
    origins: Origins<'_>,
    manifests: &Manifests,
    jobs: usize,
) -> Result<Vec<(Digest, Place)>, PublishError> {
    let mut level = wanted(entries, origins)?;
    let mut seen: BTreeSet<Digest> = level.iter().map(|wanted| wanted.entry.digest).collect();
    let mut found = Vec::new();
    for _ in 0..=MAX_NESTING {
        let lists = level.iter().filter(|wanted| wanted.entry.media_type.kind() == Kind::List);
        let below: Vec<Vec<Wanted>> = stream::iter(lists)
            .map(|list| Box::pin(in_list(list, manifests)))
            .buffered(jobs.max(1))
            .try_collect()
            .await?;
        found.extend(level.into_iter().map(|Wanted { entry, from }| (entry.digest, from)));
        level = below.into_iter().flatten().filter(|wanted| seen.insert(wanted.entry.digest)).collect();
        if level.is_empty() {
            return Ok(found);
        }
    }
    Err(too_deep(&level))
}

async fn in_list(list: &Wanted, manifests: &Manifests) -> Result<Vec<Wanted>, PublishError> {
    let Wanted { entry, from } = list;
    let failed = |source| PublishError::Copy { digest: entry.digest, from: from.to_string(), source };
    let fetched = manifests.read(from, &entry.digest).await.map_err(failed)?;
    check(entry, &fetched)?;
    Ok(match fetched.document {
        Document::List(list, _) => below(list.entries(), from).collect(),
        Document::Image(_) => Vec::new(),
    })
}

/// Announces to the target what will be copied there, so that one login is enough for all of it.
pub(crate) async fn announce(
    entries: &[Descriptor],
    origins: Origins<'_>,
    target: &Place,
) -> Result<(), PublishError> {
    let wanted = wanted(entries, origins)?;
    Ok(target.expect_copies(wanted.iter().map(|wanted| &wanted.from)).await?)
}

/// Whether the children were taken from the target itself, so that asking for them can be spared.
pub(crate) fn all_from(
    entries: &[Descriptor],
    origins: Origins<'_>,
    target: &Place,
) -> Result<bool, PublishError> {
    let mut places = BTreeSet::new();
    for entry in entries {
        let Some(source) = origins.sources.place_of(&entry.digest) else { return Ok(false) };
        places.insert(source.place.as_str());
    }
    for text in places {
        if origins.place(text)? != *target {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Manifests that had to be read, for whoever needs them next: by digest, as far as that takes little memory.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    known: Mutex<BTreeMap<Digest, Arc<Once>>>,
    kept: AtomicU64,
}

/// A manifest and its media type, once they have been read.
type Once = OnceCell<(Bytes, MediaType)>;

impl Manifests {
    /// Reads a manifest, unless it has been.
    pub(crate) async fn read(&self, from: &Place, digest: &Digest) -> Result<Fetched, TransportError> {
        let cell = match self.known.lock() {
            Ok(mut known) => Arc::clone(known.entry(*digest).or_default()),
            Err(_) => Arc::default(),
        };
        let mut fetched = None;
        let (bytes, media_type) = cell
            .get_or_try_init(|| async {
                let new = fetched.insert(from.manifest(&(*digest).into()).await?);
                Ok::<_, TransportError>((new.bytes.clone(), new.media_type.clone()))
            })
            .await?;
        match fetched {
            Some(new) => {
                let size = new.bytes.len() as u64;
                if self.kept.fetch_add(size, Ordering::Relaxed) + size > KEPT_BYTES
                    && let Ok(mut known) = self.known.lock()
                {
                    known.remove(digest);
                }
                Ok(new)
            }
            None => Fetched::kept(&format!("{from}@{digest}"), digest, bytes.clone(), media_type),
        }
    }
}

/// How a target is asked what it has.
#[derive(Clone, Copy)]
pub(crate) struct Survey<'a> {
    pub(crate) origins: Origins<'a>,
    pub(crate) options: &'a PushOptions,
    pub(crate) manifests: &'a Manifests,
    /// Whether nothing is known of the target that it must have had something for.
    pub(crate) may_be_new: bool,
}

impl Survey<'_> {
    /// Asks the target what it has, reads what it lacks from the sources, and plans the rest.
    ///
    /// Every manifest is looked at once, however often lists name it.
    pub(crate) async fn of(self, entries: &[Descriptor], target: &Place) -> Result<Plan, PublishError> {
        self.of_wanted(wanted(entries, self.origins)?, target).await
    }

    /// The same for manifests whose places are known.
    pub(crate) async fn of_all(
        self,
        manifests: &[(Descriptor, Place)],
        target: &Place,
    ) -> Result<Plan, PublishError> {
        let wanted = manifests.iter().cloned().map(|(entry, from)| Wanted { entry, from }).collect();
        self.of_wanted(wanted, target).await
    }

    async fn of_wanted(self, wanted: Vec<Wanted>, target: &Place) -> Result<Plan, PublishError> {
        let jobs = self.options.jobs;
        target.expect_copies(wanted.iter().map(|wanted| &wanted.from)).await?;
        let is_new = self.may_be_new && wanted.len() >= FEW && !target.is_known().await?;
        let mut seen: BTreeSet<Digest> = wanted.iter().map(|wanted| wanted.entry.digest).collect();
        let (mut level, mut found) = (wanted, Vec::new());
        let kept = AtomicU64::new(0);
        for _ in 0..=MAX_NESTING {
            let surveyed: Vec<Surveyed> = stream::iter(level)
                .map(|wanted| self.look(wanted, target, is_new, &kept))
                .buffered(jobs)
                .try_collect()
                .await?;
            level = surveyed
                .iter()
                .flat_map(children)
                .filter(|wanted| seen.insert(wanted.entry.digest))
                .collect();
            found.extend(surveyed);
            if level.is_empty() {
                let known = known_blobs(&found, target, is_new, self.options).await?;
                let foreign = self.options.foreign_layers;
                return Ok(Plan::new(found, &|digest| known.contains(digest), target, foreign));
            }
        }
        Err(too_deep(&level))
    }

    async fn look(
        self,
        wanted: Wanted,
        target: &Place,
        is_new: bool,
        kept: &AtomicU64,
    ) -> Result<Surveyed, PublishError> {
        let Wanted { entry, from } = wanted;
        let failed = |source| PublishError::Copy { digest: entry.digest, from: from.to_string(), source };
        // A registry has a manifest only with everything below it. A layout may have lost anything, so there the walk
        // goes on below what is present.
        let is_asked = target.registry_host().is_some() && !is_new;
        let is_there = is_asked && target.has_manifest(&entry.digest).await?;
        if is_there && !self.options.foreign_layers {
            return Ok(Surveyed::Present(entry.digest));
        }
        let fetched = self.manifests.read(&from, &entry.digest).await.map_err(failed)?;
        check(&entry, &fetched)?;
        let size = fetched.bytes.len() as u64;
        let fits = kept.fetch_add(size, Ordering::Relaxed) + size <= KEPT_BYTES;
        let (blobs, children): (Vec<_>, _) = match &fetched.document {
            Document::Image(image) => (image.blobs().cloned().collect(), Vec::new()),
            Document::List(list, _) => (Vec::new(), list.entries().to_vec()),
        };
        // Layers that lie elsewhere are what it may lack all the same.
        if is_there && children.is_empty() && !blobs.iter().any(|blob| blob.media_type.is_foreign()) {
            return Ok(Surveyed::Present(entry.digest));
        }
        let manifest = Descriptor::new(fetched.media_type, fetched.digest, size);
        let bytes = fits.then_some(fetched.bytes);
        Ok(Surveyed::Missing(Missing { manifest, bytes, blobs, children, from }))
    }
}

/// A list must not say of a child what the child does not say of itself.
pub(crate) fn check(entry: &Descriptor, fetched: &Fetched) -> Result<(), PublishError> {
    let untrue = |says: String, is: String| Err(PublishError::Untrue { digest: entry.digest, says, is });
    let (size, media_type) = (fetched.bytes.len() as u64, &fetched.media_type);
    if entry.size != size {
        return untrue(format!("has {} bytes", entry.size), format!("has {size}"));
    }
    if entry.media_type != *media_type {
        return untrue(format!("is {}", entry.media_type), format!("is {media_type}"));
    }
    Ok(())
}

fn too_deep(level: &[Wanted]) -> PublishError {
    let deepest = level.first().map_or_else(|| Digest::sha256(b""), |wanted| wanted.entry.digest);
    PublishError::TooDeep(deepest)
}

/// The children of a nested list; they are where the list is.
fn below(children: &[Descriptor], from: &Place) -> impl Iterator<Item = Wanted> {
    children.iter().map(|entry| Wanted { entry: entry.clone(), from: from.clone() })
}

fn children(found: &Surveyed) -> Vec<Wanted> {
    match found {
        Surveyed::Missing(missing) => below(&missing.children, &missing.from).collect(),
        Surveyed::Present(_) => Vec::new(),
    }
}

/// The blobs that the target has, of those whose bytes would have to be carried.
///
/// What can be mounted is not asked for: mounting is one request too, and settles it. Nor is what is small and would be the first
/// that its repository gets: asking takes as long as sending, and the answer would be no. Unless the one that a publication sends
/// first is there; then others have broken off before this one.
async fn known_blobs(
    found: &[Surveyed],
    target: &Place,
    is_new: bool,
    options: &PushOptions,
) -> Result<BTreeSet<Digest>, PublishError> {
    let mut ask = BTreeMap::new();
    for one in found {
        if let Surveyed::Missing(Missing { blobs, from, .. }) = one {
            let is_near = target.registry_host().is_some() && target.registry_host() == from.registry_host();
            // A registry that names a layer that lies elsewhere need not have it.
            let is_asked =
                |blob: &&Descriptor| !is_near || (options.foreign_layers && blob.media_type.is_foreign());
            ask.extend(blobs.iter().filter(is_asked).map(|blob| (blob.digest, blob.clone())));
        }
    }
    let (small, large): (Vec<_>, _) =
        ask.into_values().partition(|blob: &Descriptor| is_new && blob.size <= SMALL);
    let mut ask: Vec<Descriptor> = large;
    if let [first, ..] = small.as_slice()
        && target.has_blob(first).await?
    {
        ask.extend(small);
    }
    let known: Vec<Option<Digest>> = stream::iter(ask)
        .map(
            |blob| async move { Ok::<_, PublishError>(target.has_blob(&blob).await?.then_some(blob.digest)) },
        )
        .buffer_unordered(options.jobs)
        .try_collect()
        .await?;
    Ok(known.into_iter().flatten().collect())
}
