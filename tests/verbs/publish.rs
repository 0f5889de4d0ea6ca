//! `manifest push` as a transaction: gates first, then content everywhere, then the tags, all or none.

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Index, Method};
use serde_json::{Value, json};

use crate::in_process::Cli;

/// A list of two platforms, and its digest.
fn app(cli: &Cli) -> Digest {
    cli.ok(&format!("create app {} {}", cli.image("linux/amd64"), cli.image("linux/arm64")));
    cli.json("inspect app")["document"]["digest"].as_str().unwrap().parse().unwrap()
}

/// The tags that were written, one by one.
fn tags_written(registry: &FakeRegistry) -> Vec<String> {
    let written = registry.requests().into_iter().filter(|request| request.method == Method::Put);
    let references = written.filter_map(|request| {
        request.target.split_once("/manifests/").map(|(_, reference)| reference.to_owned())
    });
    references.filter(|reference| !reference.starts_with("sha256:")).collect()
}

#[test]
fn one_publication_has_many_targets_and_tags() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let digest = app(&cli);
    let out = cli.workspace.path().join("out");
    let (first, second) = (one.address(), two.address());
    let report = cli.json(&format!(
        "push app docker://{first}/team/app:1.0,1,latest docker://{second}/app:1.0 oci:{}:1.0 --metadata-file {}",
        out.display(),
        out.with_extension("json").display()
    ));
    for tag in ["1.0", "1", "latest"] {
        assert_eq!(one.tag("team/app", tag), Some(digest), "{tag}");
    }
    assert_eq!(two.tag("app", "1.0"), Some(digest));
    assert_eq!(cli.ok(&format!("inspect --raw oci:{}:1.0", out.display())), cli.ok("inspect --raw app"));
    let tags: Vec<&Value> = report["targets"].as_array().unwrap().iter().map(|one| &one["tags"]).collect();
    let new = |name: &str| json!({ "name": name, "before": "absent" });
    assert_eq!(
        tags,
        [&json!([new("1.0"), new("1"), new("latest")]), &json!([new("1.0")]), &json!([new("1.0")])]
    );
    let file = std::fs::read_to_string(out.with_extension("json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&file).unwrap(), report);
    let target = &cli.json("ls")["lists"][0]["pushed"]["target"];
    assert!(target.as_str().unwrap().contains(&format!("{first}/team/app:1.0,1,latest docker://{second}")));
}

#[test]
fn what_a_tag_means_already_is_not_written_again() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    app(&cli);
    registry.keep_tags();
    let push = format!("push app docker://{}/app:1.0,latest", registry.address());
    cli.ok(&push);
    registry.clear_requests();
    cli.ok(&push);
    cli.ok(&format!("push app docker://{}/app:1.0", registry.address()));
    assert_eq!(tags_written(&registry), [""; 0]);
}

#[test]
fn where_a_registry_sets_several_tags_at_once_one_request_does() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = app(&cli);
    registry.set_many_tags();
    cli.ok(&format!("push app docker://{}/app:1.0,1,latest", registry.address()));
    assert_eq!(registry.tags("app"), ["1", "1.0", "latest"]);
    assert_eq!(registry.tag("app", "latest"), Some(digest));
    assert_eq!(tags_written(&registry), [""; 0]);
}

#[test]
fn targets_in_one_repository_are_one_target() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    app(&cli);
    let to = format!("docker://{}/app", registry.address());
    let report = cli.json(&format!("push app {to}:1.0 {to}:1,1.0 {to}:latest"));
    assert_eq!(report["targets"].as_array().unwrap().len(), 1);
    assert_eq!(report["targets"][0]["target"], format!("{to}:1.0,1,latest"));
    assert_eq!(registry.tags("app"), ["1", "1.0", "latest"]);
}

#[test]
fn tags_that_came_with_a_list_that_is_not_shown_go_back() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = app(&cli);
    registry.set_many_tags();
    let old = Image::new("linux/s390x").push_to(&registry, "app", "stable");
    registry.on(Method::Get, &format!("/v2/app/manifests/{digest}")).always().reply(404);
    cli.fails(5, &format!("push app docker://{}/app:stable,new --settle 0", registry.address()))
        .says("unsettled", &["app:stable,new could not be set", "every tag is what it was before"]);
    assert_eq!((registry.tag("app", "stable"), registry.tag("app", "new")), (Some(old), None));
}

