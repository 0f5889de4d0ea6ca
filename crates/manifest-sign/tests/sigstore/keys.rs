//! Key files.

use manifest_sign::sigstore::{KeyKind, PublicKey, SigstoreSigner, SigstoreVerifier};
use manifest_sign::{Passphrase, SignError, Signer as _};
use serde_json::{Value, json};

use crate::fixture::{content, fixture, pem, public, sealed, signer};

const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
const OLD_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";

#[test]
fn key_files_of_another_program_are_opened_whatever_their_cost_and_label() {
    for (file, passphrase, name, kind) in [
        ("sealed-15.key", "correct horse", "ecdsa", KeyKind::EcdsaP256),
        ("sealed-16.key", "correct horse", "ed25519", KeyKind::Ed25519),
        ("sealed-17.key", "", "rsa", KeyKind::Rsa),
    ] {
        let file = fixture(file);
        assert!(SigstoreSigner::is_encrypted(&file).unwrap());
        let opened = SigstoreSigner::open(&file, Some(&Passphrase::new(passphrase))).unwrap();
        assert_eq!((opened.public_key(), opened.public_key().kind()), (&public(name), kind));
        let wrong = SigstoreSigner::open(&file, Some(&Passphrase::new("incorrect"))).unwrap_err();
        assert!(matches!(wrong, SignError::WrongPassphrase(_)), "{wrong}");
        let locked = SigstoreSigner::open(&file, None).unwrap_err();
        assert!(matches!(locked, SignError::Locked(_)), "{locked}");
    }
}

#[test]
fn each_cost_goes_with_each_label() {
    let pkcs8 = content(&fixture("ecdsa.pem"));
    for n in [1 << 15, 1 << 16, 1 << 17] {
        let json = sealed(n, &pkcs8, b"pass").to_string();
        for label in [LABEL, OLD_LABEL] {
            let file = pem(label, json.as_bytes());
            let opened = SigstoreSigner::open(&file, Some(&Passphrase::new("pass"))).unwrap();
            assert_eq!(opened.key(), public("ecdsa").id());
        }
    }
}

#[test]
fn plain_keys_are_read_in_the_forms_that_openssl_writes() {
    for (file, kind) in [
        ("ecdsa.pem", KeyKind::EcdsaP256),
        ("ed25519.pem", KeyKind::Ed25519),
        ("rsa.pem", KeyKind::Rsa),
        ("rsa-old.pem", KeyKind::Rsa),
        ("ec-old.pem", KeyKind::EcdsaP256),
    ] {
        let opened = SigstoreSigner::open(&fixture(file), None).unwrap();
        assert_eq!(opened.public_key().kind(), kind);
        assert!(!SigstoreSigner::is_encrypted(&fixture(file)).unwrap());
        let signature = opened.sign(b"message").unwrap();
        assert_eq!(opened.verifier().verify(b"message", &signature).as_ref(), Ok(opened.key()));
    }
}

#[test]
fn what_is_sealed_opens_again_with_its_passphrase_only() {
    for (kind, passphrase) in [(KeyKind::EcdsaP256, "secret"), (KeyKind::Ed25519, ""), (KeyKind::Rsa, "ü")] {
        let made = SigstoreSigner::generate(kind).unwrap();
        let passphrase = Passphrase::new(passphrase);
        let file = made.seal(&passphrase).unwrap();
        assert!(file.starts_with(&format!("-----BEGIN {LABEL}-----\n")), "{file}");
        let inside: Value = serde_json::from_slice(&content(file.as_bytes())).unwrap();
        assert_eq!(inside["kdf"]["params"], json!({ "N": 65536, "r": 8, "p": 1 }));
        let opened = SigstoreSigner::open(file.as_bytes(), Some(&passphrase)).unwrap();
        assert_eq!(opened.public_key(), made.public_key());
        assert!(SigstoreSigner::open(file.as_bytes(), Some(&Passphrase::new("other"))).is_err());
        assert_ne!(made.seal(&passphrase).unwrap(), file, "the salt is the same twice");
    }
}

