//! Keys from files, and keys that are made.

use std::time::{Duration, SystemTime};

use manifest_sign::openpgp::{
    NewKey, OpenPgpSigner, OpenPgpVerifier, RsaBits, certificates, generate, public_certificate,
};
use manifest_sign::{Passphrase, SignError, Signer};

use super::{day, fixture, sesame, verifier};

pub(crate) fn open(name: &str, passphrase: Option<&Passphrase>) -> OpenPgpSigner {
    OpenPgpSigner::open(&fixture(name), None, passphrase, day(10)).unwrap()
}

fn refused(name: &str, choice: Option<&str>, passphrase: Option<&Passphrase>, now: SystemTime) -> SignError {
    OpenPgpSigner::open(&fixture(name), choice, passphrase, now).unwrap_err()
}

/// A little later than the clock, since the time of a signature is told in whole seconds.
fn now() -> SystemTime {
    SystemTime::now() + Duration::from_secs(2)
}

#[test]
fn what_a_key_signs_is_opened_by_its_certificate() {
    let sesame = sesame();
    for (name, passphrase) in [
        ("rsa.asc", None),
        ("ed25519.asc", None),
        ("ed25519.asc", Some(&sesame)), // one that is not needed
        ("locked-rsa.asc", Some(&sesame)),
        ("locked-ed25519.asc", Some(&sesame)),
        ("subkey.asc", None),
        ("subkey-only.asc", None),
    ] {
        let signer = open(name, passphrase);
        let message = signer.sign(b"{\"a\":1}").unwrap();
        let certificate = public_certificate(&fixture(name)).unwrap();
        let opened = OpenPgpVerifier::from_keyring(&certificate).unwrap().open(&message, now()).unwrap();
        assert_eq!(opened.payload, b"{\"a\":1}", "{name}");
        assert_eq!((&opened.key, &opened.signing_key), (signer.key(), signer.signing_key()), "{name}");
        assert_eq!(
            opened.key != opened.signing_key,
            name.starts_with("subkey"),
            "{name}: the primary key if it may"
        );
        assert_eq!(message[0], 0xc4, "{name}: a one-pass signature in front, neither armour nor packing");
    }
}

#[test]
fn many_threads_sign_with_one_key() {
    let signer = open("ed25519.asc", None);
    let keyring = verifier("ed25519.asc");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (signer, keyring) = (&signer, &keyring);
            scope.spawn(move || {
                let payload = format!("{{\"number\":{number}}}");
                let message = signer.sign(payload.as_bytes()).unwrap();
                assert_eq!(keyring.open(&message, now()).unwrap().payload, payload.as_bytes());
            });
        }
    });
}

#[test]
fn a_key_that_cannot_sign_says_why() {
    let wrong = Passphrase::new("close sesame");
    let is_locked = |error: &SignError| matches!(error, SignError::Locked(_));
    let is_wrong = |error: &SignError| matches!(error, SignError::WrongPassphrase(_));
    for name in ["locked-rsa.asc", "locked-ed25519.asc"] {
        assert!(is_locked(&refused(name, None, None, day(10))), "{name}");
        assert!(is_wrong(&refused(name, None, Some(&wrong), day(10))), "{name}");
        assert!(is_wrong(&refused(name, None, Some(&Passphrase::new("")), day(10))), "{name}");
    }
    for (name, now, why) in [
        ("expired.asc", day(40), "xpired"),
        ("revoked.asc", day(10), "revoked"),
        ("public.asc", day(10), "public half"),
    ] {
        let error = refused(name, None, None, now);
        assert!(matches!(error, SignError::CannotSign(..)), "{name}: {error:?}");
        assert!(error.to_string().contains(why), "{name}: {error}");
    }
}

