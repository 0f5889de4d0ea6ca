//! Simple signatures: in lookaside stores, and where a registry keeps them itself.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]
#![allow(clippy::disallowed_methods, reason = "files written here need not survive a crash")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::join_all;
use manifest_core::{Digest, Reference};
use manifest_testkit::{Client, FakeRegistry, Method, TokenServer};
use manifest_transport::config::{ConfigFile, SignatureStores};
use manifest_transport::{
    Event, Kept, MAX_SIGNATURE, Settings, SignatureEnvironment, Signatures, TransportError,
};
use tempfile::TempDir;

fn digest() -> Digest {
    Digest::sha256(b"an image")
}

/// A registry, a client that has read this text of `registries.d`, and the signatures of an image there.
fn start(registries_d: &str) -> (FakeRegistry, Client, Signatures) {
    let registry = FakeRegistry::start();
    let (client, signatures) = client(&registry, registries_d);
    (registry, client, signatures)
}

fn client(registry: &FakeRegistry, registries_d: &str) -> (Client, Signatures) {
    let mut stores = SignatureStores::default();
    stores.read(ConfigFile { path: Path::new("a.yaml"), text: registries_d }).unwrap();
    let client = Client::new(Settings { signatures: stores, ..Settings::default() });
    let reference: Reference = format!("{}/ns/app:1", registry.address()).parse().unwrap();
    let signatures = client.transport.signatures(&reference).unwrap();
    (client, signatures)
}

/// Signatures in a new directory.
fn in_directory() -> (TempDir, FakeRegistry, Client, Signatures) {
    let root = tempfile::tempdir().unwrap();
    let (registry, client, signatures) =
        start(&format!("default-docker: {{lookaside: 'file://{}'}}", shown(&root)));
    (root, registry, client, signatures)
}

fn shown(root: &TempDir) -> String {
    root.path().display().to_string()
}

fn below(root: &TempDir) -> PathBuf {
    root.path().join(format!("ns/app@sha256={}", digest().hex()))
}

fn warnings(client: &Client) -> Vec<String> {
    let text = |event| match event {
        Event::Warning(text) => Some(text),
        _ => None,
    };
    client.events.events().into_iter().filter_map(text).collect()
}

#[tokio::test]
async fn a_directory_gives_back_what_was_added_and_keeps_nothing_twice() {
    let (root, _registry, client, signatures) = in_directory();
    assert_eq!(signatures.read(&digest()).await.unwrap(), Vec::<Bytes>::new());
    let first = below(&root).join("signature-1").display().to_string();
    assert_eq!(signatures.add(&digest(), b"one").await.unwrap(), Kept::Added(first.clone()));
    assert!(
        matches!(signatures.add(&digest(), b"two").await.unwrap(), Kept::Added(at) if at.ends_with("/signature-2"))
    );
    assert_eq!(signatures.add(&digest(), b"one").await.unwrap(), Kept::Already(first));
    assert_eq!(signatures.read(&digest()).await.unwrap(), ["one", "two"]);
    assert_eq!(signatures.read(&Digest::sha256(b"another")).await.unwrap(), Vec::<Bytes>::new());
    assert_eq!(names(&root), ["signature-1", "signature-2"]);
    assert_eq!(warnings(&client), Vec::<String>::new());
    assert_eq!(signatures.remove_but(&digest(), |_| false).await.unwrap(), (2, 0));
    assert_eq!(signatures.remove_but(&digest(), |_| false).await.unwrap(), (0, 0));
    assert_eq!(names(&root), Vec::<String>::new());
}

