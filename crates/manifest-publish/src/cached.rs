//! Sources that were read before: what they stood for is remembered, and serves where nothing new can be read.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use manifest_core::{Descriptor, Digest, MAX_CONFIG_SIZE, MediaType, Reference, Tag};
use manifest_store::{Blobs, Cached, CachedDocument, Store};
use manifest_transport::{At, Fetched, Place, TransportError, Which};

use crate::documents::Documents;
use crate::error::ResolveError;
use crate::{Resolved, Selection, resolve};

/// A source in a registry whose content may be remembered.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "filled by whoever reads a reference")]
pub struct Known<'a> {
    /// Where it is.
    pub place: &'a Place,
    /// What is meant there.
    pub which: &'a Which,
    /// The reference in its canonical form: [`Known::name`].
    pub reference: &'a str,
    /// Whether what is remembered may serve.
    pub fresh: Fresh,
}

impl Known<'_> {
    /// What a reference is remembered under: with host and repository in full, and the digest, else the tag.
    pub fn name(reference: &Reference) -> String {
        let tag = || At::Tag(reference.tag().cloned().unwrap_or_else(Tag::latest));
        format!("{}{}", reference.repository(), reference.digest().map_or_else(tag, At::Digest))
    }
}

/// Whether what is remembered may serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fresh {
    /// Where it cannot be out of date, or nothing newer can be read.
    #[default]
    WherePossible,
    /// No; the registry must answer.
    Always,
}

/// Resolves a source, and remembers what was read for it.
///
/// A digest stands for the same content for ever, so that one that is remembered costs no request. A tag is asked for;
/// only when the registry cannot be reached at all, what the tag stood for last serves, and the time when that was read
/// comes with the outcome. Configurations that the store has are not read elsewhere.
///
/// # Errors
/// As [`resolve`]; [`ResolveError::Store`] when what is remembered is needed and damaged.
pub async fn resolve_known(
    source: Known<'_>,
    store: &Store,
    selection: &Selection,
) -> Result<(Resolved, Option<Timestamp>), ResolveError> {
    let (cache, blobs) = (store.cache(), store.blobs());
    let may_serve = source.fresh == Fresh::WherePossible;
    let is_digest = matches!(source.which, Which::Remote(At::Digest(_)));
    if may_serve && is_digest
        && let Some(cached) = cache.find(source.reference).await?
        // What is missing in it was not looked into then, and is read now.
        && let Ok(resolved) = resolve(&Remembered(&cached), source.which, selection, source.reference).await
    {
        return Ok((resolved, Some(cached.fetched)));
    }
    let live = Remembering { place: source.place, blobs, read: Mutex::default() };
    match resolve(&live, source.which, selection, source.reference).await {
        Ok(resolved) => {
            let documents = live.read.into_inner().unwrap_or_else(PoisonError::into_inner);
            let reference = source.reference.to_owned();
            let cached = Cached { reference, fetched: Timestamp::now(), documents };
            // It is a convenience: a store that cannot be written is told of by what follows.
            drop(cache.keep(cached).await);
            Ok((resolved, None))
        }
        Err(ResolveError::Transport(error)) if may_serve && is_out_of_reach(&error) => {
            let Some(cached) = cache.find(source.reference).await? else { return Err(error.into()) };
            match resolve(&Remembered(&cached), source.which, selection, source.reference).await {
                Ok(resolved) => Ok((resolved, Some(cached.fetched))),
                Err(ResolveError::Transport(TransportError::NotFound(_))) => Err(error.into()),
                Err(other) => Err(other),
            }
        }
        Err(error) => Err(error),
    }
}

/// Whether nobody answered, rather than with a no.
const fn is_out_of_reach(error: &TransportError) -> bool {
    matches!(
        error,
        TransportError::Exhausted { .. }
            | TransportError::Unreachable { .. }
            | TransportError::ComeBack { .. }
    )
}

/// A place, and all that was read there.
struct Remembering<'a> {
    place: &'a Place,
    blobs: Blobs,
    read: Mutex<Vec<CachedDocument>>,
}

impl Remembering<'_> {
    fn note(&self, digest: Digest, media_type: &MediaType, bytes: &Bytes) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.iter().all(|document| document.digest != digest) {
            read.push(CachedDocument { digest, media_type: media_type.clone(), bytes: bytes.to_vec() });
        }
    }
}

impl Documents for Remembering<'_> {
    async fn manifest(&self, which: &Which) -> Result<Fetched, TransportError> {
        let fetched = self.place.manifest(which).await?;
        self.note(fetched.digest, &fetched.media_type, &fetched.bytes);
        Ok(fetched)
    }

    async fn config(&self, config: &Descriptor) -> Result<Bytes, TransportError> {
        let bytes = match self.blobs.bytes(&config.digest, MAX_CONFIG_SIZE).await {
            Ok(Some(bytes)) if bytes.len() as u64 == config.size => Bytes::from(bytes),
            // What is wrong here is right there.
            _ => self.place.config(config).await?,
        };
        self.note(config.digest, &config.media_type, &bytes);
        Ok(bytes)
    }
}

/// What was read then.
struct Remembered<'a>(&'a Cached);

impl Remembered<'_> {
    fn find(&self, digest: &Digest) -> Result<&CachedDocument, TransportError> {
        let found = self.0.documents.iter().find(|document| document.digest == *digest);
        found.ok_or_else(|| {
            TransportError::NotFound(format!("{digest} in what is remembered of {}", self.0.reference))
        })
    }
}

impl Documents for Remembered<'_> {
    async fn manifest(&self, which: &Which) -> Result<Fetched, TransportError> {
        let document = match (which, self.0.documents.first()) {
            (Which::Remote(At::Tag(_)), Some(first)) => first,
            (Which::Remote(At::Digest(digest)), _) => self.find(digest)?,
            _ => return Err(TransportError::NotFound(self.0.reference.clone())),
        };
        let bytes = Bytes::copy_from_slice(&document.bytes);
        Fetched::kept(&self.0.reference, &document.digest, bytes, &document.media_type)
    }

    async fn config(&self, config: &Descriptor) -> Result<Bytes, TransportError> {
        self.find(&config.digest).map(|document| Bytes::copy_from_slice(&document.bytes))
    }
}
