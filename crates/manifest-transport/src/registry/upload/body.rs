//! The content of a blob as the bodies of requests, sent while it comes.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use manifest_core::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Opener;
use crate::error::TransportError;
use crate::http::{Http, Progress, Streamed};
use crate::observe::Event;
use crate::start::{Start, Trail};
use crate::stream::Blob;

/// Bytes after which the connection gets its turn. Whoever only writes sees too late that the server has refused
/// already and hung up, and then its answer is lost.
const TURN: u64 = 128 << 10;

/// Bytes that the connection may have taken and not sent yet. It would take three times as many, for each blob that is under way.
const UNSENT: u32 = 256 << 10;

/// The content of a blob; opened again, where it is needed, when it is not open there.
pub(super) struct Source<'a, 'o> {
    open: &'a Opener<'o>,
    trail: Trail,
    left: Arc<Mutex<Left>>,
}

/// What a body leaves behind.
#[derive(Default)]
struct Left {
    /// What comes behind it, when all of it was taken.
    content: Option<Content>,
    /// What went wrong where the content comes from.
    fault: Option<TransportError>,
}

/// Content that is open, from a place in the blob on.
struct Content {
    at: u64,
    /// Bytes that were sent since the connection had its turn.
    since_turn: u64,
    /// What was read and not sent yet.
    rest: Bytes,
    blob: Blob,
    /// For what was taken and is not sent yet.
    room: Arc<Semaphore>,
}

/// A piece that makes room for others when the connection lets go of it, since it is sent.
struct Unsent {
    piece: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

impl<'a, 'o> Source<'a, 'o> {
    pub(super) fn new(open: &'a Opener<'o>) -> Self {
        Self { open, trail: Trail::default(), left: Arc::default() }
    }

    /// So many bytes of the blob as a body; goes on with what the body before has left, if it ended there.
    pub(super) async fn body(
        &mut self,
        (from, length): (u64, u64),
        digest: Digest,
        http: &Http,
    ) -> Result<Streamed, TransportError> {
        let left = self.left.lock().ok().and_then(|mut left| left.content.take());
        let content = match left.filter(|content| content.at == from) {
            Some(content) => content,
            None => {
                let blob = (self.open)(Start::at(from, &self.trail)).await?;
                let room = Arc::new(Semaphore::new(UNSENT as usize));
                Content { at: from, since_turn: 0, rest: Bytes::new(), blob, room }
            }
        };
        self.left = Arc::default();
        let (progress, http) = (Progress::default(), http.clone());
        let counter = progress.clone();
        let pieces = take(content, length, Arc::clone(&self.left)).inspect(move |piece| {
            if let Ok(piece) = piece {
                let count = piece.len() as u64;
                counter.add(count);
                http.observe(Event::Bytes { digest, count });
            }
        });
        Ok(Streamed { length, body: reqwest::Body::wrap_stream(pieces), progress })
    }

    /// What went wrong where the content of the last body comes from, if something did.
    pub(super) fn fault(&self) -> Option<TransportError> {
        self.left.lock().ok()?.fault.take()
    }
}

/// The next so many bytes; what comes behind them is put down in `left`.
fn take(
    content: Content,
    length: u64,
    left: Arc<Mutex<Left>>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(Some((content, length)), move |state| {
        let left = Arc::clone(&left);
        async move {
            let (content, wanted) = state?;
            let (outcome, content) = content.next(wanted).await;
            let Ok(mut left) = left.lock() else { return None };
            match outcome {
                Ok(piece) if piece.is_empty() => None,
                Ok(piece) => {
                    let wanted = wanted - piece.len() as u64;
                    if wanted > 0 {
                        return Some((Ok(piece), Some((content, wanted))));
                    }
                    left.content = Some(content);
                    Some((Ok(piece), None))
                }
                Err(error) => {
                    let text = error.to_string();
                    left.fault = Some(error);
                    Some((Err(io::Error::other(text)), None))
                }
            }
        }
    })
}

impl Content {
    /// The next bytes, so many at most; none at the end.
    async fn next(mut self, wanted: u64) -> (Result<Bytes, TransportError>, Self) {
        if self.since_turn >= TURN {
            self.since_turn = 0;
            // Whoever only waits here is asked again before the network is; so another task has to be waited for.
            let _turn = tokio::spawn(tokio::task::yield_now()).await.is_ok();
        }
        while self.rest.is_empty() {
            match self.blob.next().await {
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(error)) => return (Err(error), self),
                None => return (Ok(Bytes::new()), self),
            }
        }
        let size = self.rest.len().min(usize::try_from(wanted).unwrap_or(usize::MAX));
        let taken = u32::try_from(size).unwrap_or(UNSENT).min(UNSENT);
        let room = Arc::clone(&self.room).acquire_many_owned(taken).await;
        let piece = self.rest.split_to(size);
        self.at = self.at.saturating_add(size as u64);
        self.since_turn += size as u64;
        // Nobody closes the semaphore.
        let piece = match room {
            Ok(room) => Bytes::from_owner(Unsent { piece, _room: room }),
            Err(_) => piece,
        };
        (Ok(piece), self)
    }
}
