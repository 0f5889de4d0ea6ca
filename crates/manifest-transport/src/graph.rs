//! All that hangs on one manifest, for copying it somewhere else.

use std::collections::BTreeSet;

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
    /// Those of [`Place::manifest`]; [`TransportError::NotFound`] for a child that is missing;
    /// [`TransportError::TooDeep`] below 8 levels of lists; [`TransportError::TooMany`].
    pub async fn read(place: &Place, root: &Descriptor) -> Result<Self, TransportError> {
        let (mut graph, mut seen) = (Self::default(), BTreeSet::from([root.digest]));
        let (mut level, mut kept) = (vec![root.clone()], 0_usize);
        for _ in 0..=MAX_NESTING {
            let (manifests, others): (Vec<_>, Vec<_>) =
                level.into_iter().partition(|entry| entry.media_type.kind() != Kind::Other);
            graph.blobs.extend(others);
            let mut found = stream::iter(manifests).map(|entry| read(place, entry)).buffered(AT_ONCE);
            level = Vec::new();
            while let Some((descriptor, fetched)) = found.try_next().await? {
                match &fetched.document {
                    Document::List(list, _) => {
                        level.extend(list.entries().iter().filter(|entry| seen.insert(entry.digest)).cloned());
                    }
                    Document::Image(image) => {
                        for blob in image.blobs().filter(|blob| seen.insert(blob.digest)) {
                            let part = if is_foreign(blob) { &mut graph.foreign } else { &mut graph.blobs };
                            part.push(blob.clone());
                        }
                    }
                    _ => {}
                }
                kept = kept.saturating_add(fetched.bytes.len());
                let bytes = (kept <= KEPT_BYTES).then_some(fetched.bytes);
                graph.manifests.push(Node { descriptor, bytes, origin: fetched.origin });
                if seen.len() > MAX_FOUND {
                    return Err(TransportError::TooMany(root.digest, MAX_FOUND));
                }
            }
            if level.is_empty() {
                return Ok(graph.ordered());
            }
        }
        Err(TransportError::TooDeep(root.digest, MAX_NESTING))
    }
}
