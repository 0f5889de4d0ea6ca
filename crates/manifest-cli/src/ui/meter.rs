//! How many bytes have been carried, blob by blob and altogether.

use std::collections::BTreeMap;
use std::time::Duration;

use manifest_core::{Descriptor, Digest};
use manifest_publish::{Action, Plan};

/// The shortest time between two reports of one blob.
const PERIOD: Duration = Duration::from_millis(500);

/// Counts the bytes of a publication, to all targets together.
#[derive(Debug, Default)]
pub(super) struct Meter {
    blobs: BTreeMap<Digest, Carried>,
    all: Bytes,
    /// When the first byte was carried.
    begun: Option<Duration>,
}

/// Bytes that were carried, and are to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes {
    pub(super) done: u64,
    pub(super) size: u64,
}

#[derive(Debug, Default)]
struct Carried {
    bytes: Bytes,
    /// When it was told of last.
    told: Option<Duration>,
}

/// What is to be told of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) blob: Bytes,
    pub(super) all: Bytes,
    /// Bytes a second, since the first.
    pub(super) speed: u64,
}

impl Meter {
    /// Takes in what has to be carried; how many bytes that is.
    pub(super) fn plan(&mut self, plan: &Plan) -> u64 {
        let copies = plan.blobs.values().filter(|step| step.action == Action::Copy);
        copies.map(|step| self.expect(&step.blob)).sum()
    }

    /// Takes in a blob that is carried though that was not planned; how many bytes that adds.
    pub(super) fn carries(&mut self, blob: &Descriptor) -> u64 {
        if self.blobs.contains_key(&blob.digest) { 0 } else { self.expect(blob) }
    }

    fn expect(&mut self, blob: &Descriptor) -> u64 {
        let carried = self.blobs.entry(blob.digest).or_default();
        carried.bytes.size = carried.bytes.size.saturating_add(blob.size);
        self.all.size = self.all.size.saturating_add(blob.size);
        blob.size
    }

    /// Counts bytes; how many of them are new, since what broke off is sent again, and what is to be told, if it is time.
    pub(super) fn sent(&mut self, blob: &Digest, count: u64, now: Duration) -> (u64, Option<Reading>) {
        let Some(carried) = self.blobs.get_mut(blob) else { return (0, None) };
        let Bytes { done, size } = &mut carried.bytes;
        let new = count.min(size.saturating_sub(*done));
        *done += new;
        self.all.done += new;
        let begun = *self.begun.get_or_insert(now);
        let is_time = carried.told.is_none_or(|told| now.saturating_sub(told) >= PERIOD);
        if !is_time {
            return (new, None);
        }
        carried.told = Some(now);
        let milliseconds = now.saturating_sub(begun).as_millis().max(1);
        let speed = u128::from(self.all.done).saturating_mul(1000) / milliseconds;
        let speed = u64::try_from(speed).unwrap_or(u64::MAX);
        (new, Some(Reading { blob: carried.bytes, all: self.all, speed }))
    }

    /// Counts what of a blob at one target was not seen to come by; how many bytes that is.
    pub(super) fn arrived(&mut self, blob: &Descriptor) -> u64 {
        let Some(carried) = self.blobs.get_mut(&blob.digest) else { return 0 };
        let Bytes { done, size } = &mut carried.bytes;
        // To a layout bytes go unseen; what is at one target is at least so much.
        let new = blob.size.saturating_sub(*done).min(size.saturating_sub(*done));
        *done += new;
        self.all.done += new;
        new
    }
}

#[cfg(test)]
mod tests {
    use manifest_core::MediaType;

    use super::*;

    #[test]
    fn each_blob_is_told_of_now_and_then_and_no_byte_counts_twice() {
        let blob = Descriptor::new(MediaType::OCI_CONFIG, Digest::sha256(b"a"), 1000);
        let other = Descriptor::new(MediaType::OCI_CONFIG, Digest::sha256(b"b"), 50);
        let at = Duration::from_millis;
        let mut meter = Meter::default();
        assert_eq!((meter.carries(&blob), meter.carries(&blob), meter.carries(&other)), (1000, 0, 50));
        let (new, reading) = meter.sent(&blob.digest, 400, at(100));
        assert_eq!(
            (new, reading.unwrap().blob, reading.unwrap().all),
            (400, Bytes { done: 400, size: 1000 }, Bytes { done: 400, size: 1050 })
        );
        assert_eq!(meter.sent(&blob.digest, 100, at(599)), (100, None));
        let (new, reading) = meter.sent(&blob.digest, 900, at(600));
        assert_eq!((new, reading.unwrap().blob.done, reading.unwrap().speed), (500, 1000, 2000));
        assert_eq!((meter.arrived(&blob), meter.arrived(&other), meter.arrived(&other)), (0, 50, 0));
        assert_eq!(meter.sent(&Digest::sha256(b"unknown"), 1, at(700)), (0, None));
    }
}
