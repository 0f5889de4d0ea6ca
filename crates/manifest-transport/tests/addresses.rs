//! To which addresses a server may send us, when its names have been looked up.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::collections::BTreeMap;
use std::sync::Arc;

use manifest_testkit::{
    Client, DockerRegistry, FakeNames, FakeRegistry, Image, Method, TokenServer, descriptor, put_blob,
    read_blob,
};
use manifest_transport::auth::{CredentialSearch, Environment, Login};
use manifest_transport::{At, Place, Settings, Tls, TransportError, Which};

/// Names with addresses that a server outside may not send us to.
const INSIDE: [(&str, &str); 9] = [
    ("here.example", "127.0.0.1"),
    ("mapped.example", "::ffff:127.0.0.1"),
    ("nowhere.example", "0.0.0.0"),
    ("metadata.example", "169.254.169.254"),
    ("translated.example", "64:ff9b::a9fe:a9fe"),
    ("ten.example", "10.0.0.5"),
    ("home.example", "192.168.1.1"),
    ("shared.example", "100.64.0.9"),
    ("unique.example", "fd00::5"),
];

fn v1() -> Which {
    Which::Remote(At::Tag("v1".parse().unwrap()))
}

fn names() -> FakeNames {
    let names = FakeNames::default();
    names.set("registry.example", &["203.0.113.7"]);
    names.set("storage.example", &["203.0.113.8", "10.0.0.5"]);
    for (name, address) in INSIDE {
        names.set(name, &[address]);
    }
    names
}

/// The registry under this name, which is spoken to without TLS and with a login.
fn client(registry: &FakeRegistry, name: &str, names: &FakeNames) -> (Client, Place) {
    let host = registry.address().replace("127.0.0.1", name);
    let plain = Tls { verify: Some(false), ..Tls::default() };
    let search = CredentialSearch::new(&Environment::default());
    let search = search.with_login(&host, Login::new("ann", "hunter2"), "--creds");
    let client = Client::new(Settings {
        credentials: Arc::new(search),
        hosts: BTreeMap::from([(host.clone(), plain)]),
        names: Arc::new(names.clone()),
        ..Settings::default()
    });
    let app = client.repository(&host, "app");
    (client, app)
}

/// Two registries with an image, of which the first wants a login.
fn two() -> (FakeRegistry, FakeRegistry, Image) {
    let (ours, other, image) = (FakeRegistry::start(), FakeRegistry::start(), Image::new("linux/amd64"));
    image.push_to(&ours, "app", "v1");
    image.push_to(&other, "app", "v1");
    ours.basic("ann", "hunter2");
    other.clear_requests();
    (ours, other, image)
}

fn at(server: &FakeRegistry, name: &str) -> String {
    format!("http://{}", server.address().replace("127.0.0.1", name))
}

/// SEC-7, SEC-8.
#[tokio::test]
async fn a_redirect_to_a_name_that_turns_out_to_be_inside_is_not_followed() {
    let (ours, other, image) = two();
    for (name, address) in INSIDE {
        let names = names();
        let (_client, app) = client(&ours, "registry.example", &names);
        for method in [Method::Get, Method::Head] {
            ours.on(method, "*").redirect(307, &format!("{}{{target}}", at(&other, name))).times(2);
        }
        let errors = [
            app.manifest(&v1()).await.unwrap_err(),
            app.has_manifest(&image.digest()).await.unwrap_err(),
            read_blob(&app, &descriptor(&image.config())).await.unwrap_err(),
        ];
        for error in errors {
            let said = error.to_string();
            assert!(matches!(error, TransportError::Unreachable { .. }), "{name}: {error:?}");
            assert!(
                said.contains(name) && said.contains("no address that a server may send us to"),
                "{said}"
            );
        }
        assert!(!names.dialled().contains(&address.parse().unwrap()), "{name}");
        ours.clear_rules();
    }
    assert!(other.requests().is_empty());
}