#[test]
fn by_digest_no_tag_moves() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = app(&cli);
    cli.ok(&format!("push --by-digest app docker://{}/app", registry.address()));
    assert!(registry.manifest("app", &digest.to_string()).is_some());
    assert_eq!(registry.tags("app"), [""; 0]);
    cli.fails(2, &format!("push --by-digest app docker://{}/app:1.0", registry.address()))
        .says("misuse", &["--by-digest", "leave the tag out"]);
}

#[test]
fn a_tag_that_cannot_be_moved_takes_the_others_back() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let digest = app(&cli);
    let old = Image::new("linux/s390x").push_to(&one, "app", "stable");
    two.on(Method::Put, "/v2/app/manifests/latest").always().reply(403);
    let (first, second) = (one.address(), two.address());
    cli.fails(6, &format!("push app docker://{first}/app:stable,new docker://{second}/app:1.0,latest")).says(
        "denied",
        &[&format!("docker://{second}/app:latest could not be set"), "every tag is what it was before"],
    );
    assert_eq!((one.tag("app", "stable"), one.tag("app", "new")), (Some(old), None));
    assert_eq!(two.tags("app"), [""; 0], "a new tag is deleted where the registry deletes tags");
    assert!(one.manifest("app", &digest.to_string()).is_some(), "content stays, which harms nobody");
}

#[test]
fn what_stays_after_a_failure_is_named() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = app(&cli);
    registry.on(Method::Put, "/v2/app/manifests/b").always().reply(403);
    registry.on(Method::Delete, "/v2/app/manifests/*").always().reply(405);
    cli.fails(6, &format!("push app docker://{}/app:a,b", registry.address()))
        .says("denied", &["app:a stays as it is: it is new, and the registry deletes no tags"]);
    assert_eq!(registry.tag("app", "a"), Some(digest));
}

#[test]
fn a_target_that_need_not_succeed_fails_alone() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let digest = app(&cli);
    two.on(Method::Put, "/v2/app/manifests/*").always().reply(403);
    let words = format!(
        "push app docker://{}/app:1.0 --best-effort docker://{}/app:1.0",
        one.address(),
        two.address()
    );
    let ran = cli.run(&words);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stderr.contains(&format!("warning: docker://{}/app:1.0 was left out", two.address())),
        "{ran:?}"
    );
    assert_eq!((one.tag("app", "1.0"), two.tag("app", "1.0")), (Some(digest), None));
    let report = cli.json(&words);
    assert_eq!(report["targets"][0].get("failed"), None);
    assert!(report["targets"][1]["failed"].as_str().unwrap().contains("does not allow"), "{report}");
}

#[test]
fn when_content_is_missing_somewhere_no_tag_moves_anywhere() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    app(&cli);
    two.on(Method::Post, "/v2/app/blobs/uploads/*").always().reply(403);
    cli.fails(6, &format!("push app docker://{}/app:1.0 docker://{}/app:1.0", one.address(), two.address()))
        .says("denied", &[&two.address()]);
    assert_eq!((one.tags("app"), two.tags("app")), (vec![], vec![]));
}

#[test]
fn gates_refuse_before_anything_is_sent() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    app(&cli);
    let to = format!("docker://{}/app:1.0", registry.address());
    cli.fails(8, &format!("push app {to} --require linux/amd64,linux/s390x"))
        .says("gate", &["linux/s390x, which is required", "no tag was moved"]);
    cli.fails(8, &format!("push app {to} --allow linux/amd64")).says("gate", &["linux/arm64", "not among"]);
    assert!(registry.requests().is_empty());
    cli.fails(2, &format!("push app {to} --require linux")).says("misuse", &["--require"]);
    cli.ok(&format!("push app {to} --require linux/amd64,linux/arm64/v8 --allow linux/amd64,linux/arm64"));
    cli.ok(&format!("create twins {} --allow-duplicate", cli.image("linux/amd64")));
    let twin = cli.put(&Image::new("linux/amd64").layer("another"), "twin");
    cli.ok(&format!("add twins {twin} --allow-duplicate"));
    cli.fails(8, &format!("push twins {to}"))
        .says("gate", &["2 entries are for linux/amd64", "--allow-duplicate"]);
    cli.ok(&format!("push twins {to} --allow-duplicate --allow-shrink"));
}

