//! What records hold: everything that can be reached from the entries whose place is the store itself.

use std::collections::BTreeMap;

use manifest_core::{DecodeError, Descriptor, Digest, Document, Kind, MAX_MANIFEST_SIZE, MediaType};

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

    /// What it holds, if these are its bytes; `None` for a blob of which nobody said that it is a manifest, and that is none.
    ///
    /// # Errors
    /// When it was said to be a manifest, and cannot be read as one: nobody knows what it holds.
    pub(crate) fn children(&self, bytes: &[u8]) -> Result<Option<Vec<Self>>, DecodeError> {
        match Document::decode(bytes, self.media_type.as_ref()) {
            Ok(Document::List(list, _)) => Ok(Some(list.entries().iter().map(Self::of).collect())),
            Ok(Document::Image(image)) => {
                Ok(Some(image.blobs().filter(|blob| !blob.media_type.is_foreign()).map(Self::of).collect()))
            }
            Err(_) if self.media_type.is_none() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What messages say of a blob that was said to be a manifest and cannot be read as one.
    pub(crate) fn no_manifest(&self, error: &DecodeError) -> String {
        let announced = self.media_type.as_ref().map_or("a manifest", MediaType::as_str);
        format!("it cannot be read as {announced}: {error}")
    }
}

/// The manifests that were looked into, and the smallest depth at which each was met.
pub(crate) type Seen = BTreeMap<Digest, usize>;

/// Walks over everything that these hold. `look` is told of each, and gives what those hold that may lead further and can
/// be looked into. Manifests in `seen` are not walked over again, unless they were met deeper down.
pub(crate) fn walk(
    roots: Vec<Held>,
    seen: &mut Seen,
    look: &mut impl FnMut(&Held) -> Result<Option<Vec<Held>>, StoreError>,
) -> Result<(), StoreError> {
    let mut todo: Vec<(Held, usize)> = roots.into_iter().map(|held| (held, 0)).collect();
    while let Some((held, depth)) = todo.pop() {
        if held.may_lead() && seen.get(&held.digest).is_some_and(|before| *before <= depth) {
            continue;
        }
        let children = look(&held)?;
        // What nobody called a manifest yet may be called one by the next who holds it.
        if held.may_lead() && (children.is_some() || held.media_type.is_some()) {
            seen.insert(held.digest, depth);
        }
        if depth < DEPTH {
            todo.extend(children.into_iter().flatten().map(|child| (child, depth + 1)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use manifest_core::{Format, List, OnConflict};

    use super::*;

    /// Lists, each the only entry of the one before: the outermost first.
    fn nested(count: usize) -> Vec<(Held, Vec<u8>)> {
        let mut inner = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b"image"), 5);
        let mut lists = Vec::new();
        for _ in 0..count {
            let mut list = List::new();
            list.add(inner, OnConflict::Refuse).unwrap();
            let bytes = list.encode(Format::Oci).unwrap().bytes;
            inner = Descriptor::new(MediaType::OCI_INDEX, Digest::sha256(&bytes), bytes.len() as u64);
            lists.push((Held::of(&inner), bytes));
        }
        lists.reverse();
        lists
    }

    #[test]
    fn what_was_first_met_too_deep_is_looked_into_where_it_is_met_higher_up() {
        let lists = nested(DEPTH + 1);
        let bytes: BTreeMap<Digest, &Vec<u8>> =
            lists.iter().map(|(held, bytes)| (held.digest, bytes)).collect();
        let (mut seen, mut met) = (Seen::new(), Vec::new());
        let mut look = |held: &Held| {
            met.push(held.digest);
            Ok(bytes.get(&held.digest).and_then(|bytes| held.children(bytes).unwrap()))
        };
        for root in [&lists[0], &lists[DEPTH], &lists[0]] {
            walk(vec![root.0.clone()], &mut seen, &mut look).unwrap();
        }
        let mut expected: Vec<_> = lists.iter().map(|(held, _)| held.digest).collect();
        expected.extend([lists[DEPTH].0.digest, Digest::sha256(b"image")]);
        assert_eq!(met, expected);
    }

    #[test]
    fn what_is_called_a_manifest_after_it_was_passed_over_is_looked_into() {
        let called =
            |media_type: Option<MediaType>| Held { digest: Digest::sha256(b"x"), size: None, media_type };
        let (mut seen, mut failed) = (Seen::new(), 0);
        for media_type in [None, Some(MediaType::OCI_MANIFEST), None] {
            walk(vec![called(media_type)], &mut seen, &mut |held| {
                Ok(held.children(b"x").unwrap_or_else(|_| {
                    failed += 1;
                    None
                }))
            })
            .unwrap();
        }
        assert_eq!(failed, 1);
    }
}
