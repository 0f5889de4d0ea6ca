//! Simple signing: keys, envelopes and other people's programs.

#![cfg(feature = "openpgp")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "a test ends at the first thing that is not as it should be; its files need not survive a crash"
)]

mod gpg;
mod keys;
mod refused;
mod verified;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use manifest_sign::Passphrase;
use manifest_sign::openpgp::OpenPgpVerifier;

const DAY: u64 = 86_400;

/// A file of the fixtures.
fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openpgp").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A day in the life of the fixtures: their keys were made on day 0, the messages on day 9.
fn day(number: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_067_200 + number * DAY)
}

fn verifier(keyring: &str) -> OpenPgpVerifier {
    OpenPgpVerifier::from_keyring(&fixture(keyring)).unwrap()
}

fn sesame() -> Passphrase {
    Passphrase::new("open sesame")
}
