//! Blobs on their way: counted and hashed while they pass, and never trusted before the end.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use manifest_core::{Descriptor, Hasher};

use crate::error::TransportError;

/// The content of a blob, piece by piece.
///
/// The last piece comes only when digest and size are known to be right; content that is not what its
/// descriptor says ends with an error before it is complete, so that whoever receives it cannot take it for whole.
pub type Blob = BoxStream<'static, Result<Bytes, TransportError>>;

struct Check<S> {
    source: S,
    hasher: Hasher,
    received: u64,
    descriptor: Descriptor,
    what: String,
    done: bool,
}

/// Wraps `source` so that it gives exactly the content that `descriptor` names, or an error.
pub(crate) fn verified<S>(source: S, descriptor: Descriptor, what: String) -> Blob
where
    S: stream::Stream<Item = Result<Bytes, TransportError>> + Send + Unpin + 'static,
{
    let hasher = descriptor.digest.algorithm().hasher();
    let check = Check { source, hasher, received: 0, descriptor, what, done: false };
    stream::try_unfold(check, Check::next).boxed()
}

impl<S> Check<S>
where
    S: stream::Stream<Item = Result<Bytes, TransportError>> + Send + Unpin,
{
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, TransportError> {
        if self.done {
            return Ok(None);
        }
        let mut last = None;
        while let Some(piece) = self.source.next().await {
            let piece = piece?;
            if piece.is_empty() {
                continue;
            }
            self.received = self.received.saturating_add(piece.len() as u64);
            if self.received > self.descriptor.size {
                return Err(self.wrong_size());
            }
            self.hasher.update(&piece);
            if self.received < self.descriptor.size {
                return Ok(Some((piece, self)));
            }
            // All has come; it is kept until the source says that this was all, and the digest is right.
            last = Some(piece);
        }
        self.done = true;
        self.check_end()?;
        Ok(last.map(|last| (last, self)))
    }

    fn check_end(&self) -> Result<(), TransportError> {
        if self.received != self.descriptor.size {
            return Err(self.wrong_size());
        }
        let (found, expected) = (self.hasher.clone().finish(), self.descriptor.digest);
        if found != expected {
            return Err(TransportError::DigestMismatch { what: self.what.clone(), expected, found });
        }
        Ok(())
    }

    fn wrong_size(&self) -> TransportError {
        let (expected, found) = (self.descriptor.size, self.received);
        TransportError::SizeMismatch { what: self.what.clone(), expected, found }
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
    let mut content = bytes::BytesMut::new();
    while let Some(piece) = blob.next().await {
        content.extend_from_slice(&piece?);
    }
    Ok(content.freeze())
}

#[cfg(test)]
mod tests {
    use manifest_core::{Digest, MediaType};

    use super::*;

    async fn read(pieces: &[&'static [u8]], of: &[u8]) -> (Vec<u8>, Option<TransportError>) {
        let descriptor = Descriptor::new(MediaType::OCI_CONFIG, Digest::sha256(of), of.len() as u64);
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect();
        let mut blob = verified(stream::iter(pieces), descriptor, "it".to_owned());
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
}
