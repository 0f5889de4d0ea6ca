//! Uploads that break off, and go on where they broke.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test ends at the first thing that is not as it should be; its files need not survive a crash"
)]

use std::path::Path;

use manifest_core::Digest;
use manifest_testkit::{Client, FakeRegistry, Image, Method, Request, Tar, descriptor, put_blob};
use manifest_transport::{Archive, ArchiveKind, Layout, Mounted, Place, TransportError};

const BODY: &[u8] = &[42; 400_000];
const MIB: usize = 1 << 20;

fn start() -> (FakeRegistry, Client, Place) {
    let (registry, client) = (FakeRegistry::start(), Client::default());
    let app = client.repository(&registry.address(), "app");
    (registry, client, app)
}

/// Method and status of each request.
fn steps(registry: &FakeRegistry) -> Vec<String> {
    let step = |request: &Request| {
        let status = request.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        format!("{:?} {status}", request.method).to_uppercase()
    };
    registry.requests().iter().map(step).collect()
}

/// Bytes that came, and the range that they were said to be, of each request that carries content.
fn bodies(registry: &FakeRegistry) -> Vec<(u64, Option<String>)> {
    let carries = |request: &Request| matches!(request.method, Method::Put | Method::Patch);
    let body =
        |request: Request| (request.body_bytes, request.header("content-range").map(ToOwned::to_owned));
    registry.requests().into_iter().filter(carries).map(body).collect()
}