#[tokio::test]
async fn what_stays_when_others_are_removed_is_found_afterwards() {
    let (root, registry, _client, signatures) = in_directory();
    for signature in [b"ours", b"hers", b"mine", b"hiss"] {
        signatures.add(&digest(), signature).await.unwrap();
    }
    let removed = signatures.remove_but(&digest(), |signature| signature.starts_with(b"h")).await.unwrap();
    assert_eq!(removed, (2, 2));
    assert_eq!(signatures.read(&digest()).await.unwrap(), ["hers", "hiss"]);
    assert_eq!(names(&root), ["signature-1", "signature-2"]);
    for (name, expected) in [
        ("elsewhere.test/ns/app:1".to_owned(), true),
        (format!("{}/ns/app:1", registry.address()), false),
        (format!("{}/ns/app", registry.address()), false),
        ("elsewhere.test/other:1".to_owned(), false),
        ("no name".to_owned(), false),
    ] {
        assert_eq!(signatures.are_beside_those_of(&name), expected, "{name}");
    }
}

fn names(root: &TempDir) -> Vec<String> {
    let names = std::fs::read_dir(below(root)).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_written_may_be_read_by_everybody_and_changed_by_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let (root, _registry, _client, signatures) = in_directory();
    signatures.add(&digest(), b"one").await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    // As far as the umask of the test allows.
    assert_eq!(mode(&below(&root)) & !0o755, 0);
    assert_eq!(mode(&below(&root).join("signature-1")) & !0o644, 0);
}

#[tokio::test]
async fn sixteen_writers_at_once_lose_nothing() {
    let (root, registry, _client, _signatures) = in_directory();
    let text = format!("default-docker: {{lookaside: 'file://{}'}}", shown(&root));
    for round in 1..=20 {
        let digest = Digest::sha256(format!("image {round}").as_bytes());
        let add = |number| {
            let (_client, signatures) = client(&registry, &text);
            async move { signatures.add(&digest, format!("signature of {number}").as_bytes()).await }
        };
        for kept in join_all((0..16).map(add)).await {
            assert!(matches!(kept.unwrap(), Kept::Added(_)));
        }
        let (_client, signatures) = client(&registry, &text);
        let all: BTreeSet<_> = signatures.read(&digest).await.unwrap().into_iter().collect();
        assert_eq!(all.len(), 16, "round {round}");
    }
}

#[tokio::test]
async fn sixteen_writers_of_the_same_write_it_once() {
    let (root, _registry, _client, signatures) = in_directory();
    let image = digest();
    let kept = join_all((0..16).map(|_| signatures.add(&image, b"the same"))).await;
    let added = kept.iter().filter(|kept| matches!(kept, Ok(Kept::Added(_)))).count();
    assert_eq!((added, kept.len()), (1, 16));
    assert_eq!(names(&root), ["signature-1"]);
}

#[tokio::test]
async fn a_second_signature_without_a_first_is_none_and_there_is_a_hint() {
    let (root, _registry, client, signatures) = in_directory();
    std::fs::create_dir_all(below(&root)).unwrap();
    std::fs::write(below(&root).join("signature-2"), "two").unwrap();
    assert_eq!(signatures.read(&digest()).await.unwrap(), Vec::<Bytes>::new());
    let told = warnings(&client);
    assert!(told.len() == 1 && told[0].contains("signature-2 and no signature-1"), "{told:?}");
    assert_eq!(signatures.remove_but(&digest(), |_| false).await.unwrap(), (1, 0));
    assert_eq!(names(&root), Vec::<String>::new());
}

