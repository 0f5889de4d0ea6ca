//! Where a login goes, and where it does not.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::sync::Arc;

use manifest_testkit::{Client, FakeRegistry, Image, Method, TokenServer, descriptor, put_blob, read_blob};
use manifest_transport::auth::{CredentialSearch, Environment, Login};
use manifest_transport::{At, Guard, Place, Settings, TransportError, Which};

fn v1() -> Which {
    Which::Remote(At::Tag("v1".parse().unwrap()))
}

fn settings(host: &str) -> Settings {
    let search = CredentialSearch::new(&Environment::default());
    let search = search.with_login(host, Login::new("ann", "hunter2"), "--creds");
    Settings { credentials: Arc::new(search), ..Settings::default() }
}

/// The registry under another name than the one that its neighbours have.
fn by_name(registry: &FakeRegistry) -> String {
    registry.address().replace("127.0.0.1", "localhost")
}

/// A registry with a Basic login, another server, and a client that has logged in at the first.
async fn two() -> (FakeRegistry, FakeRegistry, Client, Place) {
    let (ours, other) = (FakeRegistry::start(), FakeRegistry::start());
    for registry in [&ours, &other] {
        Image::new("linux/amd64").push_to(registry, "app", "v1");
    }
    ours.basic("ann", "hunter2");
    let client = Client::new(settings(&ours.address()));
    let app = client.repository(&ours.address(), "app");
    app.manifest(&v1()).await.unwrap();
    ours.clear_requests();
    (ours, other, client, app)
}

fn to(other: &FakeRegistry) -> String {
    format!("http://{}{{target}}", other.address())
}

/// SEC-6, NET-27.
#[tokio::test]
async fn a_redirect_to_another_port_is_followed_without_the_login() {
    for status in [301, 302, 303, 307, 308] {
        let (ours, other, _client, app) = two().await;
        let blob = descriptor(b"layer");
        other.put_blob("app", "layer");
        ours.on(Method::Get, "*").redirect(status, &to(&other)).times(2);
        ours.on(Method::Head, "*").redirect(status, &to(&other)).times(2);
        app.manifest(&v1()).await.unwrap();
        assert_eq!(read_blob(&app, &blob).await.unwrap(), b"layer");
        assert!(app.has_blob(&blob).await.unwrap() && app.named_digest("v1").await.unwrap().is_some());
        assert!(ours.requests().iter().all(|request| request.authorization().is_some()));
        assert_eq!(other.requests().len(), 4);
        assert!(other.requests().iter().all(|request| request.authorization().is_none()), "{status}");
    }
}

/// NET-27.
#[tokio::test]
async fn an_address_in_the_storage_that_has_expired_is_asked_for_again_once() {
    let (ours, other, _client, app) = two().await;
    let blob = descriptor(b"layer");
    other.put_blob("app", "layer");
    ours.on(Method::Get, "*").redirect(307, &to(&other)).always();
    other.on(Method::Get, "*").reply(403);
    assert_eq!(read_blob(&app, &blob).await.unwrap(), b"layer");
    other.on(Method::Get, "*").reply(403).always();
    ours.clear_requests();
    assert!(matches!(read_blob(&app, &blob).await, Err(TransportError::Denied { .. })));
    assert_eq!(ours.requests().len(), 2);
}

/// SEC-10.
#[tokio::test]
async fn a_challenge_after_a_redirect_does_not_get_the_first_hosts_login() {
    let (ours, other, _client, app) = two().await;
    let tokens = TokenServer::start();
    other.bearer(&tokens);
    ours.on(Method::Get, "*").redirect(307, &to(&other));
    let error = app.manifest(&v1()).await.unwrap_err();
    assert!(matches!(error, TransportError::NotAuthorised { .. }), "{error:?}");
    assert!(tokens.requests().iter().all(|request| request.authorization().is_none()));
    assert!(other.requests().iter().all(|request| request.authorization().is_none()));
}

