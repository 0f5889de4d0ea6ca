//! GnuPG and skopeo read what we sign, and we read what they sign.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use manifest_core::Digest;
use manifest_sign::openpgp::{
    GeneratedKey, GpgSettings, GpgSigner, NewKey, OpenPgpSigner, OpenPgpVerifier, RsaBits, certificates,
    generate, public_certificate,
};
use manifest_sign::{Passphrase, Payload, PayloadType, SignError, Signer};
use tempfile::TempDir;

use super::{fixture, sesame};

/// A GnuPG home of its own, whose agent ends with it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        // The agent's socket lies in it, and the path of a socket is short.
        let private = fs::Permissions::from_mode(0o700);
        Self(tempfile::Builder::new().prefix("gpg").permissions(private).tempdir_in("/tmp").unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn gpg<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        let args: Vec<_> = args.into_iter().collect();
        let quiet = ["--batch", "--no-tty", "--pinentry-mode", "loopback"].map(OsStr::new);
        program("gpg", quiet.into_iter().chain(args.iter().map(AsRef::as_ref)), self.path())
    }

    /// Makes a key and tells its fingerprint.
    fn key(&self, name: &str, algorithm: &str, passphrase: &str) -> String {
        self.gpg(["--passphrase", passphrase, "--quick-gen-key", name, algorithm, "sign,cert", "never"])
            .good();
        self.fingerprint(name)
    }

    fn fingerprint(&self, name: &str) -> String {
        let listing = self.gpg(["--with-colons", "--list-keys", name]).good();
        let line = listing.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    fn import(&self, key: &[u8]) {
        self.gpg([OsStr::new("--import"), self.file("key", key).as_os_str()]).good();
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn certificate(&self) -> Vec<u8> {
        let exported = self.gpg(["--export"]);
        assert!(exported.status.success());
        exported.stdout
    }

    /// What GnuPG reads from a message, and the fingerprints of the key that signed and of its primary key.
    fn decrypt(&self, message: &[u8]) -> (Vec<u8>, String, String) {
        let file = self.file("message", message);
        let output =
            self.gpg([OsStr::new("--status-fd"), OsStr::new("2"), OsStr::new("--decrypt"), file.as_os_str()]);
        // The salt that Sequoia adds to a signature is shown as it is.
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("[GNUPG:] GOODSIG "), "{said}");
        let valid = said.lines().find_map(|line| line.strip_prefix("[GNUPG:] VALIDSIG ")).unwrap();
        let words: Vec<&str> = valid.split(' ').collect();
        (output.stdout.clone(), words[0].to_owned(), words[9].to_owned())
    }

    fn settings(&self) -> GpgSettings {
        GpgSettings { home: Some(self.path().to_owned()), ..GpgSettings::default() }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        program("gpgconf", ["--kill", "all"].map(OsStr::new), self.path());
    }
}

trait Good {
    fn good(self) -> String;
}

impl Good for Output {
    fn good(self) -> String {
        assert!(self.status.success(), "{}", String::from_utf8_lossy(&self.stderr));
        String::from_utf8(self.stdout).unwrap()
    }
}

/// Runs a program that a test needs: a test never skips itself.
fn program<'a>(name: &str, args: impl IntoIterator<Item = &'a OsStr>, home: &Path) -> Output {
    let package = if name == "skopeo" { "skopeo" } else { "gnupg" };
    let mut command = Command::new(name);
    command.args(args).env("GNUPGHOME", home).env("LC_ALL", "C").stdin(Stdio::null());
    command
        .output()
        .unwrap_or_else(|error| panic!("this test needs {name}: apt-get install {package} ({error})"))
}

fn now() -> SystemTime {
    SystemTime::now() + Duration::from_secs(5)
}

fn opened(certificate: &[u8], message: &[u8]) -> (Vec<u8>, String) {
    let opened = OpenPgpVerifier::from_keyring(certificate).unwrap().open(message, now()).unwrap();
    (opened.payload, opened.key.as_str().to_owned())
}

fn made_by_us(passphrase: &Passphrase) -> GeneratedKey {
    let new = NewKey {
        user_id: "made by us",
        bits: RsaBits::Rsa3072,
        passphrase: Some(passphrase),
        created: SystemTime::now(),
        valid_for: None,
    };
    generate(&new).unwrap()
}

