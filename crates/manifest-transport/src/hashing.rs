//! Hashing what passes: on the spot, or beside it.
//!
//! A push is one thread, and hashing takes more of its time than all the rest. So a large blob is hashed on a thread of its own,
//! while its next piece is read and its last one sent; a small one is done before that thread would have begun.

use std::panic::resume_unwind;
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;

use bytes::Bytes;
use manifest_core::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::start::Marking;

/// What is shorter is hashed on the spot, in bytes.
const LARGE: u64 = 4 << 20;
/// Bytes of one blob that may wait to be hashed, and are in memory for so long.
const WAITING: u32 = 256 << 10;

/// Whether a second thread would find a processor.
static HAS_SECOND: LazyLock<bool> =
    LazyLock::new(|| available_parallelism().is_ok_and(|count| count.get() > 1));

/// Hashes the pieces of a blob, one after another.
#[derive(Debug)]
pub(crate) enum Hashing {
    /// On the spot.
    Here(Box<Marking>),
    /// On a thread of its own.
    Beside(Beside),
}

/// A thread that hashes, and gives the digest when there is nobody to send it more.
#[derive(Debug)]
pub(crate) struct Beside {
    pieces: mpsc::UnboundedSender<(Bytes, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    hashed: JoinHandle<Digest>,
}

impl Hashing {
    /// Begins with a blob of which so many bytes are left.
    pub(crate) fn of(marking: Marking, left: u64) -> Self {
        if left < LARGE || !*HAS_SECOND {
            Self::Here(Box::new(marking))
        } else {
            Self::Beside(Beside::of(marking))
        }
    }

    /// Takes the next piece; waits when too much has not been hashed yet.
    pub(crate) async fn pass(&mut self, piece: &Bytes) {
        match self {
            Self::Here(marking) => marking.pass(piece),
            Self::Beside(beside) => beside.pass(piece).await,
        }
    }

    /// The digest of all that passed.
    pub(crate) async fn finish(self) -> Digest {
        match self {
            Self::Here(marking) => marking.finish(),
            Self::Beside(Beside { pieces, hashed, .. }) => {
                drop(pieces);
                hashed.await.unwrap_or_else(|lost| resume_unwind(lost.into_panic()))
            }
        }
    }
}

impl Beside {
    fn of(mut marking: Marking) -> Self {
        let (pieces, mut passed) = mpsc::unbounded_channel::<(Bytes, OwnedSemaphorePermit)>();
        let hashed = spawn_blocking(move || {
            while let Some((piece, _room)) = passed.blocking_recv() {
                marking.pass(&piece);
            }
            marking.finish()
        });
        Self { pieces, room: Arc::new(Semaphore::new(WAITING as usize)), hashed }
    }

    async fn pass(&self, piece: &Bytes) {
        let size = u32::try_from(piece.len()).unwrap_or(WAITING).min(WAITING);
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(size).await else { return };
        // Who does not receive has panicked, which is seen at the end.
        drop(self.pieces.send((piece.clone(), room)));
    }
}