#[tokio::test]
async fn a_directory_has_limits() {
    let (root, _registry, _client, signatures) = in_directory();
    let large = vec![b'x'; MAX_SIGNATURE + 1];
    assert!(matches!(signatures.add(&digest(), &large).await, Err(TransportError::TooLarge { .. })));
    std::fs::create_dir_all(below(&root)).unwrap();
    for number in 1..=128 {
        std::fs::write(below(&root).join(format!("signature-{number}")), format!("{number}")).unwrap();
    }
    assert_eq!(signatures.read(&digest()).await.unwrap().len(), 128);
    let failed = signatures.add(&digest(), b"one more").await;
    assert!(matches!(failed, Err(TransportError::TooManySignatures(_, 128))), "{failed:?}");
    std::fs::write(below(&root).join("signature-129"), "x").unwrap();
    let failed = signatures.read(&digest()).await;
    assert!(matches!(failed, Err(TransportError::TooManySignatures(_, 128))), "{failed:?}");
    std::fs::write(below(&root).join("signature-1"), &large).unwrap();
    assert!(matches!(signatures.read(&digest()).await, Err(TransportError::TooLarge { .. })));
    for number in 1..=9 {
        std::fs::write(below(&root).join(format!("signature-{number}")), &large[1..]).unwrap();
    }
    assert!(matches!(
        signatures.read(&digest()).await,
        Err(TransportError::TooLarge { limit: 8_388_608, .. })
    ));
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_below_the_store_is_not_written_through_and_a_pipe_is_not_waited_for() {
    let (root, _registry, _client, signatures) = in_directory();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), root.path().join("ns")).unwrap();
    let failed = signatures.add(&digest(), b"one").await;
    assert!(matches!(failed, Err(TransportError::Io("create", ..))), "{failed:?}");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    std::fs::remove_file(root.path().join("ns")).unwrap();
    std::fs::create_dir_all(below(&root).join("signature-1")).unwrap();
    let failed = signatures.read(&digest()).await;
    assert!(matches!(failed, Err(TransportError::Io("read", ..))), "{failed:?}");
}

