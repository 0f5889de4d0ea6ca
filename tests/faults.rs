//! A push through a network and registries that fail: what may pass is tried again, what may not is told at once,
//! and the tag moves only when all is there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise ends a test by a panic"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Method, Ran, Request, Rule, Workspace};

const MANIFEST: &str = env!("CARGO_BIN_EXE_manifest");

const LAYER: usize = 200_000;

/// A draft `app` of two images that are in one registry, and another registry where `app:1.0` is an old image.
struct Scene {
    workspace: Workspace,
    here: FakeRegistry,
    there: FakeRegistry,
    old: Digest,
    list: String,
}

fn images() -> [Image; 2] {
    [Image::new("linux/amd64").layers(2, LAYER, 1), Image::new("linux/arm64").layers(2, LAYER, 2)]
}

fn first_layer() -> Digest {
    images()[0].blobs()[0].digest
}

impl Scene {
    fn new() -> Self {
        let (workspace, here, there) = (Workspace::new(), FakeRegistry::start(), FakeRegistry::start());
        let mut create = vec!["create".to_owned(), "app".to_owned()];
        for (at, image) in images().iter().enumerate() {
            image.push_to(&here, "app", &format!("v{at}"));
            create.push(format!("docker://{}/app:v{at}", here.address()));
        }
        workspace.run(MANIFEST, create).ok();
        let list = workspace.run(MANIFEST, ["inspect", "--raw", "app"]).ok().to_owned();
        let old = Image::new("linux/s390x").push_to(&there, "app", "1.0");
        here.clear_requests();
        Self { workspace, here, there, old, list }
    }

    /// Pushes to `app:1.0` of the other registry.
    fn push(&self, options: &str) -> Ran {
        let words = format!("push {options} app docker://{}/app:1.0", self.there.address());
        self.workspace.run(MANIFEST, words.split(' ').filter(|word| !word.is_empty()))
    }

    /// The list is there with all that it names, and no finished blob was sent again.
    #[track_caller]
    fn assert_published(&self) {
        let (_, bytes) = self.there.manifest("app", "1.0").unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), self.list);
        for image in images() {
            assert!(self.there.manifest("app", &image.digest().to_string()).is_some());
            assert!(image.blobs().iter().all(|blob| self.there.has_blob("app", &blob.digest)));
        }
        let finished = sent(&self.there, |put| put.status == Some(201));
        for image in images() {
            for blob in image.blobs() {
                let bytes = finished.get(&blob.digest.to_string()).copied().unwrap_or_default();
                assert!(
                    bytes <= blob.bytes.len() as u64,
                    "{} was sent again after it had arrived",
                    blob.digest
                );
            }
        }
    }

    #[track_caller]
    fn assert_unmoved(&self) {
        assert_eq!(self.there.tag("app", "1.0"), Some(self.old), "the tag moved although the push failed");
    }
}

/// The bytes of the bodies in requests that finish blobs, for each digest.
fn sent(registry: &FakeRegistry, which: impl Fn(&Request) -> bool) -> BTreeMap<String, u64> {
    let mut bytes = BTreeMap::new();
    for put in registry.requests().iter().filter(|request| request.method == Method::Put && which(request)) {
        if let Some(digest) = put.query("digest") {
            *bytes.entry(digest).or_default() += put.body_bytes;
        }
    }
    bytes
}

