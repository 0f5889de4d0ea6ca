//! Blobs of a registry: read, checked, taken up where they broke.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use manifest_core::{Descriptor, Digest, MediaType};
use manifest_testkit::{Client, FakeRegistry, Method, descriptor, read_blob};
use manifest_transport::{Place, TransportError};

const SIZE: usize = 1 << 20;

/// A registry with a blob of 1 MiB in `app`.
fn start() -> (FakeRegistry, Client, Place, Descriptor, Vec<u8>) {
    let (registry, client) = (FakeRegistry::start(), Client::default());
    let bytes: Vec<u8> = (0..=250).cycle().take(SIZE).collect();
    registry.put_blob("app", bytes.clone());
    let app = client.repository(&registry.address(), "app");
    (registry, client, app, descriptor(&bytes), bytes)
}

#[tokio::test]
async fn a_blob_is_read_in_one_request() {
    let (registry, client, app, blob, bytes) = start();
    assert_eq!(read_blob(&app, &blob).await.unwrap(), bytes);
    assert!(app.has_blob(&blob).await.unwrap());
    assert!(!app.has_blob(&descriptor(b"none")).await.unwrap());
    assert_eq!(registry.requests().len(), 3);
    assert_eq!(registry.requests()[0].header("accept-encoding"), Some("identity"));
    assert_eq!(client.clock.pauses().len(), 0);
}

#[tokio::test]
async fn a_blob_that_is_not_there_is_told_before_anything_is_read() {
    let (_registry, _client, app, _, _) = start();
    let Err(error) = app.blob(&descriptor(b"none")).await else { panic!("there is no such blob") };
    assert!(matches!(&error, TransportError::NotFound(what) if what.contains("sha256:")), "{error:?}");
}

/// SEC-22.
#[tokio::test]
async fn wrong_bytes_never_arrive_whole() {
    let (registry, client, app, blob, _) = start();
    registry.on(Method::Get, "*").wrong_bytes();
    let error = read_blob(&app, &blob).await.unwrap_err();
    assert!(matches!(error, TransportError::DigestMismatch { expected, .. } if expected == blob.digest));
    assert_eq!((registry.requests().len(), client.clock.pauses().len()), (1, 0));
}

/// NET-25: the length of the body is right in itself, but not that of the descriptor.
#[tokio::test]
async fn a_body_of_another_size_is_refused() {
    let (registry, _client, app, blob, bytes) = start();
    let longer = [&bytes[..], b"more"].concat();
    for (body, found) in [(bytes[..SIZE - 1].to_vec(), SIZE as u64 - 1), (Vec::new(), 0)] {
        registry.on(Method::Get, "*").substitute(body);
        let error = read_blob(&app, &blob).await.unwrap_err();
        assert!(
            matches!(error, TransportError::SizeMismatch { expected, found: got, .. }
                if (expected, got) == (SIZE as u64, found)),
            "{error:?}"
        );
    }
    registry.on(Method::Get, "*").substitute(longer);
    let error = read_blob(&app, &blob).await.unwrap_err();
    assert!(matches!(error, TransportError::SizeMismatch { .. }), "{error:?}");
}

#[tokio::test]
async fn a_descriptor_that_lies_about_its_size_is_found_out() {
    let (_registry, _client, app, blob, _) = start();
    for size in [SIZE as u64 - 1, SIZE as u64 + 1, u64::MAX >> 1] {
        let lie = Descriptor::new(blob.media_type.clone(), blob.digest, size);
        let error = read_blob(&app, &lie).await.unwrap_err();
        assert!(matches!(error, TransportError::SizeMismatch { expected, .. } if expected == size));
    }
}

#[tokio::test]
async fn a_download_that_breaks_goes_on_where_it_broke() {
    let (registry, client, app, blob, bytes) = start();
    registry.on(Method::Get, "*").cut_response_after(300_000);
    assert_eq!(read_blob(&app, &blob).await.unwrap(), bytes);
    let requests = registry.requests();
    let range = requests[1].header("range").unwrap();
    let at: usize = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
    assert_eq!((at, requests[1].status), (300_000, Some(206)), "only the rest is sent");
    assert_eq!(client.clock.pauses_in_ms(), [125]);
}

