//! What `openssl` makes of our keys and signatures, and we of its own.

use std::path::Path;
use std::process::Command;

use manifest_sign::sigstore::{KeyKind, PublicKey, SigstoreSigner, SigstoreVerifier, cosign_signature};
use manifest_sign::{Passphrase, Payload, PayloadType, Signer as _};
use tempfile::TempDir;

use crate::fixture::{accepting, digest, fixture, path, public, signer};

fn openssl(arguments: &[&str], paths: &[&Path]) -> bool {
    let mut command = Command::new("openssl");
    let mut paths = paths.iter();
    for argument in arguments {
        match *argument {
            "PATH" => command.arg(paths.next().unwrap()),
            argument => command.arg(argument),
        };
    }
    let ran = command.output().expect("this test needs openssl: apt-get install openssl");
    ran.status.success()
}

fn written(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) -> std::path::PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn openssl_verifies_what_we_sign() {
    let dir = TempDir::new().unwrap();
    let payload = Payload::new("r.test/app:1", digest()).encode(PayloadType::Cosign);
    let message = written(&dir, "payload", &payload);
    let changed = written(&dir, "changed", [&payload[..], b" "].concat());
    for kind in [KeyKind::EcdsaP256, KeyKind::Rsa, KeyKind::Ed25519] {
        let signer = SigstoreSigner::generate(kind).unwrap();
        let signature = cosign_signature(&signer, payload.clone()).unwrap();
        let signature =
            crate::fixture::content(signature.annotations()["dev.cosignproject.cosign/signature"].as_bytes());
        let signature = written(&dir, "signature", signature);
        let key = written(&dir, "key", signer.public_key().to_pem());
        let verifies = |message: &Path| match kind {
            KeyKind::Ed25519 => openssl(
                &[
                    "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "PATH", "-sigfile", "PATH", "-in",
                    "PATH",
                ],
                &[&key, &signature, message],
            ),
            _ => openssl(
                &["dgst", "-sha256", "-verify", "PATH", "-signature", "PATH", "PATH"],
                &[&key, &signature, message],
            ),
        };
        assert!(verifies(&message), "{kind:?}");
        assert!(!verifies(&changed), "{kind:?}");
    }
}

#[test]
fn we_verify_what_openssl_signs() {
    let dir = TempDir::new().unwrap();
    let signature = dir.path().join("signature");
    for name in ["ecdsa", "rsa"] {
        let key = path(&format!("{name}.pem"));
        let arguments = ["dgst", "-sha256", "-sign", "PATH", "-out", "PATH", "PATH"];
        assert!(openssl(&arguments, &[&key, &signature, &path("payload.json")]));
        let fresh = std::fs::read(&signature).unwrap();
        assert_eq!(accepting(name).verify(&fixture("payload.json"), &fresh).as_ref(), Ok(public(name).id()));
    }
}

#[test]
fn signatures_of_openssl_in_the_fixtures_verify_with_their_key_only() {
    let all = SigstoreVerifier::new(["ecdsa", "ed25519", "rsa"].map(public));
    let message = fixture("payload.json");
    for name in ["ecdsa", "ed25519", "rsa"] {
        let signature = fixture(&format!("{name}.sig"));
        assert_eq!(all.verify(&message, &signature).as_ref(), Ok(public(name).id()));
        assert!(all.verify(&message[1..], &signature).is_err());
        for cut in 0..signature.len() {
            assert!(all.verify(&message, &signature[..cut]).is_err(), "{name}, {cut}");
        }
        assert!(all.verify(&message, &[&signature[..], b"x"].concat()).is_err());
    }
}

#[test]
fn openssl_reads_the_public_half_of_a_key_that_was_imported() {
    let plain = signer("rsa");
    let file = plain.seal(&Passphrase::new("p")).unwrap();
    let opened = SigstoreSigner::open(file.as_bytes(), Some(&Passphrase::new("p"))).unwrap();
    assert_eq!(opened.key(), plain.key());
    let dir = TempDir::new().unwrap();
    let (key, again) = (written(&dir, "key", opened.public_key().to_pem()), dir.path().join("again"));
    assert!(openssl(&["pkey", "-pubin", "-in", "PATH", "-out", "PATH"], &[&key, &again]));
    assert_eq!(PublicKey::from_pem(&std::fs::read(again).unwrap()).unwrap(), public("rsa"));
}