/// SEC-7: an address needs no look-up.
#[tokio::test]
async fn an_address_of_a_private_network_is_not_asked_for_a_server_outside() {
    let (ours, _other, _image) = two();
    for address in
        ["10.0.0.5", "172.16.0.1", "192.168.1.1", "100.64.0.9", "[fd00::5]", "[::ffff:10.0.0.5]", "167772165"]
    {
        let (client, app) = client(&ours, "registry.example", &names());
        ours.on(Method::Get, "*").redirect(307, &format!("http://{address}:1/x"));
        let error = app.manifest(&v1()).await.unwrap_err();
        assert!(matches!(error, TransportError::Untrusted { .. }), "{address}: {error:?}");
        assert_eq!(client.clock.pauses().len(), 0);
    }
}

/// SEC-7, SEC-8.
#[tokio::test]
async fn a_token_server_that_turns_out_to_be_inside_is_not_asked() {
    for (name, address) in INSIDE {
        let (registry, tokens, names) = (FakeRegistry::start(), TokenServer::start(), names());
        let (_client, app) = client(&registry, "registry.example", &names);
        for host in [name, address] {
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            let realm = tokens.realm().replace("127.0.0.1", &host);
            let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
            registry.on_any("*").reply(401).header("www-authenticate", &challenge).times(2);
            let error = app.manifest(&v1()).await.unwrap_err();
            let refused = matches!(
                error,
                TransportError::Realm { .. }
                    | TransportError::Unreachable { .. }
                    | TransportError::Untrusted { .. }
            );
            assert!(refused, "{realm}: {error:?}");
            registry.clear_rules();
        }
        assert!(tokens.requests().is_empty(), "{name}");
        assert!(!names.dialled().contains(&address.parse().unwrap()), "{name}");
    }
}

/// SEC-8: what was good the first time is judged again the second time.
#[tokio::test]
async fn a_name_that_moves_inside_between_two_look_ups_is_judged_twice() {
    let (ours, other, image) = two();
    let third = FakeRegistry::start();
    image.push_to(&third, "app", "v1");
    let names = names();
    names.set_next("moves.example", &["203.0.113.9"]);
    names.set("moves.example", &["127.0.0.1"]);
    let (_client, app) = client(&ours, "registry.example", &names);
    ours.on(Method::Get, "*").redirect(307, &format!("{}{{target}}", at(&other, "moves.example")));
    ours.on(Method::Get, "*").redirect(307, &format!("{}{{target}}", at(&third, "moves.example")));
    app.manifest(&v1()).await.unwrap();
    let error = app.manifest(&v1()).await.unwrap_err();
    assert!(matches!(error, TransportError::Unreachable { .. }), "{error:?}");
    assert_eq!((other.requests().len(), third.requests().len()), (1, 0));
}

/// SEC-8: of several addresses only those are used that may be.
#[tokio::test]
async fn a_name_with_addresses_outside_and_inside_is_reached_outside() {
    let (ours, other, _image) = two();
    let names = names();
    let (_client, app) = client(&ours, "registry.example", &names);
    ours.on(Method::Get, "*").redirect(307, &format!("{}{{target}}", at(&other, "storage.example")));
    app.manifest(&v1()).await.unwrap();
    assert_eq!(names.dialled().last().unwrap().to_string(), "203.0.113.8");
    assert_eq!(other.requests()[0].authorization(), None);
}

/// SEC-9.
#[tokio::test]
async fn a_registry_inside_that_the_user_named_is_used_and_may_send_us_to_its_neighbours() {
    for typed in ["ten.example", "home.example", "unique.example", "here.example", "metadata.example"] {
        let (ours, other, image) = two();
        let names = names();
        let (_client, app) = client(&ours, typed, &names);
        app.manifest(&v1()).await.unwrap();
        put_blob(&app, "content").await.unwrap();
        ours.on(Method::Get, "*").redirect(307, &format!("{}{{target}}", at(&other, "shared.example")));
        app.manifest(&v1()).await.unwrap();
        assert_eq!(other.requests().len(), 1, "{typed}");
        ours.on(Method::Get, "*").redirect(307, &format!("{}{{target}}", at(&other, "translated.example")));
        app.manifest(&v1()).await.unwrap_err();
        assert_eq!((other.requests().len(), image.digest()), (1, app.manifest(&v1()).await.unwrap().digest));
    }
}

