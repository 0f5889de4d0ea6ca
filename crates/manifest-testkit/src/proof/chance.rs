//! Chance that can be had again.

use std::time::Duration;

/// Pseudo-random numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another source of chance, independent of this one and of those with another number.
    pub(super) fn split(&self, number: usize) -> Self {
        let mut split = Self(self.0 ^ (number as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95));
        split.word();
        split
    }

    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`; zero when `end` is.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.word() % (end.max(1) as u64)) as usize
    }

    /// One of these.
    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    /// A time from nothing to `end`.
    pub(super) fn within(&mut self, end: Duration) -> Duration {
        end.mul_f64(self.below(1 << 20) as f64 / f64::from(1 << 20))
    }
}
