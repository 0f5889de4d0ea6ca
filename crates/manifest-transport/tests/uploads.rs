//! Blobs sent to a registry.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use manifest_core::Digest;
use manifest_testkit::{Client, FakeRegistry, Method, Request, content, descriptor, put_blob, read_blob};
use manifest_transport::{Event, Mounted, Place, Start, TransportError};

const BODY: &[u8] = &[42; 400_000];

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

#[tokio::test]
async fn a_blob_is_sent_in_two_requests_and_once() {
    let (registry, client, app) = start();
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(steps(&registry), ["POST 202", "PUT 201"]);
    let requests = registry.requests();
    assert_eq!(requests[0].header("content-length"), Some("0"));
    assert_eq!(requests[1].header("content-length"), Some("400000"));
    assert_eq!(requests[1].header("content-type"), Some("application/octet-stream"));
    assert_eq!(registry.blob("app", &Digest::sha256(BODY)).unwrap(), BODY);
    let sent: u64 = client
        .events
        .events()
        .iter()
        .map(|event| match event {
            Event::Bytes { count, .. } => *count,
            _ => 0,
        })
        .sum();
    assert_eq!((sent, registry.open_uploads()), (400_000, 0));
}

#[tokio::test]
async fn an_empty_blob_can_be_sent() {
    let (registry, _client, app) = start();
    put_blob(&app, "").await.unwrap();
    assert!(registry.has_blob("app", &Digest::sha256(b"")));
    assert_eq!(read_blob(&app, &descriptor(b"")).await.unwrap(), b"");
}

/// NET-8.
#[tokio::test]
async fn a_blob_that_arrived_although_the_answer_was_lost_is_not_sent_twice() {
    let (registry, _client, app) = start();
    registry.on(Method::Put, "*").apply_then_reset();
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(steps(&registry), ["POST 202", "PUT -", "HEAD 200"]);
}

/// NET-10.
#[tokio::test]
async fn a_session_that_was_forgotten_is_replaced() {
    let (registry, _client, app) = start();
    registry.on(Method::Put, "*").forget_upload().times(2);
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(
        steps(&registry),
        ["POST 202", "PUT 404", "HEAD 404", "POST 202", "PUT 404", "HEAD 404", "POST 202", "PUT 201"]
    );
}

#[tokio::test]
async fn a_registry_that_forgets_every_session_is_left_alone_after_four() {
    let (registry, _client, app) = start();
    registry.on(Method::Put, "*").forget_upload().always();
    let error = put_blob(&app, BODY).await.unwrap_err();
    assert!(
        matches!(&error, TransportError::Exhausted { attempts: 4, last, .. } if last.contains("BLOB_UPLOAD_UNKNOWN")),
        "{error:?}"
    );
}

/// NET-1, NET-2, NET-5.
#[tokio::test]
async fn a_registry_that_is_busy_while_the_blob_arrives_is_asked_again() {
    for (status, header, pause) in
        [(503, None, 125), (500, None, 125), (429, None, 187), (429, Some("4"), 4200)]
    {
        let (registry, client, app) = start();
        let rule = registry.on(Method::Put, "*").reply(status);
        let _rule = header.into_iter().fold(rule, |rule, seconds| rule.header("retry-after", seconds));
        put_blob(&app, BODY).await.unwrap();
        assert_eq!(client.clock.pauses_in_ms()[0], pause, "{status} {header:?}");
        assert!(registry.has_blob("app", &Digest::sha256(BODY)));
    }
}

#[tokio::test]
async fn a_registry_that_is_busy_when_the_session_is_opened_is_asked_again() {
    let (registry, client, app) = start();
    registry.on(Method::Post, "*").reply(503).times(2);
    registry.on(Method::Post, "*").reset();
    put_blob(&app, BODY).await.unwrap();
    assert_eq!(steps(&registry), ["POST 503", "POST 503", "POST -", "POST 202", "PUT 201"]);
    assert_eq!(client.retries().len(), 3);
}

/// B4: what was sent was right, so the way is to blame, once.
#[tokio::test]
async fn a_blob_that_was_spoilt_on_the_way_is_sent_once_more() {
    let invalid = r#"{"errors":[{"code":"DIGEST_INVALID","message":"not what it says"}]}"#;
    let (registry, _client, app) = start();
    registry.on(Method::Put, "*").reply(400).body(invalid);
    put_blob(&app, BODY).await.unwrap();
    registry.on(Method::Put, "*").reply(400).body(invalid).always();
    registry.clear_requests();
    let error = put_blob(&app, "other").await.unwrap_err();
    assert!(matches!(&error, TransportError::Refused { code, .. } if code == "DIGEST_INVALID"), "{error:?}");
    assert_eq!(registry.requests().iter().filter(|request| request.method == Method::Put).count(), 2);
}