#[test]
fn a_fault_that_passes_is_told_and_the_push_succeeds() {
    let uploads = "/v2/app/blobs/uploads/*";
    let layer = &format!("/v2/app/blobs/uploads/*?*{}", first_layer());
    let (manifest, tag) = ("/v2/app/manifests/sha256:*", "/v2/app/manifests/1.0");
    type Fault = fn(Rule) -> Rule;
    let at_target: &[(&str, Method, &str, Fault)] = &[
        ("503 when asked for a child", Method::Head, manifest, |rule| rule.reply(503)),
        ("503 when asked for a blob", Method::Head, "/v2/app/blobs/sha256:*", |rule| {
            rule.times(2).reply(503)
        }),
        ("500 to a new upload", Method::Post, uploads, |rule| rule.times(3).reply(500)),
        ("503 to a blob", Method::Put, uploads, |rule| rule.reply(503)),
        ("429 to a blob", Method::Put, uploads, |rule| rule.reply(429).header("retry-after", "0")),
        ("early 503 to a blob", Method::Put, uploads, |rule| rule.reply_early(503)),
        ("429 to a child", Method::Put, manifest, |rule| rule.reply(429).header("retry-after", "0")),
        ("reset instead of an upload", Method::Post, uploads, Rule::reset),
        ("reset in a layer", Method::Put, layer, |rule| rule.reset_after_body_bytes(70_000)),
        ("resets in blobs", Method::Put, uploads, |rule| rule.skip(1).times(3).reset_after_body_bytes(100)),
        ("a forgotten upload", Method::Put, uploads, Rule::forget_upload),
        ("a blob taken and the answer lost", Method::Put, uploads, |rule| rule.skip(2).apply_then_reset()),
        ("a child taken and the answer lost", Method::Put, manifest, Rule::apply_then_reset),
        ("the list taken and the answer lost", Method::Put, tag, Rule::apply_then_reset),
        ("502, then 504 to the list", Method::Put, tag, |rule| rule.times(2).reply(502)),
        ("reset instead of the list", Method::Put, tag, Rule::reset),
    ];
    for (name, method, pattern, fault) in at_target {
        let scene = Scene::new();
        let rule = fault(scene.there.on(*method, pattern));
        let pushed = scene.push("--retry-delay 1ms");
        assert_eq!(pushed.code, Some(0), "{name}: {pushed:?}");
        assert!(rule.hits() > 0, "{name}: the fault did not happen");
        assert!(pushed.stderr.contains("retry 1 of "), "{name}: {}", pushed.stderr);
        assert_eq!(pushed.stdout.trim_end(), Digest::sha256(scene.list.as_bytes()).to_string());
        scene.assert_published();
    }
}

#[test]
fn a_source_that_stumbles_is_read_again() {
    let (manifest, blob) = ("/v2/app/manifests/*", "/v2/app/blobs/*");
    let layer = &format!("/v2/app/blobs/{}", first_layer());
    type Fault = fn(Rule) -> Rule;
    let at_source: &[(&str, &str, Fault)] = &[
        ("503 to a manifest", manifest, |rule| rule.reply(503)),
        ("a manifest cut short", manifest, |rule| rule.cut_response_after(50)),
        ("503 to a blob", blob, |rule| rule.reply(503)),
        ("a layer cut short", layer, |rule| rule.cut_response_after(30_000)),
        ("blobs cut short", blob, |rule| rule.times(4).cut_response_after(100)),
        ("a reset", blob, Rule::reset),
    ];
    for (name, pattern, fault) in at_source {
        let scene = Scene::new();
        let rule = fault(scene.here.on(Method::Get, pattern));
        let pushed = scene.push("--retry-delay 1ms");
        assert_eq!(pushed.code, Some(0), "{name}: {pushed:?}");
        assert!(rule.hits() > 0, "{name}: the fault did not happen");
        assert!(pushed.stderr.contains("retry 1 of "), "{name}: {}", pushed.stderr);
        scene.assert_published();
    }
}

#[test]
fn a_blob_whose_answer_was_lost_is_not_sent_again() {
    let scene = Scene::new();
    let lost = scene.there.on(Method::Put, "/v2/app/blobs/uploads/*").always().apply_then_reset();
    scene.push("--retry-delay 1ms").ok();
    let blobs: Vec<_> = images().iter().flat_map(Image::blobs).collect();
    assert_eq!(lost.hits(), blobs.len() as u64);
    let bytes = sent(&scene.there, |_| true);
    for blob in blobs {
        assert_eq!(bytes.get(&blob.digest.to_string()), Some(&(blob.bytes.len() as u64)), "{}", blob.digest);
    }
    scene.assert_published();
}

#[test]
fn a_second_push_after_a_failed_one_sends_only_what_is_missing() {
    let scene = Scene::new();
    let fault = scene.there.on(Method::Put, "/v2/app/manifests/1.0").times(2).reply(503);
    scene.push("--retry 1 --retry-delay 1ms").fails(5);
    assert_eq!(fault.hits(), 2);
    scene.assert_unmoved();
    scene.there.clear_requests();
    scene.push("").ok();
    assert!(sent(&scene.there, |_| true).is_empty(), "the blobs were there already");
    scene.assert_published();
}

#[test]
fn a_pause_that_the_registry_asks_for_is_kept() {
    let scene = Scene::new();
    scene.there.on(Method::Put, "/v2/app/manifests/1.0").reply(429).header("retry-after", "1");
    let started = Instant::now();
    let pushed = scene.push("--retry-delay 1ms");
    pushed.ok();
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    assert!(pushed.stderr.contains("429"), "{}", pushed.stderr);
    scene.assert_published();
}

