//! Blobs in pieces, for registries that do not take them whole.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use manifest_core::Digest;
use manifest_testkit::{Client, FakeRegistry, Method, Opened, Request, content, descriptor, put_blob};
use manifest_transport::{Mounted, Place, Settings, Start, TransportError};

const BODY: &[u8] = &[42; 400_000];
const MIB: usize = 1 << 20;

fn start() -> (FakeRegistry, Client, Place) {
    let (registry, client) = (FakeRegistry::start(), Client::default());
    let app = client.repository(&registry.address(), "app");
    (registry, client, app)
}

/// With pieces of 100 000 bytes, as the user says.
fn start_in_pieces() -> (FakeRegistry, Client, Place) {
    let registry = FakeRegistry::start();
    let chunk = [(registry.address(), 100_000)].into();
    let client = Client::new(Settings { chunk, ..Settings::default() });
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

/// The ranges of all pieces that came whole.
fn ranges(registry: &FakeRegistry) -> Vec<String> {
    let patches = registry.requests().into_iter().filter(|request| request.method == Method::Patch);
    let range = |request: Request| {
        let range = request.header("content-range").unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let length = last.parse::<u64>().unwrap() - first.parse::<u64>().unwrap() + 1;
        assert_eq!(request.header("content-length"), Some(length.to_string().as_str()));
        range.to_owned()
    };
    patches.map(range).collect()
}

#[tokio::test]
async fn a_blob_goes_in_the_pieces_that_the_user_names_and_its_source_is_opened_once() {
    let (registry, _client, app) = start_in_pieces();
    let (opened, bytes) = (Arc::new(AtomicUsize::new(0)), content(BODY));
    let counter = Arc::clone(&opened);
    let open = move |start: Start| -> Opened {
        counter.fetch_add(1, Ordering::Relaxed);
        bytes(start)
    };
    app.put_blob(&descriptor(BODY), Mounted::Refused, &open).await.unwrap();
    assert_eq!(steps(&registry), ["POST 202", "PATCH 202", "PATCH 202", "PATCH 202", "PATCH 202", "PUT 201"]);
    assert_eq!(ranges(&registry), ["0-99999", "100000-199999", "200000-299999", "300000-399999"]);
    assert_eq!(registry.requests().pop().unwrap().body_bytes, 0);
    assert_eq!(registry.blob("app", &Digest::sha256(BODY)).unwrap(), BODY);
    assert_eq!(opened.load(Ordering::Relaxed), 1);
    registry.clear_requests();
    put_blob(&app, vec![1; 100_000]).await.unwrap();
    assert_eq!(steps(&registry), ["POST 202", "PUT 201"], "what fits into one piece goes in one");
}

/// NET-12.
#[tokio::test]
async fn a_registry_that_finds_a_blob_too_large_gets_it_in_smaller_and_smaller_pieces() {
    let (registry, client, app) = start();
    registry.body_limit(2 * MIB as u64);
    let blob = vec![7; 5 * MIB];
    put_blob(&app, blob.clone()).await.unwrap();
    let patches = ["PATCH 202"; 5];
    assert_eq!(steps(&registry)[..3], ["POST 202", "PUT 413", "PATCH 413"]);
    assert_eq!(steps(&registry)[3..8], patches);
    assert_eq!(steps(&registry)[8..], ["PUT 201"]);
    assert_eq!(registry.blob("app", &Digest::sha256(&blob)).unwrap(), blob);
    assert_eq!(client.clock.pauses().len(), 0);
    registry.clear_requests();
    put_blob(&app, vec![8; 2 * MIB]).await.unwrap();
    assert_eq!(steps(&registry), ["POST 202", "PATCH 202", "PATCH 202", "PUT 201"], "it is remembered");
}

#[tokio::test]
async fn a_registry_that_hangs_up_early_on_a_large_body_gets_it_in_pieces() {
    for (name, early) in [("an answer that may be lost", true), ("no answer", false)] {
        let (registry, _client, app) = start();
        let put = registry.on(Method::Put, "*");
        let _rule = if early { put.reply_early(413) } else { put.reset() };
        let blob = vec![7; 20 * MIB];
        put_blob(&app, blob.clone()).await.unwrap();
        assert_eq!(ranges(&registry), ["0-16777215", "16777216-20971519"], "{name}");
        assert_eq!(registry.blob("app", &Digest::sha256(&blob)).unwrap(), blob, "{name}");
    }
}

#[tokio::test]
async fn a_refusal_of_small_pieces_is_told_as_what_it_is() {
    let (registry, client, app) = start();
    registry.body_limit(1000);
    let error = put_blob(&app, vec![7; 5 * MIB]).await.unwrap_err();
    assert!(matches!(error, TransportError::Refused { status: 413, .. }), "{error:?}");
    assert_eq!(steps(&registry), ["POST 202", "PUT 413", "PATCH 413", "PATCH 413", "DELETE 204"]);
    assert_eq!(client.clock.pauses().len(), 0);
}

#[tokio::test]
async fn pieces_are_as_large_as_the_registry_wants_them_at_least() {
    let (registry, client, app) = start_in_pieces();
    registry.chunk_min_length(150_000);
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(ranges(&registry), ["0-149999", "150000-299999", "300000-399999"]);
    let lib = client.repository(&registry.address(), "lib");
    registry.chunk_min_length(400_000);
    let other = descriptor(&[1; 500_000]);
    let mounted = app.mount(&other, &lib).await.unwrap();
    registry.clear_requests();
    app.put_blob(&other, mounted, &content(vec![1; 500_000])).await.unwrap();
    assert_eq!(
        ranges(&registry),
        ["0-399999", "400000-499999"],
        "a mount that became a session tells it, too"
    );
}

#[tokio::test]
async fn a_registry_that_says_how_large_pieces_should_be_gets_large_blobs_in_pieces() {
    let (registry, _client, app) = start();
    registry.chunk_min_length(MIB as u64);
    put_blob(&app, vec![7; 17 * MIB]).await.unwrap();
    assert_eq!(ranges(&registry), ["0-16777215", "16777216-17825791"]);
}

#[tokio::test]
async fn a_piece_is_taken_with_any_good_status() {
    for status in [200, 201, 202, 204] {
        let (registry, _client, app) = start_in_pieces();
        registry.on(Method::Patch, "*").apply().status(status).without_header("range").always();
        put_blob(&app, BODY).await.unwrap();
        assert_eq!((registry.requests().len(), ranges(&registry).len()), (6, 4), "{status}");
    }
}

/// NET-9.
#[tokio::test]
async fn a_piece_that_breaks_off_goes_on_where_it_broke() {
    let (registry, client, app) = start_in_pieces();
    registry.on(Method::Patch, "*").skip(1).reset_after_body_bytes(30_000);
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(
        steps(&registry),
        ["POST 202", "PATCH 202", "PATCH -", "GET 204", "PATCH 202", "PATCH 202", "PATCH 202", "PUT 201"]
    );
    assert_eq!(
        ranges(&registry),
        ["0-99999", "100000-199999", "130000-229999", "230000-329999", "330000-399999"]
    );
    assert_eq!(registry.blob("app", &Digest::sha256(BODY)).unwrap(), BODY);
    assert_eq!(client.clock.pauses_in_ms(), [125]);
}

/// NET-11.
#[tokio::test]
async fn a_piece_of_which_only_a_part_was_taken_goes_on_behind_that() {
    let (registry, _client, app) = start_in_pieces();
    registry.on(Method::Patch, "*").take_only(60_000);
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(
        ranges(&registry),
        ["0-99999", "60000-159999", "160000-259999", "260000-359999", "360000-399999"]
    );
    assert_eq!(registry.blob("app", &Digest::sha256(BODY)).unwrap(), BODY);
}

/// NET-11.
#[tokio::test]
async fn a_session_that_says_that_it_has_less_than_it_has_is_asked() {
    let (registry, _client, app) = start_in_pieces();
    registry.on(Method::Patch, "*").apply().header("range", "0-49999");
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(
        ranges(&registry),
        ["0-99999", "50000-149999", "100000-199999", "200000-299999", "300000-399999"]
    );
    assert_eq!(steps(&registry)[1..5], ["PATCH 202", "PATCH 416", "GET 204", "PATCH 202"]);
    assert_eq!(registry.blob("app", &Digest::sha256(BODY)).unwrap(), BODY);
}

/// NET-11.
#[tokio::test]
async fn a_session_without_progress_is_left_for_a_new_one_in_one_piece() {
    let (registry, _client, app) = start_in_pieces();
    registry.on(Method::Patch, "*").take_only(0).always();
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(steps(&registry), ["POST 202", "PATCH 202", "PATCH 202", "DELETE 204", "POST 202", "PUT 201"]);
    assert_eq!(registry.blob("app", &Digest::sha256(BODY)).unwrap(), BODY);
}

#[tokio::test]
async fn a_registry_that_takes_no_pieces_gets_the_blob_whole() {
    for status in [400, 405, 501] {
        let (registry, _client, app) = start_in_pieces();
        registry.on(Method::Patch, "*").reply(status).always();
        put_blob(&app, BODY).await.unwrap();
        let patch = format!("PATCH {status}");
        assert_eq!(steps(&registry), ["POST 202", &patch, "DELETE 204", "POST 202", "PUT 201"]);
    }
}

#[tokio::test]
async fn a_registry_that_takes_a_blob_neither_whole_nor_in_pieces_has_found_it_too_large() {
    let (registry, _client, app) = start();
    registry.body_limit(2 * MIB as u64);
    registry.on(Method::Patch, "*").reply(405).always();
    let error = put_blob(&app, vec![7; 5 * MIB]).await.unwrap_err();
    assert!(matches!(error, TransportError::Refused { status: 413, .. }), "{error:?}");
    assert_eq!(steps(&registry), ["POST 202", "PUT 413", "PATCH 405", "DELETE 204"]);
}

#[tokio::test]
async fn a_session_that_is_forgotten_between_pieces_is_replaced() {
    let (registry, _client, app) = start_in_pieces();
    registry.on(Method::Patch, "*").skip(2).forget_upload();
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(steps(&registry)[..5], ["POST 202", "PATCH 202", "PATCH 202", "PATCH 404", "POST 202"]);
    assert_eq!(ranges(&registry).len(), 3 + 4);
    assert_eq!(registry.blob("app", &Digest::sha256(BODY)).unwrap(), BODY);
}

/// SEC-4.
#[tokio::test]
async fn the_next_piece_does_not_go_to_another_host() {
    let (registry, other) = (FakeRegistry::start(), FakeRegistry::start());
    let host = registry.address().replace("127.0.0.1", "localhost");
    let chunk = [(host.clone(), 100_000)].into();
    let client = Client::new(Settings { chunk, ..Settings::default() });
    let elsewhere = format!("http://{}/elsewhere", other.address());
    registry.on(Method::Patch, "*").apply().header("location", &elsewhere);
    let error = put_blob(&client.repository(&host, "app"), BODY).await.unwrap_err();
    assert!(matches!(error, TransportError::Untrusted { .. }), "{error:?}");
    assert!(other.requests().is_empty());
}
