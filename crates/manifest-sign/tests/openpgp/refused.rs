//! SEC-58, SEC-80: what is not exactly one signature over one literal packet.

use std::sync::LazyLock;

use manifest_sign::Refusal;
use manifest_sign::openpgp::{MAX_ENVELOPE_SIZE, OpenPgpVerifier, Opened};

use super::{day, fixture, verifier};

fn open(envelope: &[u8]) -> Result<Opened, Refusal> {
    static RING: LazyLock<OpenPgpVerifier> = LazyLock::new(|| verifier("ring.gpg"));
    RING.open(envelope, day(10))
}

/// The packets of the message that is not packed: announcement, literal, signature. Their lengths are of one or two bytes.
fn parts() -> [Vec<u8>; 3] {
    let bytes = fixture("plain.pgp");
    let mut rest = bytes.as_slice();
    let mut next = || {
        let header = if rest[0] & 0x40 == 0 && rest[0] & 3 == 1 { 3 } else { 2 };
        let length = rest[1..header].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let length = match (rest[0] & 0x40 != 0, rest[1]) {
            (true, first @ 192..224) => ((usize::from(first) - 192) << 8) + usize::from(rest[2]) + 192 + 1,
            _ => length,
        };
        let (packet, after) = rest.split_at(header + length);
        rest = after;
        packet.to_vec()
    };
    [next(), next(), next()]
}

/// Packed packets of all lengths that there are: in one byte, two and four, old and new, and in parts.
fn all_lengths(body: &[u8]) -> Vec<Vec<u8>> {
    let body = [&[1], body].concat();
    let (two, four) = ((body.len() as u16).to_be_bytes(), (body.len() as u32).to_be_bytes());
    let new = ((body.len() - 192) as u16 + (192 << 8)).to_be_bytes();
    let (first, rest) = body.split_at(512);
    vec![
        [&[0xa1], &two[..], &body].concat(),
        [&[0xa2], &four[..], &body].concat(),
        [&[0xc8], &new[..], &body].concat(),
        [&[0xc8, 0xff], &four[..], &body].concat(),
        [&[0xc8, 0xe9], first, &[0xff], &(rest.len() as u32).to_be_bytes()[..], rest].concat(),
    ]
}

/// A packet of the old format around bytes, whose length goes to the end.
fn packed(algorithm: u8, body: &[u8]) -> Vec<u8> {
    [&[0xa3, algorithm], body].concat()
}

fn zip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let mut out = Vec::new();
    flate2::bufread::DeflateEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut out).unwrap();
    out
}

#[test]
fn whatever_is_not_a_message_with_one_signature_is_unreadable() {
    let [announced, literal, signature] = parts();
    let (plain, armoured) = (fixture("plain.pgp"), fixture("gpg.asc"));
    assert_eq!(
        [announced.clone(), literal.clone(), signature.clone()].concat(),
        plain,
        "the parts make the whole"
    );
    assert!(open(&packed(1, &zip(&plain))).is_ok(), "packed by hand");
    let marker = b"\xca\x03PGP".to_vec();
    let inner = packed(1, &zip(&plain));
    let twice = [armoured.clone(), armoured.clone()].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("white space", b" \n".to_vec()),
        ("plain JSON", fixture("payload.json")),
        ("noise", vec![0xff; 100]),
        ("noise in the shape of a packet", [vec![0xc3, 98], vec![0; 98]].concat()),
        ("a certificate", fixture("ring.gpg")),
        ("an armoured certificate", fixture("public.asc")),
        ("a secret key", fixture("rsa.asc")),
        ("cleartext", fixture("cleartext.asc")),
        ("detached", fixture("detached.pgp")),
        ("unsigned", fixture("unsigned.pgp")),
        ("signed twice", fixture("twice.pgp")),
        ("signed as text", fixture("text.pgp")),
        ("packed by bzip2", fixture("bzip2.pgp")),
        ("a literal packet only", literal.clone()),
        ("an announcement only", announced.clone()),
        ("no announcement", [literal.clone(), signature.clone()].concat()),
        ("the signature in front", [signature.clone(), literal.clone()].concat()),
        ("no signature", [announced.clone(), literal.clone()].concat()),
        ("no literal packet", [announced.clone(), signature.clone()].concat()),
        (
            "two literal packets",
            [announced.clone(), literal.clone(), literal.clone(), signature.clone()].concat(),
        ),
        ("an unsigned literal packet behind", [plain.clone(), literal.clone()].concat()),
        ("an unsigned literal packet in front", [literal.clone(), plain.clone()].concat()),
        ("the signature twice", [plain.clone(), signature.clone()].concat()),
        ("two messages", [plain.clone(), plain.clone()].concat()),
        ("two packed messages", [fixture("zlib.pgp"), fixture("zlib.pgp")].concat()),
        ("a packed message behind", [plain.clone(), inner.clone()].concat()),
        ("a marker in front", [marker.clone(), plain.clone()].concat()),
        ("a marker behind", [plain.clone(), marker].concat()),
        ("packed twice", packed(1, &zip(&inner))),
        ("packed by nothing", packed(0, &plain)),
        ("packed by nobody knows what", packed(9, &plain)),
        ("an empty packed packet", packed(1, &[])),
        ("nothing packed", packed(1, &zip(b""))),
        ("two messages in one packed packet", packed(1, &zip(&[plain.clone(), plain.clone()].concat()))),
        ("armoured text in a packed packet", packed(1, &zip(&armoured))),
        ("a byte behind what is packed", [inner.clone(), vec![0]].concat()),
        ("a message behind what is packed", [inner.clone(), plain.clone()].concat()),
        ("a packed message behind what is packed", [inner.clone(), inner].concat()),
        ("a byte behind", [plain.clone(), vec![0]].concat()),
        ("a line end behind", [plain.clone(), b"\n".to_vec()].concat()),
        ("a byte in front", [vec![0], plain.clone()].concat()),
        ("two armoured messages", twice),
        ("words behind the armour", [armoured.clone(), b"words\n".to_vec()].concat()),
        ("words in front of the armour", [b"words\n".to_vec(), armoured.clone()].concat()),
        ("armour around nothing", b"-----BEGIN PGP MESSAGE-----\n\n-----END PGP MESSAGE-----\n".to_vec()),
        ("too large", vec![0xff; MAX_ENVELOPE_SIZE + 1]),
    ];
    for (name, envelope) in cases {
        let refused = open(&envelope).expect_err(name);
        assert_eq!(refused.kind(), "unreadable", "{name}: {refusal}", refusal = refused);
    }
}