/// SEC-11.
#[tokio::test]
async fn a_login_that_was_left_behind_stays_behind_on_the_way_back() {
    for method in [Method::Get, Method::Head] {
        let (ours, other, _client, app) = two().await;
        ours.on(method, "/v2/app/manifests/v1").redirect(307, &to(&other));
        other.on(method, "*").redirect(307, &format!("http://{}/v2/app/manifests/back", ours.address()));
        let back = ours.on(method, "/v2/app/manifests/back").before_login().reply(404).times(2);
        match method {
            Method::Get => drop(app.manifest(&v1()).await.unwrap_err()),
            _ => assert_eq!(app.named_digest("v1").await.unwrap(), None),
        }
        assert_eq!(back.hits(), 1);
        assert_eq!(ours.requests().last().unwrap().authorization(), None);
    }
}

/// SEC-60.
#[tokio::test]
async fn a_circle_of_redirects_ends_after_ten() {
    let (ours, _other, client, app) = two().await;
    ours.on(Method::Get, "*").redirect(307, "{target}").always();
    let error = app.manifest(&v1()).await.unwrap_err();
    assert!(matches!(error, TransportError::Protocol { .. }), "{error:?}");
    assert!(error.to_string().contains("more than 10 redirects"), "{error}");
    assert_eq!((ours.requests().len(), client.clock.pauses().len()), (11, 0));
}

#[tokio::test]
async fn a_redirect_to_what_is_not_http_or_not_ours_to_see_is_refused() {
    let (ours, _other, client, app) = two().await;
    for bad in ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://169.254.169.254/latest", "http://0.0.0.0/"]
    {
        ours.on(Method::Get, "*").redirect(307, bad);
        let error = app.manifest(&v1()).await.unwrap_err();
        assert!(matches!(error, TransportError::Untrusted { .. }), "{bad}: {error:?}");
    }
    ours.on(Method::Get, "*").redirect(307, "http://[nonsense/");
    assert!(matches!(app.manifest(&v1()).await, Err(TransportError::Protocol { .. })));
    assert_eq!(client.clock.pauses().len(), 0);
}

/// SEC-4, SEC-6.
#[tokio::test]
async fn a_redirect_of_a_write_is_not_followed() {
    let image = Image::new("linux/amd64");
    for status in [301, 302, 303, 307, 308] {
        for method in [Method::Put, Method::Post, Method::Patch, Method::Delete] {
            let (ours, other, client, app) = two().await;
            ours.on(method, "*").redirect(status, &to(&other)).always();
            let in_pieces = {
                let chunk = [(ours.address(), 4)].into();
                let client = Client::new(Settings { chunk, ..settings(&ours.address()) });
                client.repository(&ours.address(), "app")
            };
            let sent = match method {
                Method::Put => app
                    .put_named(Some("v2"), &image.media_type(), image.manifest().into(), &Guard::default())
                    .await
                    .map(drop),
                Method::Post => put_blob(&app, "content").await,
                Method::Patch => put_blob(&in_pieces, "content").await,
                _ => app.delete_tag("v1").await.map(drop),
            };
            match sent {
                Err(TransportError::Refused { status: found, .. }) => assert_eq!(found, status),
                // A blob that goes nowhere in pieces goes whole.
                Ok(()) => assert_eq!(method, Method::Patch),
                Err(other) => panic!("{method:?} {status}: {other:?}"),
            }
            assert!(other.requests().is_empty(), "{method:?} {status}");
            assert_eq!(client.clock.pauses().len(), 0);
        }
    }
}

/// SEC-5.
#[tokio::test]
async fn a_token_server_on_another_host_does_not_get_the_login() {
    let (registry, tokens) = (FakeRegistry::start(), TokenServer::start());
    Image::new("linux/amd64").push_to(&registry, "app", "v1");
    registry.bearer(&tokens);
    tokens.account("ann", "hunter2");
    let client = Client::new(settings(&by_name(&registry)));
    let app = client.repository(&by_name(&registry), "app");
    app.manifest(&v1()).await.expect("a token for everybody is enough to read");
    for _ in 0..2 {
        let error = put_blob(&app, "content").await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, TransportError::Realm { .. }), "{text}");
        assert!(text.contains(&by_name(&registry)) && text.contains(&tokens.address()), "{text}");
    }
    for asked in tokens.requests() {
        assert_eq!((asked.authorization(), asked.query("account")), (None, None), "{}", asked.target);
    }
}

