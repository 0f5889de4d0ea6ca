//! Manifests of a registry: read, checked, written.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use manifest_core::{Digest, MediaType};
use manifest_testkit::{Client, FakeRegistry, Image, Index, Method, descriptor, put_image};
use manifest_transport::{At, Fetched, Guard, Place, Settings, TransportError, Which};

fn start() -> (FakeRegistry, Client, Place) {
    let (registry, client) = (FakeRegistry::start(), Client::default());
    let app = client.repository(&registry.address(), "app");
    (registry, client, app)
}

fn v1() -> Which {
    Which::Remote(At::Tag("v1".parse().unwrap()))
}

async fn read(place: &Place, which: &Which) -> Result<Fetched, TransportError> {
    place.manifest(which).await
}

fn lines(registry: &FakeRegistry) -> Vec<String> {
    registry.requests().iter().map(manifest_testkit::Request::line).collect()
}

#[tokio::test]
async fn a_manifest_is_read_by_tag_and_by_digest_in_one_request_each() {
    let (registry, _client, app) = start();
    let image = Image::new("linux/amd64");
    let digest = image.push_to(&registry, "app", "v1");
    for which in [v1(), digest.into()] {
        let fetched = read(&app, &which).await.unwrap();
        assert_eq!((fetched.digest, &fetched.bytes[..]), (digest, &image.manifest()[..]));
        assert_eq!(fetched.media_type, image.media_type());
    }
    assert_eq!(
        lines(&registry),
        ["GET /v2/app/manifests/v1 200", &format!("GET /v2/app/manifests/{digest} 200")]
    );
    let accept = registry.requests()[0].header("accept").unwrap().to_owned();
    for wanted in [MediaType::OCI_INDEX, MediaType::OCI_MANIFEST, MediaType::DOCKER_LIST] {
        assert!(accept.contains(wanted.as_str()), "{accept}");
    }
    assert_eq!(registry.requests()[0].header("accept-encoding"), Some("identity"));
}

/// SEC-22.
#[tokio::test]
async fn wrong_bytes_under_a_digest_are_refused_whatever_the_server_says() {
    let (registry, _client, app) = start();
    let digest = Image::new("linux/amd64").push_to(&registry, "app", "v1");
    let other = Image::new("linux/arm64");
    registry
        .on(Method::Get, "/v2/app/manifests/*")
        .substitute(other.manifest())
        .header("docker-content-digest", &other.digest().to_string());
    let error = read(&app, &digest.into()).await.unwrap_err();
    assert!(
        matches!(&error, TransportError::DigestMismatch { expected, found, .. }
            if (*expected, *found) == (digest, other.digest())),
        "{error:?}"
    );
    assert_eq!(registry.requests().len(), 1);
}

/// NET-22.
#[tokio::test]
async fn a_digest_header_that_does_not_fit_the_content_is_refused() {
    let (registry, _client, app) = start();
    let digest = Image::new("linux/amd64").push_to(&registry, "app", "v1");
    let lie = Digest::sha256(b"lie");
    registry
        .on(Method::Get, "/v2/app/manifests/*")
        .apply()
        .header("docker-content-digest", &lie.to_string())
        .always();
    for which in [v1(), digest.into()] {
        let error = read(&app, &which).await.unwrap_err();
        assert!(
            matches!(error, TransportError::DigestMismatch { expected, found, .. } if (expected, found) == (lie, digest))
        );
    }
}

/// NET-22.
#[tokio::test]
async fn a_digest_header_is_not_needed_and_one_of_another_algorithm_does_not_count() {
    let (registry, _client, app) = start();
    let digest = Image::new("linux/amd64").push_to(&registry, "app", "v1");
    registry.on(Method::Get, "*").apply().without_header("docker-content-digest");
    assert_eq!(read(&app, &v1()).await.unwrap().digest, digest);
    let sha512 = manifest_core::Algorithm::Sha512.digest(b"anything").to_string();
    registry.on(Method::Get, "*").apply().header("docker-content-digest", &sha512);
    assert_eq!(read(&app, &v1()).await.unwrap().digest, digest);
    registry.on(Method::Get, "*").apply().header("docker-content-digest", "nonsense");
    assert_eq!(read(&app, &v1()).await.unwrap().digest, digest);
}

/// SEC-20.
#[tokio::test]
async fn a_content_type_other_than_the_documents_own_is_refused() {
    let (registry, _client, app) = start();
    Image::new("linux/amd64").push_to(&registry, "app", "v1");
    for wrong in [MediaType::OCI_INDEX.as_str(), MediaType::DOCKER_MANIFEST.as_str(), "image/png"] {
        registry.on(Method::Get, "*").apply().header("content-type", wrong);
        let error = read(&app, &v1()).await.unwrap_err();
        assert!(matches!(error, TransportError::Decode { .. }), "{wrong}: {error:?}");
    }
    assert_eq!(registry.requests().len(), 3, "none of them is asked for again");
}

