//! Whom TLS trusts: authorities of the user, and certificates that sign themselves.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]
#![allow(clippy::disallowed_methods, reason = "files of tests need not survive a crash")]

use std::path::{Path, PathBuf};

use manifest_testkit::{Client, DockerRegistry, SelfSigned};
use manifest_transport::{At, Settings, Tls, TransportError, Which};

/// What a registry answers when it is spoken to like this.
async fn ask(address: &str, tls: Tls) -> TransportError {
    let settings = Settings { hosts: [(address.to_owned(), tls)].into(), ..Settings::default() };
    let client = Client::new(settings);
    let v1 = Which::Remote(At::Tag("v1".parse().unwrap()));
    client.repository(address, "app").manifest(&v1).await.unwrap_err()
}

fn trusting(directory: PathBuf) -> Tls {
    Tls { cert_dir: Some(directory), ..Tls::default() }
}

#[track_caller]
fn answered(error: &TransportError) {
    assert!(matches!(error, TransportError::NotFound(_)), "{error:?}");
}

#[track_caller]
fn distrusted(error: &TransportError, part: &str) {
    assert!(matches!(error, TransportError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(part), "{error}");
}

#[tokio::test]
async fn a_certificate_that_is_its_own_authority_is_taken_where_the_user_gave_it() {
    for authority in [true, false] {
        let registry = DockerRegistry::self_signed(&SelfSigned { authority, ..SelfSigned::default() });
        for address in [registry.address(), registry.address().replace("127.0.0.1", "localhost")] {
            answered(&ask(&address, trusting(registry.certs())).await);
            let ca = Some(registry.certs().join("ca.crt"));
            answered(&ask(&address, Tls { ca, ..Tls::default() }).await);
            let verify = Some(true);
            distrusted(&ask(&address, Tls { verify, ..Tls::default() }).await, "certificate");
        }
    }
}

#[tokio::test]
async fn another_certificate_of_the_same_name_is_not_taken_for_it() {
    let (ours, theirs) = (
        DockerRegistry::self_signed(&SelfSigned::default()),
        DockerRegistry::self_signed(&SelfSigned::default()),
    );
    distrusted(&ask(&theirs.address(), trusting(ours.certs())).await, "certificate");
}

#[tokio::test]
async fn host_name_and_dates_are_checked_of_a_certificate_that_signs_itself() {
    for authority in [true, false] {
        let names = vec!["registry.example.com".to_owned()];
        let other = DockerRegistry::self_signed(&SelfSigned { authority, names, ..SelfSigned::default() });
        distrusted(&ask(&other.address(), trusting(other.certs())).await, "not valid for name");
        let old =
            DockerRegistry::self_signed(&SelfSigned { authority, expired: true, ..SelfSigned::default() });
        distrusted(&ask(&old.address(), trusting(old.certs())).await, "expired");
        let unchecked = Tls { verify: Some(false), ..trusting(old.certs()) };
        answered(&ask(&old.address(), unchecked).await);
    }
}

#[tokio::test]
async fn our_own_certificate_is_shown_to_who_asks_for_it() {
    let registry = DockerRegistry::with_client_certificates();
    answered(&ask(&registry.address(), trusting(registry.certs())).await);
    let without = Tls { ca: Some(registry.certs().join("ca.crt")), ..Tls::default() };
    // In TLS 1.3 the server speaks of the missing certificate after the handshake, and may close before that is read.
    let error = ask(&registry.address(), without).await;
    let is_refused =
        matches!(error, TransportError::Unreachable { .. } | TransportError::Exhausted { attempts: 6, .. });
    assert!(is_refused, "{error:?}");
}

#[tokio::test]
async fn files_that_are_no_certificates_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let only = |name: &str, text: &str| {
        let dir = dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(name), text).unwrap();
        dir
    };
    let garbage = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
    for (name, text, part) in [
        ("empty.crt", "", "no certificate"),
        ("bad.crt", garbage, "bad.crt"),
        ("lonely.cert", "", "lonely.key beside"),
        ("lonely.key", "", "lonely.cert beside"),
    ] {
        let error = ask("127.0.0.1:1", trusting(only(name, text))).await;
        assert!(matches!(error, TransportError::Tls { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(part), "{name}: {error}");
    }
    let missing = Tls { ca: Some(Path::new("/none/ca.crt").to_owned()), ..Tls::default() };
    assert!(matches!(ask("127.0.0.1:1", missing).await, TransportError::Io("read", ..)));
}
