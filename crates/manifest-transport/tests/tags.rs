//! Tags: read, set without undoing what somebody else did, and deleted.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use manifest_core::{Digest, MediaType, Tag};
use manifest_testkit::{Client, FakeRegistry, Image, Method, Request, TokenServer, put_image};
use manifest_transport::{Deleted, Expect, Guard, Layout, Place, TransportError};

fn start() -> (FakeRegistry, Client, Place) {
    let (registry, client) = (FakeRegistry::start(), Client::default());
    let app = client.repository(&registry.address(), "app");
    for (image, tag) in [(one(), "one"), (two(), "two")] {
        image.push_to(&registry, "app", tag);
    }
    (registry, client, app)
}

fn one() -> Image {
    Image::new("linux/amd64")
}

fn two() -> Image {
    Image::new("linux/arm64")
}

/// Method and status of each request.
fn steps(registry: &FakeRegistry) -> Vec<String> {
    let step = |request: &Request| {
        let status = request.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        format!("{:?} {status}", request.method).to_uppercase()
    };
    registry.requests().iter().map(step).collect()
}

async fn put(place: &Place, image: &Image, name: &str, guard: &Guard) -> Result<(), TransportError> {
    place.put_named(Some(name), &image.media_type(), image.manifest().into(), guard).await
}

fn expect(expect: Expect) -> Guard {
    Guard { expect, ..Guard::default() }
}

fn before(before: Option<Digest>) -> Guard {
    Guard { before: Some(before), ..Guard::default() }
}

fn moved_to(outcome: Result<(), TransportError>) -> Option<Digest> {
    match outcome {
        Err(TransportError::Moved { found, .. }) => found,
        other => unreachable!("{other:?}"),
    }
}

fn tags(names: &[&str]) -> Vec<Tag> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[tokio::test]
async fn one_request_tells_all_about_a_tag() {
    let (registry, _client, app) = start();
    let state = app.tag_state("one").await.unwrap().unwrap();
    let size = one().manifest().len() as u64;
    assert_eq!(
        (state.digest, state.media_type, state.size),
        (one().digest(), one().media_type(), Some(size))
    );
    assert_eq!(state.etag, Some(format!("\"{}\"", one().digest())));
    assert_eq!(app.tag_state("none").await.unwrap(), None);
    assert_eq!(app.tag_state("no tag").await.unwrap(), None);
    assert_eq!(steps(&registry), ["HEAD 200", "HEAD 404"]);
}

/// NET-21, NET-22.
#[tokio::test]
async fn a_tag_is_read_whole_where_head_does_not_do() {
    let (registry, _client, app) = start();
    let whole = app.tag_state("one").await.unwrap();
    for status in [400, 403, 405, 501] {
        registry.on(Method::Head, "*").reply(status);
        assert_eq!(app.tag_state("one").await.unwrap(), whole, "{status}");
    }
    for header in ["docker-content-digest", "content-type"] {
        registry.on(Method::Head, "*").apply().without_header(header);
        assert_eq!(app.tag_state("one").await.unwrap(), whole, "{header}");
    }
    assert_eq!(registry.requests().len(), 1 + 2 * 6);
}

#[tokio::test]
async fn an_entity_tag_that_never_matches_is_none() {
    let (registry, _client, app) = start();
    registry.on(Method::Head, "*").apply().header("etag", "W/\"1\"");
    assert_eq!(app.tag_state("one").await.unwrap().unwrap().etag, None);
}

#[tokio::test]
async fn a_tag_is_set_only_when_it_is_as_expected() {
    let (registry, _client, app) = start();
    let directory = tempfile::tempdir().unwrap();
    let layout = Place::Layout(Layout::new(directory.path()));
    put_image(&layout, &one(), "one").await.unwrap();
    put_image(&layout, &two(), "two").await.unwrap();
    for place in [app, layout] {
        put(&place, &one(), "v1", &expect(Expect::Absent)).await.unwrap();
        let taken = put(&place, &two(), "v1", &expect(Expect::Absent)).await;
        assert_eq!(
            taken.as_ref().unwrap_err().to_string(),
            format!("the tag {place}:v1 has moved to {}", one().digest())
        );
        assert_eq!(moved_to(taken), Some(one().digest()));
        let etag = expect(Expect::ETag(place.tag_state("v1").await.unwrap().unwrap().etag.unwrap()));
        put(&place, &two(), "v1", &etag).await.unwrap();
        assert_eq!(moved_to(put(&place, &one(), "v1", &etag).await), Some(two().digest()));
        assert_eq!(moved_to(put(&place, &one(), "v2", &etag).await), None);
        assert_eq!(place.named_digest("v1").await.unwrap(), Some(two().digest()));
        assert_eq!(place.named_digest("v2").await.unwrap(), None);
    }
    let sent =
        |name: &str| registry.requests().iter().filter(|request| request.header(name).is_some()).count();
    assert_eq!((sent("if-none-match"), sent("if-match")), (2, 3));
}

