//! How registries are connected to: TLS, logins of real ones, how much at once.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use manifest_core::Digest;
use manifest_testkit::{
    Client, DockerRegistry, FakeRegistry, Gate, Image, Method, TokenServer, descriptor, put_blob, put_image,
    read_blob,
};
use manifest_transport::auth::{CredentialSearch, Environment, Login};
use manifest_transport::{At, Place, Settings, Tls, TransportError, Which};

fn v1() -> Which {
    Which::Remote(At::Tag("v1".parse().unwrap()))
}

fn with_tls(address: &str, tls: Tls) -> Settings {
    Settings { hosts: BTreeMap::from([(address.to_owned(), tls)]), ..Settings::default() }
}

fn with_login(address: &str, password: &str) -> Settings {
    let search = CredentialSearch::new(&Environment::default());
    let search = search.with_login(address, Login::new("ann", password), "--creds");
    Settings { credentials: Arc::new(search), ..Settings::default() }
}

/// Writes an image, reads it back whole, and asks for what is not there.
async fn there_and_back(place: &Place) {
    let image = Image::new("linux/amd64").layers(2, 300_000, 5);
    let digest = put_image(place, &image, "v1").await.unwrap();
    for which in [v1(), digest.into()] {
        assert_eq!(place.manifest(&which).await.unwrap().bytes, image.manifest());
    }
    for blob in image.blobs() {
        assert_eq!(read_blob(place, &descriptor(&blob.bytes)).await.unwrap(), blob.bytes);
    }
    assert_eq!(place.named_digest("v1").await.unwrap(), Some(digest));
    assert_eq!(place.named_digest("v2").await.unwrap(), None);
    assert!(place.has_manifest(&digest).await.unwrap());
    assert!(!place.has_manifest(&Digest::sha256(b"none")).await.unwrap());
    assert!(matches!(
        place.manifest(&Digest::sha256(b"none").into()).await,
        Err(TransportError::NotFound(_))
    ));
}

#[tokio::test]
async fn a_registry_on_this_machine_is_spoken_to_over_plain_http() {
    let registry = DockerRegistry::plain();
    let client = Client::default();
    there_and_back(&client.repository(&registry.address(), "library/app")).await;
    assert_eq!(client.clock.pauses().len(), 0);
    assert!(registry.requests().iter().all(|request| request.agent.starts_with("manifest/")));
}

#[tokio::test]
async fn a_certificate_directory_makes_it_tls() {
    let registry = DockerRegistry::with_tls();
    let tls = Tls { cert_dir: Some(registry.certs()), ..Tls::default() };
    for address in [registry.address(), registry.address().replace("127.0.0.1", "localhost")] {
        let client = Client::new(with_tls(&address, tls.clone()));
        there_and_back(&client.repository(&address, "app")).await;
    }
}

#[tokio::test]
async fn checking_certificates_can_be_switched_off() {
    let (secure, plain) = (DockerRegistry::with_tls(), DockerRegistry::plain());
    for address in [secure.address(), plain.address()] {
        let tls = Tls { verify: Some(false), ..Tls::default() };
        let client = Client::new(with_tls(&address, tls));
        there_and_back(&client.repository(&address, "app")).await;
    }
}

/// NET-6.
#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_final() {
    let registry = DockerRegistry::with_tls();
    let tls = Tls { verify: Some(true), ..Tls::default() };
    let client = Client::new(with_tls(&registry.address(), tls));
    let error = client.repository(&registry.address(), "app").manifest(&v1()).await.unwrap_err();
    assert!(
        matches!(&error, TransportError::Unreachable { host, .. } if *host == registry.address()),
        "{error:?}"
    );
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!(client.clock.pauses().len(), 0);
}

