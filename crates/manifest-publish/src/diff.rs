//! How two lists or images differ, platform by platform.

mod change;
mod pair;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Document, ImageManifest, Kind};
use manifest_transport::{Place, TransportError};
use serde_json::Value;

pub use self::change::Change;
use self::change::changes;
use self::pair::{Listed, Pairs, listed, pairs};
use crate::error::PublishError;
use crate::resolve::describe;
use crate::subject::Subject;

/// What two images are called that are compared whatever they are for.
const IMAGE: &str = "image";

/// How far a comparison goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Depth {
    /// The lists are compared, and no entry is read.
    Brief,
    /// Manifests and configurations of entries that differ are compared, too.
    Whole,
}

/// How two lists or images differ.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// The first document.
    pub a: Descriptor,
    /// The second document.
    pub b: Descriptor,
    /// What differs in the lists themselves, but for their entries.
    pub list: Vec<Change>,
    /// Entries that only the first has, each with what it is called.
    pub only_a: Vec<(String, Descriptor)>,
    /// Entries that only the second has.
    pub only_b: Vec<(String, Descriptor)>,
    /// Entries for the same platform that differ, in the order of the first.
    pub changed: Vec<Changed>,
    /// How many entries are the same in both.
    pub same: usize,
}

/// How two entries for the same platform differ.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Changed {
    /// What they are called: their platform, as people write it; for an attestation that of what it describes.
    pub name: String,
    /// The entry of the first list.
    pub a: Descriptor,
    /// The entry of the second list.
    pub b: Descriptor,
    /// What the lists say differently of them, but for the digest.
    pub entry: Vec<Change>,
    /// What differs in the manifests, but for configuration and layers.
    pub manifest: Vec<Change>,
    /// What differs in the configurations, but for the diff IDs of the layers.
    pub config: Vec<Change>,
    /// The layers; none where no manifests were compared.
    pub layers: Option<Layers>,
}

/// The layers of two images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layers {
    /// Those that only the first image has.
    pub removed: Vec<Descriptor>,
    /// Those that only the second image has.
    pub added: Vec<Descriptor>,
    /// How many both have.
    pub same: usize,
    /// Bytes of those that both have.
    pub same_bytes: u64,
    /// Whether those that both have stand in another order.
    pub reordered: bool,
}

impl Difference {
    /// Whether the two documents are the same, to the byte.
    pub fn is_none(&self) -> bool {
        self.a.digest == self.b.digest
    }
}

/// Compares two lists or images.
///
/// Entries are paired by platform, and only those that differ are read. Two images are compared whatever they are for;
/// an image stands beside a list like a list of that one image.
///
/// # Errors
/// What reading manifests and configurations brings.
pub async fn diff(a: &Subject, b: &Subject, depth: Depth, jobs: usize) -> Result<Difference, PublishError> {
    let mut difference = Difference {
        a: describe(a.fetched()),
        b: describe(b.fetched()),
        list: Vec::new(),
        only_a: Vec::new(),
        only_b: Vec::new(),
        changed: Vec::new(),
        same: 0,
    };
    if difference.is_none() {
        difference.same = entries(a);
        return Ok(difference);
    }
    let images =
        matches!((&a.fetched().document, &b.fetched().document), (Document::Image(_), Document::Image(_)));
    let name = images.then_some(IMAGE);
    let (left, right) = (side(a, name).await?, side(b, name).await?);
    difference.list = changes(left.head.as_ref(), right.head.as_ref());
    let Pairs { both, only_a, only_b } = pairs(&left.entries, &right.entries);
    difference.only_a = only_a.into_iter().map(|one| (one.name.clone(), one.entry.clone())).collect();
    difference.only_b = only_b.into_iter().map(|one| (one.name.clone(), one.entry.clone())).collect();
    let (same, differ): (Vec<_>, Vec<_>) = both.into_iter().partition(|(one, other)| one.is_same(other));
    difference.same = same.len();
    difference.changed = stream::iter(differ)
        .map(|(one, other)| compare((a, one), (b, other), depth))
        .buffered(jobs)
        .try_collect()
        .await?;
    Ok(difference)
}

fn entries(subject: &Subject) -> usize {
    match &subject.fetched().document {
        Document::List(list, _) => list.entries().len(),
        Document::Image(_) => 1,
    }
}

/// A list: what it says besides its entries, and these.
struct Side {
    head: Option<Value>,
    entries: Vec<Listed>,
}

/// Takes a document apart; an image is the only entry of a list that says nothing.
async fn side(subject: &Subject, name: Option<&str>) -> Result<Side, PublishError> {
    let fetched = subject.fetched();
    let mut head = json(&fetched.bytes).unwrap_or_default();
    match &fetched.document {
        Document::List(list, _) => {
            let entries = head.as_object_mut().and_then(|head| head.remove("manifests"));
            let raw = match entries {
                Some(Value::Array(raw)) => raw,
                _ => Vec::new(),
            };
            Ok(Side { head: Some(head), entries: listed(list.entries(), raw) })
        }
        Document::Image(image) => {
            let mut entry = describe(fetched);
            if name.is_none() && image.has_platform() {
                let config = subject.place_of(&fetched.digest)?.config(&image.config).await?;
                entry.platform = manifest_core::Platform::from_config(&config).ok().flatten();
            }
            let mut entries = listed(&[entry], Vec::new());
            for (entry, name) in entries.iter_mut().zip(name) {
                name.clone_into(&mut entry.name);
            }
            Ok(Side { head: None, entries })
        }
    }
}