/// NET-8, B2.
#[tokio::test]
async fn a_tag_that_was_set_although_the_answer_was_lost_is_not_set_twice() {
    for guard in [before(None), expect(Expect::Absent)] {
        let (registry, client, app) = start();
        registry.on(Method::Put, "*").apply_then_reset();
        put(&app, &one(), "v1", &guard).await.unwrap();
        assert_eq!(steps(&registry), ["PUT -", "HEAD 200"], "{guard:?}");
        assert_eq!(client.clock.pauses().len(), 1);
    }
}

/// NET-7, B2.
#[tokio::test]
async fn a_tag_that_is_still_what_it_was_is_set_again() {
    let (registry, _client, app) = start();
    let guards = [
        ("new", before(None), "HEAD 404"),
        ("newer", expect(Expect::Absent), "HEAD 404"),
        ("one", before(Some(one().digest())), "HEAD 200"),
        ("two", expect(Expect::ETag(format!("\"{}\"", two().digest()))), "HEAD 200"),
    ];
    for (name, guard, look) in guards {
        registry.clear_requests();
        registry.on(Method::Put, "*").reset();
        let image = if name == "one" { two() } else { one() };
        put(&app, &image, name, &guard).await.unwrap();
        assert_eq!(steps(&registry), ["PUT -", look, "PUT 201"], "{name}");
        assert_eq!(registry.tag("app", name), Some(image.digest()));
    }
}

/// NET-7, B2.
#[tokio::test]
async fn a_tag_that_somebody_else_has_set_meanwhile_stays_as_it_is() {
    for guard in [before(None), before(Some(Digest::sha256(b"before"))), expect(Expect::Absent)] {
        for status in [None, Some(500), Some(502), Some(504)] {
            let (registry, _client, app) = start();
            let rule = registry.on(Method::Put, "*");
            let _rule = status.map_or_else(|| rule.clone().reset(), |status| rule.clone().reply(status));
            let outcome = put(&app, &two(), "one", &guard).await;
            assert_eq!(moved_to(outcome), Some(one().digest()), "{guard:?} {status:?}");
            assert_eq!(registry.tag("app", "one"), Some(one().digest()));
        }
    }
}

#[tokio::test]
async fn a_registry_that_has_done_nothing_is_asked_again_without_a_look() {
    let (registry, _client, app) = start();
    for status in [429, 503] {
        registry.clear_requests();
        registry.on(Method::Put, "*").reply(status);
        put(&app, &one(), "v1", &before(None)).await.unwrap();
        assert_eq!(steps(&registry), [format!("PUT {status}"), "PUT 201".to_owned()]);
    }
}

#[tokio::test]
async fn an_own_attempt_that_was_applied_late_is_no_other_writer() {
    let (registry, _client, app) = start();
    registry.on(Method::Put, "*").apply_then_reset();
    // The first look still shows what was there before.
    registry.on(Method::Head, "*").reply(404);
    put(&app, &one(), "v1", &expect(Expect::Absent)).await.unwrap();
    assert_eq!(steps(&registry), ["PUT -", "HEAD 404", "PUT 412", "HEAD 200"]);
}

/// NET-42.
#[tokio::test]
async fn ten_tags_are_set_in_one_request() {
    let (registry, _client, app) = start();
    registry.set_many_tags();
    let wanted = tags(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]);
    assert_eq!(app.supports_multi_tag(), None);
    let (image, bytes) = (one(), bytes::Bytes::from(one().manifest()));
    let set = app.put_tags(&image.digest(), &image.media_type(), bytes, &wanted).await.unwrap();
    assert_eq!((&set, app.supports_multi_tag()), (&wanted, Some(true)));
    let digest = image.digest();
    let lines: Vec<String> = registry.requests().iter().map(Request::line).collect();
    assert_eq!(
        lines,
        [
            format!(
                "PUT /v2/app/manifests/{digest}?tag=a&tag=b&tag=c&tag=d&tag=e&tag=f&tag=g&tag=h&tag=i&tag=j 201"
            ),
            format!("PUT /v2/app/manifests/{digest}?tag=k&tag=l 201"),
        ]
    );
    assert!(wanted.iter().all(|tag| registry.tag("app", tag.as_str()) == Some(digest)));
}