#[tokio::test]
async fn a_refusal_of_the_content_is_final() {
    for (status, code) in [(400, "BLOB_UPLOAD_INVALID"), (403, "DENIED"), (413, "SIZE_INVALID")] {
        let (registry, client, app) = start();
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"no"}}]}}"#);
        registry.on(Method::Put, "*").reply(status).body(body).always();
        let error = put_blob(&app, BODY).await.unwrap_err();
        assert!(
            matches!(&error, TransportError::Refused { .. } | TransportError::Denied { .. }),
            "{status}: {error:?}"
        );
        assert_eq!(client.clock.pauses().len(), 0, "{status}");
        let sent = format!("PUT {status}");
        assert_eq!(steps(&registry), ["POST 202", &sent, "DELETE 204"], "the session is given up");
    }
}

#[tokio::test]
async fn a_source_that_fails_half_way_ends_the_upload_with_its_own_error() {
    let (registry, client, app) = start();
    let opened = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&opened);
    let open = move |start: Start| -> manifest_testkit::Opened {
        counter.fetch_add(1, Ordering::Relaxed);
        assert_eq!(start.offset(), 0);
        let pieces = vec![
            Ok(Bytes::from_static(&BODY[..200_000])),
            Err(TransportError::NotFound("the other half".to_owned())),
        ];
        Box::pin(std::future::ready(Ok(stream::iter(pieces).boxed())))
    };
    let error = app.put_blob(&descriptor(BODY), Mounted::Refused, &open).await.unwrap_err();
    assert!(matches!(&error, TransportError::NotFound(what) if what == "the other half"), "{error:?}");
    assert!(!registry.has_blob("app", &Digest::sha256(BODY)));
    assert_eq!((opened.load(Ordering::Relaxed), client.clock.pauses().len()), (1, 0));
    assert_eq!(registry.open_uploads(), 0, "the session is given up");
}

#[tokio::test]
async fn a_blob_goes_from_registry_to_registry_without_being_kept() {
    let (from, client, to) = (FakeRegistry::start(), Client::default(), FakeRegistry::start());
    from.put_blob("app", BODY);
    let (source, target) =
        (client.repository(&from.address(), "app"), client.repository(&to.address(), "copy"));
    let blob = descriptor(BODY);
    from.on(Method::Get, "*").cut_response_after(150_000);
    to.on(Method::Put, "*").reset_after_body_bytes(50_000);
    let wanted = blob.clone();
    let open = move |start: Start| -> manifest_testkit::Opened {
        let (source, blob) = (source.clone(), wanted.clone());
        Box::pin(async move { source.blob_from(&blob, &start).await })
    };
    target.put_blob(&blob, Mounted::Refused, &open).await.unwrap();
    assert!(to.has_blob("copy", &blob.digest));
    from.on(Method::Get, "*").wrong_bytes().always();
    to.remove_blob("copy", &blob.digest);
    let error = target.put_blob(&blob, Mounted::Refused, &open).await.unwrap_err();
    assert!(matches!(error, TransportError::DigestMismatch { .. }), "{error:?}");
    assert!(!to.has_blob("copy", &blob.digest), "nothing wrong arrives whole");
}

/// NET-20.
#[tokio::test]
async fn a_mount_takes_the_blob_or_leaves_a_session_or_is_refused() {
    let (registry, client, app) = start();
    let lib = client.repository(&registry.address(), "lib");
    let blob = descriptor(BODY);
    let mounted = app.mount(&blob, &lib).await.unwrap();
    assert!(matches!(mounted, Mounted::Session(_)), "lib has no such blob: {mounted:?}");
    app.put_blob(&blob, mounted, &content(BODY)).await.unwrap();
    assert_eq!(steps(&registry), ["POST 202", "PUT 201"], "the session is used");
    registry.remove_blob("app", &blob.digest);
    registry.put_blob("lib", BODY);
    assert_eq!(app.mount(&blob, &lib).await.unwrap(), Mounted::Done);
    assert!(registry.has_blob("app", &blob.digest));
    for status in [400, 403, 404, 405] {
        registry.on(Method::Post, "*").reply(status);
        assert_eq!(app.mount(&blob, &lib).await.unwrap(), Mounted::Refused, "{status}");
    }
    registry.on(Method::Post, "*").reply(401).always();
    assert_eq!(app.mount(&blob, &lib).await.unwrap(), Mounted::Refused, "no right to read there");
    let elsewhere = client.repository(&FakeRegistry::start().address(), "lib");
    assert_eq!(app.mount(&blob, &elsewhere).await.unwrap(), Mounted::Refused);
}

/// NET-13.
#[tokio::test]
async fn the_address_of_a_session_comes_back_as_it_was_sent() {
    for (location, expected) in [
        ("/up/1?_state=a%3D%2F%2b%20&x=%C3%A9~", "/up/1?_state=a%3D%2F%2b%20&x=%C3%A9~&digest=DIGEST"),
        ("/up/2", "/up/2?digest=DIGEST"),
        ("/up/3?", "/up/3?digest=DIGEST"),
        ("4?_state=x", "/v2/app/blobs/uploads/4?_state=x&digest=DIGEST"),
        ("http://HOST/up/5?a=b+c", "/up/5?a=b+c&digest=DIGEST"),
        ("/up/6?a=b|{c}", "/up/6?a=b|{c}&digest=DIGEST"),
    ] {
        let (registry, _client, app) = start();
        let location = location.replace("HOST", &registry.address());
        registry.on(Method::Post, "*").reply(202).header("location", &location);
        registry.on(Method::Put, "*").reply(201);
        put_blob(&app, "x").await.unwrap();
        let target = registry.requests().pop().unwrap().target;
        assert_eq!(target, expected.replace("DIGEST", &Digest::sha256(b"x").to_string()));
    }
}