#[test]
fn a_pause_of_an_hour_ends_the_push_at_once() {
    for status in [429, 503] {
        let scene = Scene::new();
        let rule = scene.there.on(Method::Put, "/v2/app/manifests/1.0").always().reply(status);
        let rule = rule.header("retry-after", "3600");
        let started = Instant::now();
        let failed = scene.push("");
        let said = failed.fails(5);
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        assert!(said.contains("3600 s") && said.contains(&scene.there.address()), "{said}");
        assert!(said.contains("hint: --retry-budget") && !said.contains("retry 1 of"), "{said}");
        assert_eq!(rule.hits(), 1);
        scene.assert_unmoved();
    }
}

#[test]
fn a_registry_that_stays_broken_is_given_up_with_the_attempts_named() {
    let faults: [(Method, &str, &str); 4] = [
        (Method::Head, "/v2/app/manifests/*", "HEAD "),
        (Method::Post, "/v2/app/blobs/uploads/", "POST "),
        (Method::Put, "/v2/app/blobs/uploads/*", "PUT "),
        (Method::Put, "/v2/app/manifests/1.0", "PUT "),
    ];
    for (method, pattern, named) in faults {
        let scene = Scene::new();
        let rule = scene.there.on(method, pattern).always().reply(500);
        let failed = scene.push("--retry 2 --retry-delay 1ms");
        let said = failed.fails(5);
        let error = said.lines().find(|line| line.starts_with("error: ")).unwrap();
        let whole = said.split("error: ").nth(1).unwrap();
        assert!(whole.contains(named) && whole.contains("failed 3 times") && whole.contains("500"), "{said}");
        assert_eq!(said.matches("error: ").count(), 1, "{error}");
        assert!(rule.hits() >= 3, "{method:?} {pattern}");
        if pattern.ends_with("1.0") {
            assert_eq!(rule.hits(), 3);
        }
        scene.assert_unmoved();
    }
}

#[test]
fn a_refusal_is_told_once_and_not_tried_again() {
    let uploads = "/v2/app/blobs/uploads/";
    let (child, tag) = ("/v2/app/manifests/sha256:*", "/v2/app/manifests/1.0");
    for (status, code) in [(401, 6), (403, 6), (404, 3)] {
        for (method, pattern) in [(Method::Post, uploads), (Method::Put, child), (Method::Put, tag)] {
            let scene = Scene::new();
            let rule = scene.there.on(method, pattern).always().reply(status);
            let failed = scene.push("--jobs 1");
            let said = failed.fails(code);
            assert!(said.starts_with("error: ") && said.matches("error: ").count() == 1, "{status}: {said}");
            assert!(said.contains(&scene.there.address()), "{said}");
            assert!(said.lines().count() <= 3, "{said}");
            assert_eq!(rule.hits(), 1, "{status} to {method:?} {pattern}: {said}");
            scene.assert_unmoved();
        }
    }
}

#[test]
fn a_child_that_is_gone_from_its_source_is_named() {
    let scene = Scene::new();
    scene.here.on(Method::Get, "/v2/app/manifests/*").always().reply(404);
    let failed = scene.push("--jobs 1");
    let said = failed.fails(3);
    let children = images().map(|image| image.digest().to_string());
    assert!(
        children.iter().any(|digest| said.contains(digest)) && said.contains(&scene.here.address()),
        "{said}"
    );
    scene.assert_unmoved();
    assert!(scene.there.requests().iter().all(|request| request.method.reads()));
}

#[test]
fn spoilt_content_is_never_published() {
    for pattern in ["/v2/app/manifests/*", "/v2/app/blobs/*"] {
        let scene = Scene::new();
        scene.here.on(Method::Get, pattern).always().wrong_bytes();
        let failed = scene.push("--retry-delay 1ms");
        assert!(failed.fails(7).contains("sha256:"), "{failed:?}");
        scene.assert_unmoved();
        let manifests =
            |request: &&Request| request.method == Method::Put && request.path().contains("/manifests/");
        assert_eq!(scene.there.requests().iter().filter(manifests).count(), 0);
    }
}