/// NET-42.
#[tokio::test]
async fn only_tags_that_the_registry_confirms_are_set() {
    let (registry, client, app) = start();
    let (image, bytes) = (one(), bytes::Bytes::from(one().manifest()));
    let wanted = tags(&["a", "b", "c"]);
    registry.on(Method::Put, "*").apply().header("oci-tag", "c, z").header("oci-tag", "a,");
    let set = app.put_tags(&image.digest(), &image.media_type(), bytes.clone(), &wanted).await.unwrap();
    assert_eq!((set, app.supports_multi_tag()), (tags(&["a", "c"]), Some(true)));
    let app = Client::default().repository(&registry.address(), "app");
    registry.clear_requests();
    let many: Vec<Tag> = (0..25).map(|n| format!("t{n}").parse().unwrap()).collect();
    let set = app.put_tags(&image.digest(), &image.media_type(), bytes.clone(), &many).await.unwrap();
    assert_eq!((set, app.supports_multi_tag()), (vec![], Some(false)));
    assert_eq!(registry.requests().len(), 1, "it is not asked a second time");
    assert_eq!(registry.tags("app"), ["one", "two"]);
    let set = app.put_tags(&image.digest(), &image.media_type(), bytes, &[]).await.unwrap();
    assert!(set.is_empty() && client.clock.pauses().is_empty());
}

#[tokio::test]
async fn a_tag_is_deleted_and_what_it_meant_stays() {
    let (registry, _client, app) = start();
    assert_eq!(app.delete_tag("one").await.unwrap(), Deleted::Done);
    assert_eq!(registry.tags("app"), ["two"]);
    assert!(registry.manifest("app", &one().digest().to_string()).is_some());
    assert_eq!(app.delete_tag("one").await.unwrap(), Deleted::Done, "it is gone already");
    assert_eq!(app.delete_tag("no tag").await.unwrap(), Deleted::Done);
    let lines: Vec<String> = registry.requests().iter().map(Request::line).collect();
    assert_eq!(lines, ["DELETE /v2/app/manifests/one 202", "DELETE /v2/app/manifests/one 404"]);
}

#[tokio::test]
async fn a_registry_that_deletes_no_tags_is_not_made_to() {
    let (registry, _client, app) = start();
    registry.keep_tags();
    assert_eq!(app.delete_tag("two").await.unwrap(), Deleted::Unsupported);
    for status in [400, 405, 501] {
        registry.on(Method::Delete, "*").reply(status);
        assert_eq!(app.delete_tag("two").await.unwrap(), Deleted::Unsupported, "{status}");
    }
    let code = r#"{"errors":[{"code":"UNSUPPORTED"}]}"#;
    registry.on(Method::Delete, "*").reply(415).body(code);
    assert_eq!(app.delete_tag("two").await.unwrap(), Deleted::Unsupported);
    registry.on(Method::Delete, "*").reply(403);
    assert!(matches!(app.delete_tag("two").await, Err(TransportError::Denied { .. })));
    assert!(registry.requests().iter().all(|request| request.path() == "/v2/app/manifests/two"));
    assert_eq!(registry.tags("app"), ["one", "two"]);
}

#[tokio::test]
async fn deleting_asks_for_the_right_to_delete_and_nothing_else_does() {
    let (registry, tokens) = (FakeRegistry::start(), TokenServer::start());
    one().push_to(&registry, "app", "one");
    registry.bearer(&tokens);
    let app = Client::default().repository(&registry.address(), "app");
    put(&app, &one(), "v1", &Guard::default()).await.unwrap();
    assert!(tokens.requests().iter().all(|asked| !asked.target.contains("delete")));
    assert_eq!(app.delete_tag("v1").await.unwrap(), Deleted::Done);
    assert!(tokens.requests().pop().unwrap().target.contains("repository%3Aapp%3Apull%2Cpush%2Cdelete"));
}