#[tokio::test]
async fn a_download_that_breaks_often_goes_on_as_often() {
    let (registry, client, app, blob, bytes) = start();
    registry.on(Method::Get, "*").cut_response_after(100_000).times(4);
    assert_eq!(read_blob(&app, &blob).await.unwrap(), bytes);
    let ranges: Vec<_> =
        registry.requests().iter().map(|request| request.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges[4].as_deref(), Some("bytes=400000-"), "{ranges:?}");
    assert_eq!(client.retries().len(), 4);
}

/// NET-26: each of these is read from the beginning, and what came already is left out.
#[tokio::test]
async fn a_server_that_does_not_resume_sends_all_of_it_again() {
    let (registry, _client, app, blob, bytes) = start();
    registry.on(Method::Get, "*").cut_response_after(300_000);
    registry.on(Method::Get, "*").reply(200).body(bytes.clone());
    assert_eq!(read_blob(&app, &blob).await.unwrap(), bytes, "200");
    for (status, range) in [(206, "bytes 0-9/1048576"), (206, ""), (206, "nonsense"), (416, "bytes */9")] {
        registry.clear_requests();
        registry.on(Method::Get, "*").cut_response_after(300_000);
        registry.on(Method::Get, "*").reply(status).header("content-range", range).body("0123456789");
        assert_eq!(read_blob(&app, &blob).await.unwrap(), bytes, "{status} {range}");
        let asked: Vec<_> =
            registry.requests().iter().map(|request| request.header("range").is_some()).collect();
        assert_eq!(asked, [false, true, false]);
    }
}

#[tokio::test]
async fn a_rest_that_belongs_to_other_content_is_found_out() {
    let (registry, _client, app, blob, _) = start();
    registry.on(Method::Get, "*").cut_response_after(300_000);
    registry.on(Method::Get, "*").wrong_bytes();
    assert!(matches!(read_blob(&app, &blob).await, Err(TransportError::DigestMismatch { .. })));
}

#[tokio::test]
async fn a_download_that_always_breaks_ends_with_the_cause() {
    let (registry, _client, app, blob, _) = start();
    registry.on(Method::Get, "*").cut_response_after(10).always();
    let error = read_blob(&app, &blob).await.unwrap_err();
    assert!(matches!(error, TransportError::Exhausted { attempts: 6, .. }), "{error:?}");
    assert_eq!(registry.requests().len(), 6);
}

#[tokio::test]
async fn a_partial_answer_nobody_asked_for_is_refused() {
    let (registry, _client, app, blob, _) = start();
    registry.on(Method::Get, "*").reply(206).header("content-range", "bytes 5-9/10").body("56789");
    let error = read_blob(&app, &blob).await.unwrap_err();
    assert!(matches!(error, TransportError::Refused { status: 206, .. }), "{error:?}");
}

#[tokio::test]
async fn a_configuration_is_read_up_to_8_mib_and_refused_above() {
    let (registry, _client, app, _, _) = start();
    registry.put_blob("app", "{}");
    assert_eq!(app.config(&descriptor(b"{}")).await.unwrap(), "{}");
    let huge = Descriptor::new(MediaType::OCI_CONFIG, Digest::sha256(b"{}"), (8 << 20) + 1);
    registry.clear_requests();
    let error = app.config(&huge).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { limit: 8_388_608, .. }), "{error:?}");
    assert_eq!(registry.requests().len(), 0);
}

/// SEC-1.
#[tokio::test]
async fn the_foreign_addresses_of_a_layer_are_not_asked() {
    let (registry, _client, app, _, _) = start();
    let other = FakeRegistry::start();
    other.put_blob("app", "foreign");
    let mut layer = descriptor(b"foreign");
    layer.urls = vec![format!("http://{}/v2/app/blobs/{}", other.address(), layer.digest)];
    assert!(matches!(read_blob(&app, &layer).await, Err(TransportError::NotFound(_))));
    assert_eq!((registry.requests().len(), other.requests().len()), (1, 0));
}