/// SEC-5: what the token server gets it may not pass on.
#[tokio::test]
async fn a_token_server_that_sends_us_elsewhere_keeps_the_login_to_itself() {
    for (login, method) in [
        (Login::new("ann", "hunter2"), Method::Get),
        (Login::Identity { token: "ann-refresh".to_owned().into() }, Method::Post),
    ] {
        for status in [301, 302, 303, 307, 308] {
            let (registry, tokens, other) =
                (FakeRegistry::start(), TokenServer::start(), TokenServer::start());
            Image::new("linux/amd64").push_to(&registry, "app", "v1");
            registry.bearer(&tokens);
            let elsewhere = tokens.on(method, "/token*");
            let elsewhere = elsewhere.redirect(status, &format!("http://{}{{target}}", other.address()));
            let search = CredentialSearch::new(&Environment::default());
            let search = search.with_login(&registry.address(), login.clone(), "--creds");
            let client = Client::new(Settings { credentials: Arc::new(search), ..Settings::default() });
            client.repository(&registry.address(), "app").manifest(&v1()).await.unwrap_err();
            assert_eq!(elsewhere.hits(), 1);
            for asked in other.requests() {
                assert_eq!((asked.authorization(), asked.body_bytes), (None, 0), "{status} {}", asked.target);
            }
            assert!(method == Method::Get || other.requests().is_empty());
        }
    }
}

#[tokio::test]
async fn a_token_server_that_the_user_allowed_gets_the_login() {
    let (registry, tokens) = (FakeRegistry::start(), TokenServer::start());
    registry.bearer(&tokens);
    tokens.account("ann", "hunter2");
    let host = by_name(&registry);
    let auth_hosts = vec![("localhost".to_owned(), tokens.address())];
    let client = Client::new(Settings { auth_hosts, ..settings(&host) });
    put_blob(&client.repository(&host, "app"), "content").await.unwrap();
    assert!(tokens.requests()[0].authorization().is_some());
}

/// SEC-5, SEC-7.
#[tokio::test]
async fn a_realm_that_no_honest_registry_names_is_not_even_asked() {
    for realm in [
        "http://good@127.0.0.1/token",
        "http://169.254.169.254/token",
        "http://[::ffff:169.254.169.254]/token",
        "http://0.0.0.0/token",
        "http://2852039166/token",
        "ftp://127.0.0.1/token",
        "file:///etc/passwd",
    ] {
        let registry = FakeRegistry::start();
        let client = Client::new(settings(&registry.address()));
        let challenge = format!("Bearer realm=\"{realm}\"");
        registry.on(Method::Get, "*").reply(401).header("www-authenticate", &challenge).always();
        let error = client.repository(&registry.address(), "app").manifest(&v1()).await.unwrap_err();
        assert!(matches!(error, TransportError::Realm { .. }), "{realm}: {error:?}");
        assert_eq!(registry.requests().len(), 1);
    }
}

/// SEC-4.
#[tokio::test]
async fn an_upload_on_another_port_goes_without_the_login() {
    let (ours, other, _client, app) = two().await;
    let location = format!("http://{}/elsewhere?sig=a%2Fb", other.address());
    ours.on(Method::Post, "*").reply(202).header("location", &location).always();
    other.on(Method::Put, "/elsewhere").reply(201);
    put_blob(&app, "content").await.unwrap();
    let put = other.requests().pop().unwrap();
    assert_eq!((put.authorization(), put.body_bytes), (None, 7));
    assert!(put.target.starts_with("/elsewhere?sig=a%2Fb&digest=sha256:"), "{}", put.target);
    other.basic("eve", "x");
    let error = put_blob(&app, "more").await.unwrap_err();
    assert!(matches!(error, TransportError::NotAuthorised { .. }), "{error:?}");
    assert!(other.requests().iter().all(|request| request.authorization().is_none()));
}

/// SEC-4.
#[tokio::test]
async fn an_upload_on_another_host_is_refused() {
    let (ours, other) = (FakeRegistry::start(), FakeRegistry::start());
    let client = Client::default();
    let app = client.repository(&by_name(&ours), "app");
    let location = format!("http://{}/elsewhere", other.address());
    ours.on(Method::Post, "*").reply(202).header("location", &location);
    let error = put_blob(&app, "content").await.unwrap_err();
    assert!(
        matches!(&error, TransportError::Untrusted { to, .. } if to.contains(&other.address())),
        "{error:?}"
    );
    assert!(other.requests().is_empty());
}
