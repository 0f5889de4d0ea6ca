//! Whether entries are what a list says of them, looked at before anything is sent.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{
    Descriptor, Digest, Document, ImageManifest, MAX_CONFIG_SIZE, MAX_MANIFEST_SIZE, Platform,
};
use manifest_store::{Cache, Sources, Store};
use manifest_transport::{Fetched, Location, Place, Transport};
use tokio::sync::Semaphore;

use crate::cached::Known;
use crate::check::{
    About, DeepLimits, Finding, LOOKED_INTO_AT_ONCE, Severity, Unchecked, check_programs, contradiction,
};
use crate::error::PublishError;
use crate::gate::{Gates, Refusal, runnable};
use crate::push::Content;
use crate::survey::Origins;

/// How many things are read from the store at once: each takes a thread for as long.
const FROM_STORE_AT_ONCE: usize = 8;

/// Which entries are compared with their configurations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "none, some or all")]
pub enum CheckConfig {
    /// None.
    None,
    /// Those whose configuration is at hand without a request: the store holds or remembers it, or it lies in a layout.
    #[default]
    Known,
    /// All; what is not at hand is read.
    All,
}

/// How far a list is compared with its entries before it is published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct TruthOptions {
    /// Which platforms are compared with the configurations.
    pub configs: CheckConfig,
    /// Whether, and how far, programs in the layers are looked at.
    pub programs: Option<DeepLimits>,
}

/// How far a list was compared with its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Truth {
    /// Entries whose platform was compared with the configuration.
    pub configs: usize,
    /// Entries whose platform was not.
    pub unchecked_configs: Vec<Unchecked>,
    /// Programs whose machine was compared with the platform.
    pub programs: usize,
    /// Entries and layers in which programs were not looked for, or not found.
    pub unchecked_programs: Vec<Unchecked>,
}

/// Compares a list with its entries: platforms with configurations, and programs with platforms where that is wanted.
///
/// It belongs before [`push`](crate::push()), which does not do it itself. The gates that need nothing but the list are
/// judged first. As for them, only entries that run somewhere count; lists in the list are not followed.
///
/// # Errors
/// [`PublishError::Refused`] when the list is not what it must be; [`PublishError::Copy`] when what was asked for cannot be
/// read. What is only looked at because it is at hand is passed over when it cannot be read.
pub async fn judge_truth(
    transport: &Transport,
    content: Content<'_>,
    store: &Store,
    (gates, options): (&Gates, &TruthOptions),
    jobs: usize,
) -> Result<Truth, PublishError> {
    let refusals = gates.judge(content.entries);
    if !refusals.is_empty() {
        return Err(PublishError::Refused(refusals));
    }
    let mut truth = Truth::default();
    if options.configs == CheckConfig::None && options.programs.is_none() {
        return Ok(truth);
    }
    let entries: BTreeMap<Digest, &Descriptor> =
        runnable(content.entries).map(|(entry, _)| (entry.digest, entry)).collect();
    let Content { sources, here, .. } = content;
    let remembered = remembered(entries.keys(), sources, &store.cache()).await;
    let origins = Origins { transport, sources, here };
    let looking = Looking { origins, store, options, remembered, turns: Semaphore::new(FROM_STORE_AT_ONCE) };
    let seen: BTreeMap<Digest, Seen> = stream::iter(entries)
        .map(|(digest, entry)| {
            let looking = &looking;
            let look = Box::pin(looking.look(entry));
            async move { Ok::<_, PublishError>((digest, look.await?)) }
        })
        .buffer_unordered(jobs)
        .try_collect()
        .await?;
    let mut refusals = truth.compare(content.entries, &seen, options.configs);
    if let Some(limits) = &options.programs {
        refusals.extend(truth.look_into(content.entries, &seen, limits).await?);
    }
    if refusals.is_empty() { Ok(truth) } else { Err(PublishError::Refused(refusals)) }
}

/// What was read of an entry.
struct Seen {
    /// The manifest, and where its layers can be read, if both are known.
    image: Result<(ImageManifest, Option<Place>), String>,
    /// What its configuration says it is for, or why that is not known.
    config: Result<Option<Platform>, String>,
}