#[test]
fn what_is_no_key_is_refused() {
    for name in ["payload.json", "gpg.pgp", "gpg.asc", "cleartext.asc", "detached.pgp"] {
        let error = refused(name, None, None, day(10));
        assert!(matches!(error, SignError::NotAKey(_)), "{name}: {error:?}");
    }
    for bytes in
        [&b""[..], b"\xff\xff\xff", b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n", &fixture("ring.gpg")[..700]]
    {
        let error = OpenPgpSigner::open(bytes, None, None, day(10)).unwrap_err();
        assert!(matches!(error, SignError::NotAKey(_)), "{error:?}");
        assert!(OpenPgpVerifier::from_keyring(bytes).is_err());
    }
}

#[test]
fn one_of_several_keys_is_chosen_by_fingerprint() {
    let file = [fixture("rsa.asc"), fixture("subkey.asc")].concat();
    let keys = certificates(&file, day(10)).unwrap();
    assert_eq!(keys.len(), 2);
    let error = OpenPgpSigner::open(&file, None, None, day(10)).unwrap_err();
    let SignError::SeveralKeys(named) = &error else { panic!("{error:?}") };
    assert_eq!(*named, keys.iter().map(|key| key.key.clone()).collect::<Vec<_>>());
    for key in &keys {
        let primary = key.key.as_str();
        let choices = [
            primary.to_owned(),
            primary.to_lowercase(),
            format!("0x{primary}"),
            primary[24..].to_owned(),
            key.signing_keys[0].as_str().to_owned(), // a subkey means its key
        ];
        for choice in choices {
            let signer = OpenPgpSigner::open(&file, Some(&choice), None, day(10)).unwrap();
            assert_eq!(signer.key(), &key.key, "{choice}");
        }
    }
    let other = "00112233445566778899AABBCCDDEEFF00112233";
    assert!(matches!(OpenPgpSigner::open(&file, Some(other), None, day(10)), Err(SignError::CannotSign(..))));
    for none in ["", "rsa@example.com", "DEADBEEF"] {
        assert!(
            matches!(OpenPgpSigner::open(&file, Some(none), None, day(10)), Err(SignError::NotAKey(_))),
            "{none}"
        );
    }
}

#[test]
fn a_listing_tells_what_is_public() {
    let list = |name| certificates(&fixture(name), day(10)).unwrap().remove(0);
    let rsa = list("rsa.asc");
    assert_eq!(rsa.user_ids, ["rsa fixture <rsa@example.com>"]);
    assert_eq!((rsa.algorithm.as_str(), rsa.created, rsa.expires), ("rsa3072", day(0), None));
    assert_eq!(rsa.signing_keys, std::slice::from_ref(&rsa.key));
    assert!(rsa.secret && !rsa.revoked && rsa.unusable.is_none());
    assert!(!list("public.asc").secret);
    assert_eq!(list("ed25519.asc").algorithm, "ed25519");
    assert_eq!(list("expired.asc").expires, Some(day(30)));
    assert!(list("revoked.asc").revoked);
    let subkey = list("subkey.asc");
    assert!(!subkey.signing_keys.contains(&subkey.key));
    assert_eq!(certificates(&fixture("ring.gpg"), day(10)).unwrap().len(), 3);
}

#[test]
fn a_certificate_has_nothing_secret() {
    for name in ["rsa.asc", "locked-rsa.asc", "subkey.asc"] {
        let text = public_certificate(&fixture(name)).unwrap();
        assert!(text.starts_with(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"), "{name}");
        assert!(!certificates(&text, day(10)).unwrap()[0].secret, "{name}");
    }
}

#[test]
fn a_key_that_was_made_signs_and_is_locked_if_wanted() {
    let (created, passphrase) = (SystemTime::now(), sesame());
    for (bits, algorithm, passphrase) in
        [(RsaBits::Rsa3072, "rsa3072", Some(&passphrase)), (RsaBits::Rsa4096, "rsa4096", None)]
    {
        let valid_for = Some(Duration::from_secs(86_400));
        let new = NewKey { user_id: "Ann <ann@example.com>", bits, passphrase, created, valid_for };
        let made = generate(&new).unwrap();
        let listed = certificates(&made.certificate, created).unwrap().remove(0);
        assert_eq!((listed.algorithm.as_str(), &listed.key), (algorithm, &made.key));
        assert_eq!(listed.signing_keys, std::slice::from_ref(&made.key), "the primary key");
        assert!(listed.expires.is_some_and(|at| at <= created + Duration::from_secs(86_400)));
        assert!(!listed.secret && !format!("{made:?}").contains("PRIVATE"));
        let locked = OpenPgpSigner::open(&made.secret, None, None, now());
        assert_eq!(matches!(locked, Err(SignError::Locked(_))), passphrase.is_some());
        let signer = OpenPgpSigner::open(&made.secret, None, passphrase, now()).unwrap();
        let message = signer.sign(b"{}").unwrap();
        let opened = OpenPgpVerifier::from_keyring(&made.certificate).unwrap().open(&message, now()).unwrap();
        assert_eq!(opened.key, made.key);
    }
}

#[test]
fn secrets_are_not_printed() {
    let printed = format!("{:?}", open("locked-rsa.asc", Some(&sesame())));
    assert!(
        printed.contains("signing_key") && !printed.contains("sesame") && printed.len() < 200,
        "{printed}"
    );
}
