//! Proving who asks.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use manifest_testkit::{Client, FakeRegistry, Gate, Image, Method, TokenServer, put_blob, put_image};
use manifest_transport::auth::{CredentialSearch, Environment, Login};
use manifest_transport::{At, Mounted, Place, Settings, TransportError, Which};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn v1() -> Which {
    Which::Remote(At::Tag("v1".parse().unwrap()))
}

fn settings(host: &str, login: Option<Login>) -> Settings {
    let search = CredentialSearch::new(&Environment::default());
    let search = login.into_iter().fold(search, |search, login| search.with_login(host, login, "--creds"));
    Settings { credentials: Arc::new(search), ..Settings::default() }
}

/// A registry with an image at `app:v1` that asks for tokens, its token server, and a client with this login.
fn bearer(login: Option<Login>) -> (FakeRegistry, TokenServer, Client, Place) {
    let (registry, tokens) = (FakeRegistry::start(), TokenServer::start());
    Image::new("linux/amd64").push_to(&registry, "app", "v1");
    registry.bearer(&tokens);
    let client = Client::new(settings(&registry.address(), login));
    let app = client.repository(&registry.address(), "app");
    (registry, tokens, client, app)
}

fn ann() -> Option<Login> {
    Some(Login::new("ann", "pw"))
}

#[tokio::test]
async fn a_basic_login_is_sent_only_when_it_is_asked_for_and_then_at_once() {
    let registry = FakeRegistry::start();
    Image::new("linux/amd64").push_to(&registry, "app", "v1");
    let client = Client::new(settings(&registry.address(), ann()));
    let app = client.repository(&registry.address(), "app");
    app.manifest(&v1()).await.unwrap();
    assert_eq!(registry.requests()[0].authorization(), None, "nobody asked for a login");
    registry.basic("ann", "pw");
    registry.clear_requests();
    app.manifest(&v1()).await.unwrap();
    app.manifest(&v1()).await.unwrap();
    let statuses: Vec<_> = registry.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(401), Some(200), Some(200)]);
}

#[tokio::test]
async fn a_wrong_basic_login_is_tried_once() {
    let registry = FakeRegistry::start();
    registry.basic("ann", "other");
    let client = Client::new(settings(&registry.address(), ann()));
    let error = client.repository(&registry.address(), "app").manifest(&v1()).await.unwrap_err();
    assert!(
        matches!(&error, TransportError::NotAuthorised { repository, login, .. }
            if repository == "app" && login == "the login in --creds"),
        "{error:?}"
    );
    assert_eq!((registry.requests().len(), client.clock.pauses().len()), (2, 0));
}

#[tokio::test]
async fn a_token_is_fetched_with_the_login_and_used_again() {
    let (registry, tokens, _client, app) = bearer(ann());
    tokens.account("ann", "pw");
    put_image(&app, &Image::new("linux/arm64"), "v2").await.unwrap();
    app.manifest(&v1()).await.unwrap();
    let asked = tokens.requests();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].authorization().is_some_and(|value| value.starts_with("Basic ")));
    let asked_for = |name| asked[0].query(name);
    assert_eq!(asked_for("scope").as_deref(), Some("repository:app:pull,push"));
    assert_eq!(asked_for("service").as_deref(), Some("testkit-registry"));
    assert_eq!(registry.requests().iter().filter(|request| request.status == Some(401)).count(), 1);
}

