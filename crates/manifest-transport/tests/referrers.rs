//! What refers to a manifest: listed in pages, with and without the API, and noted without losing what others note.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::future::join_all;
use manifest_core::{Descriptor, Digest, MediaType, Tag};
use manifest_testkit::{
    Attachment, Client, DockerRegistry, FakeRegistry, Image, Index, Method, Rule, put_blob, put_image,
};
use manifest_transport::{Fetched, Layout, Noted, Place, TransportError};

fn start() -> (FakeRegistry, Client, Place) {
    let (registry, client) = (FakeRegistry::start(), Client::default());
    let app = client.repository(&registry.address(), "app");
    image().push_to(&registry, "app", "v1");
    (registry, client, app)
}

fn image() -> Image {
    Image::new("linux/amd64")
}

fn subject() -> Descriptor {
    Descriptor::new(image().media_type(), image().digest(), image().manifest().len() as u64)
}

fn note(content: &str) -> Attachment {
    Attachment::referrer(&subject(), "text/note", content)
}

fn tag() -> Tag {
    Tag::of_referrers(&subject().digest)
}

fn fetched(attachment: &Attachment) -> Fetched {
    let (digest, bytes) = (attachment.digest(), Bytes::from(attachment.manifest()));
    Fetched::kept("an attachment", &digest, bytes, &MediaType::OCI_MANIFEST).unwrap()
}

/// Writes a referrer with its blobs.
async fn put(place: &Place, attachment: &Attachment, content: &str) -> Result<Noted, TransportError> {
    for blob in ["{}", content] {
        put_blob(place, blob.to_owned()).await?;
    }
    place.put_referrer(&fetched(attachment)).await
}

async fn listed(place: &Place) -> BTreeSet<Digest> {
    let found = place.referrers(&subject().digest, None).await.unwrap();
    found.into_iter().map(|found| found.digest).collect()
}

/// The requests for a page of referrers.
fn pages(registry: &FakeRegistry) -> Vec<String> {
    let requests = registry.requests().into_iter().map(|request| request.target);
    requests.filter(|target| target.contains("/referrers/")).collect()
}

#[tokio::test]
async fn a_registry_with_the_api_lists_all_pages_each_referrer_once() {
    let (registry, _client, app) = start();
    registry.serve_referrers();
    let all: BTreeSet<Digest> =
        (0..7).map(|n| note(&n.to_string()).push_to(&registry, "app", None)).collect();
    assert_eq!(listed(&app).await, all);
    registry.page_referrers(3);
    registry.clear_requests();
    assert_eq!(listed(&app).await, all);
    assert_eq!(pages(&registry).len(), 3);
    let found = app.referrers(&subject().digest, None).await.unwrap();
    assert_eq!(found.len(), 7);
    let first = found.first().unwrap();
    assert_eq!(first.artifact_type, Some(MediaType::from("text/note")));
    assert!(first.annotations.contains_key("org.example.content"));
}

/// NET-34.
#[tokio::test]
async fn without_the_api_the_tag_is_read() {
    let (registry, _client, app) = start();
    let path = format!("/v2/app/referrers/{}", subject().digest);
    let referrer = note("a").push_to(&registry, "app", None);
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX,
        "manifests": [{ "mediaType": MediaType::OCI_MANIFEST, "digest": referrer, "size": 1 }],
    });
    registry.put_manifest("app", tag().as_str(), MediaType::OCI_INDEX.as_str(), index.to_string());
    assert_eq!(listed(&app).await, BTreeSet::from([referrer]));
    for status in [400, 404, 405, 501] {
        registry.on(Method::Get, &path).reply(status);
        assert_eq!(listed(&app).await, BTreeSet::from([referrer]), "{status}");
    }
    for (kind, body) in [("text/html", "<html>"), ("text/x", "what?")] {
        registry.on(Method::Get, &path).reply(200).header("content-type", kind).body(body);
        assert_eq!(listed(&app).await, BTreeSet::from([referrer]), "{kind}");
    }
    registry.on(Method::Get, &path).reply(403);
    assert!(matches!(app.referrers(&subject().digest, None).await, Err(TransportError::Denied { .. })));
}

#[tokio::test]
async fn what_was_noted_before_there_was_an_api_counts_too() {
    let (registry, _client, app) = start();
    assert_eq!(put(&app, &note("old"), "old").await.unwrap(), Noted::ByTag(tag()));
    registry.serve_referrers();
    assert_eq!(put(&app, &note("new"), "new").await.unwrap(), Noted::ByRegistry);
    assert_eq!(listed(&app).await, BTreeSet::from([note("old").digest(), note("new").digest()]));
    // A tag that is something else does not matter where there is an API.
    image().push_to(&registry, "app", tag().as_str());
    assert_eq!(listed(&app).await.len(), 2);
}