#[test]
fn a_repository_that_leads_out_of_the_store_cannot_be_named() {
    for name in
        ["r.io/../app", "r.io/ns/../../app", "r.io/./app", "r.io//app", "r.io/..", "r.io/ns\\app", "r.io/a@b"]
    {
        assert!(name.parse::<Reference>().is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_web_server_is_read_until_the_first_that_is_not_there_and_never_written() {
    let web = FakeRegistry::start();
    let place = format!("/sigs/ns/app@sha256={}", digest().hex());
    for (number, text) in [(1, "one"), (2, "two"), (4, "four")] {
        web.on(Method::Get, &format!("{place}/signature-{number}")).reply(200).body(text).always();
    }
    let (_registry, _client, signatures) =
        start(&format!("default-docker: {{lookaside: 'http://{}/sigs/'}}", web.address()));
    assert_eq!(signatures.read(&digest()).await.unwrap(), ["one", "two"]);
    let asked: Vec<_> = web.requests().iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(asked, [1, 2, 3].map(|number| format!("{place}/signature-{number}")));
    let failed = signatures.add(&digest(), b"x").await.unwrap_err();
    assert!(failed.to_string().contains("`lookaside-staging` in registries.d"), "{failed}");
    assert!(matches!(failed, TransportError::SignatureStore { action: "add", .. }));
}

#[tokio::test]
async fn a_web_server_with_a_staging_directory_is_read_and_the_directory_written() {
    let (web, root) = (FakeRegistry::start(), tempfile::tempdir().unwrap());
    let text = format!(
        "default-docker: {{lookaside: 'http://{}', lookaside-staging: 'file://{}'}}",
        web.address(),
        shown(&root)
    );
    let (_registry, _client, signatures) = start(&text);
    signatures.add(&digest(), b"one").await.unwrap();
    assert_eq!(names(&root), ["signature-1"]);
    assert_eq!(signatures.read(&digest()).await.unwrap(), Vec::<Bytes>::new());
}

#[tokio::test]
async fn a_web_server_that_fails_is_not_one_that_has_none() {
    let web = FakeRegistry::start();
    let text = format!("default-docker: {{lookaside: 'http://{}'}}", web.address());
    let (_registry, client, signatures) = start(&text);
    let first = format!("/ns/app@sha256={}/signature-1", digest().hex());
    web.on(Method::Get, &first).reply(403);
    let failed = signatures.read(&digest()).await;
    assert!(matches!(failed, Err(TransportError::Refused { status: 403, .. })), "{failed:?}");
    web.on(Method::Get, &first).reply(200).header("content-type", "text/html").body("<html>");
    let failed = signatures.read(&digest()).await;
    assert!(matches!(failed, Err(TransportError::Protocol { .. })), "{failed:?}");
    web.on(Method::Get, &first).endless("x".repeat(1 << 16));
    let failed = signatures.read(&digest()).await;
    assert!(matches!(failed, Err(TransportError::TooLarge { .. })), "{failed:?}");
    web.clear_rules();
    web.on(Method::Head, &first.replace("signature-1", "signature-2")).reply(200);
    assert_eq!(signatures.read(&digest()).await.unwrap(), Vec::<Bytes>::new());
    assert!(warnings(&client)[0].contains("no signature-1"));
}

#[tokio::test]
async fn a_registry_that_keeps_signatures_itself_goes_before_every_store() {
    let (root, registry, _client, _) = in_directory();
    registry.serve_signatures();
    let text = format!("default-docker: {{lookaside: 'file://{}'}}", shown(&root));
    let (_client, signatures) = client(&registry, &text);
    registry.clear_requests();
    assert_eq!(signatures.read(&digest()).await.unwrap(), Vec::<Bytes>::new());
    let kept = Kept::Added(format!("the registry {}", registry.address()));
    assert_eq!(signatures.add(&digest(), b"one").await.unwrap(), kept);
    assert!(matches!(signatures.add(&digest(), b"one").await.unwrap(), Kept::Already(_)));
    signatures.add(&digest(), b"two").await.unwrap();
    assert_eq!(signatures.read(&digest()).await.unwrap(), ["one", "two"]);
    assert!(!below(&root).exists());
    let failed = signatures.remove_but(&digest(), |_| false).await;
    assert!(matches!(failed, Err(TransportError::SignatureStore { action: "remove", .. })), "{failed:?}");

    let requests = registry.requests();
    assert_eq!(requests.iter().filter(|request| request.path() == "/v2/").count(), 1);
    let put: Vec<_> = requests.iter().filter(|request| request.method == Method::Put).collect();
    assert_eq!(put.len(), 2);
    assert_eq!(put[0].path(), format!("/extensions/v2/ns/app/signatures/{}", digest()));
    let sent: serde_json::Value = serde_json::from_slice(&put[0].body).unwrap();
    let (at, unique) = sent["name"].as_str().unwrap().rsplit_once('@').unwrap();
    assert_eq!(at, digest().to_string());
    assert!(unique.len() == 32 && unique.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(sent["schemaVersion"], 2);
    assert_eq!(sent["type"], "atomic");
    assert_eq!(sent["content"], STANDARD.encode("one"));
}

#[tokio::test]
async fn a_signature_whose_answer_was_lost_is_not_added_twice() {
    let (registry, _client, signatures) = start("");
    registry.serve_signatures();
    registry.on(Method::Put, "/extensions/*").apply_then_reset();
    assert!(matches!(signatures.add(&digest(), b"one").await.unwrap(), Kept::Added(_)));
    assert_eq!(signatures.read(&digest()).await.unwrap(), ["one"]);
}

#[tokio::test]
async fn sixteen_writers_to_a_registry_lose_nothing() {
    let (registry, _client, signatures) = start("");
    registry.serve_signatures();
    let texts: Vec<_> = (0..16).map(|number| format!("signature of {number}")).collect();
    let image = digest();
    for kept in join_all(texts.iter().map(|text| signatures.add(&image, text.as_bytes()))).await {
        assert!(matches!(kept.unwrap(), Kept::Added(_)));
    }
    assert_eq!(signatures.read(&digest()).await.unwrap().len(), 16);
}

#[tokio::test]
async fn a_list_of_signatures_is_read_strictly_and_with_limits() {
    let (registry, _client, signatures) = start("");
    registry.serve_signatures();
    let one =
        |content: &str| format!(r#"{{"schemaVersion":2,"type":"atomic","name":"n","content":"{content}"}}"#);
    let list = |of: &str| format!(r#"{{"signatures":[{of}]}}"#);
    let answer = async |body: String| {
        registry.on(Method::Get, "/extensions/*").reply(200).body(body);
        signatures.read(&digest()).await
    };
    for (name, body) in [
        ("no JSON", "x".to_owned()),
        ("a list", "[]".to_owned()),
        ("a key twice", r#"{"signatures":[],"signatures":[]}"#.to_owned()),
        ("not base64", list(&one("!"))),
        ("content that is a number", list(r#"{"schemaVersion":2,"type":"atomic","content":1}"#)),
        ("too many", list(&vec![one("eA=="); 129].join(","))),
        ("too much in one", list(&one(&STANDARD.encode(vec![b'x'; MAX_SIGNATURE + 1])))),
        ("too much in all", list(&vec![one(&"A".repeat(4 << 20)); 5].join(","))),
    ] {
        assert!(answer(body).await.is_err(), "{name}");
    }
    let others = r#"{"schemaVersion":3,"type":"atomic","content":"eA=="},{"schemaVersion":2,"type":"new","content":"eA=="},"#;
    assert_eq!(answer(list(&format!("{others}{}", one("eA==")))).await.unwrap(), ["x"]);
    assert_eq!(answer(r#"{"signatures":null,"more":1}"#.to_owned()).await.unwrap(), Vec::<Bytes>::new());
    registry.on(Method::Get, "/extensions/*").reply(404);
    assert_eq!(signatures.read(&digest()).await.unwrap(), Vec::<Bytes>::new());
    registry.on(Method::Get, "/extensions/*").reply(400);
    assert!(signatures.read(&digest()).await.is_err());
}

#[tokio::test]
async fn a_registry_that_wants_a_login_says_so_along_with_that_it_keeps_signatures() {
    let (registry, tokens) = (FakeRegistry::start(), TokenServer::start());
    registry.serve_signatures();
    registry.bearer(&tokens);
    registry.on(Method::Get, "/v2/").before_login().reply(401).header("x-registry-supports-signatures", "1");
    let (_client, signatures) = client(&registry, "");
    assert_eq!(signatures.read(&digest()).await.unwrap(), Vec::<Bytes>::new());
    let asked = registry.requests();
    assert!(asked.iter().any(|request| request.path().starts_with("/extensions/")));
}

#[tokio::test]
async fn without_a_store_there_are_no_signatures_and_none_can_be_added() {
    let (_registry, _client, signatures) = start("");
    assert_eq!(signatures.read(&digest()).await.unwrap(), Vec::<Bytes>::new());
    let failed = signatures.add(&digest(), b"x").await.unwrap_err();
    assert!(failed.to_string().contains("no store is known"), "{failed}");
}

#[test]
fn the_files_of_the_user_go_before_those_of_the_system() {
    let home = tempfile::tempdir().unwrap();
    let environment = SignatureEnvironment { home: Some(home.path().to_owned()), ..Default::default() };
    let read = |environment: &SignatureEnvironment| {
        let stores = SignatureStores::find(environment).unwrap();
        stores.lookaside(&"r.test/app:1".parse().unwrap()).map(ToString::to_string)
    };
    let directory = home.path().join(".config/containers/registries.d");
    std::fs::create_dir_all(&directory).unwrap();
    let of_user = home.path().join(".local/share/containers/sigstore").display().to_string();
    assert_eq!(read(&environment), Some(of_user));
    let root = SignatureEnvironment { is_root: true, ..environment.clone() };
    assert_eq!(read(&root).as_deref(), Some("/var/lib/containers/sigstore"));
    std::fs::write(directory.join("a.yaml"), "docker: {r.test: {lookaside: 'file:///a'}}").unwrap();
    std::fs::write(directory.join("b.yaml"), "docker: {s.test: {lookaside: 'file:///b'}}").unwrap();
    std::fs::write(directory.join("c.yml"), "docker: {r.test: {lookaside: 'file:///c'}}").unwrap();
    assert_eq!(read(&environment).as_deref(), Some("/a"));
    let named = tempfile::tempdir().unwrap();
    let environment = SignatureEnvironment { registries_d: Some(named.path().to_owned()), ..environment };
    std::fs::write(named.path().join("a.yaml"), "default-docker: {lookaside: 'file:///named'}").unwrap();
    assert_eq!(read(&environment).as_deref(), Some("/named"));
    let gone = SignatureEnvironment { registries_d: Some(named.path().join("gone")), ..environment };
    assert!(SignatureStores::find(&gone).unwrap_err().to_string().contains("gone"));
}