#[test]
fn gnupg_reads_what_our_keys_sign() {
    let home = Home::new();
    let passphrase = sesame();
    let made = made_by_us(&passphrase);
    home.import(&made.certificate);
    let mut signers = vec![OpenPgpSigner::open(&made.secret, None, Some(&passphrase), now()).unwrap()];
    for name in ["rsa.asc", "ed25519.asc", "locked-rsa.asc", "locked-ed25519.asc", "subkey.asc"] {
        home.import(&public_certificate(&fixture(name)).unwrap());
        signers.push(OpenPgpSigner::open(&fixture(name), None, Some(&passphrase), now()).unwrap());
    }
    for signer in signers {
        for payload in [&b"{}"[..], b"", &vec![b'x'; 100_000]] {
            let (read, signing, primary) = home.decrypt(&signer.sign(payload).unwrap());
            assert_eq!(read, payload, "{signer:?}");
            assert_eq!(
                (signing.as_str(), primary.as_str()),
                (signer.signing_key().as_str(), signer.key().as_str())
            );
        }
    }
}

#[test]
fn gnupg_takes_a_key_that_we_made_and_locked() {
    let home = Home::new();
    let passphrase = sesame();
    let made = made_by_us(&passphrase);
    home.import(&made.secret);
    let settings = GpgSettings { passphrase: Some(passphrase), ..home.settings() };
    let message = GpgSigner::open(settings, made.key.as_str()).unwrap().sign(b"{}").unwrap();
    assert_eq!(opened(&made.certificate, &message), (b"{}".to_vec(), made.key.as_str().to_owned()));
}

#[test]
fn we_read_what_gnupg_signs_with_keys_made_on_the_spot() {
    for algorithm in ["rsa3072", "ed25519"] {
        let home = Home::new();
        let fingerprint = home.key("on the spot", algorithm, "");
        let signer = GpgSigner::open(home.settings(), &fingerprint).unwrap();
        assert_eq!(signer.key().as_str(), fingerprint);
        for payload in [&b"{}"[..], b"", &vec![b'x'; 1_000_000]] {
            let message = signer.sign(payload).unwrap();
            assert_eq!(
                opened(&home.certificate(), &message),
                (payload.to_vec(), fingerprint.clone()),
                "{algorithm}"
            );
        }
        // The other way: its key in a file, our message.
        let file = home.gpg(["--passphrase", "", "--export-secret-keys"]).stdout;
        let ours = OpenPgpSigner::open(&file, None, None, now()).unwrap().sign(b"{}").unwrap();
        assert_eq!(home.decrypt(&ours).1, fingerprint);
    }
}

#[test]
fn gnupg_is_given_the_passphrase() {
    let home = Home::new();
    let fingerprint = home.key("locked", "ed25519", "open sesame");
    // Its agent knows the passphrase from making the key.
    let forget = || program("gpgconf", ["--reload", "gpg-agent"].map(OsStr::new), home.path());
    let with = |passphrase: Option<Passphrase>| {
        let settings = GpgSettings { passphrase, ..home.settings() };
        forget();
        GpgSigner::open(settings, &fingerprint).unwrap().sign(b"{}")
    };
    let wrong = with(Some(Passphrase::new("close sesame"))).unwrap_err();
    assert!(matches!(wrong, SignError::WrongPassphrase(_)), "{wrong:?}");
    assert!(!wrong.to_string().contains("sesame"));
    let lines = with(Some(Passphrase::new("open sesame\n"))).unwrap_err();
    assert!(matches!(lines, SignError::WrongPassphrase(_)), "{lines:?}");
    assert_eq!(
        opened(&home.certificate(), &with(Some(sesame())).unwrap()),
        (b"{}".to_vec(), fingerprint.clone())
    );
}