/// NET-6.
#[tokio::test]
async fn a_registry_without_tls_where_tls_is_wanted_is_final() {
    let registry = FakeRegistry::start();
    let tls = Tls { verify: Some(true), ..Tls::default() };
    let client = Client::new(with_tls(&registry.address(), tls));
    let error = client.repository(&registry.address(), "app").manifest(&v1()).await.unwrap_err();
    assert!(matches!(&error, TransportError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
    assert_eq!((client.clock.pauses().len(), registry.requests().len()), (0, 0));
}

#[tokio::test]
async fn a_certificate_directory_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let address = "127.0.0.1:1";
    let error = |path: &std::path::Path| {
        let tls = Tls { cert_dir: Some(path.to_owned()), ..Tls::default() };
        let client = Client::new(with_tls(address, tls));
        async move { client.repository(address, "app").manifest(&v1()).await.unwrap_err() }
    };
    let missing = error(&dir.path().join("none")).await;
    assert!(matches!(missing, TransportError::Io("read the certificate directory", ..)), "{missing:?}");
    std::fs::File::create(dir.path().join("our.cert")).unwrap();
    let alone = error(dir.path()).await.to_string();
    assert!(alone.contains("our.cert") && alone.contains("our.key"), "{alone}");
}

#[tokio::test]
async fn a_real_registry_takes_a_basic_login() {
    let registry = DockerRegistry::with_htpasswd("ann", "pw");
    let client = Client::new(with_login(&registry.address(), "pw"));
    there_and_back(&client.repository(&registry.address(), "app")).await;
    let wrong = Client::new(with_login(&registry.address(), "other"));
    let error = wrong.repository(&registry.address(), "app").manifest(&v1()).await.unwrap_err();
    assert!(matches!(error, TransportError::NotAuthorised { .. }), "{error:?}");
}

#[tokio::test]
async fn a_real_registry_takes_tokens() {
    let tokens = TokenServer::start();
    tokens.account("ann", "pw");
    let registry = DockerRegistry::with_tokens(&tokens);
    let client = Client::new(with_login(&registry.address(), "pw"));
    let (app, lib) =
        (client.repository(&registry.address(), "app"), client.repository(&registry.address(), "lib"));
    there_and_back(&app).await;
    assert_eq!(tokens.requests().len(), 1);
    // The scope of another repository comes with a new token, for both.
    put_blob(&lib, "shared").await.unwrap();
    let blob = descriptor(b"shared");
    assert_eq!(app.mount(&blob, &lib).await.unwrap(), manifest_transport::Mounted::Done);
    assert!(app.has_blob(&blob).await.unwrap());
    assert_eq!(tokens.requests().len(), 2);
    let stranger = Client::default().repository(&registry.address(), "app");
    stranger.manifest(&v1()).await.expect("everybody may read");
    let error = put_blob(&stranger, "x").await.unwrap_err();
    assert!(matches!(error, TransportError::NotAuthorised { .. }), "{error:?}");
}

/// NET-36.
#[tokio::test]
async fn a_registry_that_was_started_anew_meanwhile_is_connected_to_again() {
    for mut registry in [DockerRegistry::plain(), DockerRegistry::with_tls()] {
        let cert_dir = Some(registry.certs()).filter(|certs| certs.exists());
        let tls = Tls { cert_dir, ..Tls::default() };
        let client = Client::new(with_tls(&registry.address(), tls));
        let app = client.repository(&registry.address(), "app");
        for content in ["one", "two", "three"] {
            put_blob(&app, content).await.unwrap();
            registry.restart();
        }
        assert_eq!(read_blob(&app, &descriptor(b"one")).await.unwrap(), b"one");
    }
}

#[tokio::test]
async fn requests_one_after_another_use_one_connection() {
    let registry = FakeRegistry::start();
    let image = Image::new("linux/amd64");
    image.push_to(&registry, "app", "v1");
    registry.basic("ann", "pw");
    let client = Client::new(with_login(&registry.address(), "pw"));
    let app = client.repository(&registry.address(), "app");
    for _ in 0..3 {
        app.manifest(&v1()).await.unwrap();
        app.manifest(&Digest::sha256(b"none").into()).await.unwrap_err();
        app.has_manifest(&Digest::sha256(b"none")).await.unwrap();
        put_blob(&app, "content").await.unwrap();
        read_blob(&app, &descriptor(b"content")).await.unwrap();
        registry.on(Method::Get, "*").reply(503).body("busy");
        app.manifest(&v1()).await.unwrap();
    }
    assert_eq!((registry.connections(), registry.requests().len()), (1, 25));
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_the_user_allows() {
    for jobs in [1, 3] {
        let registry = FakeRegistry::start();
        Image::new("linux/amd64").push_to(&registry, "app", "v1");
        let gate = Gate::new();
        registry.on(Method::Get, "*").hold(&gate).always();
        let client = Client::new(Settings { jobs, ..Settings::default() });
        let app = client.repository(&registry.address(), "app");
        let which = v1();
        let open = async {
            gate.wait_for(jobs).await;
            gate.open();
        };
        let (outcomes, ()) = tokio::join!(join_all((0..10).map(|_| app.manifest(&which))), open);
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert_eq!(registry.most_in_flight(), jobs);
    }
}

/// A blob that is read is a request under way; its upload to the same registry must not wait for its end.
#[tokio::test]
async fn copies_within_a_registry_go_on_with_one_job() {
    let registry = FakeRegistry::start();
    let client = Client::new(Settings { jobs: 1, ..Settings::default() });
    let (lib, app) =
        (client.repository(&registry.address(), "lib"), client.repository(&registry.address(), "app"));
    let copy = async |number: u8| {
        let bytes = vec![number; 3 << 20];
        registry.put_blob("lib", bytes.clone());
        let blob = descriptor(&bytes);
        let (lib, wanted) = (lib.clone(), blob.clone());
        let open = move |_| -> manifest_testkit::Opened {
            let (lib, blob) = (lib.clone(), wanted.clone());
            Box::pin(async move { lib.blob(&blob).await })
        };
        app.put_blob(&blob, manifest_transport::Mounted::Refused, &open).await
    };
    let copies = join_all((0..6).map(copy));
    let outcomes =
        tokio::time::timeout(std::time::Duration::from_secs(30), copies).await.expect("a deadlock");
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}
