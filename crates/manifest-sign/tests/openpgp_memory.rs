//! SEC-81: how much memory a hostile envelope may cost. Alone in its process, whose peak is what counts.

#![cfg(all(feature = "openpgp", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test ends at the first thing that is not as it should be, and tells what it measured"
)]

use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use flate2::Compression;
use flate2::read::DeflateEncoder;
use manifest_sign::openpgp::{OpenPgpSigner, OpenPgpVerifier};
use sequoia_openpgp::Cert;
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::serialize::stream::{Compressor, LiteralWriter, Message, Signer};
use sequoia_openpgp::types::CompressionAlgorithm;

const MIB: u64 = 1024 * 1024;

/// The most memory that this process ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A good signature over `size` bytes, packed.
fn packed(cert: &Cert, size: u64) -> Vec<u8> {
    let pair = cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let mut bytes = Vec::new();
    let message = Compressor::new(Message::new(&mut bytes)).algo(CompressionAlgorithm::Zip).build().unwrap();
    let message = Signer::new(message, pair).unwrap().build().unwrap();
    let mut message = LiteralWriter::new(message).build().unwrap();
    std::io::copy(&mut std::io::repeat(b' ').take(size), &mut message).unwrap();
    message.finalize().unwrap();
    bytes
}

/// A literal packet of a size, with nothing before or behind it.
fn literal(size: u32) -> Vec<u8> {
    let mut bytes = vec![0xcb, 0xff];
    bytes.write_all(&(size + 6).to_be_bytes()).unwrap();
    bytes.extend_from_slice(b"b\0\0\0\0\0");
    bytes.resize(bytes.len() + size as usize, b' ');
    bytes
}

/// A packed stream of nothing but markers, each a packet of its own.
fn markers(size: u64) -> Vec<u8> {
    struct Markers(u64);
    impl Read for Markers {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = (buffer.len() / 5 * 5).min(usize::try_from(self.0).unwrap());
            self.0 -= count as u64;
            buffer
                .iter_mut()
                .take(count)
                .zip(b"\xca\x03PGP".iter().cycle())
                .for_each(|(to, from)| *to = *from);
            Ok(count)
        }
    }
    let mut bytes = vec![0xa3, 1];
    DeflateEncoder::new(Markers(size / 5 * 5), Compression::fast()).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn neither_a_large_message_nor_a_bomb_costs_more_than_64_mib_or_5_seconds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openpgp/ed25519.asc");
    let key = std::fs::read(path).unwrap();
    let (keyring, now) =
        (OpenPgpVerifier::from_keyring(&key).unwrap(), SystemTime::now() + Duration::from_secs(5));
    let cert = Cert::from_bytes(&key).unwrap();
    assert!(OpenPgpSigner::open(&key, None, None, now).is_ok());
    let before = peak();
    let cases = [
        ("4 MiB, packed", packed(&cert, 4 * MIB), "good"),
        ("26 MB, packed", packed(&cert, 26_000_000), "once unpacked"),
        ("128 MiB, packed", packed(&cert, 128 * MIB), "once unpacked"),
        ("4 MB of markers, packed", markers(4_000_000), "not a whole message"),
        ("128 MiB of markers, packed", markers(128 * MIB), "once unpacked"),
        ("26 MB", literal(26_000_000), "26000012 bytes"),
    ];
    for (name, envelope, wanted) in cases {
        let began = Instant::now();
        let opened = keyring.open(&envelope, now);
        let took = began.elapsed();
        let answer = opened.map_or_else(|refusal| refusal.to_string(), |_| "good".to_owned());
        assert!(answer.contains(wanted), "{name}: {answer}");
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
        eprintln!("{name}: {took:?}, {} MiB at most so far", peak() / MIB);
    }
    eprintln!("{} MiB in the beginning", before / MIB);
    // The envelopes themselves are within it, the largest of them 26 MB.
    assert!(peak() < 64 * MIB, "{} MiB", peak() / MIB);
}