/// Content in which no part is like another.
fn varied(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// NET-9.
#[tokio::test]
async fn what_has_arrived_is_not_sent_again() {
    let (registry, client, app) = start();
    registry.on(Method::Put, "*").reset_after_body_bytes(100_000);
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(steps(&registry), ["POST 202", "PUT -", "HEAD 404", "GET 204", "PUT 201"]);
    let rest = (300_000, Some("100000-399999".to_owned()));
    assert_eq!(bodies(&registry), [(100_000, None), rest]);
    assert_eq!(registry.blob("app", &Digest::sha256(BODY)).unwrap(), BODY);
    assert_eq!(client.clock.pauses_in_ms(), [125]);
}

#[tokio::test]
async fn a_line_that_breaks_again_and_again_is_borne_as_long_as_something_arrives() {
    let (registry, client, app) = start();
    let content = varied(400_000);
    registry.on(Method::Put, "*").reset_after_body_bytes(50_000).times(7);
    put_blob(&app, content.clone()).await.unwrap();
    let sent: Vec<u64> = bodies(&registry).iter().map(|(bytes, _)| *bytes).collect();
    assert_eq!(sent, [50_000; 8], "each byte once");
    assert_eq!(registry.blob("app", &Digest::sha256(&content)).unwrap(), content);
    assert_eq!(client.clock.pauses_in_ms(), [125; 7], "something arrived, so the pauses do not grow");
    assert_eq!(registry.requests().iter().filter(|request| request.method == Method::Post).count(), 1);
}

#[tokio::test]
async fn a_blob_of_which_only_the_end_was_not_confirmed_is_finished_without_content() {
    let (registry, _client, app) = start();
    registry.on(Method::Put, "*").reset_after_body_bytes(400_000);
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(steps(&registry), ["POST 202", "PUT -", "HEAD 404", "GET 204", "PUT 201"]);
    assert_eq!(bodies(&registry), [(400_000, None), (0, None)]);
}

/// Copies a blob from a place to `app`, whose line breaks at 3 MiB and a little.
async fn copy_with_a_break(from: &Place, content: &[u8]) -> FakeRegistry {
    let (registry, client, app) = (FakeRegistry::start(), Client::default(), "app");
    let (app, blob) = (client.repository(&registry.address(), app), descriptor(content));
    let at = 3 * MIB as u64 + 5;
    registry.on(Method::Put, "*").reset_after_body_bytes(at);
    app.put_blob(&blob, Mounted::Refused, &|start| {
        Box::pin(async move { from.blob_from(&descriptor(content), &start).await })
    })
    .await
    .unwrap();
    let rest = content.len() as u64 - at;
    assert_eq!(bodies(&registry), [(at, None), (rest, Some(format!("{at}-{}", content.len() - 1)))]);
    assert_eq!(registry.blob("app", &blob.digest).unwrap(), content);
    registry
}

#[tokio::test]
async fn a_source_at_a_registry_is_asked_for_the_rest_only() {
    let (source, client, content) = (FakeRegistry::start(), Client::default(), varied(5 * MIB));
    source.put_blob("lib", content.clone());
    let _to = copy_with_a_break(&client.repository(&source.address(), "lib"), &content).await;
    let asked = source.requests();
    assert_eq!((asked.len(), asked[0].header("range")), (2, None));
    let range = asked[1].header("range").unwrap();
    let from: usize = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
    assert!(from <= 3 * MIB + 5 && from > 2 * MIB - 5, "from the last known state of the hash: {range}");
}

#[tokio::test]
async fn a_source_in_a_file_is_read_from_where_it_is_needed() {
    let (dir, content) = (tempfile::tempdir().unwrap(), varied(5 * MIB));
    let image = Image::new("linux/amd64").layer("small");
    image.write_layout(dir.path(), "v1");
    let name = format!("blobs/sha256/{}", Digest::sha256(&content).hex());
    std::fs::write(dir.path().join(&name), &content).unwrap();
    let archive = dir.path().join("image.tar");
    std::fs::write(&archive, Tar::new().tree(dir.path(), "").finish()).unwrap();
    let archive = Place::Archive(Archive::new(ArchiveKind::Oci, Path::new(&archive)));
    for from in [Place::Layout(Layout::new(dir.path())), archive] {
        let _to = copy_with_a_break(&from, &content).await;
    }
}

#[tokio::test]
async fn content_that_is_wrong_before_or_behind_the_break_never_becomes_a_blob() {
    for wrong in [1, 3 * MIB, 5 * MIB - 1] {
        let (registry, client, content) = (FakeRegistry::start(), Client::default(), varied(5 * MIB));
        let (dir, blob) = (tempfile::tempdir().unwrap(), descriptor(&content));
        Image::new("linux/amd64").layer("small").write_layout(dir.path(), "v1");
        let mut damaged = content.clone();
        damaged[wrong] ^= 1;
        std::fs::write(dir.path().join(format!("blobs/sha256/{}", blob.digest.hex())), damaged).unwrap();
        let (from, app) =
            (&Place::Layout(Layout::new(dir.path())), client.repository(&registry.address(), "app"));
        registry.on(Method::Put, "*").reset_after_body_bytes(2 * MIB as u64);
        let blob = &blob;
        let open: &manifest_transport::Opener<'_> =
            &|start| Box::pin(async move { from.blob_from(blob, &start).await });
        let error = app.put_blob(blob, Mounted::Refused, open).await.unwrap_err();
        assert!(matches!(error, TransportError::DigestMismatch { .. }), "{wrong}: {error:?}");
        assert_eq!((registry.has_blob("app", &blob.digest), registry.open_uploads()), (false, 0), "{wrong}");
    }
}

/// NET-10.
#[tokio::test]
async fn a_session_that_cannot_be_asked_is_replaced_by_a_new_one() {
    for status in [400, 404, 405, 501] {
        let (registry, _client, app) = start();
        registry.on(Method::Put, "*").reset_after_body_bytes(100_000);
        registry.on(Method::Get, "*").reply(status);
        put_blob(&app, BODY).await.unwrap();
        let get = format!("GET {status}");
        let given_up = if status == 404 { None } else { Some("DELETE 204") };
        let expected = ["POST 202", "PUT -", "HEAD 404", &get].into_iter().chain(given_up);
        let expected: Vec<&str> = expected.chain(["POST 202", "PUT 201"]).collect();
        assert_eq!(steps(&registry), expected);
        assert_eq!(bodies(&registry), [(100_000, None), (400_000, None)]);
    }
}

#[tokio::test]
async fn the_whole_blob_is_sent_four_times_at_most() {
    let (registry, _client, app) = start();
    registry.on(Method::Put, "*").reset_after_body_bytes(100_000).always();
    registry.on(Method::Get, "*").reply(404).always();
    let error = put_blob(&app, BODY).await.unwrap_err();
    assert!(matches!(error, TransportError::Exhausted { attempts: 4, .. }), "{error:?}");
    assert_eq!(bodies(&registry).len(), 4);
}

#[tokio::test]
async fn a_session_that_claims_more_than_there_is_is_given_up() {
    let (registry, _client, app) = start();
    registry.on(Method::Put, "*").reset_after_body_bytes(100_000);
    registry.on(Method::Get, "*").apply().header("range", "0-400000");
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(
        steps(&registry),
        ["POST 202", "PUT -", "HEAD 404", "GET 204", "DELETE 204", "POST 202", "PUT 201"]
    );
}

#[tokio::test]
async fn a_registry_that_refuses_to_resume_gets_the_blob_whole() {
    for status in [400, 405, 501] {
        let (registry, _client, app) = start();
        registry.on(Method::Put, "*").reset_after_body_bytes(100_000);
        registry.on(Method::Put, "*").reply(status);
        put_blob(&app, BODY).await.unwrap();
        let bytes: Vec<u64> = bodies(&registry).iter().map(|(bytes, _)| *bytes).collect();
        assert_eq!(bytes, [100_000, 300_000, 400_000], "{status}");
        assert_eq!(registry.open_uploads(), 0, "{status}: the old session is given up");
    }
}

/// NET-11.
#[tokio::test]
async fn a_session_that_is_elsewhere_than_we_think_is_asked() {
    let (registry, _client, app) = start();
    registry.on(Method::Put, "*").reset_after_body_bytes(100_000);
    registry.on(Method::Get, "*").apply().header("range", "0-49999");
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(
        steps(&registry),
        ["POST 202", "PUT -", "HEAD 404", "GET 204", "PUT 416", "HEAD 404", "GET 204", "PUT 201"]
    );
    let ranges: Vec<Option<String>> = bodies(&registry).into_iter().map(|(_, range)| range).collect();
    assert_eq!(ranges, [None, Some("50000-399999".to_owned()), Some("100000-399999".to_owned())]);
}

#[tokio::test]
async fn a_registry_that_is_busy_keeps_its_session() {
    let (registry, _client, app) = start();
    registry.on(Method::Put, "*").reply(503).times(4);
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(registry.requests().iter().filter(|request| request.method == Method::Post).count(), 1);
}
