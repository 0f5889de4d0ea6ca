//! How many bytes may be on their way at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What counts as one place: a blob up to this size has no more than that in memory.
const PLACE: u64 = 64 * 1024;

/// The places of a blob of any size: a stream has buffers of about a megabyte.
const STREAM: u32 = 16;

/// The places for those who carry blobs. Large blobs take a stream each, and many small ones share one: so memory is bounded, and
/// what takes nothing but a moment need not wait for what takes long.
#[derive(Clone, Debug)]
pub struct Carriers(Arc<Semaphore>);

/// A place that is taken, until this is dropped.
#[derive(Debug)]
pub struct Carrier(
    #[allow(dead_code, reason = "dropping it gives the place back")] Option<OwnedSemaphorePermit>,
);

impl Carriers {
    /// Places for so many streams of any size at once, one at least.
    pub fn new(streams: usize) -> Self {
        Self(Arc::new(Semaphore::new(streams.clamp(1, 1 << 16) * STREAM as usize)))
    }

    /// Waits for a place for a blob of `size` bytes.
    pub async fn take(&self, size: u64) -> Carrier {
        let places = size.div_ceil(PLACE).clamp(1, u64::from(STREAM));
        let places = u32::try_from(places).unwrap_or(STREAM);
        // They are never closed; without a place it would be carried all the same.
        Carrier(Arc::clone(&self.0).acquire_many_owned(places).await.ok())
    }

    /// How many streams could begin now.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.0.available_permits() / STREAM as usize
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn many_small_blobs_take_the_place_of_a_large_one() {
        let carriers = Carriers::new(1);
        let large = carriers.take(1 << 40).now_or_never().unwrap();
        assert!(carriers.take(0).now_or_never().is_none());
        drop(large);
        let small: Vec<_> = (0..16).map(|_| carriers.take(PLACE).now_or_never().unwrap()).collect();
        assert!(carriers.take(1).now_or_never().is_none());
        drop(small);
        assert_eq!(carriers.free(), 1);
    }
}
