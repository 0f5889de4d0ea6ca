//! Bodies without an end, bodies that hardly move, bodies that are not what they seem.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::write::GzEncoder;
use futures_util::StreamExt as _;
use manifest_core::{Descriptor, MediaType};
use manifest_testkit::{
    Client, FakeRegistry, Image, Method, TokenServer, descriptor, put_blob, put_image, read_blob,
};
use manifest_transport::{At, Place, TransportError, Which};
use tokio::sync::Semaphore;

const CHUNK: &[u8] = &[b' '; 64 << 10];

fn v1() -> Which {
    Which::Remote(At::Tag("v1".parse().unwrap()))
}

fn start() -> (FakeRegistry, Client, Place) {
    let (registry, client) = (FakeRegistry::start(), Client::default());
    Image::new("linux/amd64").push_to(&registry, "app", "v1");
    let app = client.repository(&registry.address(), "app");
    (registry, client, app)
}

/// SEC-50.
#[tokio::test]
async fn a_body_without_an_end_is_left_at_its_limit() {
    let (registry, client, app) = start();
    let bytes = Image::new("linux/amd64").config();
    let blob = descriptor(&bytes);
    registry.on(Method::Get, "*").endless(CHUNK).times(4);
    for which in [v1(), Image::new("linux/amd64").digest().into()] {
        let error = app.manifest(&which).await.unwrap_err();
        assert!(matches!(error, TransportError::TooLarge { limit: 4_194_304, .. }), "{error:?}");
    }
    // A blob is cut at its size and one byte.
    for read in [app.config(&blob).await.map(drop), read_blob(&app, &blob).await.map(drop)] {
        assert!(matches!(read, Err(TransportError::SizeMismatch { .. })), "{read:?}");
    }
    assert_eq!((client.retries().len(), registry.requests().len()), (0, 4));
}

/// SEC-50.
#[tokio::test]
async fn an_error_without_an_end_is_told_and_left() {
    for status in [400, 401, 403, 404, 500, 503] {
        for method in [Method::Get, Method::Post, Method::Put] {
            let (registry, client, app) = start();
            registry.on(method, "*").status(status).endless(CHUNK).times(6);
            let error = match method {
                Method::Get => app.manifest(&v1()).await.map(drop),
                _ => put_image(&app, &Image::new("linux/arm64"), "v2").await.map(drop),
            };
            assert!(error.unwrap_err().to_string().len() < 600, "{method:?} {status}");
            assert!(client.retries().len() <= 5);
        }
    }
}

/// SEC-50.
#[tokio::test]
async fn a_token_without_an_end_is_no_token() {
    let tokens = TokenServer::start();
    let (registry, client, app) = start();
    registry.bearer(&tokens);
    for body in [CHUNK, br#"{"token":"x"}"#, br#"{"token":""#] {
        tokens.on(Method::Get, "/token*").status(200).endless(body);
        let error = app.manifest(&v1()).await.unwrap_err();
        assert!(
            matches!(&error, TransportError::Protocol { what, .. } if what.contains("1 MiB")),
            "{error:?}"
        );
    }
    assert_eq!((client.retries().len(), tokens.requests().len()), (0, 3));
}

/// SEC-50: the answer to what was written is read for its errors only.
#[tokio::test]
async fn an_answer_to_a_write_that_goes_on_for_ever_is_not_read() {
    let (registry, client, app) = start();
    registry.on(Method::Post, "*").status(202).header("location", "/v2/app/blobs/uploads/x").endless(CHUNK);
    registry.on(Method::Put, "/v2/app/blobs/uploads/*").status(201).endless(CHUNK).times(1);
    put_blob(&app, "content").await.unwrap();
    assert_eq!(client.retries().len(), 0);
}

/// SEC-52, NET-23: what is not asked for is not unpacked; the bytes as they come are judged.
#[tokio::test]
async fn a_compressed_manifest_is_never_unpacked() {
    let (registry, _client, app) = start();
    let mut bomb = GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        bomb.write_all(&[b' '; 1 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 100_000);
    for encoding in ["gzip", "x-gzip", "zstd", "deflate", "br"] {
        let sent = registry.on(Method::Get, "*").apply().header("content-encoding", encoding);
        let _sent = sent.body(bomb.clone());
        let error = app.manifest(&v1()).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains(&format!("encoded as {encoding}, which was not asked for")), "{said}");
    }
    assert!(registry.requests().iter().all(|request| request.header("accept-encoding") == Some("identity")));
}