#[tokio::test]
async fn a_content_type_that_says_nothing_is_as_none() {
    let (registry, _client, app) = start();
    let digest = Image::new("linux/amd64").push_to(&registry, "app", "v1");
    for vague in ["application/json", "application/octet-stream", "text/plain; charset=utf-8"] {
        registry.on(Method::Get, "*").apply().header("content-type", vague);
        assert_eq!(read(&app, &v1()).await.unwrap().digest, digest, "{vague}");
    }
}

/// NET-30.
#[tokio::test]
async fn a_web_page_is_no_manifest_and_the_message_says_so() {
    let (registry, _client, app) = start();
    let page = registry.on(Method::Get, "*").reply(200).header("content-type", "text/html; charset=utf-8");
    let _page = page.body("<html>log in</html>");
    let error = read(&app, &v1()).await.unwrap_err();
    assert!(matches!(error, TransportError::Protocol { .. }), "{error:?}");
    assert!(error.to_string().contains("web page"), "{error}");
    registry
        .on(Method::Get, "*")
        .reply(200)
        .header("content-type", "application/json")
        .body(r#"{"errors":[]}"#);
    assert!(matches!(read(&app, &v1()).await, Err(TransportError::Decode { .. })));
}

/// SEC-50.
#[tokio::test]
async fn a_manifest_above_4_mib_is_cut_off() {
    let (registry, _client, app) = start();
    registry.put_manifest("app", "v1", MediaType::OCI_MANIFEST.as_str(), vec![b' '; (4 << 20) + 1]);
    let error = read(&app, &v1()).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { limit: 4_194_304, .. }), "{error:?}");
    assert!(error.to_string().contains("4194304 bytes"), "{error}");
}

/// NET-31 and NET-29: each answer has its variant, and none of them is asked for twice.
#[tokio::test]
async fn a_final_refusal_is_told_at_once() {
    let body = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"so it is"}}]}}"#);
    for (status, code, message) in [
        (
            400,
            "MANIFEST_INVALID",
            "the registry answered 400 to GET http://HOST/v2/app/manifests/v1: so it is",
        ),
        (401, "UNAUTHORIZED", "HOST does not accept a request without a login for app: so it is"),
        (403, "DENIED", "HOST does not allow GET http://HOST/v2/app/manifests/v1: so it is"),
        (404, "MANIFEST_UNKNOWN", "docker://HOST/app:v1 does not exist"),
        (501, "UNSUPPORTED", "the registry answered 501 to GET http://HOST/v2/app/manifests/v1: so it is"),
    ] {
        let (registry, client, app) = start();
        let host = registry.address();
        registry.on(Method::Get, "*").reply(status).body(body(code)).always();
        let error = read(&app, &v1()).await.unwrap_err();
        let kind = match &error {
            TransportError::NotAuthorised { .. } => 401,
            TransportError::Denied { .. } => 403,
            TransportError::NotFound(_) => 404,
            TransportError::Refused { status, code: found, .. } if found == code => *status,
            other => panic!("{other:?}"),
        };
        assert_eq!((kind, error.to_string()), (status, message.replace("HOST", &host)));
        assert_eq!((registry.requests().len(), client.clock.pauses().len()), (1, 0), "{status}");
    }
}

/// NET-21.
#[tokio::test]
async fn a_registry_that_refuses_head_is_asked_with_get() {
    let (registry, _client, app) = start();
    let digest = Image::new("linux/amd64").push_to(&registry, "app", "v1");
    for status in [400, 403, 405] {
        registry.clear_rules();
        registry.on(Method::Head, "*").reply(status).always();
        assert!(app.has_manifest(&digest).await.unwrap(), "{status}");
        assert!(!app.has_manifest(&Digest::sha256(b"none")).await.unwrap(), "{status}");
        assert_eq!(app.named_digest("v1").await.unwrap(), Some(digest), "{status}");
        assert_eq!(app.named_digest("v2").await.unwrap(), None, "{status}");
    }
}

#[tokio::test]
async fn head_is_enough_where_it_is_answered() {
    let (registry, _client, app) = start();
    let digest = Image::new("linux/amd64").push_to(&registry, "app", "v1");
    assert!(app.has_manifest(&digest).await.unwrap());
    assert_eq!(app.named_digest("v1").await.unwrap(), Some(digest));
    assert_eq!(app.named_digest("none").await.unwrap(), None);
    assert!(registry.requests().iter().all(|request| request.method == Method::Head));
    registry.on(Method::Head, "*").apply().without_header("docker-content-digest");
    assert_eq!(app.named_digest("v1").await.unwrap(), Some(digest), "a proxy left the header out");
}

#[tokio::test]
async fn a_manifest_is_written_byte_for_byte_under_digest_and_tag() {
    let (registry, _client, app) = start();
    let (one, two) = (Image::new("linux/amd64"), Image::new("linux/arm64"));
    let list = Index::of(&[&one, &two]);
    for image in [&one, &two] {
        image.push_to(&registry, "app", "child");
    }
    let bytes = bytes::Bytes::from(list.manifest());
    app.put_manifest(&list.digest(), &list.media_type(), bytes.clone()).await.unwrap();
    app.put_named(Some("v1"), &list.media_type(), bytes.clone(), &Guard::default()).await.unwrap();
    assert_eq!(registry.tag("app", "v1"), Some(list.digest()));
    let stored = registry.manifest("app", "v1").unwrap();
    assert_eq!(stored, (list.media_type().to_string(), bytes.to_vec()));
    let puts = registry.requests();
    assert_eq!((puts.len(), puts[0].header("content-type")), (2, Some(MediaType::OCI_INDEX.as_str())));
}