/// SEC-79.
#[test]
fn sec_79_a_file_that_asks_for_other_parameters_is_refused_before_any_work() {
    for (n, r, p) in [
        (json!(1_u64 << 30), json!(8), json!(1)),
        (json!(3), json!(8), json!(1)),
        (json!(0), json!(8), json!(1)),
        (json!(1 << 14), json!(8), json!(1)),
        (json!(1 << 18), json!(8), json!(1)),
        (json!((1 << 16) + 1), json!(8), json!(1)),
        (json!(u64::MAX), json!(u64::MAX), json!(u64::MAX)),
        (json!(1 << 16), json!(1 << 20), json!(1)),
        (json!(1 << 16), json!(8), json!(1 << 30)),
        (json!(1 << 16), json!(0), json!(1)),
        (json!(1 << 16), json!(8), json!(0)),
        (json!(-65536), json!(8), json!(1)),
        (json!(65536.0), json!(8), json!(1)),
        (json!("65536"), json!(8), json!(1)),
        (json!(null), json!(8), json!(1)),
    ] {
        let mut key = sealed(2, b"key", b"");
        key["kdf"]["params"] = json!({ "N": n, "r": r, "p": p });
        let refused =
            SigstoreSigner::open(&pem(LABEL, key.to_string().as_bytes()), Some(&Passphrase::new("")));
        assert!(matches!(refused, Err(SignError::NotAKey(_))), "{n} {r} {p}: {refused:?}");
    }
}

#[test]
fn a_key_file_that_is_not_as_it_must_be_is_refused() {
    let good = sealed(1 << 15, &content(&fixture("ecdsa.pem")), b"").to_string();
    let value: Value = serde_json::from_str(&good).unwrap();
    let with = |at: &str, new: Value| {
        let mut value = value.clone();
        *value.pointer_mut(at).unwrap() = new;
        value.to_string()
    };
    let cases = [
        ("no salt", with("/kdf/salt", json!(""))),
        ("a short salt", with("/kdf/salt", json!("AAAA"))),
        ("a salt that is no base64", with("/kdf/salt", json!("!"))),
        ("a short nonce", with("/cipher/nonce", json!("AAAA"))),
        ("another kdf", with("/kdf/name", json!("argon2id"))),
        ("another cipher", with("/cipher/name", json!("none"))),
        ("a kdf that is a list", with("/kdf", json!([]))),
        ("no ciphertext", good.replace("\"ciphertext\"", "\"cyphertext\"")),
        ("more", good.replace("\"ciphertext\"", "\"more\":1,\"ciphertext\"")),
        ("more parameters", good.replace("\"N\"", "\"n\":1,\"N\"")),
        ("a key twice", good.replace("\"N\"", "\"N\":32768,\"N\"")),
        ("something behind", good.clone() + "{}"),
        ("cut", good[..good.len() - 1].to_owned()),
        ("nothing", String::new()),
        ("deep", "[".repeat(10_000)),
    ];
    for (name, json) in cases {
        let refused = SigstoreSigner::open(&pem(LABEL, json.as_bytes()), Some(&Passphrase::new("")));
        assert!(matches!(refused, Err(SignError::NotAKey(_))), "{name}: {refused:?}");
    }
    for ciphertext in ["", "AAAA"] {
        let json = with("/ciphertext", json!(ciphertext));
        let refused = SigstoreSigner::open(&pem(LABEL, json.as_bytes()), Some(&Passphrase::new("")));
        assert!(matches!(refused, Err(SignError::WrongPassphrase(_))), "{ciphertext:?}: {refused:?}");
    }
    let not_pkcs8 = sealed(1 << 15, b"not a key", b"").to_string();
    let refused = SigstoreSigner::open(&pem(LABEL, not_pkcs8.as_bytes()), Some(&Passphrase::new("")));
    assert!(matches!(refused, Err(SignError::NotAKey(_))), "{refused:?}");
}