#[test]
fn a_packed_packet_may_tell_its_length_as_it_likes_but_must_keep_to_it() {
    for envelope in all_lengths(&zip(&fixture("plain.pgp"))) {
        let header = &envelope[..2];
        assert_eq!(open(&envelope), open(&fixture("plain.pgp")), "{header:x?}");
        let longer = [envelope.clone(), fixture("plain.pgp")].concat();
        assert_eq!(open(&longer).unwrap_err().kind(), "unreadable", "{header:x?}");
        for end in 0..envelope.len() {
            assert_eq!(open(&envelope[..end]).unwrap_err().kind(), "unreadable", "{header:x?} cut at {end}");
        }
    }
    for behind in all_lengths(&[zip(&fixture("plain.pgp")), vec![0]].concat()) {
        assert!(open(&behind).unwrap_err().to_string().contains("behind"), "within the packet");
    }
}

#[test]
fn a_message_cut_at_any_byte_is_unreadable() {
    for name in ["gpg.pgp", "plain.pgp", "zlib.pgp", "gpg.asc"] {
        let whole = fixture(name);
        let whole = whole.trim_ascii_end();
        for end in 0..whole.len() {
            let refused = open(&whole[..end]).expect_err(name);
            assert_eq!(refused.kind(), "unreadable", "{name} cut at {end}: {refused}");
        }
    }
}

#[test]
fn a_bit_that_is_flipped_changes_nothing_that_is_believed() {
    let good = open(&fixture("plain.pgp")).unwrap();
    for name in ["plain.pgp", "gpg.pgp"] {
        let whole = fixture(name);
        // Every third bit reaches each byte.
        for bit in (0..whole.len() * 8).step_by(3) {
            let mut other = whole.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            // What the signature does not cover, such as the date of the literal packet, may differ.
            if let Ok(opened) = open(&other) {
                assert_eq!(opened, good, "{name}, bit {bit}");
            }
        }
    }
}

#[test]
fn weak_digests_are_bad_and_named() {
    for (name, digest) in [("sha1.pgp", "SHA1"), ("md5.pgp", "MD5")] {
        let refused = open(&fixture(name)).unwrap_err();
        assert_eq!(refused.kind(), "bad", "{name}: {refused}");
        assert!(refused.to_string().contains(digest), "{refused}");
    }
}

#[test]
fn a_payload_that_was_changed_is_bad() {
    let [announced, mut literal, signature] = parts();
    *literal.last_mut().unwrap() ^= 1;
    assert_eq!(open(&[announced, literal, signature].concat()).unwrap_err().kind(), "bad");
}

#[test]
fn a_bomb_is_not_unpacked() {
    let bomb = packed(1, &zip(&vec![0; 64 * 1024 * 1024]));
    let refused = open(&bomb).unwrap_err();
    assert_eq!(refused.kind(), "unreadable");
}