/// A7: wrong and impossible sizes.
#[tokio::test]
async fn a_size_that_is_not_that_of_the_manifest_is_refused() {
    let (registry, _client, app) = start();
    let image = Image::new("linux/amd64");
    for size in [0, image.manifest().len() as u64 - 1, image.manifest().len() as u64 + 1, u64::MAX >> 1] {
        let wanted = Descriptor::new(MediaType::OCI_MANIFEST, image.digest(), size);
        let error = manifest_transport::Graph::read(&app, &wanted).await.unwrap_err();
        assert!(
            matches!(error, TransportError::SizeMismatch { .. } | TransportError::TooLarge { .. }),
            "{size}: {error:?}"
        );
    }
    assert!(registry.requests().len() <= 4);
}

/// Lets `seconds` of the clock of the timeouts pass, and none of those of the machine.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

/// NET-24: each byte comes before the limit of silence, and yet hardly anything comes.
#[tokio::test]
async fn a_download_that_only_drips_is_broken_off_and_taken_up() {
    let (registry, client, app) = start();
    let bytes = vec![7; 1000];
    registry.put_blob("app", bytes.clone());
    let permits = Arc::new(Semaphore::new(0));
    let dripping = registry.on(Method::Get, "/v2/app/blobs/*").drip(&permits);
    permits.add_permits(1);
    let wanted = descriptor(&bytes);
    let mut blob = app.blob(&wanted).await.unwrap();
    let mut read = 0;
    while client.retries().is_empty() {
        let piece = blob.next().await.unwrap().unwrap();
        read += piece.len();
        assert!(read < 1000 || !client.retries().is_empty(), "it dripped to its end");
        pass(20).await;
        permits.add_permits(1);
    }
    while let Some(piece) = blob.next().await {
        read += piece.unwrap().len();
    }
    assert_eq!((read, dripping.hits()), (1000, 1));
    let told = client.retries();
    assert!(told[0].1.contains("less than 1 KiB a second came for 60 s"), "{told:?}");
    let rest = registry.requests().pop().unwrap();
    let range = rest.header("range").unwrap().to_owned();
    assert!(range.starts_with("bytes=") && range.ends_with('-') && rest.status == Some(206), "{range}");
}

/// NET-24.
#[tokio::test]
async fn a_manifest_that_stands_still_is_broken_off_and_read_again() {
    let (registry, client, app) = start();
    let permits = Arc::new(Semaphore::new(5));
    let dripping = registry.on(Method::Get, "*").drip(&permits);
    let read = tokio::spawn({
        let app = app.clone();
        async move { app.manifest(&v1()).await.map(|fetched| fetched.digest) }
    });
    while dripping.hits() == 0 || permits.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    while client.retries().is_empty() {
        pass(10).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(read.await.unwrap().unwrap(), Image::new("linux/amd64").digest());
    let told = client.retries();
    let stands =
        ["no byte came for 30 s", "no answer for 60 s"].iter().any(|cause| told[0].1.contains(cause));
    assert!(stands && told.len() == 1, "{told:?}");
}

/// NET-24: the other way round, a server that does not take what is sent.
#[tokio::test]
async fn an_upload_that_is_not_taken_is_broken_off() {
    let (registry, client, app) = start();
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let location = format!("http://{}/upload", deaf.local_addr().unwrap());
    registry.on(Method::Post, "*").reply(202).header("location", &location);
    let blob = vec![1; 32 << 20];
    let put = tokio::spawn({
        let app = app.clone();
        async move { put_blob(&app, blob).await }
    });
    let held = tokio::task::spawn_blocking(move || (deaf.accept().unwrap(), deaf)).await.unwrap();
    while client.retries().is_empty() {
        pass(10).await;
        tokio::task::yield_now().await;
    }
    let told = client.retries();
    assert!(told[0].1.contains("hardly a byte was taken for 60 s"), "{told:?}");
    put.abort();
    drop(held);
}