#[tokio::test]
async fn an_artifact_type_is_asked_for_and_looked_at_here_too() {
    let (registry, _client, app) = start();
    Attachment::referrer(&subject(), "text/other", "x").push_to(&registry, "app", None);
    let wanted = note("a").push_to(&registry, "app", None);
    registry.serve_referrers();
    let kind = MediaType::from("text/note");
    for rule in [None, Some(format!("/v2/app/referrers/{}", subject().digest))] {
        registry.clear_requests();
        if let Some(path) = rule {
            // A registry that does not filter.
            let all = note("a");
            let body = serde_json::json!({ "schemaVersion": 2, "manifests": [
                { "mediaType": MediaType::OCI_MANIFEST, "digest": Digest::sha256(b"1"), "size": 1, "artifactType": "x/y" },
                { "mediaType": MediaType::OCI_MANIFEST, "digest": all.digest(), "size": 1, "artifactType": "text/note" },
            ]});
            let answer = registry.on(Method::Get, &path).reply(200);
            answer.header("content-type", MediaType::OCI_INDEX.as_str()).body(body.to_string());
        }
        let found = app.referrers(&subject().digest, Some(&kind)).await.unwrap();
        assert_eq!(found.iter().map(|found| found.digest).collect::<Vec<_>>(), [wanted]);
        assert!(pages(&registry).concat().ends_with("?artifactType=text%2Fnote"));
    }
}

