//! `manifest push` to several targets at once: what several lack is read once.

use std::collections::BTreeMap;

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Index, Method, Request};
use serde_json::{Value, json};

use crate::in_process::Cli;

/// A list of two images in a registry, in a draft `app` of its own.
fn from_registry(cli: &Cli) -> FakeRegistry {
    let source = FakeRegistry::start();
    let images = ["linux/amd64", "linux/arm64"].map(|platform| Image::new(platform).layers(3, 300_000, 7));
    let index = Index::of(&[&images[0], &images[1]]);
    index.push_to(&source, "src", "v1");
    cli.ok(&format!("create app --from docker://{}/src:v1", source.address()));
    source.clear_requests();
    source
}

/// How often each blob and manifest was read.
fn reads(registry: &FakeRegistry) -> BTreeMap<String, usize> {
    let is_read = |request: &Request| request.method == Method::Get && request.target.contains("sha256:");
    let mut reads = BTreeMap::new();
    for request in registry.requests().into_iter().filter(is_read) {
        *reads.entry(request.target).or_insert(0) += 1;
    }
    reads
}

fn digest(cli: &Cli) -> Digest {
    cli.json("inspect app")["document"]["digest"].as_str().unwrap().parse().unwrap()
}

fn blobs<'a>(target: &'a Value, action: &str) -> &'a Value {
    let all = target["blobs"].as_array().unwrap().iter();
    all.filter(|blobs| blobs["action"] == action).map(|blobs| &blobs["count"]).next().unwrap_or(&Value::Null)
}

#[test]
fn what_several_targets_lack_is_read_once() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let source = from_registry(&cli);
    let digest = digest(&cli);
    let at = |name: &str| cli.workspace.path().join(name).display().to_string();
    let report = cli.json(&format!(
        "push app docker://{}/app:1 docker://{}/app:1 oci:{}:1 oci-archive:{}",
        one.address(),
        two.address(),
        at("layout"),
        at("app.tar")
    ));
    let reads = reads(&source);
    // Three layers and two configurations, and two manifests.
    assert_eq!(reads.len(), 7, "{reads:?}");
    assert!(reads.values().all(|count| *count == 1), "{reads:?}");
    for target in report["targets"].as_array().unwrap() {
        assert_eq!(
            (blobs(target, "copy"), &target["manifests"]["written"]),
            (&json!(5), &json!(2)),
            "{target}"
        );
    }
    for registry in [&one, &two] {
        assert_eq!(registry.tag("app", "1"), Some(digest));
        assert_eq!(registry.open_uploads(), 0);
    }
    for place in [format!("oci:{}:1", at("layout")), format!("oci-archive:{}", at("app.tar"))] {
        assert_eq!(cli.json(&format!("check {place}"))["ok"], json!(true), "{place}");
    }
}

#[test]
fn what_one_target_has_is_not_sent_there_and_what_one_lacks_is_read_for_it() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let source = from_registry(&cli);
    let there = Image::new("linux/amd64").layers(3, 300_000, 7).blobs();
    one.put_blob("app", there[0].bytes.clone());
    let report =
        cli.json(&format!("push app docker://{}/app:1 docker://{}/app:1", one.address(), two.address()));
    let targets = &report["targets"];
    assert_eq!((blobs(&targets[0], "copy"), blobs(&targets[0], "skip")), (&json!(4), &json!(1)));
    assert_eq!(blobs(&targets[1], "copy"), &json!(5));
    assert!(reads(&source).values().all(|count| *count == 1));
}

#[test]
fn a_target_that_breaks_off_goes_on_alone_and_the_others_do_not_notice() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let source = from_registry(&cli);
    let layers = Image::new("linux/amd64").layers(3, 300_000, 7).blobs();
    let first = format!("/v2/app/blobs/uploads/*?*{}", layers[0].digest);
    let broken = two.on(Method::Put, &first).reset_after_body_bytes(1000);
    cli.ok(&format!("push app docker://{}/app:1 docker://{}/app:1", one.address(), two.address()));
    assert_eq!(broken.hits(), 1);
    let puts = one.requests().into_iter().filter(|request| request.target.contains("digest=")).count();
    assert_eq!(puts, 5, "each blob went once to the one that had no trouble");
    let reads = reads(&source);
    assert_eq!(reads.values().filter(|count| **count == 2).count(), 1, "{reads:?}");
    assert_eq!((one.tag("app", "1"), two.tag("app", "1")), (Some(digest(&cli)), Some(digest(&cli))));
}

#[test]
fn a_target_that_fails_takes_nothing_from_the_others() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let source = from_registry(&cli);
    two.on(Method::Post, "/v2/app/blobs/uploads/").always().reply(403);
    let report = cli.json(&format!(
        "push app docker://{}/app:1 --best-effort docker://{}/app:1",
        one.address(),
        two.address()
    ));
    assert_eq!(one.tag("app", "1"), Some(digest(&cli)));
    assert!(report["targets"][1]["failed"].is_string(), "{report}");
    assert!(reads(&source).values().all(|count| *count == 1));
}

#[test]
fn a_source_that_lies_is_told_once_for_all_targets_and_no_tag_moves() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let source = from_registry(&cli);
    let layers = Image::new("linux/amd64").layers(3, 300_000, 7).blobs();
    source.on(Method::Get, &format!("/v2/src/blobs/{}", layers[1].digest)).always().wrong_bytes();
    let push = format!("push app docker://{}/app:1 docker://{}/app:1", one.address(), two.address());
    cli.run(&push).fails(7);
    assert_eq!((one.tags("app"), two.tags("app")), (vec![], vec![]));
    assert!(!one.has_blob("app", &layers[1].digest) && !two.has_blob("app", &layers[1].digest));
}