/// NET-37: whoever comes second finds what the first has brought; both are right.
#[test]
fn the_same_push_twice_at_once_ends_well_twice() {
    for fault in [false, true] {
        let scene = Scene::new();
        if fault {
            let uploads = "/v2/app/blobs/uploads/*";
            scene.there.on(Method::Put, uploads).skip(1).times(3).apply_then_reset();
            scene.there.on(Method::Put, "/v2/app/manifests/*").times(2).reply(503);
        }
        let words = format!("push --retry-delay 1ms app docker://{}/app:1.0", scene.there.address());
        let start = || scene.workspace.start(MANIFEST, words.split(' '));
        let pushes = [start(), start(), start()];
        for pushed in pushes.map(manifest_testkit::Running::wait) {
            assert_eq!(pushed.ok().trim_end(), Digest::sha256(scene.list.as_bytes()).to_string());
        }
        let (_, bytes) = scene.there.manifest("app", "1.0").unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), scene.list);
        scene.there.clear_requests();
        scene.push("").ok();
        assert!(sent(&scene.there, |_| true).is_empty(), "everything was there");
    }
}

/// NET-37: a push that is ended at any moment is simply made again, and brings only what is missing.
#[test]
fn a_push_that_was_ended_is_made_again_and_brings_the_rest() {
    let moments: &[(Method, &str, u64)] = &[
        (Method::Head, "/v2/app/*", 0),
        (Method::Post, "/v2/app/blobs/uploads/", 2),
        (Method::Put, "/v2/app/blobs/uploads/*", 1),
        (Method::Put, "/v2/app/blobs/uploads/*", 4),
        (Method::Put, "/v2/app/manifests/sha256:*", 1),
        (Method::Put, "/v2/app/manifests/1.0", 0),
    ];
    for (method, pattern, skip) in moments {
        for signal in ["INT", "KILL"] {
            let scene = Scene::new();
            let gate = manifest_testkit::Gate::new();
            scene.there.on(*method, pattern).skip(*skip).hold(&gate);
            let words = format!("push --jobs 1 app docker://{}/app:1.0", scene.there.address());
            let running = scene.workspace.start(MANIFEST, words.split(' '));
            gate.wait_for_blocking(1);
            running.signal(signal);
            assert_ne!(running.wait().code, Some(0), "{method:?} {pattern}");
            scene.assert_unmoved();
            let arrived: Vec<_> = images()
                .iter()
                .flat_map(Image::blobs)
                .filter(|blob| scene.there.has_blob("app", &blob.digest))
                .map(|blob| blob.digest.to_string())
                .collect();
            scene.there.clear_rules();
            scene.there.clear_requests();
            scene.push("").ok();
            let again = sent(&scene.there, |_| true);
            assert!(
                arrived.iter().all(|digest| !again.contains_key(digest)),
                "{method:?} {pattern} {signal}"
            );
            scene.assert_published();
            gate.open();
        }
    }
}

/// NET-34, NET-35: pages of tags are not asked for, so that nothing of them can mislead, and referrers only when they are to
/// go along: a registry without the API for referrers gets a list with a subject under its tag, and no page of a server
/// leads elsewhere.
#[test]
fn a_list_with_a_subject_is_noted_under_a_tag_and_no_page_is_turned() {
    for status in [400, 404, 405, 500] {
        let (scene, elsewhere) = (Scene::new(), FakeRegistry::start());
        scene.there.on(Method::Get, "/v2/app/referrers/*").reply(status).always();
        for registry in [&scene.here, &scene.there] {
            for method in [Method::Get, Method::Head, Method::Put] {
                let next = format!("<http://{}/v2/app/tags/list?n=1>; rel=\"next\"", elsewhere.address());
                registry.on(method, "/v2/app/manifests/*").apply().header("link", &next).always();
            }
        }
        let [subject, _] = images();
        subject.push_to(&scene.there, "app", "subject");
        let there = scene.there.address();
        let create = format!(
            "create about --subject docker://{there}/app:subject docker://{}/app:v1",
            scene.here.address()
        );
        for words in [
            create,
            format!("push about docker://{there}/app:1.0 docker://{there}/other:1.0"),
            format!("inspect docker://{there}/app:1.0"),
            format!("check docker://{there}/app:1.0"),
            format!("diff about docker://{there}/app:1.0"),
            "refresh about".to_owned(),
        ] {
            scene.workspace.run(MANIFEST, words.split(' ')).ok();
        }
        assert!(elsewhere.requests().is_empty());
        let asked = scene.there.requests().into_iter().chain(scene.here.requests());
        for path in asked.map(|asked| asked.path().to_owned()) {
            assert!(!path.contains("/referrers/") && !path.contains("/tags/"), "{path}");
        }
        let noted = format!("sha256-{}", subject.digest().hex());
        assert!(scene.there.tags("app").contains(&noted), "{noted}");
    }
}