impl Truth {
    fn compare(
        &mut self,
        entries: &[Descriptor],
        seen: &BTreeMap<Digest, Seen>,
        configs: CheckConfig,
    ) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for (entry, _) in runnable(entries).filter(|_| configs != CheckConfig::None) {
            match seen.get(&entry.digest) {
                None => {}
                // An artifact has no such configuration.
                Some(Seen { image: Ok((image, _)), .. }) if !image.has_platform() => {}
                Some(Seen { config: Ok(config), .. }) => {
                    self.configs += 1;
                    let untrue = config.as_ref().and_then(|config| contradiction(entry, config));
                    refusals.extend(
                        untrue.map(|finding| Refusal::Untrue { entry: entry.digest, what: finding.what }),
                    );
                }
                Some(Seen { config: Err(why), .. }) => {
                    self.unchecked_configs.push(Unchecked::new(entry.digest, entry, why));
                }
            }
        }
        refusals
    }

    async fn look_into(
        &mut self,
        entries: &[Descriptor],
        seen: &BTreeMap<Digest, Seen>,
        limits: &DeepLimits,
    ) -> Result<Vec<Refusal>, PublishError> {
        let mut images = Vec::new();
        for (entry, platform) in runnable(entries) {
            match seen.get(&entry.digest).map(|seen| &seen.image) {
                Some(Ok((image, Some(place)))) if image.has_platform() => {
                    images.push((entry, image, platform, place));
                }
                None | Some(Ok((_, Some(_)))) => {}
                Some(Ok((_, None))) => {
                    let why = "cannot be looked into, since nothing is known of where it comes from";
                    self.unchecked_programs.push(Unchecked::new(entry.digest, entry, why));
                }
                Some(Err(why)) => self.unchecked_programs.push(Unchecked::new(entry.digest, entry, why)),
            }
        }
        let looked: Vec<_> = stream::iter(images)
            .map(|(entry, image, platform, place)| async move {
                let checked = check_programs(entry, image, platform, place, limits).await;
                checked.map(|checked| (entry, checked)).map_err(|source| failed(entry, place, source))
            })
            .buffered(LOOKED_INTO_AT_ONCE)
            .try_collect()
            .await?;
        let mut refusals = Vec::new();
        for (entry, checked) in looked {
            self.programs += checked.programs;
            self.unchecked_programs.extend(checked.unchecked);
            for Finding { severity, about, what, .. } in checked.findings {
                match (severity, about) {
                    (Severity::Fault, About::Program) => {
                        refusals.push(Refusal::OtherMachine { entry: entry.digest, what });
                    }
                    (Severity::Fault, _) => {
                        let why = format!("was not looked through to the end: {what}");
                        self.unchecked_programs.push(Unchecked::new(entry.digest, entry, why));
                    }
                    _ => {}
                }
            }
        }
        Ok(refusals)
    }
}

/// Where entries are read, and how much of that may cost a request.
struct Looking<'a> {
    origins: Origins<'a>,
    store: &'a Store,
    options: &'a TruthOptions,
    remembered: BTreeMap<Digest, Bytes>,
    /// Who reads from the store.
    turns: Semaphore,
}

impl Looking<'_> {
    async fn look(&self, entry: &Descriptor) -> Result<Seen, PublishError> {
        let (all, programs) = (self.options.configs == CheckConfig::All, self.options.programs.is_some());
        let place = self.origins.of(&entry.digest).ok();
        let unknown = || match place {
            None => "is not at hand, and nothing is known of where it comes from".to_owned(),
            Some(_) => "has a manifest that is not at hand".to_owned(),
        };
        let kept = self.kept(&entry.digest, MAX_MANIFEST_SIZE).await;
        let kept = kept.and_then(|bytes| {
            Fetched::kept(&entry.digest.to_string(), &entry.digest, bytes, &entry.media_type).ok()
        });
        let fetched = match (kept, &place) {
            (Some(fetched), _) => Some(fetched),
            (None, Some(place)) if all || programs || is_near(place) => {
                match place.manifest(&entry.digest.into()).await {
                    Ok(fetched) => Some(fetched),
                    Err(source) if all || programs => return Err(failed(entry, place, source)),
                    Err(_) => None,
                }
            }
            _ => None,
        };
        let image = match fetched.map(|fetched| fetched.document) {
            Some(Document::Image(image)) => image,
            Some(Document::List(..)) => {
                let why = "is a list in the list".to_owned();
                return Ok(Seen { image: Err(why.clone()), config: Err(why) });
            }
            None => return Ok(Seen { image: Err(unknown()), config: Err(unknown()) }),
        };
        let config = self.config(entry, &image, place.as_ref()).await?;
        Ok(Seen { image: Ok((image, place)), config })
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
                Err(source) if all => return Err(failed(entry, place, source)),
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

/// What was read when the entries were added, as far as it is remembered: of each reference that was typed, and of
/// entries beyond that by their digest.
async fn remembered(
    entries: impl Iterator<Item = &Digest>,
    sources: &Sources,
    cache: &Cache,
) -> BTreeMap<Digest, Bytes> {
    let places: Vec<_> = entries.filter_map(|entry| Some((entry, sources.place_of(entry)?))).collect();
    let typed: BTreeSet<String> = places.iter().filter_map(|(_, source)| name(&source.from)).collect();
    let mut all = BTreeMap::new();
    find(typed, cache, &mut all).await;
    let others = places.iter().filter(|(entry, _)| !all.contains_key(*entry));
    let pinned = others.filter_map(|(entry, source)| name(&format!("{}@{entry}", source.place))).collect();
    find(pinned, cache, &mut all).await;
    all
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

fn failed(entry: &Descriptor, from: &Place, source: manifest_transport::TransportError) -> PublishError {
    PublishError::Copy { digest: entry.digest, from: from.to_string(), source }
}
