//! Blobs on their way: counted and hashed while they pass, and never trusted before the end.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use manifest_core::Descriptor;

use crate::error::TransportError;
use crate::start::Way;

/// The content of a blob, piece by piece.
///
/// The last piece comes only when digest and size are known to be right; content that is not what its
/// descriptor says ends with an error before it is complete, so that whoever receives it cannot take it for whole.
pub type Blob = BoxStream<'static, Result<Bytes, TransportError>>;

struct Check<S> {
    source: S,
    way: Way,
    descriptor: Descriptor,
    what: String,
}

/// Wraps `source` so that it gives exactly the content that `descriptor` names, or an error.
///
/// The source begins where `way` is; what is not wanted of it is checked, too, but not given.
pub(crate) fn verified<S>(source: S, way: Way, descriptor: Descriptor, what: String) -> Blob
where
    S: stream::Stream<Item = Result<Bytes, TransportError>> + Send + Unpin + 'static,
{
    let check = Check { source, way, descriptor, what };
    stream::try_unfold(Some(check), |check| async {
        match check {
            Some(check) => check.next().await,
            None => Ok(None),
        }
    })
    .boxed()
}

impl<S> Check<S>
where
    S: stream::Stream<Item = Result<Bytes, TransportError>> + Send + Unpin,
{
    /// The next piece, and how it goes on unless that was the last one.
    async fn next(mut self) -> Result<Option<(Bytes, Option<Self>)>, TransportError> {
        let mut last = Bytes::new();
        while let Some(piece) = self.source.next().await {
            let piece = piece?;
            if piece.is_empty() {
                continue;
            }
            let end = self.way.at().saturating_add(piece.len() as u64);
            if end > self.descriptor.size {
                return Err(self.wrong_size(end));
            }
            let wanted = self.way.pass(piece).await;
            if end < self.descriptor.size {
                if wanted.is_empty() {
                    continue;
                }
                return Ok(Some((wanted, Some(self))));
            }
            // All has come; it is kept until the source says that this was all, and the digest is right.
            last = wanted;
        }
        self.check_end().await?;
        Ok((!last.is_empty()).then_some((last, None)))
    }

    async fn check_end(self) -> Result<(), TransportError> {
        if self.way.at() != self.descriptor.size {
            return Err(self.wrong_size(self.way.at()));
        }
        let (found, expected) = (self.way.digest().await, self.descriptor.digest);
        if found != expected {
            return Err(TransportError::DigestMismatch { what: self.what, expected, found });
        }
        Ok(())
    }

    fn wrong_size(&self, found: u64) -> TransportError {
        TransportError::SizeMismatch { what: self.what.clone(), expected: self.descriptor.size, found }
    }
}

/// Reads a whole blob of at most `limit` bytes.
///
/// # Errors
/// [`TransportError::TooLarge`] before a byte is read when the descriptor says more; what the stream says else.
pub(crate) async fn collect(
    mut blob: Blob,
    descriptor: &Descriptor,
    limit: usize,
    what: String,
) -> Result<Bytes, TransportError> {
    if descriptor.size > limit as u64 {
        return Err(TransportError::TooLarge { what, limit: limit as u64 });
    }
    // All at once: what grows is in memory twice while it does.
    let room = usize::try_from(descriptor.size).map_or(limit, |size| size.min(limit));
    let mut content = bytes::BytesMut::with_capacity(room);
    while let Some(piece) = blob.next().await {
        content.extend_from_slice(&piece?);
    }
    Ok(content.freeze())
}

#[cfg(test)]
mod tests {
    use manifest_core::{Digest, MediaType};

    use super::*;
    use crate::start::{Start, Trail};

    async fn read(pieces: &[&'static [u8]], of: &[u8]) -> (Vec<u8>, Option<TransportError>) {
        let descriptor = descriptor(of);
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect();
        let way = Start::default().near(&descriptor);
        content(verified(stream::iter(pieces), way, descriptor, "it".to_owned())).await
    }

    fn descriptor(of: &[u8]) -> Descriptor {
        Descriptor::new(MediaType::OCI_CONFIG, Digest::sha256(of), of.len() as u64)
    }

    async fn content(mut blob: Blob) -> (Vec<u8>, Option<TransportError>) {
        let mut content = Vec::new();
        while let Some(piece) = blob.next().await {
            match piece {
                Ok(piece) => content.extend_from_slice(&piece),
                Err(error) => return (content, Some(error)),
            }
        }
        (content, None)
    }

    #[tokio::test]
    async fn good_content_passes_whole() {
        assert!(matches!(read(&[b"ab", b"", b"cd"], b"abcd").await, (content, None) if content == b"abcd"));
        assert!(matches!(read(&[], b"").await, (content, None) if content.is_empty()));
    }

    #[tokio::test]
    async fn bad_content_never_arrives_whole() {
        let (content, error) = read(&[b"ab", b"cX"], b"abcd").await;
        assert_eq!(content, b"ab");
        assert!(matches!(error, Some(TransportError::DigestMismatch { .. })));
        let (content, error) = read(&[b"ab", b"cde", b"f"], b"abcd").await;
        assert!(content.len() < 4);
        assert!(matches!(error, Some(TransportError::SizeMismatch { expected: 4, found: 5, .. })));
        let (_, error) = read(&[b"ab"], b"abcd").await;
        assert!(matches!(error, Some(TransportError::SizeMismatch { expected: 4, found: 2, .. })));
    }

    #[tokio::test]
    async fn a_blob_is_read_again_from_the_mark_before_what_is_wanted() {
        const MIB: usize = 1 << 20;
        let bytes: Vec<u8> = (0..=250).cycle().take(5 * MIB + 3).collect();
        let (blob, trail) = (descriptor(&bytes), Trail::default());
        let read = |way: Way, damaged: Option<usize>| {
            let mut bytes = bytes.clone();
            damaged.into_iter().for_each(|at| bytes[at] ^= 1);
            let from = usize::try_from(way.at()).unwrap();
            let pieces: Vec<_> =
                bytes[from..].chunks(MIB / 2).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            content(verified(stream::iter(pieces), way, blob.clone(), "it".to_owned()))
        };
        let (all, error) = read(Start::at(0, &trail).near(&blob), None).await;
        assert!(all == bytes && error.is_none());
        for (offset, mark) in [
            (0, 0),
            (1, 0),
            (MIB, MIB),
            (3 * MIB + 7, 3 * MIB),
            (5 * MIB + 2, 5 * MIB),
            (5 * MIB + 3, 5 * MIB),
        ] {
            let start = Start::at(offset as u64, &trail);
            assert_eq!(start.near(&blob).at(), mark as u64, "{offset}");
            for way in [start.near(&blob), start.far(&blob)] {
                let (rest, error) = read(way, None).await;
                assert!(rest == bytes[offset..] && error.is_none(), "{offset}: {error:?}");
            }
        }
        let start = Start::at(3 * MIB as u64, &trail);
        let (_, error) = read(start.near(&blob), Some(4 * MIB)).await;
        assert!(matches!(error, Some(TransportError::DigestMismatch { .. })), "{error:?}");
        let (_, error) = read(start.far(&blob), Some(MIB)).await;
        assert!(matches!(error, Some(TransportError::DigestMismatch { .. })), "{error:?}");
    }
}