#[test]
fn a_tag_loses_no_platform_unless_that_is_said() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let to = format!("docker://{}/app:1.0", registry.address());
    let images = [Image::new("linux/amd64"), Image::new("linux/s390x")];
    let old = Index::of(&[&images[0], &images[1]]).push_to(&registry, "app", "1.0");
    app(&cli);
    registry.clear_requests();
    cli.fails(8, &format!("push app {to}")).says("gate", &[&to, "would lose linux/s390x", "--allow-shrink"]);
    let is_look = |request: &manifest_testkit::Request| {
        (request.method, &*request.target) == (Method::Get, "/v2/app/manifests/1.0")
    };
    assert!(registry.requests().iter().all(is_look), "the tag was read: {:#?}", registry.requests());
    assert_eq!(registry.tag("app", "1.0"), Some(old));
    cli.fails(8, &format!("push app {to} --dry-run"));
    cli.ok(&format!("push app {to} --allow-shrink"));
}

#[test]
fn a_tag_moves_only_from_where_it_is_expected() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = app(&cli);
    let other = Image::new("linux/s390x").push_to(&registry, "app", "1.0");
    let push = |expected: &str| {
        format!("push app docker://{}/app:1.0,new --expect-current {expected}", registry.address())
    };
    for wrong in ["absent".to_owned(), digest.to_string(), "1.0=absent".to_owned(), format!("new={other}")] {
        cli.fails(4, &push(&wrong)).says("moved", &["was expected"]);
    }
    cli.fails(2, &push("other=absent")).says("misuse", &["the tag other, which no target has"]);
    cli.fails(2, &push("sha256:12")).says("misuse", &["a digest, absent or any"]);
    assert_eq!((registry.tag("app", "1.0"), registry.tag("app", "new")), (Some(other), None));
    cli.ok(&push(&format!("1.0={other} --expect-current new=absent")));
    assert_eq!((registry.tag("app", "1.0"), registry.tag("app", "new")), (Some(digest), Some(digest)));
    // What is there already is fine, whatever was expected.
    cli.ok(&push("absent"));
}

#[test]
fn a_registry_that_shows_what_it_took_a_little_later_is_waited_for() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = app(&cli);
    let late = registry.on(Method::Get, &format!("/v2/app/manifests/{digest}")).times(2).reply(404);
    cli.ok(&format!("push app docker://{}/app:1.0,1", registry.address()));
    assert_eq!(late.hits(), 2);
    registry.on(Method::Get, &format!("/v2/app/manifests/{digest}")).always().reply(404);
    cli.fails(5, &format!("push app docker://{}/app:2.0,2 --settle 0", registry.address()))
        .says("unsettled", &["does not show it", "every tag is what it was before", "--settle"]);
    assert_eq!(registry.tag("app", "2.0"), None);
}

#[test]
fn a_registry_that_shows_something_else_than_was_sent_moves_no_tag() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = app(&cli);
    let old = Image::new("linux/s390x").push_to(&registry, "app", "stable");
    let shown = registry.on(Method::Get, &format!("/v2/app/manifests/{digest}")).always();
    let other = Index::of(&[&Image::new("linux/amd64")]).manifest();
    let shown = shown.substitute(other);
    cli.fails(7, &format!("push app docker://{}/app:stable,new", registry.address()))
        .says("bad_content", &[&format!("app@{digest}")]);
    assert_eq!((registry.tag("app", "stable"), registry.tag("app", "new")), (Some(old), None));
    assert_eq!(shown.hits(), 2, "it is read once for each push");
}

#[test]
fn the_list_is_read_back_once_at_each_target() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let digest = app(&cli);
    cli.ok(&format!("push app docker://{}/app:1.0,1 docker://{}/app:1.0", one.address(), two.address()));
    for registry in [&one, &two] {
        let asked = registry.requests().into_iter().filter(|request| {
            request.target.ends_with(&format!("/manifests/{digest}")) && request.method != Method::Put
        });
        let asked: Vec<Method> = asked.map(|request| request.method).collect();
        assert_eq!(asked, [Method::Get]);
    }
}