#[test]
fn what_is_no_private_key_is_refused_in_words() {
    let two = [fixture("ecdsa.pem"), fixture("rsa.pem")].concat();
    for (name, file, why) in [
        ("p384", fixture("p384.pem"), "none of ECDSA P-256"),
        ("rsa 1024", fixture("rsa1024.pem"), "none of ECDSA P-256"),
        ("pkcs8, encrypted", fixture("ecdsa-pkcs8-encrypted.pem"), "PKCS#8"),
        ("a public key", fixture("ecdsa.pub"), "not a private key"),
        ("two keys", two, "holds 2 things"),
        ("text", b"hello".to_vec(), "BEGIN"),
        ("nothing", Vec::new(), "BEGIN"),
        ("rubbish", pem("PRIVATE KEY", b"rubbish"), "none of ECDSA P-256"),
        ("too much", vec![b'\n'; 70_000], "70000 bytes"),
    ] {
        let refused = SigstoreSigner::open(&file, None).unwrap_err().to_string();
        assert!(refused.contains(why), "{name}: {refused}");
    }
}

#[test]
fn a_public_key_is_read_in_one_form_and_written_in_the_same() {
    for name in ["ecdsa", "ed25519", "rsa"] {
        let file = fixture(&format!("{name}.pub"));
        let key = PublicKey::from_pem(&file).unwrap();
        assert_eq!(key.to_pem().as_bytes(), file);
        assert_eq!(&key, signer(name).public_key());
        assert_eq!(key.id().as_str(), manifest_core::Digest::sha256(&content(&file)).hex());
    }
    let rsa = content(&fixture("rsa.pub"));
    let cases = [
        ("p384", fixture("p384.pub")),
        ("rsa 1024", fixture("rsa1024.pub")),
        ("a compressed point", fixture("ecdsa-compressed.pub")),
        ("a private key", fixture("ecdsa.pem")),
        ("a certificate", pem("CERTIFICATE", &rsa)),
        ("bytes behind", pem("PUBLIC KEY", &[&rsa[..], b"x"].concat())),
        ("a bare RSA key", pem("PUBLIC KEY", &rsa[24..])),
        (
            "a point that is not on the curve",
            pem("PUBLIC KEY", &{
                let mut key = content(&fixture("ecdsa.pub"));
                key[90] ^= 1;
                key
            }),
        ),
        ("nothing", pem("PUBLIC KEY", b"")),
        ("no block", b"key".to_vec()),
    ];
    for (name, file) in cases {
        let refused = PublicKey::from_pem(&file);
        assert!(matches!(refused, Err(SignError::NotAKey(_))), "{name}: {refused:?}");
        assert!(SigstoreVerifier::from_pem(&file).is_err(), "{name}");
    }
}

/// SEC-75.
#[test]
fn sec_75_a_key_that_is_given_twice_is_one_key() {
    let file = [fixture("ecdsa.pub"), fixture("ecdsa.pub"), fixture("rsa.pub")].concat();
    let verifier = SigstoreVerifier::from_pem(&file).unwrap();
    assert_eq!(verifier.keys(), [public("ecdsa"), public("rsa")]);
    let ecdsa = signer("ecdsa");
    let keys =
        [ecdsa.sign(b"m").unwrap(), ecdsa.sign(b"m").unwrap()].map(|s| verifier.verify(b"m", &s).unwrap());
    assert_eq!(keys[0], keys[1], "two signatures of one key count as two signers");
}

#[test]
fn no_secret_is_shown() {
    let signer = signer("ed25519");
    assert_eq!(format!("{:?}", Passphrase::new("hush")), "Passphrase(***)");
    let shown = format!("{signer:?}");
    assert_eq!(shown, format!("SigstoreSigner {{ public: PublicKey(ed25519 {}), .. }}", signer.key()));
    let wrong = SigstoreSigner::open(&fixture("sealed-15.key"), Some(&Passphrase::new("hush"))).unwrap_err();
    assert!(!format!("{wrong:?} {wrong}").contains("hush"));
}
