//! What a layout or an archive offers: its manifests with their names.

use std::collections::BTreeMap;

use manifest_core::{Descriptor, Digest, List, Reference};

use crate::layout::index::NAME;
use crate::manifest::Origin;

/// The annotation in which containerd and Docker keep the whole name, beside a reference name that is the tag only.
const WHOLE_NAME: &str = "io.containerd.image.name";
/// How the keys end in which other programs keep a name, behind a domain of theirs.
const SHORT_TAG: &str = "short_tag";

/// One manifest of a layout or an archive under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offer {
    /// Where it stands, counted from 0: in `index.json`, or in `manifest.json` of a Docker archive, where an image
    /// with several names is offered under each of them.
    pub position: usize,
    /// The manifest: as `index.json` describes it, or as it was made up for an image of a Docker archive.
    pub descriptor: Descriptor,
    /// Its name, exactly as it is written there: the whole name that containerd and Docker keep, else the standard
    /// `org.opencontainers.image.ref.name`, else an annotation whose key ends in `short_tag`.
    pub name: Option<String>,
    /// The manifest that has the name in its stead, because it stands further down.
    pub shadowed_by: Option<Digest>,
    /// Whether its bytes lie there.
    pub origin: Origin,
}

/// The manifests of `index.json`, in order.
pub(crate) fn of_index(index: &List) -> Vec<Offer> {
    let offer = |(position, entry): (usize, &Descriptor)| {
        let name = names(entry).next().map(str::to_owned);
        Offer { position, descriptor: entry.clone(), name, shadowed_by: None, origin: Origin::AsFound }
    };
    shadowed(index.entries().iter().enumerate().map(offer).collect())
}

/// Lets the last one of each name shadow those before it.
pub(crate) fn shadowed(mut offers: Vec<Offer>) -> Vec<Offer> {
    let mut last: BTreeMap<String, Digest> = BTreeMap::new();
    for offer in offers.iter_mut().rev() {
        let Some(name) = &offer.name else { continue };
        offer.shadowed_by = last.get(name).copied();
        last.entry(name.clone()).or_insert(offer.descriptor.digest);
    }
    offers
}

/// All names that an entry of `index.json` has, the best one first.
pub(crate) fn names(entry: &Descriptor) -> impl Iterator<Item = &str> {
    let standard = [WHOLE_NAME, NAME].into_iter().filter_map(|key| entry.annotations.get(key));
    let short = entry.annotations.iter().filter(|(key, _)| key.ends_with(SHORT_TAG)).map(|(_, name)| name);
    standard.chain(short).map(String::as_str).filter(|name| !name.is_empty())
}

/// Whether an annotation of an entry of `index.json` names it.
pub(crate) fn is_name(key: &str) -> bool {
    matches!(key, WHOLE_NAME | NAME) || key.ends_with(SHORT_TAG)
}

/// Whether two texts name one image: `app` is `docker.io/library/app:latest`.
pub(crate) fn same_image(one: &str, other: &str) -> bool {
    let whole = |text: &str| text.parse::<Reference>().ok().map(Reference::with_default_tag);
    one == other || whole(one).is_some_and(|one| whole(other) == Some(one))
}
