//! What an entry is: read where it is at hand, and elsewhere if that is wanted.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use manifest_core::{
    Descriptor, Digest, Document, ImageManifest, MAX_CONFIG_SIZE, MAX_MANIFEST_SIZE, Platform,
};
use manifest_store::{Cache, Store};
use manifest_transport::{Fetched, Location, Place};
use tokio::sync::Semaphore;

use super::walk::Entry;
use super::{CheckConfig, TruthOptions};
use crate::cached::Known;
use crate::deliver::copy_error;
use crate::error::PublishError;
use crate::survey::Origins;

/// How many things are read from the store at once: each takes a thread for as long.
const FROM_STORE_AT_ONCE: usize = 8;

/// What was seen of an entry.
pub(super) enum Seen {
    /// It is a list of these.
    List(Vec<Descriptor>),
    Image {
        image: Box<ImageManifest>,
        /// What its configuration says it is for, or why that is not known.
        config: Result<Option<Platform>, String>,
    },
    /// Nothing, and why.
    Not(String),
}

/// Where entries are read, and how much of that may cost a request.
pub(super) struct Looking<'a> {
    pub(super) origins: Origins<'a>,
    pub(super) options: &'a TruthOptions,
    store: &'a Store,
    remembered: BTreeMap<Digest, Bytes>,
    /// Who reads from the store.
    turns: Semaphore,
}

impl<'a> Looking<'a> {
    pub(super) fn new(origins: Origins<'a>, store: &'a Store, options: &'a TruthOptions) -> Self {
        let (remembered, turns) = (BTreeMap::new(), Semaphore::new(FROM_STORE_AT_ONCE));
        Self { origins, options, store, remembered, turns }
    }

    /// Recalls what was read when the entries were added, as far as it is remembered: of each reference that was typed, and of
    /// entries beyond that by their digest.
    pub(super) async fn recall<'e>(&mut self, entries: impl Iterator<Item = &'e Entry> + Clone) {
        let (sources, cache) = (self.origins.sources, self.store.cache());
        let typed = entries.clone().filter_map(|one| name(&sources.place_of(&one.entry.digest)?.from));
        find(typed.collect(), &cache, &mut self.remembered).await;
        let others = entries.filter(|one| !self.remembered.contains_key(&one.entry.digest));
        let pinned = others.filter_map(|one| name(&format!("{}@{}", one.place.as_ref()?, one.entry.digest)));
        find(pinned.collect(), &cache, &mut self.remembered).await;
    }

    pub(super) async fn look(&self, at: &Entry) -> Result<Seen, PublishError> {
        let Entry { entry, place, .. } = at;
        let reads = self.options.reads();
        let kept = self.kept(&entry.digest, MAX_MANIFEST_SIZE).await;
        let kept = kept.and_then(|bytes| {
            Fetched::kept(&entry.digest.to_string(), &entry.digest, bytes, &entry.media_type).ok()
        });
        let fetched = match (kept, place) {
            (Some(fetched), _) => Some(fetched),
            (None, Some(place)) if reads || is_near(place) => {
                match place.manifest(&entry.digest.into()).await {
                    Ok(fetched) => Some(fetched),
                    Err(source) if reads => return Err(copy_error(entry.digest, place, source)),
                    Err(_) => None,
                }
            }
            _ => None,
        };
        Ok(match (fetched.map(|fetched| fetched.document), place) {
            (Some(Document::List(list, _)), _) => Seen::List(list.entries().to_vec()),
            (Some(Document::Image(image)), place) => {
                let config = self.config(entry, &image, place.as_ref()).await?;
                Seen::Image { image: Box::new(image), config }
            }
            (None, None) => {
                Seen::Not("is not at hand, and nothing is known of where it comes from".to_owned())
            }
            (None, Some(_)) if at.is_list() => Seen::Not("is a list that is not at hand".to_owned()),
            (None, Some(_)) => Seen::Not("has a manifest that is not at hand".to_owned()),
        })
    }

    /// What the configuration of an image says it is for.
    async fn config(
        &self,
        entry: &Descriptor,
        image: &ImageManifest,
        place: Option<&Place>,
    ) -> Result<Result<Option<Platform>, String>, PublishError> {
        let all = self.options.configs == CheckConfig::All;
        if self.options.configs == CheckConfig::None || !image.has_platform() {
            return Ok(Ok(None));
        }
        let kept = self.kept(&image.config.digest, MAX_CONFIG_SIZE).await;
        let bytes = match (kept, place) {
            (Some(bytes), _) => bytes,
            (None, Some(place)) if all || is_near(place) => match place.config(&image.config).await {
                Ok(bytes) => bytes,
                Err(source) if all => return Err(copy_error(entry.digest, place, source)),
                Err(error) => return Ok(Err(format!("has a configuration that cannot be read: {error}"))),
            },
            _ => return Ok(Err("has a configuration that is not at hand".to_owned())),
        };
        Ok(Platform::from_config(&bytes)
            .map_err(|error| format!("has a configuration that is not usable: {error}")))
    }

    /// Content that the store holds or remembers.
    async fn kept(&self, digest: &Digest, limit: usize) -> Option<Bytes> {
        if let Some(bytes) = self.remembered.get(digest) {
            return Some(bytes.clone());
        }
        let _turn = self.turns.acquire().await.ok()?;
        // What is damaged is told of by whoever needs it.
        self.store.blobs().bytes(digest, limit).await.ok().flatten().map(Bytes::from)
    }
}

/// What a reference is remembered under.
fn name(text: &str) -> Option<String> {
    match text.parse() {
        Ok(Location::Registry(reference)) => Some(Known::name(&reference)),
        _ => None,
    }
}

async fn find(names: BTreeSet<String>, cache: &Cache, all: &mut BTreeMap<Digest, Bytes>) {
    let mut found = stream::iter(names)
        .map(|name| async move { cache.find(&name).await })
        .buffer_unordered(FROM_STORE_AT_ONCE);
    // What cannot be read is as good as forgotten.
    while let Some(cached) = found.next().await {
        let documents = cached.ok().flatten().into_iter().flat_map(|cached| cached.documents);
        all.extend(documents.map(|document| (document.digest, Bytes::from(document.bytes))));
    }
}

/// Whether something can be read there without a request, and without unpacking it all.
const fn is_near(place: &Place) -> bool {
    matches!(place, Place::Layout(_) | Place::Directory(_) | Place::Reader(_))
}
