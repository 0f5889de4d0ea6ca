//! In which pieces a registry takes blobs.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The sizes that are tried, in bytes. The last one is what much used proxies take unless they are told otherwise.
const SIZES: [u64; 3] = [16 << 20, 4 << 20, 1 << 20];

/// What is known of the pieces in which a registry takes blobs.
#[derive(Debug)]
pub(in crate::registry) struct Pieces(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// The size that is used, where blobs go in pieces.
    size: Option<u64>,
    /// The least that the registry takes.
    least: u64,
}

impl Pieces {
    /// `size` is what the user says.
    pub(in crate::registry) fn new(size: Option<u64>) -> Self {
        Self(Mutex::new(Known { size: size.map(|size| size.max(1)), least: 0 }))
    }

    /// The bytes of a piece; `None` where blobs go in one.
    pub(super) fn size(&self) -> Option<u64> {
        let known = self.known();
        known.size.map(|size| size.max(known.least))
    }

    /// The registry wants pieces of at least so many bytes.
    pub(super) fn want(&self, least: Option<u64>) {
        let Some(least) = least.filter(|least| *least > 0) else { return };
        let mut known = self.known();
        known.least = least;
        let [largest, ..] = SIZES;
        known.size.get_or_insert(largest);
    }

    /// Pieces of this size have been taken, where more at once was too large.
    pub(super) fn learn(&self, size: Option<u64>) {
        self.known().size = size;
    }

    /// The next smaller size, where so many bytes were too many.
    pub(super) fn smaller(&self, bytes: u64) -> Option<u64> {
        let least = self.known().least;
        SIZES.into_iter().find(|size| *size < bytes && *size >= least)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_shrink_until_the_least_that_is_taken() {
        const MIB: u64 = 1 << 20;
        let pieces = Pieces::new(None);
        assert_eq!(pieces.size(), None);
        for (bytes, size) in [
            (u64::MAX, Some(16 * MIB)),
            (16 * MIB, Some(4 * MIB)),
            (MIB + 1, Some(MIB)),
            (MIB, None),
            (0, None),
        ] {
            assert_eq!(pieces.smaller(bytes), size, "{bytes}");
        }
        pieces.want(Some(2 * MIB));
        assert_eq!((pieces.size(), pieces.smaller(4 * MIB)), (Some(16 * MIB), None));
        pieces.want(Some(100 * MIB));
        assert_eq!(pieces.size(), Some(100 * MIB));
    }

    #[test]
    fn what_the_user_says_is_only_ever_raised() {
        let pieces = Pieces::new(Some(1000));
        pieces.want(Some(10));
        assert_eq!(pieces.size(), Some(1000));
        pieces.want(Some(2000));
        assert_eq!(pieces.size(), Some(2000));
    }
}