fn json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

/// Compares two entries.
async fn compare(
    (a, one): (&Subject, &Listed),
    (b, other): (&Subject, &Listed),
    depth: Depth,
) -> Result<Changed, PublishError> {
    let entry = match (&one.raw, &other.raw) {
        (Some(one), Some(other)) => changes(Some(one), Some(other)),
        _ => Vec::new(),
    };
    let mut changed = Changed {
        name: one.name.clone(),
        a: one.entry.clone(),
        b: other.entry.clone(),
        entry,
        manifest: Vec::new(),
        config: Vec::new(),
        layers: None,
    };
    let is_manifest = |entry: &Descriptor| entry.media_type.kind() != Kind::Other;
    let differ =
        one.entry.digest != other.entry.digest && is_manifest(&one.entry) && is_manifest(&other.entry);
    if depth == Depth::Whole && differ {
        let (left, right) = (a.place_of(&one.entry.digest)?, b.place_of(&other.entry.digest)?);
        let (left, right) = tokio::try_join!(Manifest::read(&left, one), Manifest::read(&right, other))?;
        changed.manifest = changes(Some(&left.head), Some(&right.head));
        if let (Some(left), Some(right)) = (left.image, right.image) {
            changed.layers = Some(layers(&left.layers, &right.layers));
            if left.config.digest != right.config.digest {
                let (left, right) = tokio::try_join!(left.config(), right.config())?;
                changed.config = changes(left.as_ref(), right.as_ref());
            }
        }
    }
    Ok(changed)
}

/// A manifest: what it says besides configuration and layers, and these.
struct Manifest {
    head: Value,
    image: Option<Image>,
}

struct Image {
    config: Descriptor,
    layers: Vec<Descriptor>,
    place: Place,
}

impl Manifest {
    async fn read(place: &Place, listed: &Listed) -> Result<Self, TransportError> {
        let fetched = place.manifest(&listed.entry.digest.into()).await?;
        let mut head = json(&fetched.bytes).unwrap_or_default();
        let image = match fetched.document {
            Document::List(..) => None,
            Document::Image(ImageManifest { config, layers, .. }) => {
                if let Some(head) = head.as_object_mut() {
                    head.remove("layers");
                    // Digest and size follow from the content, which is compared itself.
                    let config = head.get_mut("config").and_then(Value::as_object_mut);
                    config
                        .into_iter()
                        .for_each(|config| config.retain(|name, _| name != "digest" && name != "size"));
                }
                Some(Image { config, layers, place: place.clone() })
            }
        };
        Ok(Self { head, image })
    }
}

impl Image {
    /// Reads the configuration; none where it is no JSON.
    async fn config(&self) -> Result<Option<Value>, TransportError> {
        let mut config = json(&self.place.config(&self.config).await?);
        // The diff IDs follow from the layers, which are compared themselves.
        if let Some(config) = config.as_mut().and_then(Value::as_object_mut) {
            config.remove("rootfs");
        }
        Ok(config)
    }
}

/// Compares layers by their digests.
fn layers(a: &[Descriptor], b: &[Descriptor]) -> Layers {
    let mut rest: Vec<&Descriptor> = b.iter().collect();
    let (mut layers, mut kept) = (Layers::default(), Vec::new());
    for layer in a {
        match rest.iter().position(|other| other.digest == layer.digest) {
            Some(at) => {
                rest.remove(at);
                kept.push(layer.digest);
                layers.same_bytes = layers.same_bytes.saturating_add(layer.size);
            }
            None => layers.removed.push(layer.clone()),
        }
    }
    let stays = |layer: &&Descriptor| !rest.iter().any(|new| std::ptr::eq(*new, *layer));
    layers.reordered = !b.iter().filter(stays).map(|layer| layer.digest).eq(kept.iter().copied());
    layers.same = kept.len();
    layers.added = rest.into_iter().cloned().collect();
    layers
}

#[cfg(test)]
mod tests {
    use manifest_core::{Digest, MediaType};

    use super::*;

    #[test]
    fn layers_are_compared_by_digest_and_order() {
        let all = |names: &str| -> Vec<Descriptor> {
            let one = |name: char| Digest::sha256(name.to_string().as_bytes());
            names.chars().map(|name| Descriptor::new(MediaType::OCI_CONFIG, one(name), 10)).collect()
        };
        for (a, b, removed, added, same, reordered) in [
            ("abc", "abc", "", "", 3, false),
            ("abc", "abd", "c", "d", 2, false),
            ("ab", "", "ab", "", 0, false),
            ("", "ab", "", "ab", 0, false),
            ("aa", "a", "a", "", 1, false),
            ("a", "aa", "", "a", 1, false),
            ("abc", "bac", "", "", 3, true),
            ("abc", "xcb", "a", "x", 2, true),
            ("abc", "axbc", "", "x", 3, false),
        ] {
            let found = layers(&all(a), &all(b));
            let expected = Layers {
                removed: all(removed),
                added: all(added),
                same,
                same_bytes: same as u64 * 10,
                reordered,
            };
            assert_eq!(found, expected, "{a} {b}");
        }
    }
}
