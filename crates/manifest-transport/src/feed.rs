//! One blob that several take at once, read once.
//!
//! Whoever leads a [`Feed`] reads the blob and hands each piece to every [`Tap`]; the slowest sets the pace. A tap that takes
//! nothing for a while falls behind, and so does one that begins anew: it reads for itself from where it stands, and
//! the others go on without it.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::{Notify, OnceCell, mpsc};
use tokio::time::timeout;

use crate::carriers::{Carrier, Carriers};
use crate::error::TransportError;
use crate::start::{Start, Trail};
use crate::stream::Blob;

/// Pieces that wait for a tap at most. They can have some hundred kilobytes each, so a second one would only cost memory.
const LAG: usize = 1;

/// How long a tap may take nothing. It is less than a connection may stand still: who waits for others must not fail for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens the content of a blob anywhere, as often as it is needed.
pub type Source = Arc<dyn Fn(Start) -> BoxFuture<'static, Result<Blob, TransportError>> + Send + Sync>;

/// The one who reads a blob for several.
pub struct Feed {
    source: Source,
    trail: Trail,
    takers: Vec<mpsc::Sender<Bytes>>,
    opened: Arc<Notify>,
}

/// The content of a blob for one of several who take it at once.
pub struct Tap {
    source: Source,
    size: u64,
    trail: Trail,
    /// What comes from the feed, until it is opened.
    shared: Mutex<Option<mpsc::Receiver<Bytes>>>,
    opened: Arc<Notify>,
    carriers: Carriers,
    /// The place among the carriers that it takes when it reads for itself.
    carrier: Arc<OnceCell<Carrier>>,
}

impl Feed {
    /// A blob of so many bytes that is read once for so many taps. Who falls behind takes one of the `carriers`.
    pub fn new(source: &Source, size: u64, taps: usize, carriers: &Carriers) -> (Self, Vec<Tap>) {
        let (trail, opened) = (Trail::default(), Arc::new(Notify::new()));
        let (takers, taps) = (0..taps)
            .map(|_| {
                let (taker, shared) = mpsc::channel(LAG);
                let tap = Tap {
                    source: Arc::clone(source),
                    size,
                    trail: trail.clone(),
                    shared: Mutex::new(Some(shared)),
                    opened: Arc::clone(&opened),
                    carriers: carriers.clone(),
                    carrier: Arc::default(),
                };
                (taker, tap)
            })
            .unzip();
        (Self { source: Arc::clone(source), trail, takers, opened }, taps)
    }

    /// Reads the blob as soon as the first tap is opened, and hands it on until nobody takes it any more.
    ///
    /// What goes wrong at the source is told to nobody here: each tap meets it where it goes on for itself. `carrier` is
    /// given back when the taps are done with what they got, but for those that keep it for long.
    pub async fn run(mut self, carrier: Carrier) {
        self.opened.notified().await;
        let Ok(mut content) = (self.source)(Start::at(0, &self.trail)).await else { return };
        while let Some(piece) = content.next().await {
            let Ok(piece) = piece else { return };
            self.hand_on(&piece).await;
            if self.takers.is_empty() {
                return;
            }
        }
        drop(content);
        let _patience_ended = timeout(PATIENCE, join_all(self.takers.iter().map(mpsc::Sender::closed))).await;
        drop(carrier);
    }

    /// Hands a piece to everybody, and leaves those behind who do not take it.
    async fn hand_on(&mut self, piece: &Bytes) {
        let handing = self.takers.drain(..).map(|taker| async {
            match timeout(PATIENCE, taker.send(piece.clone())).await {
                Ok(Ok(())) => Some(taker),
                Ok(Err(_)) | Err(_) => None,
            }
        });
        self.takers = join_all(handing).await.into_iter().flatten().collect();
    }
}

impl Tap {
    /// Opens the blob: what the feed reads when it is opened for the first time, from its beginning; else a reading of its own.
    ///
    /// # Errors
    /// Those of the source, here and from the stream.
    pub async fn open(&self, start: Start) -> Result<Blob, TransportError> {
        // Whoever opens it anew has given up what came before.
        let shared = self.shared.lock().ok().and_then(|mut shared| shared.take());
        let Some(mut shared) = shared.filter(|_| start.offset() == 0) else {
            return alone(
                &self.source,
                start.offset(),
                &self.trail,
                (&self.carriers, &self.carrier),
                self.size,
            )
            .await;
        };
        self.opened.notify_one();
        let Some(first) = shared.recv().await else {
            return alone(&self.source, 0, &self.trail, (&self.carriers, &self.carrier), self.size).await;
        };
        let taking = Taking {
            at: 0,
            size: self.size,
            first: Some(first),
            from: From::Feed(shared),
            source: Arc::clone(&self.source),
            trail: self.trail.clone(),
            carriers: self.carriers.clone(),
            carrier: Arc::downgrade(&self.carrier),
        };
        Ok(stream::try_unfold(taking, Taking::next).boxed())
    }
}

/// Reads from somewhere on without the others, as one more carrier.
async fn alone(
    source: &Source,
    at: u64,
    trail: &Trail,
    (carriers, carrier): (&Carriers, &OnceCell<Carrier>),
    size: u64,
) -> Result<Blob, TransportError> {
    carrier.get_or_init(|| carriers.take(size)).await;
    source(Start::at(at, trail)).await
}

/// A tap that is open.
struct Taking {
    at: u64,
    size: u64,
    first: Option<Bytes>,
    from: From,
    source: Source,
    trail: Trail,
    carriers: Carriers,
    /// Its place ends with the tap, also when a connection keeps the stream for longer.
    carrier: Weak<OnceCell<Carrier>>,
}

enum From {
    /// What is read for everybody; the last piece comes only when digest and size are right.
    Feed(mpsc::Receiver<Bytes>),
    Alone(Blob),
}

impl Taking {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, TransportError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(self.took(first)));
        }
        loop {
            match &mut self.from {
                From::Feed(_) if self.at >= self.size => return Ok(None),
                From::Feed(shared) => {
                    if let Some(piece) = shared.recv().await {
                        return Ok(Some(self.took(piece)));
                    }
                    let Some(carrier) = self.carrier.upgrade() else { return Ok(None) };
                    let blob =
                        alone(&self.source, self.at, &self.trail, (&self.carriers, &carrier), self.size)
                            .await?;
                    self.from = From::Alone(blob);
                }
                From::Alone(blob) => {
                    return Ok(blob.next().await.transpose()?.map(|piece| self.took(piece)));
                }
            }
        }
    }

    fn took(mut self, piece: Bytes) -> (Bytes, Self) {
        self.at = self.at.saturating_add(piece.len() as u64);
        (piece, self)
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("takers", &self.takers.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("size", &self.size).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
