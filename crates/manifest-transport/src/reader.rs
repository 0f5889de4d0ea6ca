//! Places that somebody else reads: whatever keeps blobs by their digests.

use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::future::BoxFuture;
use futures_util::stream::StreamExt as _;
use manifest_core::{Descriptor, Digest, MAX_MANIFEST_SIZE};

use crate::error::TransportError;
use crate::manifest::{At, Fetched};
use crate::start::Start;
use crate::stream::{Blob, verified};

/// Something that gives blobs by their digests, such as the blobs of a store.
///
/// It need not check what it gives: the [`Place`](crate::Place) made of it does, as with every other place.
pub trait Reader: fmt::Debug + fmt::Display + Send + Sync {
    /// Opens a blob, a manifest or another one.
    ///
    /// # Errors
    /// [`TransportError::NotFound`]; [`TransportError::Reader`] for errors of its own, here and from the stream.
    fn open(&self, digest: Digest) -> BoxFuture<'_, Result<Blob, TransportError>>;
}

/// Reads a manifest and checks it.
pub(crate) async fn manifest(reader: &Arc<dyn Reader>, digest: Digest) -> Result<Fetched, TransportError> {
    let what = format!("{reader}@{digest}");
    let (mut pieces, mut bytes) = (reader.open(digest).await?, BytesMut::new());
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() > MAX_MANIFEST_SIZE {
            return Err(TransportError::TooLarge { what, limit: MAX_MANIFEST_SIZE as u64 });
        }
    }
    Fetched::check(what, &At::Digest(digest), bytes.freeze(), None, None)
}

/// Reads a blob, which is checked on the way; what lies before the start is read, too, but not given.
pub(crate) async fn blob(
    reader: &Arc<dyn Reader>,
    wanted: &Descriptor,
    start: &Start,
) -> Result<Blob, TransportError> {
    let what = format!("blob {} of {reader}", wanted.digest);
    Ok(verified(reader.open(wanted.digest).await?, start.far(wanted), wanted.clone(), what))
}

/// Whether it has a blob, whole and right.
pub(crate) async fn has_blob(reader: &Arc<dyn Reader>, wanted: &Descriptor) -> bool {
    let Ok(mut content) = blob(reader, wanted, &Start::default()).await else { return false };
    while let Some(piece) = content.next().await {
        if piece.is_err() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use manifest_core::MediaType;

    use super::*;
    use crate::Place;

    /// Gives the same bytes whatever is asked for.
    #[derive(Debug)]
    struct Same(&'static [u8]);

    impl fmt::Display for Same {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("here:")
        }
    }

    impl Reader for Same {
        fn open(&self, _: Digest) -> BoxFuture<'_, Result<Blob, TransportError>> {
            let piece: Blob = stream::iter([Ok(Bytes::from_static(self.0))]).boxed();
            Box::pin(std::future::ready(Ok(piece)))
        }
    }

    #[tokio::test]
    async fn what_a_reader_gives_is_checked() {
        let empty = br#"{"schemaVersion":2,"manifests":[]}"#;
        let place = Place::Reader(Arc::new(Same(empty)));
        assert_eq!(place.manifest(&Digest::sha256(empty).into()).await.unwrap().bytes.as_ref(), empty);
        let other = Digest::sha256(b"other");
        let wrong = place.manifest(&other.into()).await.unwrap_err();
        assert!(matches!(wrong, TransportError::DigestMismatch { .. }), "{wrong}");
        let blob = |digest| Descriptor::new(MediaType::OCI_CONFIG, digest, empty.len() as u64);
        assert!(place.has_blob(&blob(Digest::sha256(empty))).await.unwrap());
        assert!(!place.has_blob(&blob(other)).await.unwrap());
        assert!(matches!(
            place.put_manifest(&other, &MediaType::OCI_INDEX, Bytes::new()).await,
            Err(TransportError::ReadOnly(_))
        ));
    }
}
