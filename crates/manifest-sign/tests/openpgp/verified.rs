//! What counts, and for how long.

use std::time::{Duration, SystemTime};

use manifest_sign::openpgp::{OpenPgpVerifier, Opened};
use manifest_sign::{MAX_PAYLOAD_SIZE, Refusal, Signer as _};

use super::keys::open;
use super::{DAY, day, fixture, verifier};

fn kind(opened: Result<Opened, Refusal>) -> String {
    opened.map_or_else(|refusal| refusal.kind().to_owned(), |_| "good".to_owned())
}

#[test]
fn what_gnupg_made_is_opened_packed_or_not_armoured_or_not() {
    let keyring = verifier("ring.gpg");
    for name in ["gpg.pgp", "gpg.asc", "plain.pgp", "zlib.pgp"] {
        let opened =
            keyring.open(&fixture(name), day(10)).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!(opened.payload, fixture("payload.json"), "{name}");
        assert_eq!(opened.made.duration_since(day(9)).unwrap(), Duration::ZERO, "{name}");
        assert_eq!(opened.key, opened.signing_key, "{name}");
    }
}

#[test]
fn white_space_may_stand_around_the_armour() {
    let text = [b"\r\n \n".to_vec(), fixture("gpg.asc"), b"\n\n".to_vec()].concat();
    assert_eq!(kind(verifier("public.asc").open(&text, day(10))), "good");
}

#[test]
fn both_the_primary_key_and_the_subkey_that_signed_are_told() {
    let keyring = verifier("subkey.asc");
    let opened = keyring.open(&fixture("by-subkey.pgp"), day(10)).unwrap();
    assert_eq!(keyring.keys().collect::<Vec<_>>(), std::slice::from_ref(&opened.key));
    assert_ne!(opened.key, opened.signing_key);
}

#[test]
fn a_key_that_is_not_in_the_ring_is_named() {
    let all = verifier("ring.gpg").open(&fixture("gpg.pgp"), day(10)).unwrap();
    let refused = verifier("ed25519.asc").open(&fixture("gpg.pgp"), day(10));
    assert_eq!(refused, Err(Refusal::UnknownKey(all.key)));
    let nobody = OpenPgpVerifier::default().open(&fixture("by-subkey.pgp"), day(10)).unwrap_err();
    assert_eq!(nobody.kind(), "unknown-key");
}

#[test]
fn rings_may_be_merged() {
    let mut keyring = verifier("ed25519.asc");
    keyring.merge(verifier("public.asc")).unwrap();
    assert_eq!(kind(keyring.open(&fixture("gpg.pgp"), day(10))), "good");
}

#[test]
fn time_decides() {
    let cases = [
        ("expired.asc", "by-expired.pgp", day(29), "good"),
        ("expired.asc", "by-expired.pgp", day(31), "expired"), // the key
        ("revoked.asc", "by-revoked.pgp", day(10), "expired"),
        ("unrevoked.asc", "by-revoked.pgp", day(10), "good"),
        ("rsa.asc", "short.pgp", day(15), "good"),
        ("rsa.asc", "short.pgp", day(17), "expired"), // the signature
        ("rsa.asc", "gpg.pgp", day(9) - Duration::from_secs(600), "good"), // a clock that is a little ahead
        ("rsa.asc", "gpg.pgp", day(8), "expired"),    // not yet
        ("rsa.asc", "gpg.pgp", SystemTime::UNIX_EPOCH, "expired"),
    ];
    for (keyring, name, now, wanted) in cases {
        let opened = verifier(keyring).open(&fixture(name), now);
        assert_eq!(kind(opened.clone()), wanted, "{name} {now:?}: {opened:?}");
    }
}

// SEC-76
#[test]
fn a_key_that_was_no_longer_good_when_it_signed_is_expired() {
    use sequoia_openpgp::packet::signature::SignatureBuilder;
    use sequoia_openpgp::types::{ReasonForRevocation, SignatureType};

    let late = crafted("expired.asc", day(35));
    assert_eq!(kind(verifier("expired.asc").open(&late, day(29))), "expired", "from the future");
    assert_eq!(kind(verifier("expired.asc").open(&late, day(40))), "expired");

    // Retired on day 20, which leaves what was signed before as it was.
    let (cert, mut pair) = secret("unrevoked.asc");
    let retired = SignatureBuilder::new(SignatureType::KeyRevocation)
        .set_signature_creation_time(day(20))
        .unwrap()
        .set_reason_for_revocation(ReasonForRevocation::KeyRetired, b"")
        .unwrap()
        .sign_direct_key(&mut pair, cert.primary_key().key())
        .unwrap();
    let cert = cert.strip_secret_key_material().insert_packets(retired).unwrap().0;
    let keyring = OpenPgpVerifier::from_keyring(&to_vec(&cert)).unwrap();
    let early = fixture("by-revoked.pgp");
    let late = crafted("unrevoked.asc", day(21));
    assert_eq!(kind(keyring.open(&early, day(19))), "good");
    assert_eq!(kind(keyring.open(&early, day(22))), "expired");
    assert_eq!(kind(keyring.open(&late, day(22))), "expired");
}

#[test]
fn a_message_older_than_its_key_is_bad() {
    let opened =
        verifier("expired.asc").open(&crafted("expired.asc", day(0) - Duration::from_secs(DAY)), day(1));
    assert_eq!(kind(opened), "bad");
}

#[test]
fn a_payload_of_exactly_the_limit_is_opened_and_one_byte_more_is_not() {
    let now = SystemTime::now() + Duration::from_secs(5);
    let signer = open("ed25519.asc", None);
    let message = signer.sign(&vec![b' '; MAX_PAYLOAD_SIZE]).unwrap();
    assert_eq!(verifier("ed25519.asc").open(&message, now).unwrap().payload.len(), MAX_PAYLOAD_SIZE);
    let message = signer.sign(&vec![b' '; MAX_PAYLOAD_SIZE + 1]).unwrap();
    assert_eq!(kind(verifier("ed25519.asc").open(&message, now)), "unreadable");
}

fn secret(name: &str) -> (sequoia_openpgp::Cert, sequoia_openpgp::crypto::KeyPair) {
    use sequoia_openpgp::parse::Parse as _;
    let cert = sequoia_openpgp::Cert::from_bytes(&fixture(name)).unwrap();
    let pair = cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    (cert, pair)
}

fn to_vec(cert: &sequoia_openpgp::Cert) -> Vec<u8> {
    use sequoia_openpgp::serialize::SerializeInto as _;
    cert.to_vec().unwrap()
}

/// A message that a key signs at any time, whether it may or not.
fn crafted(name: &str, made: SystemTime) -> Vec<u8> {
    use sequoia_openpgp::serialize::stream::{LiteralWriter, Message, Signer};
    use std::io::Write as _;
    let mut bytes = Vec::new();
    let signer = Signer::new(Message::new(&mut bytes), secret(name).1).unwrap();
    let signer = signer.creation_time(made).build().unwrap();
    let mut message = LiteralWriter::new(signer).build().unwrap();
    message.write_all(b"{}").unwrap();
    message.finalize().unwrap();
    bytes
}