/// NET-22: skopeo and crane take it.
#[tokio::test]
async fn a_registry_that_stores_something_else_than_was_written_is_found_out() {
    let (registry, _client, app) = start();
    let image = Image::new("linux/amd64");
    image.push_to(&registry, "app", "v0");
    let lie = Digest::sha256(b"lie").to_string();
    registry.on(Method::Put, "*").apply().header("docker-content-digest", &lie);
    let error = app
        .put_named(Some("v1"), &image.media_type(), image.manifest().into(), &Guard::default())
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::DigestMismatch { .. }), "{error:?}");
}

#[tokio::test]
async fn a_manifest_whose_children_are_missing_is_refused_with_the_registrys_code() {
    let (registry, _client, app) = start();
    let image = Image::new("linux/amd64");
    let error = app
        .put_named(Some("v1"), &image.media_type(), image.manifest().into(), &Guard::default())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, TransportError::Refused { status: 400, code, message, .. }
            if code == "MANIFEST_BLOB_UNKNOWN" && message.contains("sha256:")),
        "{error:?}"
    );
    assert_eq!(registry.requests().len(), 1);
}

/// NET-33.
#[tokio::test]
async fn a_warning_is_told_once() {
    let (registry, client, app) = start();
    Image::new("linux/amd64").push_to(&registry, "app", "v1");
    registry.on(Method::Get, "*").apply().header("warning", r#"299 - "goes away soon""#).always();
    for _ in 0..3 {
        read(&app, &v1()).await.unwrap();
    }
    let warning = manifest_transport::Event::Warning(format!("{}: goes away soon", registry.address()));
    assert_eq!(client.events.events().iter().filter(|event| **event == warning).count(), 1);
}

/// NET-21. The answer to HEAD must not keep the only place that GET waits for.
#[tokio::test]
async fn a_registry_that_refuses_head_is_asked_with_get_though_one_request_goes_at_a_time() {
    let registry = FakeRegistry::start();
    let digest = Image::new("linux/amd64").push_to(&registry, "app", "v1");
    let client = Client::new(Settings { jobs: 1, ..Settings::default() });
    let app = client.repository(&registry.address(), "app");
    for status in [400, 403, 405] {
        registry.on(Method::Head, "*").reply(status);
        assert!(app.has_manifest(&digest).await.unwrap(), "{status}");
    }
}

/// NET-30.
#[tokio::test]
async fn a_web_page_is_no_answer_whatever_its_status() {
    let registry = FakeRegistry::start();
    let image = Image::new("linux/amd64");
    let client = Client::default();
    let app = client.repository(&registry.address(), "app");
    let page =
        |method| registry.on(method, "*").reply(200).header("content-type", "text/html; charset=utf-8");
    let _page = page(Method::Head);
    assert!(!app.has_manifest(&image.digest()).await.unwrap());
    let _page = page(Method::Head);
    let blob = &image.blobs()[0];
    assert!(!app.has_blob(&descriptor(&blob.bytes)).await.unwrap());
    for pattern in ["/v2/app/blobs/uploads/*", "/v2/app/manifests/*"] {
        let _page = registry.on(Method::Put, pattern).reply(200).header("content-type", "text/html");
        let error = put_image(&app, &image, "v1").await.unwrap_err();
        assert!(error.to_string().contains("web page"), "{error}");
    }
    assert_eq!(registry.tag("app", "v1"), None);
}

/// NET-41.
#[tokio::test]
async fn a_manifest_of_sha512_keeps_its_name_whatever_the_registry_calls_it() {
    let (registry, _client, app) = start();
    let image = Image::new("linux/amd64");
    image.push_to(&registry, "app", "v1");
    let digest = manifest_core::Algorithm::Sha512.digest(&image.manifest());
    let media_type = image.media_type();
    let put = || app.put_manifest(&digest, &media_type, image.manifest().into());
    put().await.unwrap();
    assert_eq!(read(&app, &digest.into()).await.unwrap().digest, digest);
    registry.on(Method::Put, "*").apply().header("docker-content-digest", &image.digest().to_string());
    registry.on(Method::Get, "*").apply().header("docker-content-digest", &image.digest().to_string());
    put().await.unwrap();
    assert_eq!(read(&app, &digest.into()).await.unwrap().digest, digest);
    let lie = manifest_core::Algorithm::Sha512.digest(b"lie").to_string();
    registry.on(Method::Put, "*").apply().header("docker-content-digest", &lie);
    assert!(matches!(put().await, Err(TransportError::DigestMismatch { .. })));
    registry.on(Method::Put, "*").reply(400).body(r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
    let error = put().await.unwrap_err().to_string();
    assert!(error.ends_with("the registry may not support digests of sha512"), "{error}");
}
