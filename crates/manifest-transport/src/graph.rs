//! All that hangs on one manifest, for copying it somewhere else.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{DecodeError, Descriptor, Digest, Document, Kind};

use crate::error::TransportError;
use crate::manifest::{Fetched, Origin};
use crate::place::Place;

/// Lists within lists that are followed.
const MAX_NESTING: usize = 8;
/// Manifests and blobs that are found.
const MAX_FOUND: usize = 250_000;
/// Manifests that are read at once.
const AT_ONCE: usize = 8;
/// Bytes of manifests that are kept; those beyond are read again.
const KEPT_BYTES: usize = 16 << 20;

/// A manifest and everything below it, each once.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Graph {
    /// The manifests: whoever writes them in this order never has one before what it names; the root is the last.
    pub manifests: Vec<Node>,
    /// Configurations and layers, and entries of lists whose media type is that of no manifest known here.
    pub blobs: Vec<Descriptor>,
    /// Layers that stay where they are, since their licence does not allow to distribute them.
    pub foreign: Vec<Descriptor>,
}

/// A manifest of a [`Graph`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Node {
    /// Its descriptor, as the list says that names it.
    pub descriptor: Descriptor,
    /// Its bytes, unless all of them would take too much memory; then [`Place::manifest`] reads them again.
    pub bytes: Option<Bytes>,
    /// Whether the bytes lie at the place.
    pub origin: Origin,
}

impl Graph {
    /// Reads all manifests from `root` down; of blobs only what is said of them.
    ///
    /// A `subject` is not followed, since it is what the manifest hangs on. What is found is checked against what
    /// names it: digest, size and media type.
    ///
    /// # Errors
    /// Those of [`Place::manifest`], such as [`TransportError::NotFound`] for a child that is missing;
    /// [`TransportError::TooDeep`] below 8 levels of lists; [`TransportError::TooMany`] above 250,000 parts.
    pub async fn read(place: &Place, root: &Descriptor) -> Result<Self, TransportError> {
        let (mut walk, mut level) = (Walk::default(), vec![root.clone()]);
        walk.is_new(root);
        for _ in 0..=MAX_NESTING {
            let (manifests, others): (Vec<_>, Vec<_>) = level.into_iter().partition(is_manifest);
            walk.graph.blobs.extend(others);
            level = Vec::new();
            let mut found = stream::iter(manifests).map(|entry| read(place, entry)).buffered(AT_ONCE);
            while let Some((descriptor, fetched)) = found.try_next().await? {
                level.extend(walk.enter(descriptor, fetched));
                if walk.seen.len() > MAX_FOUND {
                    return Err(TransportError::TooMany(root.digest, MAX_FOUND));
                }
            }
            if level.is_empty() {
                return Ok(walk.finish(root.digest));
            }
        }
        Err(TransportError::TooDeep(root.digest, MAX_NESTING))
    }
}

/// Reads a manifest, which must be what its descriptor says.
async fn read(place: &Place, entry: Descriptor) -> Result<(Descriptor, Fetched), TransportError> {
    let fetched = place.manifest(&entry.digest.into()).await?;
    let what = || format!("{place}@{}", entry.digest);
    let found = fetched.bytes.len() as u64;
    if entry.size != found {
        return Err(TransportError::SizeMismatch { what: what(), expected: entry.size, found });
    }
    if entry.media_type != fetched.media_type {
        let (document, announced) = (fetched.media_type, entry.media_type.clone());
        let source = DecodeError::TypeMismatch { document, announced };
        return Err(TransportError::Decode { what: what(), source });
    }
    Ok((entry, fetched))
}

fn is_manifest(entry: &Descriptor) -> bool {
    entry.media_type.kind() != Kind::Other
}

/// The way down, level by level.
#[derive(Default)]
struct Walk {
    graph: Graph,
    /// What was named so far, as a manifest or as a blob: one digest may be named as both.
    seen: BTreeSet<(Digest, bool)>,
    /// The manifests that each list names.
    named: BTreeMap<Digest, Vec<Digest>>,
    kept: usize,
}

impl Walk {
    fn is_new(&mut self, entry: &Descriptor) -> bool {
        self.seen.insert((entry.digest, is_manifest(entry)))
    }

    /// Takes a manifest in; what it names as entries and was not named before is the next level.
    fn enter(&mut self, descriptor: Descriptor, fetched: Fetched) -> Vec<Descriptor> {
        let mut next = Vec::new();
        match &fetched.document {
            Document::List(list, _) => {
                let entries = list.entries();
                let manifests = entries.iter().filter(|entry| is_manifest(entry)).map(|entry| entry.digest);
                self.named.insert(descriptor.digest, manifests.collect());
                next.extend(entries.iter().filter(|entry| self.is_new(entry)).cloned());
            }
            Document::Image(image) => {
                for blob in image.blobs() {
                    if self.seen.insert((blob.digest, false)) {
                        let foreign = blob.media_type.is_foreign();
                        let parts = if foreign { &mut self.graph.foreign } else { &mut self.graph.blobs };
                        parts.push(blob.clone());
                    }
                }
            }
        }
        self.kept = self.kept.saturating_add(fetched.bytes.len());
        let bytes = (self.kept <= KEPT_BYTES).then_some(fetched.bytes);
        self.graph.manifests.push(Node { descriptor, bytes, origin: fetched.origin });
        next
    }

    /// Puts children before whatever names them; a list may be named beside and within others at once.
    fn finish(self, root: Digest) -> Graph {
        let Self { mut graph, named, .. } = self;
        let nodes = graph.manifests.into_iter();
        let mut nodes: BTreeMap<Digest, Node> = nodes.map(|node| (node.descriptor.digest, node)).collect();
        let (mut open, mut entered, mut ordered) = (vec![(root, false)], BTreeSet::new(), Vec::new());
        while let Some((digest, below_is_done)) = open.pop() {
            if below_is_done {
                ordered.extend(nodes.remove(&digest));
            } else if entered.insert(digest) {
                open.push((digest, true));
                let children = named.get(&digest).into_iter().flatten().rev();
                open.extend(children.map(|child| (*child, false)));
            }
        }
        graph.manifests = ordered;
        graph
    }
}