#[tokio::test]
async fn a_session_without_an_address_is_no_session() {
    let (registry, _client, app) = start();
    registry.on(Method::Post, "*").reply(202);
    let error = put_blob(&app, "x").await.unwrap_err();
    assert!(error.to_string().contains("without saying where"), "{error}");
    assert_eq!(registry.requests().len(), 1);
}

/// NET-39: giving up a session is a courtesy; how it goes changes nothing.
#[tokio::test]
async fn a_session_that_cannot_be_given_up_changes_nothing_for_the_upload() {
    type Fault = fn(manifest_testkit::Rule) -> manifest_testkit::Rule;
    let faults: [Fault; 8] = [
        |rule| rule.reply(204),
        |rule| rule.reply(401),
        |rule| rule.reply(404),
        |rule| rule.reply(405),
        |rule| rule.reply(429).header("retry-after", "3600"),
        |rule| rule.reply(500),
        |rule| rule.reset(),
        |rule| rule.redirect(307, "http://169.254.169.254/"),
    ];
    for fault in faults {
        let (registry, client, app) = start();
        registry.on(Method::Put, "*").reply(400).body("no");
        let given_up = fault(registry.on(Method::Delete, "*").always());
        let error = put_blob(&app, BODY).await.unwrap_err();
        assert!(
            matches!(&error, TransportError::Refused { status: 400, message, .. } if message == "no"),
            "{error:?}"
        );
        assert_eq!((given_up.hits(), client.clock.pauses().len()), (1, 0));
        // A session that is replaced is given up as well, and the blob arrives.
        registry.on(Method::Put, "*").reply(416).times(3);
        put_blob(&app, BODY).await.unwrap();
        assert_eq!(registry.blob("app", &Digest::sha256(BODY)).unwrap(), BODY);
    }
}

/// NET-39.
#[tokio::test]
async fn a_session_that_hangs_when_it_is_given_up_is_not_waited_for() {
    let (registry, _client, app) = start();
    registry.on(Method::Put, "*").reply(400).body("no");
    let hanging = registry.on(Method::Delete, "*").stall();
    let put = tokio::spawn(async move { put_blob(&app, BODY).await });
    while hanging.hits() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(6)).await;
    tokio::time::resume();
    assert!(matches!(put.await.unwrap(), Err(TransportError::Refused { status: 400, .. })));
}

fn of_sha512(bytes: &[u8]) -> manifest_core::Descriptor {
    let digest = manifest_core::Algorithm::Sha512.digest(bytes);
    manifest_core::Descriptor::new(manifest_core::MediaType::OCI_CONFIG, digest, bytes.len() as u64)
}

/// NET-41.
#[tokio::test]
async fn a_blob_of_sha512_is_sent_and_read_under_its_own_digest() {
    let (registry, _client, app) = start();
    let blob = of_sha512(BODY);
    app.put_blob(&blob, Mounted::Refused, &content(BODY)).await.unwrap();
    assert_eq!(registry.requests()[0].query("digest-algorithm").as_deref(), Some("sha512"));
    assert_eq!(registry.requests()[1].query("digest"), Some(blob.digest.to_string()));
    assert_eq!(read_blob(&app, &blob).await.unwrap(), BODY);
    // A registry that names content by sha256 only says nothing about sha512.
    let sha256 = Digest::sha256(BODY).to_string();
    registry.on(Method::Put, "*").apply().header("docker-content-digest", &sha256);
    app.put_blob(&blob, Mounted::Refused, &content(BODY)).await.unwrap();
}

/// NET-41.
#[tokio::test]
async fn a_registry_without_sha512_is_said_to_lack_it() {
    for (method, blob_goes_out) in [(Method::Post, false), (Method::Put, true)] {
        let (registry, client, app) = start();
        let invalid = r#"{"errors":[{"code":"DIGEST_INVALID","message":"invalid digest"}]}"#;
        registry.on(method, "*").reply(400).body(invalid).always();
        let blob = of_sha512(BODY);
        let error = app.put_blob(&blob, Mounted::Refused, &content(BODY)).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains("invalid digest (the registry may not support digests of sha512)"), "{said}");
        let puts = registry.requests().iter().any(|request| request.method == Method::Put);
        assert_eq!(puts, blob_goes_out);
        assert!(client.retries().len() <= 1);
        let error = put_blob(&app, BODY).await.unwrap_err().to_string();
        assert!(!error.contains("sha512"), "{error}");
    }
}