#[tokio::test]
async fn a_name_of_a_layout_is_taken_away_and_what_it_meant_stays() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path());
    let place = Place::Layout(layout.clone());
    put_image(&place, &one(), "v1").await.unwrap();
    put_image(&place, &one(), "v2").await.unwrap();
    for (name, left) in [("none", 2), ("v1", 1), ("v2", 1)] {
        assert_eq!(place.delete_tag(name).await.unwrap(), Deleted::Done);
        assert_eq!(place.named_digest(name).await.unwrap(), None);
        let offers = layout.offers().await.unwrap();
        assert_eq!(offers.len(), left, "{name}");
        assert!(offers.iter().all(|offer| offer.descriptor.digest == one().digest()));
    }
    assert_eq!(layout.offers().await.unwrap()[0].name, None);
    assert_eq!(place.tag_state("v2").await.unwrap(), None);
    assert_eq!(one().media_type(), MediaType::OCI_MANIFEST);
}

/// NET-8, B2.
#[tokio::test]
async fn a_tag_that_the_last_attempt_has_set_is_no_failure() {
    let (registry, client, app) = start();
    registry.on(Method::Put, "*").times(5).reset();
    registry.on(Method::Put, "*").apply_then_reset();
    put(&app, &one(), "v1", &before(None)).await.unwrap();
    assert_eq!(registry.tag("app", "v1"), Some(one().digest()));
    assert_eq!(client.clock.pauses().len(), 5);
}

/// NET-40.
#[tokio::test]
async fn a_tag_that_was_taken_and_is_not_there_is_set_again() {
    let (registry, client, app) = start();
    for (times, attempts) in [(1, 2), (3, 4)] {
        registry.clear_requests();
        registry.on(Method::Put, "/v2/app/manifests/new").reply(201).times(times);
        put(&app, &one(), "new", &before(None)).await.unwrap();
        assert_eq!(registry.tag("app", "new"), Some(one().digest()));
        let puts = registry.requests().into_iter().filter(|request| request.method == Method::Put).count();
        assert_eq!(puts, attempts);
        app.delete_tag("new").await.unwrap();
    }
    registry.on(Method::Put, "/v2/app/manifests/new").reply(201).always();
    let error = put(&app, &one(), "new", &before(None)).await.unwrap_err();
    assert!(
        matches!(&error, TransportError::Exhausted { last, .. } if last.contains("does not mean what was taken")),
        "{error:?}"
    );
    assert_eq!(client.retries().len(), 1 + 3 + 5);
}

/// NET-40: a registry that says what it took is believed, and one that says nothing is asked, with one request at a time, too.
#[tokio::test]
async fn a_tag_that_was_taken_is_looked_at_only_where_the_registry_says_nothing() {
    let registry = FakeRegistry::start();
    let client = Client::new(manifest_transport::Settings { jobs: 1, ..Default::default() });
    let app = client.repository(&registry.address(), "app");
    put_image(&app, &one(), "one").await.unwrap();
    for (silent, steps_taken) in [(false, &["PUT 201"][..]), (true, &["PUT 201", "HEAD 200"])] {
        registry.clear_requests();
        if silent {
            registry.on(Method::Put, "*").apply().without_header("docker-content-digest");
        }
        put(&app, &one(), "one", &Guard::default()).await.unwrap();
        assert_eq!(steps(&registry), steps_taken);
    }
    registry.on(Method::Put, "*").apply().without_header("docker-content-digest");
    registry.on(Method::Head, "*").reply(403);
    registry.on(Method::Get, "*").reply(403);
    put(&app, &one(), "one", &Guard::default()).await.unwrap();
}

#[tokio::test]
async fn whether_a_registry_compares_is_asked_once_and_changes_nothing() {
    for (is_ignored, compares) in [(false, true), (true, false)] {
        let (registry, _client, app) = start();
        if is_ignored {
            registry.ignore_preconditions();
        }
        let image = one();
        let asked =
            async || app.compares(&image.digest(), &image.media_type(), image.manifest().into()).await;
        assert_eq!((asked().await, asked().await), (compares, compares));
        let status = if compares { "PUT 412" } else { "PUT 201" };
        assert_eq!(steps(&registry), [status]);
        assert_eq!(registry.tags("app"), ["one", "two"]);
    }
    // A registry that has refused once need not be asked.
    let (registry, _client, app) = start();
    moved_to(put(&app, &two(), "one", &expect(Expect::Absent)).await).unwrap();
    registry.clear_requests();
    assert!(app.compares(&one().digest(), &one().media_type(), one().manifest().into()).await);
    assert_eq!(steps(&registry), [""; 0]);
}