/// SEC-9.
#[tokio::test]
async fn a_token_server_inside_serves_a_registry_that_is_itself_or_that_the_user_paired_with_it() {
    for (registry_is, tokens_are, paired) in
        [("ten.example", "ten.example", false), ("registry.example", "home.example", true)]
    {
        let (registry, tokens, names) = (FakeRegistry::start(), TokenServer::start(), names());
        Image::new("linux/amd64").push_to(&registry, "app", "v1");
        tokens.account("ann", "hunter2");
        registry.bearer(&tokens);
        let realm = tokens.realm().replace("127.0.0.1", tokens_are);
        let challenge = format!("Bearer realm=\"{realm}\",service=\"testkit-registry\"");
        registry.on_any("/v2/*").before_login().reply(401).header("www-authenticate", &challenge).times(2);
        let host = registry.address().replace("127.0.0.1", registry_is);
        let search = CredentialSearch::new(&Environment::default());
        let plain = Tls { verify: Some(false), ..Tls::default() };
        let pair = (registry_is.to_owned(), tokens_are.to_owned());
        let client = Client::new(Settings {
            credentials: Arc::new(search.with_login(&host, Login::new("ann", "hunter2"), "--creds")),
            hosts: BTreeMap::from([(host.clone(), plain)]),
            auth_hosts: if paired { vec![pair] } else { Vec::new() },
            names: Arc::new(names),
            ..Settings::default()
        });
        client.repository(&host, "app").manifest(&v1()).await.unwrap();
        assert!(tokens.requests()[0].authorization().is_some(), "{registry_is}");
    }
}

/// SEC-6: an origin is scheme, host and port; a host may be written in several ways.
#[tokio::test]
async fn a_login_goes_along_to_the_same_origin_only() {
    let (ours, other, _image) = two();
    let names = names();
    names.set("registry.example.", &["203.0.113.7"]);
    names.set("alias.example", &["203.0.113.7"]);
    let (_client, app) = client(&ours, "registry.example", &names);
    app.manifest(&v1()).await.unwrap();
    let to = |location: String| {
        ours.clear_requests();
        other.clear_requests();
        ours.on(Method::Get, "/v2/app/manifests/v1")
            .redirect(307, &format!("{location}/v2/app/manifests/there"));
        let _there = ours.on(Method::Get, "/v2/app/manifests/there").before_login().reply(404);
    };
    for (location, kept) in [
        (String::new(), true),
        (at(&ours, "registry.example"), true),
        (at(&ours, "REGISTRY.Example"), true),
        (at(&ours, "registry.example."), false),
        (at(&ours, "alias.example"), false),
    ] {
        to(location.clone());
        app.manifest(&v1()).await.unwrap_err();
        assert_eq!(ours.requests().last().unwrap().authorization().is_some(), kept, "{location}");
        ours.clear_rules();
    }
    to(at(&other, "registry.example"));
    app.manifest(&v1()).await.unwrap_err();
    assert_eq!(other.requests()[0].authorization(), None, "another port");
}

/// SEC-3: certificates are not checked at the registry; that says nothing of its token server.
#[tokio::test]
async fn a_token_server_is_checked_though_its_registry_is_not() {
    let (registry, secure) = (FakeRegistry::start(), DockerRegistry::with_tls());
    let names = names();
    let port = secure.address().rsplit_once(':').unwrap().1.to_owned();
    for host in ["registry.example", "127.0.0.1"] {
        let (_client, app) = client(&registry, host, &names);
        let challenge = format!("Bearer realm=\"https://{host}:{port}/token\"");
        registry.on_any("*").reply(401).header("www-authenticate", &challenge).always();
        let error = app.manifest(&v1()).await.unwrap_err();
        assert!(matches!(&error, TransportError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains("certificate"), "{error}");
        registry.clear_rules();
    }
    assert!(secure.requests().is_empty());
}

/// NET-38.
#[tokio::test]
async fn an_address_where_nobody_answers_is_followed_by_the_next_one() {
    let (ours, _other, _image) = two();
    for dead in [&["203.0.113.66", "203.0.113.7"][..], &["2001:db8::66", "203.0.113.7"]] {
        let names = names();
        names.dial_to(dead[0], "127.0.0.66".parse().unwrap());
        names.set("registry.example", dead);
        let (client, app) = client(&ours, "registry.example", &names);
        app.manifest(&v1()).await.unwrap();
        assert_eq!(client.clock.pauses().len(), 0);
    }
}
