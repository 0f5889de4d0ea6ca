//! What records hold: everything that can be reached from the entries whose place is the store itself.

use std::collections::BTreeSet;

use manifest_core::{Descriptor, Digest, Document, Kind, MAX_MANIFEST_SIZE, MediaType};

use crate::StoreError;

/// How deep lists within lists are followed.
const DEPTH: usize = 8;

/// A blob that somebody holds, as far as it is described.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) digest: Digest,
    pub(crate) size: Option<u64>,
    pub(crate) media_type: Option<MediaType>,
}

impl Held {
    pub(crate) fn of(descriptor: &Descriptor) -> Self {
        Self {
            digest: descriptor.digest,
            size: Some(descriptor.size),
            media_type: Some(descriptor.media_type.clone()),
        }
    }

    /// A blob of which nothing but its digest is known.
    pub(crate) const fn unknown(digest: Digest) -> Self {
        Self { digest, size: None, media_type: None }
    }

    /// Whether it may be a manifest, which holds others. What is of no known type does not.
    pub(crate) fn may_lead(&self) -> bool {
        let is_manifest = |media_type: &MediaType| media_type.kind() != Kind::Other;
        self.media_type.as_ref().is_none_or(is_manifest)
            && self.size.is_none_or(|size| size <= MAX_MANIFEST_SIZE as u64)
    }

    fn children(&self, bytes: &[u8]) -> Vec<Self> {
        match Document::decode(bytes, self.media_type.as_ref()) {
            Ok(Document::List(list, _)) => list.entries().iter().map(Self::of).collect(),
            Ok(Document::Image(image)) => {
                image.blobs().filter(|blob| !blob.media_type.is_foreign()).map(Self::of).collect()
            }
            // A blob of no known type; or a manifest of a kind that nobody here can read, which is what it is.
            Err(_) => Vec::new(),
        }
    }
}

/// Walks over everything that these hold. `look` is told of each, and gives the bytes of those that may lead further,
/// if they are there. Manifests in `seen` are not walked over again.
pub(crate) fn walk(
    roots: Vec<Held>,
    seen: &mut BTreeSet<Digest>,
    look: &mut impl FnMut(&Held) -> Result<Option<Vec<u8>>, StoreError>,
) -> Result<(), StoreError> {
    let mut todo: Vec<(Held, usize)> = roots.into_iter().map(|held| (held, 0)).collect();
    while let Some((held, depth)) = todo.pop() {
        if held.may_lead() && !seen.insert(held.digest) {
            continue;
        }
        if let Some(bytes) = look(&held)?.filter(|_| depth < DEPTH) {
            todo.extend(held.children(&bytes).into_iter().map(|child| (child, depth + 1)));
        }
    }
    Ok(())
}
