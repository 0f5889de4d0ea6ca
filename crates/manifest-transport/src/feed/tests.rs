use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use manifest_core::{Descriptor, Digest, MediaType};
use tokio::time::Instant;

use super::*;
use crate::stream::verified;

const PIECE: usize = 1000;
const PIECES: usize = 40;

/// A source of forty pieces that counts how often it is opened, and how many pieces it gave.
#[derive(Clone, Default)]
struct Counted {
    opened: Arc<AtomicUsize>,
    given: Arc<AtomicUsize>,
    /// The piece from which on the first reading fails.
    breaks_at: Option<usize>,
}

impl Counted {
    fn content() -> Vec<u8> {
        (0..PIECES * PIECE).map(|at| u8::try_from(at / PIECE).unwrap()).collect()
    }

    fn descriptor() -> Descriptor {
        let content = Self::content();
        Descriptor::new(MediaType::OCI_CONFIG, Digest::sha256(&content), content.len() as u64)
    }

    fn source(&self) -> Source {
        let counted = self.clone();
        Arc::new(move |start| {
            let breaks_at = counted.breaks_at.filter(|_| counted.opened.load(Ordering::Relaxed) == 0);
            counted.opened.fetch_add(1, Ordering::Relaxed);
            let (way, given) = (start.near(&Self::descriptor()), Arc::clone(&counted.given));
            let from = usize::try_from(way.at()).unwrap();
            let pieces = (from / PIECE..PIECES).map(move |at| {
                given.fetch_add(1, Ordering::Relaxed);
                if breaks_at == Some(at) {
                    return Err(TransportError::NotFound("the rest".to_owned()));
                }
                Ok(Bytes::from(Self::content()).slice(at * PIECE..(at + 1) * PIECE))
            });
            let blob = verified(stream::iter(pieces), way, Self::descriptor(), "blob".to_owned());
            Box::pin(std::future::ready(Ok(blob)))
        })
    }

    fn counts(&self) -> (usize, usize) {
        (self.opened.load(Ordering::Relaxed), self.given.load(Ordering::Relaxed))
    }
}

/// A feed with so many taps and so many carriers, one of which is the feed's.
fn feed(counted: &Counted, taps: usize, carriers: usize) -> (BoxFuture<'static, ()>, Vec<Tap>, Carriers) {
    let carriers = Carriers::new(carriers);
    let carrier = carriers.take(u64::MAX).now_or_never().unwrap();
    let size = (PIECES * PIECE) as u64;
    let (feed, taps) = Feed::new(&counted.source(), size, taps, &carriers);
    (Box::pin(feed.run(carrier)), taps, carriers)
}

/// Takes all of a blob, with pauses before its second piece and between the others.
async fn take(tap: &Tap, second: u64, others: u64) -> Vec<u8> {
    let (mut blob, mut content) = (tap.open(Start::default()).await.unwrap(), Vec::new());
    while let Some(piece) = blob.next().await {
        let seconds = if content.is_empty() { second } else { others };
        content.extend_from_slice(&piece.unwrap());
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
    content
}

#[tokio::test(start_paused = true)]
async fn what_several_take_is_read_once_at_the_pace_of_the_slowest() {
    let counted = Counted::default();
    let (run, taps, carriers) = feed(&counted, 3, 1);
    let begun = Instant::now();
    let ((), one, two, three) =
        tokio::join!(run, take(&taps[0], 0, 0), take(&taps[1], 1, 1), take(&taps[2], 0, 0));
    assert_eq!([&one, &two, &three], [&Counted::content(); 3]);
    assert_eq!(counted.counts(), (1, PIECES));
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
    assert_eq!(carriers.free(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_for_long_reads_alone_and_keeps_nobody() {
    let counted = Counted::default();
    let (run, taps, _) = feed(&counted, 2, 2);
    let begun = Instant::now();
    let quick = async { (take(&taps[0], 0, 0).await, begun.elapsed()) };
    let ((), (quick, needed), slow) = tokio::join!(run, quick, take(&taps[1], 60, 0));
    assert_eq!([&quick, &slow], [&Counted::content(); 2]);
    assert!(needed <= PATIENCE, "{needed:?}");
    assert_eq!(counted.counts().0, 2);
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_keeps_nobody_and_who_never_comes_does_not_either() {
    let counted = Counted::default();
    let (run, mut taps, _) = feed(&counted, 3, 2);
    drop(taps.pop());
    let begun = Instant::now();
    let quick = async { (take(&taps[0], 0, 0).await, begun.elapsed()) };
    let late = async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        take(&taps[1], 0, 0).await
    };
    let ((), (quick, needed), late) = tokio::join!(run, quick, late);
    assert_eq!([&quick, &late], [&Counted::content(); 2]);
    assert!(needed <= PATIENCE, "{needed:?}");
}

#[tokio::test(start_paused = true)]
async fn when_the_source_breaks_off_each_goes_on_for_itself() {
    let counted = Counted { breaks_at: Some(7), ..Counted::default() };
    let (run, mut taps, carriers) = feed(&counted, 2, 1);
    // A tap that is done gives its place among the carriers, of which there is one, to the other.
    let done = |tap: Tap| async move { take(&tap, 0, 0).await };
    let (two, one) = (done(taps.pop().unwrap()), done(taps.pop().unwrap()));
    let ((), one, two) = tokio::join!(run, one, two);
    assert_eq!([&one, &two], [&Counted::content(); 2]);
    assert_eq!((counted.counts().0, carriers.free()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn who_opens_it_anew_reads_alone_from_there() {
    let counted = Counted::default();
    let (run, taps, _) = feed(&counted, 2, 2);
    let again = async {
        let mut blob = taps[1].open(Start::default()).await.unwrap();
        assert!(blob.next().await.is_some());
        drop(blob);
        let start = Start::at(20_500, &Trail::default());
        let pieces: Vec<_> = taps[1].open(start).await.unwrap().map(Result::unwrap).collect().await;
        pieces.concat()
    };
    let ((), one, rest) = tokio::join!(run, take(&taps[0], 0, 0), again);
    assert_eq!(one, Counted::content());
    assert_eq!(rest, Counted::content()[20_500..]);
}
