//! Blobs that several targets lack, carried to all of them at once.
//!
//! Each target has a [`Seat`]. It says there what it lacks when it has been surveyed; when all have said so, or it takes
//! too long, blobs that several lack are read once and sent to all of these. A target that fails or falls behind
//! goes on for itself.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::{join_all, pending, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use manifest_core::Digest;
use manifest_transport::{Carriers, Feed, Mounted, Place, Source, Tap};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::deliver::copy_error;
use crate::error::PublishError;
use crate::plan::{Action, BlobStep};

/// How long targets that have been surveyed wait for the others.
const PATIENCE: Duration = Duration::from_secs(30);

/// What becomes of blobs that are carried together, by their digests.
pub(crate) type Promised = BTreeMap<Digest, oneshot::Receiver<Result<(), PublishError>>>;

/// What a target lacks.
#[derive(Debug)]
struct Wish {
    place: Place,
    lacking: Vec<BlobStep>,
    reply: oneshot::Sender<Promised>,
}

/// Where a target says what it lacks.
#[derive(Debug)]
pub(crate) struct Seat(Mutex<Option<oneshot::Sender<Wish>>>);

impl Seat {
    /// Says what the target lacks, and waits for the others; what is carried together is promised, the rest is left to it.
    pub(crate) async fn say(&self, place: &Place, plan: impl Iterator<Item = &BlobStep>) -> Promised {
        let Some(seat) = self.0.lock().ok().and_then(|mut seat| seat.take()) else { return Promised::new() };
        // An empty blob is not worth it, and has no last piece that comes only when its digest is right.
        let lacking =
            plan.filter(|step| step.action == Action::Copy && step.blob.size > 0).cloned().collect();
        let (reply, promised) = oneshot::channel();
        if seat.send(Wish { place: place.clone(), lacking, reply }).is_err() {
            return Promised::new();
        }
        promised.await.unwrap_or_default()
    }

    /// Says that the target lacks nothing, unless it has spoken.
    pub(crate) fn leave(&self) {
        drop(self.0.lock().ok().and_then(|mut seat| seat.take()));
    }
}

/// All targets of a publication, as far as they carry blobs together.
#[derive(Debug)]
pub(crate) struct Together {
    seats: Vec<oneshot::Receiver<Wish>>,
}

/// Makes so many seats; one alone is never waited for.
pub(crate) fn seats(count: usize) -> (Together, Vec<Seat>) {
    let (seats, wishes) = (0..count)
        .map(|_| {
            let (seat, wish) = oneshot::channel();
            (Seat(Mutex::new(Some(seat))), wish)
        })
        .unzip();
    (Together { seats: wishes }, seats)
}

/// A blob with those who lack it.
struct Shared {
    step: BlobStep,
    takers: Vec<(Place, oneshot::Sender<Result<(), PublishError>>)>,
}

impl Together {
    /// Carries what several lack, until all is done.
    pub(crate) async fn run(self, carriers: &Carriers, open: &dyn Fn(&BlobStep) -> Source) {
        let shared = shared(self.gather().await);
        join_all(shared.into_iter().map(|shared| async {
            let source = open(&shared.step);
            shared.carry(&source, carriers).await;
        }))
        .await;
    }

    /// What the targets lack, of those that say so in time.
    async fn gather(self) -> Vec<Wish> {
        let mut seats: FuturesUnordered<_> = self.seats.into_iter().collect();
        let (mut wishes, mut until) = (Vec::new(), None);
        loop {
            let next = match until {
                None => seats.next().await,
                Some(until) => timeout_at(until, seats.next()).await.unwrap_or_default(),
            };
            match next {
                Some(Ok(wish)) => wishes.push(wish),
                // It left.
                Some(Err(_)) => continue,
                None => return wishes,
            }
            until.get_or_insert(Instant::now() + PATIENCE);
        }
    }
}

/// The blobs that several lack and would read at one place; each target is told which of them it need not carry.
fn shared(wishes: Vec<Wish>) -> Vec<Shared> {
    let is_same =
        |one: &BlobStep, other: &BlobStep| one.from == other.from && one.blob.size == other.blob.size;
    let mut counted: BTreeMap<Digest, (BlobStep, usize)> = BTreeMap::new();
    for step in wishes.iter().flat_map(|wish| &wish.lacking) {
        let (known, count) = counted.entry(step.blob.digest).or_insert_with(|| (step.clone(), 0));
        *count += usize::from(is_same(step, known));
    }
    let several = counted.into_iter().filter(|(_, (_, count))| *count > 1);
    let mut all: BTreeMap<Digest, Shared> =
        several.map(|(digest, (step, _))| (digest, Shared { step, takers: Vec::new() })).collect();
    for Wish { place, lacking, reply } in wishes {
        let mut promised = Promised::new();
        for step in lacking {
            if let Some(shared) = all.get_mut(&step.blob.digest).filter(|shared| is_same(&step, &shared.step))
            {
                let (done, result) = oneshot::channel();
                shared.takers.push((place.clone(), done));
                promised.insert(step.blob.digest, result);
            }
        }
        drop(reply.send(promised));
    }
    all.into_values().collect()
}

impl Shared {
    /// Reads the blob once and sends it to all who lack it.
    async fn carry(self, source: &Source, carriers: &Carriers) {
        let carrier = carriers.take(self.step.blob.size).await;
        let (feed, taps) = Feed::new(source, self.step.blob.size, self.takers.len(), carriers);
        let step = &self.step;
        let sending = join_all(
            self.takers.into_iter().zip(taps).map(|((place, done), tap)| send(step, place, tap, done)),
        );
        let feeding = async {
            feed.run(carrier).await;
            pending::<()>().await;
        };
        drop(select(pin!(sending), pin!(feeding)).await);
    }
}

/// Sends a blob to one target, as long as that wants it.
async fn send(step: &BlobStep, place: Place, tap: Tap, mut done: oneshot::Sender<Result<(), PublishError>>) {
    let sent = {
        let open = |start| Box::pin(tap.open(start)) as _;
        let sending = pin!(place.put_blob(&step.blob, Mounted::Refused, &open));
        match select(sending, pin!(done.closed())).await {
            futures_util::future::Either::Left((sent, _)) => sent,
            futures_util::future::Either::Right(_) => return,
        }
    };
    drop(tap);
    drop(done.send(sent.map_err(|error| copy_error(step.blob.digest, &step.from, error))));
}