/// NET-35.
#[tokio::test]
async fn links_to_the_next_page_that_lead_astray() {
    let (registry, _client, app) = start();
    registry.serve_referrers();
    let referrer = note("a").push_to(&registry, "app", None);
    let path = format!("/v2/app/referrers/{}", subject().digest);
    let link = |to: &str| format!("<{to}>; rel=\"next\"");
    // In a circle: all that is in it was read.
    registry.on(Method::Get, &path).always().apply().header("link", &link(&format!("{path}?x=1")));
    assert_eq!(listed(&app).await, BTreeSet::from([referrer]));
    assert_eq!(pages(&registry).len(), 2);
    registry.clear_rules();
    // Whole, on the same server.
    let whole = format!("http://{}{path}?from=0", registry.address());
    registry.on(Method::Get, &path).apply().header("link", &link(&whole));
    assert_eq!(listed(&app).await, BTreeSet::from([referrer]));
    // Elsewhere: nobody goes there.
    let other = FakeRegistry::start();
    let elsewhere = format!("http://{}{path}", other.address());
    registry.on(Method::Get, &path).apply().header("link", &link(&elsewhere));
    let refused = app.referrers(&subject().digest, None).await;
    assert!(matches!(refused, Err(TransportError::Untrusted { .. })), "{refused:?}");
    assert_eq!(other.requests().len(), 0);
    // Nowhere.
    registry.on(Method::Get, &path).apply().header("link", &link("/v2/gone?page=2"));
    let gone = app.referrers(&subject().digest, None).await;
    assert!(matches!(gone, Err(TransportError::Protocol { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_registry_that_says_so_keeps_track_itself() {
    let (registry, _client, app) = start();
    registry.serve_referrers();
    assert_eq!(put(&app, &note("a"), "a").await.unwrap(), Noted::ByRegistry);
    assert_eq!(registry.tag("app", tag().as_str()), None);
    registry.hide_subjects();
    assert_eq!(put(&app, &note("b"), "b").await.unwrap(), Noted::ByTag(tag()));
    assert!(registry.tag("app", tag().as_str()).is_some());
    assert_eq!(listed(&app).await.len(), 2);
}

#[tokio::test]
async fn what_is_noted_is_written_once() {
    let (registry, _client, app) = start();
    put(&app, &note("a"), "a").await.unwrap();
    let noted = registry.tag("app", tag().as_str());
    put(&app, &note("a"), "a").await.unwrap();
    assert_eq!(registry.tag("app", tag().as_str()), noted);
    let (_, bytes) = registry.manifest("app", tag().as_str()).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(index["manifests"][0]["artifactType"], "text/note");
    assert_eq!(index["manifests"][0]["annotations"]["org.example.content"], "a");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_manifest_with_a_subject_is_noted_however_it_is_written() {
    let (registry, _client, app) = start();
    for blob in ["{}", "a"] {
        put_blob(&app, blob).await.unwrap();
    }
    let (digest, bytes) = (note("a").digest(), Bytes::from(note("a").manifest()));
    app.put_manifest(&digest, &MediaType::OCI_MANIFEST, bytes).await.unwrap();
    assert_eq!(listed(&app).await, BTreeSet::from([digest]));
    registry.clear_requests();
    app.put_manifest(&image().digest(), &image().media_type(), image().manifest().into()).await.unwrap();
    assert_eq!(registry.requests().len(), 1, "one that has none is written and that is all");
}

#[tokio::test]
async fn a_tag_that_is_something_else_is_left_alone() {
    let (registry, _client, app) = start();
    for media_type in [MediaType::OCI_MANIFEST, MediaType::DOCKER_LIST] {
        let digest = match media_type == MediaType::OCI_MANIFEST {
            true => image().push_to(&registry, "app", tag().as_str()),
            false => Index::of(&[]).docker().push_to(&registry, "app", tag().as_str()),
        };
        let refused = put(&app, &note("a"), "a").await.unwrap_err();
        let expected = format!("{app}:{} should be an index of referrers, and is {media_type}", tag());
        assert_eq!(refused.to_string(), format!("the tag {expected}"));
        assert_eq!(registry.tag("app", tag().as_str()), Some(digest));
    }
}

/// B6: sixteen at once, where the registry keeps `If-Match`.
#[tokio::test]
async fn sixteen_writers_to_one_tag_lose_nothing() {
    let (registry, _client, app) = start();
    let all: Vec<Attachment> = (0..16).map(|n| note(&n.to_string())).collect();
    put_blob(&app, "{}").await.unwrap();
    for n in 0..16 {
        put_blob(&app, n.to_string()).await.unwrap();
    }
    let clients: Vec<Client> = all.iter().map(|_| Client::default()).collect();
    let places: Vec<Place> =
        clients.iter().map(|client| client.repository(&registry.address(), "app")).collect();
    let files: Vec<Fetched> = all.iter().map(fetched).collect();
    for noted in join_all(places.iter().zip(&files).map(|(place, file)| place.put_referrer(file))).await {
        assert_eq!(noted.unwrap(), Noted::ByTag(tag()));
    }
    assert_eq!(listed(&app).await, all.iter().map(Attachment::digest).collect());
    assert!(
        registry.requests().iter().any(|request| request.status == Some(412)),
        "nobody was in anybody's way"
    );
}

#[tokio::test]
async fn what_another_writer_took_away_is_written_again() {
    let (registry, client, app) = start();
    registry.ignore_preconditions();
    put(&app, &note("theirs"), "theirs").await.unwrap();
    let (kind, theirs) = registry.manifest("app", tag().as_str()).unwrap();
    let digest = registry.tag("app", tag().as_str()).unwrap().to_string();
    // Once, the look after our write shows a list without it.
    let path = format!("/v2/app/manifests/{}", tag());
    let shows =
        |rule: Rule| rule.reply(200).header("content-type", &kind).header("docker-content-digest", &digest);
    shows(registry.on(Method::Head, &path).times(1));
    put(&app, &note("ours"), "ours").await.unwrap();
    assert_eq!(listed(&app).await, BTreeSet::from([note("theirs").digest(), note("ours").digest()]));
    assert_eq!(client.clock.pauses_in_ms(), [125]);
    // For ever.
    shows(registry.on(Method::Head, &path).always());
    shows(registry.on(Method::Get, &path).always()).body(theirs);
    let lost = put(&app, &note("third"), "third").await.unwrap_err();
    assert!(matches!(lost, TransportError::Contended { rounds: 8, .. }), "{lost}");
    assert_eq!(client.clock.pauses_in_ms().len(), 1 + 7);
}

#[tokio::test]
async fn a_layout_names_its_referrers_in_its_index() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::Layout(Layout::new(directory.path()));
    assert_eq!(listed(&place).await, BTreeSet::new());
    put_image(&place, &image(), "v1").await.unwrap();
    for _ in 0..2 {
        assert_eq!(put(&place, &note("a"), "a").await.unwrap(), Noted::ByLayout);
    }
    let signed = Attachment::referrer(&note("a").descriptor(), "text/note", "b");
    put(&place, &signed, "b").await.unwrap();
    assert_eq!(listed(&place).await, BTreeSet::from([note("a").digest()]));
    let subjects = BTreeSet::from([subject().digest, note("a").digest(), Digest::sha256(b"none")]);
    let all = place.referrers_of_all(&subjects, 1).await.unwrap();
    assert_eq!(all.len(), 2);
    let Place::Layout(layout) = &place else { unreachable!() };
    let offers = layout.offers().await.unwrap();
    assert_eq!(
        offers.iter().map(|offer| offer.name.as_deref()).collect::<Vec<_>>(),
        [Some("v1"), None, None]
    );
}

#[tokio::test]
async fn many_write_referrers_into_a_new_layout_at_once() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::Layout(Layout::new(directory.path()));
        let all: Vec<Attachment> = (0..8).map(|n| note(&n.to_string())).collect();
        let write = async |attachment: &Attachment| {
            place.put_referrer(&fetched(attachment)).await.unwrap();
            place.tag_state("none").await.unwrap();
            listed(&place).await
        };
        join_all(all.iter().map(write)).await;
        assert_eq!(listed(&place).await, all.iter().map(Attachment::digest).collect());
    }
}

#[tokio::test]
async fn the_real_registry_has_no_api_and_gets_the_tag() {
    let (registry, client) = (DockerRegistry::plain(), Client::default());
    let app = client.repository(&registry.address(), "app");
    image().push_http(&registry.address(), "app", "v1");
    for content in ["a", "b"] {
        assert_eq!(put(&app, &note(content), content).await.unwrap(), Noted::ByTag(tag()));
    }
    assert_eq!(listed(&app).await, BTreeSet::from([note("a").digest(), note("b").digest()]));
}