#[tokio::test]
async fn without_a_login_a_token_for_everybody_is_used() {
    let (_registry, tokens, _client, app) = bearer(None);
    app.manifest(&v1()).await.unwrap();
    assert_eq!(tokens.requests()[0].authorization(), None);
    tokens.refuse_anonymous();
    tokens.revoke();
    let error = app.manifest(&v1()).await.unwrap_err();
    assert!(
        matches!(&error, TransportError::NotAuthorised { login, .. } if login == "a request without a login"),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_identity_token_goes_in_a_form_and_never_in_a_url() {
    let (_registry, tokens, _client, app) = bearer(Some(Login::new("<token>", "refresh-1")));
    tokens.refresh_token("refresh-1");
    put_blob(&app, "content").await.unwrap();
    let asked = tokens.requests();
    assert_eq!((asked.len(), asked[0].method, asked[0].target.as_str()), (1, Method::Post, "/token"));
    for (name, value) in [
        ("grant_type", "refresh_token"),
        ("refresh_token", "refresh-1"),
        ("scope", "repository:app:pull,push"),
        ("service", "testkit-registry"),
    ] {
        assert_eq!(asked[0].form(name).as_deref(), Some(value));
    }
}

#[tokio::test]
async fn a_wrong_password_ends_after_one_token_request() {
    let (_registry, tokens, client, app) = bearer(ann());
    tokens.account("ann", "other");
    let error = put_blob(&app, "content").await.unwrap_err();
    assert!(matches!(error, TransportError::NotAuthorised { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("pw"), "{error:?}");
    assert_eq!((tokens.requests().len(), client.clock.pauses().len()), (1, 0));
}

/// B5: all of them meet the challenge before the first token is there.
#[tokio::test]
async fn sixteen_uploads_at_once_need_one_token() {
    let (registry, tokens, _client, app) = bearer(ann());
    tokens.account("ann", "pw");
    let (gate, challenge) = (Gate::new(), format!("Bearer realm=\"{}\",service=\"s\"", tokens.realm()));
    let held = registry.on(Method::Post, "*").before_login().times(16).hold(&gate).reply(401);
    let _held = held.header("www-authenticate", &challenge);
    let uploads = (0..16).map(|n| put_blob(&app, format!("blob {n}")));
    let open = async {
        gate.wait_for(16).await;
        gate.open();
    };
    let (outcomes, ()) = tokio::join!(join_all(uploads), open);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(tokens.requests().len(), 1);
    assert_eq!(registry.open_uploads(), 0);
}

/// The challenges of all, and then the request for the token, need a place in the row of one host.
#[tokio::test]
async fn a_token_server_on_the_registrys_own_port_does_not_wait_for_those_who_wait_for_it() {
    let registry = FakeRegistry::start();
    Image::new("linux/amd64").push_to(&registry, "app", "v1");
    let challenge = format!("Bearer realm=\"http://{}/token\"", registry.address());
    let refuse = registry.on(Method::Get, "/v2/*").times(8).reply(401);
    let _refuse = refuse.header("www-authenticate", &challenge);
    let issue = registry.on(Method::Get, "/token*").reply(200).body(r#"{"token":"t"}"#).always();
    let client = Client::new(Settings { jobs: 2, ..Settings::default() });
    let app = client.repository(&registry.address(), "app");
    let which = v1();
    let reads = join_all((0..8).map(|_| app.manifest(&which)));
    let outcomes = tokio::time::timeout(Duration::from_secs(20), reads).await.expect("a deadlock");
    assert!(outcomes.iter().any(Result::is_ok), "{outcomes:?}");
    assert!(issue.hits() >= 1);
}

#[tokio::test]
async fn a_token_that_was_revoked_is_fetched_anew_once() {
    let (registry, tokens, _client, app) = bearer(ann());
    tokens.account("ann", "pw");
    app.manifest(&v1()).await.unwrap();
    put_blob(&app, "one").await.unwrap();
    assert_eq!(tokens.requests().len(), 2, "one to read, then one to write");
    for step in 3..6 {
        tokens.revoke();
        registry.clear_requests();
        app.manifest(&v1()).await.unwrap();
        put_blob(&app, format!("{step}")).await.unwrap();
        assert_eq!(tokens.requests().len(), step);
        assert_eq!(registry.requests().iter().filter(|request| request.status == Some(401)).count(), 1);
    }
}

#[tokio::test]
async fn tokens_that_are_soon_used_up_do_not_end_a_push() {
    let (_registry, tokens, _client, app) = bearer(ann());
    tokens.account("ann", "pw");
    tokens.uses(2);
    put_image(&app, &Image::new("linux/arm64").layers(3, 1000, 1), "v2").await.unwrap();
    // Nine requests that need a token: two for each of four blobs, and one for the manifest.
    assert_eq!(tokens.requests().len(), 5);
}

/// NET-14: the body has been sent when the registry says that the token has run out.
#[tokio::test]
async fn a_token_that_ends_during_a_body_is_renewed_and_the_body_sent_again() {
    let (registry, tokens, _client, app) = bearer(ann());
    tokens.account("ann", "pw");
    tokens.uses(1);
    put_blob(&app, vec![7; 300_000]).await.unwrap();
    let puts: Vec<_> =
        registry.requests().into_iter().filter(|request| request.method == Method::Put).collect();
    let statuses: Vec<_> = puts.iter().map(|put| (put.status, put.body_bytes)).collect();
    assert_eq!(statuses, [(Some(401), 300_000), (Some(201), 300_000)]);
    assert_eq!(puts[0].target, puts[1].target, "the session is still good");
    assert!(registry.has_blob("app", &manifest_core::Digest::sha256(&vec![7; 300_000])));
}

/// NET-17.
#[tokio::test]
async fn a_scope_that_was_missing_is_asked_for_together_with_the_others() {
    let (registry, tokens, _client, app) = bearer(ann());
    tokens.account("ann", "pw");
    app.manifest(&v1()).await.unwrap();
    let more = format!(
        "Bearer realm=\"{}\",scope=\"repository:other:pull\",error=\"insufficient_scope\"",
        tokens.realm()
    );
    registry.on(Method::Get, "*").reply(401).header("www-authenticate", &more);
    app.manifest(&v1()).await.unwrap();
    let last = tokens.requests().pop().unwrap().target;
    assert!(last.contains("repository%3Aapp%3Apull&scope=repository%3Aother%3Apull"), "{last}");
}

#[tokio::test]
async fn a_scope_that_is_not_granted_is_asked_for_twice_and_no_more() {
    let (registry, tokens, client, app) = bearer(ann());
    tokens.account("ann", "pw");
    tokens.grant_only(&["pull"]);
    let error = put_blob(&app, "content").await.unwrap_err();
    assert!(matches!(error, TransportError::NotAuthorised { .. }), "{error:?}");
    assert_eq!((tokens.requests().len(), registry.requests().len()), (2, 3));
    assert_eq!(client.clock.pauses().len(), 0);
}

#[tokio::test]
async fn copies_that_were_announced_need_one_token_for_all_repositories() {
    let (registry, tokens, client, app) = bearer(ann());
    tokens.account("ann", "pw");
    let lib = client.repository(&registry.address(), "lib");
    let digest = registry.put_blob("lib", "shared");
    app.expect_copies([&lib]).await.unwrap();
    let blob = manifest_testkit::descriptor(b"shared");
    assert_eq!(app.mount(&blob, &lib).await.unwrap(), Mounted::Done);
    put_blob(&app, "own").await.unwrap();
    assert!(registry.has_blob("app", &digest));
    assert_eq!(tokens.requests().len(), 1);
}

/// NET-19.
#[tokio::test]
async fn a_token_server_that_stumbles_is_asked_again() {
    type Fault = fn(manifest_testkit::Rule) -> manifest_testkit::Rule;
    let faults: [Fault; 5] = [
        |rule| rule.reply(503),
        |rule| rule.reply(429),
        |rule| rule.reply(500).body("<html>"),
        |rule| rule.reset(),
        |rule| rule.cut_response_after(9),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let (_registry, tokens, client, app) = bearer(ann());
        tokens.account("ann", "pw");
        let _rule = fault(tokens.on(Method::Get, "/token"));
        app.manifest(&v1()).await.unwrap_or_else(|error| panic!("fault {number}: {error}"));
        assert_eq!((tokens.requests().len(), client.retries().len()), (2, 1), "fault {number}");
        assert!(!format!("{:?}", client.retries()).contains("scope"), "no query is shown");
    }
}

#[tokio::test]
async fn a_token_server_that_answers_nonsense_is_told() {
    for body in ["<html></html>", "{}", r#"{"token":""}"#, r#"{"token":"a\nb"}"#] {
        let (_registry, tokens, client, app) = bearer(ann());
        tokens.on(Method::Get, "/token").reply(200).body(body.to_owned()).always();
        let error = app.manifest(&v1()).await.unwrap_err();
        assert!(matches!(error, TransportError::Protocol { .. }), "{body}: {error:?}");
        assert_eq!((tokens.requests().len(), client.clock.pauses().len()), (1, 0));
    }
    let (_registry, tokens, _client, app) = bearer(ann());
    tokens.on(Method::Get, "/token").reply(200).body(vec![b' '; (1 << 20) + 1]);
    let error = app.manifest(&v1()).await.unwrap_err();
    assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
}

#[tokio::test]
async fn a_token_serves_as_long_as_its_server_says_or_else_a_minute() {
    // What the server says, and until when a request may start with the token.
    for (expires_in, seconds) in [
        (r#","expires_in":300"#, 240),
        (r#","expires_in":3600"#, 2880),
        (r#","expires_in":10"#, 5),
        (r#","expires_in":0"#, 30),
        (r#","expires_in":-5"#, 30),
        (r#","expires_in":"300""#, 30),
        (r#","expires_in":1e99"#, 30),
        (r#","issued_at":"1970-01-01T00:00:00Z""#, 30),
    ] {
        let (_registry, tokens, client, app) = bearer(None);
        let body = format!(r#"{{"token":"opaque-token-1"{expires_in}}}"#);
        tokens.on(Method::Get, "/token").apply().body(body);
        app.manifest(&v1()).await.unwrap();
        client.clock.advance(Duration::from_millis(seconds * 1000 - 1));
        app.manifest(&v1()).await.unwrap();
        assert_eq!(tokens.requests().len(), 1, "{expires_in}");
        client.clock.advance(Duration::from_millis(1));
        app.manifest(&v1()).await.unwrap();
        assert_eq!(tokens.requests().len(), 2, "{expires_in}");
    }
    let (_registry, tokens, client, app) = bearer(None);
    tokens.expires_in(Some(u64::MAX));
    app.manifest(&v1()).await.unwrap();
    client.clock.advance(WEEK);
    app.manifest(&v1()).await.unwrap();
    assert_eq!(tokens.requests().len(), 2, "no token is believed to live longer than a day");
}

/// NET-18.
#[tokio::test]
async fn a_token_is_preferred_where_both_are_offered() {
    let (registry, tokens, _client, app) = bearer(ann());
    tokens.account("ann", "pw");
    let rule = registry.on(Method::Get, "*").before_login().reply(401);
    let rule = rule.header("www-authenticate", "Negotiate").header("www-authenticate", "Basic realm=x");
    let _rule = rule.header("www-authenticate", &format!("bearer realm={},service=s", tokens.realm()));
    app.manifest(&v1()).await.unwrap();
    assert_eq!(tokens.requests().len(), 1);
    assert!(registry.requests()[1].authorization().unwrap().starts_with("Bearer "));
}

/// A file with a login for each of two namespaces of one registry.
fn two_logins(registry: &FakeRegistry) -> (tempfile::NamedTempFile, Client) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let host = registry.address();
    // ann:pw and bob:pw.
    let text =
        format!(r#"{{"auths":{{"{host}/one":{{"auth":"YW5uOnB3"}},"{host}/two":{{"auth":"Ym9iOnB3"}}}}}}"#);
    std::io::Write::write_all(&mut file.as_file(), text.as_bytes()).unwrap();
    let search = CredentialSearch::new(&Environment::default()).with_auth_file(file.path());
    let client = Client::new(Settings { credentials: Arc::new(search), ..Settings::default() });
    (file, client)
}

#[tokio::test]
async fn two_namespaces_of_one_registry_may_have_two_logins() {
    let (registry, tokens) = (FakeRegistry::start(), TokenServer::start());
    registry.bearer(&tokens);
    for user in ["ann", "bob"] {
        tokens.account(user, "pw");
    }
    let (_file, client) = two_logins(&registry);
    for round in 0..2 {
        for path in ["one/app", "two/app", "one/lib"] {
            let place = client.repository(&registry.address(), path);
            put_blob(&place, format!("{path} {round}")).await.unwrap();
        }
    }
    let asked: Vec<_> = tokens.requests().iter().map(|request| request.query("account").unwrap()).collect();
    assert_eq!(asked, ["ann", "bob", "ann"], "the last one is for both repositories of ann");
    for request in tokens.requests() {
        let bob = request.query("account").as_deref() == Some("bob");
        assert_eq!(request.target.contains("two"), bob, "{}", request.target);
    }
}

#[tokio::test]
async fn basic_logins_of_two_namespaces_are_not_mixed_up() {
    let registry = FakeRegistry::start();
    let (_file, client) = two_logins(&registry);
    for (path, user) in [("one/app", "ann"), ("two/app", "bob"), ("one/app", "ann")] {
        registry.basic(user, "pw");
        put_blob(&client.repository(&registry.address(), path), user).await.unwrap();
    }
    assert_eq!(registry.requests().iter().filter(|request| request.status == Some(401)).count(), 1);
}

#[tokio::test]
async fn a_ready_token_is_sent_as_it_is() {
    let (registry, tokens, _client, app) = bearer(Some(Login::Registry { token: "ready".into() }));
    let error = app.manifest(&v1()).await.unwrap_err();
    assert!(matches!(error, TransportError::NotAuthorised { .. }), "{error:?}");
    assert_eq!(registry.requests()[1].authorization(), Some("Bearer ready"));
    assert_eq!((registry.requests().len(), tokens.requests().len()), (2, 0));
}