#[test]
fn a_key_that_gnupg_has_not_or_that_may_not_sign_is_named() {
    let home = Home::new();
    let (one, other) = (home.key("one person", "ed25519", ""), home.key("other person", "ed25519", ""));
    let open = |user: &str| GpgSigner::open(home.settings(), user);
    assert!(matches!(open("nobody"), Err(SignError::CannotSign(..))));
    assert!(matches!(open("--version"), Err(SignError::CannotSign(..))), "it is no option");
    assert!(matches!(open(" "), Err(SignError::NotAKey(_))), "not all there are");
    let Err(SignError::SeveralKeys(mut keys)) = open("person") else { panic!() };
    keys.sort();
    let mut wanted = [one.clone(), other].map(manifest_sign::KeyId::new);
    wanted.sort();
    assert_eq!(keys, wanted);
    assert_eq!(open(&format!("{one}!")).unwrap().key().as_str(), one);
    home.gpg([
        "--faked-system-time",
        "20240101T000000",
        "--passphrase",
        "",
        "--quick-gen-key",
        "late",
        "ed25519",
        "sign",
        "2d",
    ])
    .good();
    home.import(&fixture("revoked.asc"));
    for name in ["late", "unrevoked"] {
        let error = open(name).unwrap_err();
        assert!(matches!(error, SignError::CannotSign(..)), "{error:?}");
    }
}

#[test]
fn a_missing_gnupg_says_how_to_install_it_and_one_that_hangs_is_killed() {
    let home = Home::new();
    let settings = GpgSettings { program: "/no/such/gpg".into(), ..home.settings() };
    let missing = GpgSigner::open(settings, "AA").unwrap_err();
    assert!(missing.to_string().contains("apt-get install gnupg"), "{missing}");
    let script = home.file("hangs", b"#!/bin/sh\nexec sleep 60\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let limit = Duration::from_millis(200);
    let settings = GpgSettings { program: script.into(), limit, ..home.settings() };
    let began = Instant::now();
    let hangs = GpgSigner::open(settings, "AA").unwrap_err();
    assert!(hangs.to_string().contains("did not end"), "{hangs}");
    assert!(began.elapsed() < Duration::from_secs(30));
}

const REFERENCE: &str = "registry.example/app:v1";
const MANIFEST: &[u8] =
    b"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}";

fn skopeo<const N: usize>(home: &Home, args: [&OsStr; N]) -> Output {
    program("skopeo", args, home.path())
}

#[test]
fn skopeo_accepts_what_we_sign() {
    let home = Home::new();
    let payload = Payload::new(REFERENCE, Digest::sha256(MANIFEST)).encode(PayloadType::Atomic);
    let manifest = home.file("manifest", MANIFEST);
    for name in ["rsa.asc", "ed25519.asc", "subkey.asc"] {
        home.import(&public_certificate(&fixture(name)).unwrap());
        let signer = OpenPgpSigner::open(&fixture(name), None, None, now()).unwrap();
        let signature = home.file("signature", &signer.sign(&payload).unwrap());
        let fingerprint = signer.signing_key().as_str();
        let verify =
            ["standalone-verify".as_ref(), manifest.as_ref(), REFERENCE.as_ref(), fingerprint.as_ref()];
        let [a, b, c, d] = verify;
        let said = skopeo(&home, [a, b, c, d, signature.as_ref()]).good();
        assert!(said.contains("Signature verified"), "{name}: {said}");
    }
}

#[test]
fn we_accept_what_skopeo_signs() {
    for algorithm in ["rsa3072", "ed25519"] {
        let home = Home::new();
        let fingerprint = home.key("skopeo", algorithm, "");
        let manifest = home.file("manifest", MANIFEST);
        let out = home.path().join("signature");
        let [a, b, c, d] =
            ["standalone-sign".as_ref(), manifest.as_os_str(), REFERENCE.as_ref(), fingerprint.as_ref()];
        skopeo(&home, [a, b, c, d, "-o".as_ref(), out.as_ref()]).good();
        let (payload, key) = opened(&home.certificate(), &fs::read(&out).unwrap());
        assert_eq!(key, fingerprint);
        let payload = Payload::decode(&payload, PayloadType::Atomic).unwrap();
        assert_eq!((payload.reference.as_str(), payload.digest), (REFERENCE, Digest::sha256(MANIFEST)));
        assert_eq!(certificates(&home.certificate(), now()).unwrap().len(), 1);
    }
}
