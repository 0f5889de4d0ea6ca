//! `manifest registry probe`: what registries can do, and why they refuse a list.

use std::collections::BTreeMap;

use manifest_testkit::{DockerRegistry, FakeRegistry, Http, Image, Index, Method, Request};
use serde_json::Value;

use crate::in_process::Cli;

/// The verdicts of a report, by the names of the abilities.
fn verdicts(report: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let abilities = report["abilities"].as_array().unwrap().iter();
    abilities.map(|one| (text(&one["name"]), text(&one["verdict"]))).collect()
}

/// The names of the abilities with this verdict.
fn with(report: &Value, verdict: &str) -> Vec<String> {
    verdicts(report).into_iter().filter(|(_, said)| said == verdict).map(|(name, _)| name).collect()
}

fn writes(registry: &FakeRegistry) -> Vec<Request> {
    registry.requests().into_iter().filter(|request| !request.method.reads()).collect()
}

#[test]
fn a_registry_that_can_do_everything_is_left_as_it_was() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    registry.serve_referrers();
    registry.set_many_tags();
    registry.allow_missing_children();
    registry.chunk_min_length(1000);
    let old = Image::new("linux/amd64").push_to(&registry, "app", "latest");
    let before = registry.tags("app");
    let report = cli.json(&format!("registry probe {}/app", registry.address()));
    assert_eq!((with(&report, "no"), with(&report, "unknown")), (vec![], vec![]), "{report:#}");
    assert_eq!(report["left"], Value::Array(Vec::new()));
    assert_eq!(report["leastPiece"], 1000);
    assert_eq!((registry.tags("app"), registry.tag("app", "latest")), (before, Some(old)));
    assert_eq!(registry.open_uploads(), 0);
    for request in writes(&registry) {
        let reference = request.target.rsplit_once('/').unwrap().1;
        let is_own = reference.starts_with("manifest-probe-") || reference.starts_with("sha256:");
        assert!(is_own || request.target.contains("/blobs/"), "{}", request.target);
        if let (Method::Put, Some(digest)) = (request.method, request.target.split("manifests/").nth(1)) {
            assert!(registry.manifest("app", digest.split('?').next().unwrap()).is_none(), "{digest} stays");
        }
    }
}

#[test]
fn what_a_registry_cannot_do_is_told() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    registry.ignore_preconditions();
    registry.never_mount();
    registry.keep_tags();
    let is_odd = |document: &Value| {
        let index = "application/vnd.oci.image.index.v1+json";
        let entries = document["manifests"].as_array().cloned().unwrap_or_default();
        let is_docker = |entry: &Value| entry["mediaType"].as_str().unwrap().contains("docker");
        document["mediaType"] == index
            && (entries.is_empty()
                || entries.iter().any(|entry| is_docker(entry) || entry["mediaType"] == index)
                || !document["artifactType"].is_null())
    };
    registry.refuse_manifests(is_odd);
    let report = cli.json(&format!("registry probe {}/app", registry.address()));
    assert_eq!(
        with(&report, "no"),
        [
            "delete-tags",
            "docker-in-oci",
            "empty-index",
            "if-match",
            "if-none-match",
            "index-artifact-type",
            "many-tags",
            "mount",
            "nested-index",
            "referrers",
            "sparse-index"
        ]
    );
    assert_eq!(report["left"], Value::Array(Vec::new()), "tags went with their manifests");
    assert_eq!((registry.tags("app").len(), registry.open_uploads()), (0, 0));
    let why =
        report["abilities"].as_array().unwrap().iter().find(|one| one["name"] == "nested-index").unwrap();
    assert!(why["why"].as_str().unwrap().contains("not of a kind that is taken here"), "{why}");
}

#[test]
fn what_stays_is_told() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    registry.keep_tags();
    registry.keep_manifests();
    registry.freeze_tags();
    registry.set_many_tags();
    let printed = cli.ok(&format!("registry probe {}/app", registry.address()));
    assert!(printed.contains("no       move-tags"), "{printed}");
    let tags = registry.tags("app");
    assert_eq!(tags.len(), 3);
    for tag in tags {
        assert!(tag.starts_with("manifest-probe-"), "{tag}");
        assert!(printed.contains(&format!("Not deleted: tag {tag}\n")), "{printed}");
    }
    assert!(printed.contains("Not deleted: manifest sha256:"), "{printed}");
    assert!(!printed.contains("Not deleted: blob"), "{printed}");
}

#[test]
fn what_was_found_out_is_remembered_until_it_is_asked_for_anew() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let probe = format!("registry probe {}/app", registry.address());
    let first = cli.json(&probe);
    registry.clear_requests();
    // For the registry, whatever the repository.
    let again = cli.json(&format!("registry probe {}/other", registry.address()));
    assert_eq!((&again["abilities"], &again["probed"]), (&first["abilities"], &first["probed"]));
    assert_eq!((&first["remembered"], &again["remembered"]), (&Value::Bool(false), &Value::Bool(true)));
    cli.json(&format!("{probe} --read-only"));
    assert_eq!(registry.requests().len(), 0);
    assert!(cli.ok("cache ls").contains(&format!("probe:{}", registry.address())));
    registry.serve_referrers();
    // Less than is known is told, but not remembered.
    let read = cli.json(&format!("{probe} --read-only --refresh"));
    assert_eq!((with(&read, "yes"), with(&read, "no").len()), (vec!["referrers".to_owned()], 0));
    assert!(writes(&registry).is_empty());
    assert_eq!(cli.json(&probe)["abilities"], first["abilities"]);
    assert_eq!(verdicts(&cli.json(&format!("{probe} --refresh")))["referrers"], "yes");
    assert_eq!(verdicts(&cli.json(&probe))["referrers"], "yes");
}

#[test]
fn a_probe_that_is_not_allowed_says_so_and_cleans_up() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    registry.on(Method::Post, "/v2/app/blobs/uploads/*").always().reply(403);
    cli.fails(6, &format!("registry probe {}/app", registry.address())).says("denied", &[]);
    registry.clear_rules();
    registry.on(Method::Put, "/v2/app/manifests/manifest-probe-*").always().reply(403);
    cli.fails(6, &format!("registry probe {}/app", registry.address())).says("denied", &[]);
    assert_eq!(registry.tags("app"), [""; 0]);
    let written = writes(&registry).into_iter().filter(|request| request.method == Method::Put);
    for request in written.filter(|request| request.target.contains("manifests/sha256:")) {
        let digest = request.target.rsplit_once('/').unwrap().1.to_owned();
        assert!(registry.manifest("app", &digest).is_none(), "{digest} stays");
    }
    for wrong in ["oci:x", "store:x", "registry.example.com/app:1"] {
        cli.fails(2, &format!("registry probe {wrong}")).says("misuse", &["HOST/REPOSITORY"]);
    }
}

#[test]
fn the_real_registry_is_known_for_what_it_is() {
    let (cli, registry) = (Cli::new(), DockerRegistry::plain());
    Image::new("linux/amd64").push_http(&registry.address(), "app", "latest");
    let report = cli.json(&format!("registry probe {}/app", registry.address()));
    let verdicts = verdicts(&report);
    for (ability, verdict) in [
        ("oci-index", "yes"),
        ("docker-list", "yes"),
        ("docker-in-oci", "yes"),
        ("nested-index", "yes"),
        ("sparse-index", "no"),
        ("mount", "yes"),
        ("referrers", "no"),
        ("many-tags", "no"),
        ("if-match", "no"),
        ("if-none-match", "no"),
        ("move-tags", "yes"),
        ("pieces", "yes"),
        ("delete-manifests", "yes"),
        ("delete-blobs", "yes"),
    ] {
        assert_eq!(verdicts[ability], verdict, "{ability}: {report:#}");
    }
    let tags = Http::to(&registry.address()).get("/v2/app/tags/list", &[]);
    assert_eq!(tags.text().trim(), r#"{"name":"app","tags":["latest"]}"#);
}

#[test]
fn a_list_that_is_refused_is_explained() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let is_mixed = |document: &Value| {
        let entries = document["manifests"].as_array().cloned().unwrap_or_default();
        let is_docker = |entry: &Value| entry["mediaType"].as_str().unwrap().contains("docker");
        document["mediaType"] == "application/vnd.oci.image.index.v1+json" && entries.iter().any(is_docker)
    };
    registry.refuse_manifests(is_mixed);
    let docker = Image::new("linux/amd64").docker();
    let image = cli.put(&docker, "docker");
    let nested = cli.put_index(&Index::of(&[&Image::new("linux/arm64")]), "nested");
    cli.ok(&format!("create app --format oci {image}"));
    cli.ok(&format!("add app --nest {nested}"));
    let push = format!("push app docker://{}/app:1", registry.address());
    // Of an unknown registry all is told that lists were refused for.
    let docker_entry = format!("its entry {} has the Docker type", docker.digest());
    let nested_entry = format!("its entry {} is a list itself", nested.digest);
    let probe = format!("manifest registry probe {}/app", registry.address());
    cli.fails(5, &push)
        .says("refused", &[&docker_entry, &nested_entry, "the reason may be", &probe, "manifest add --all"]);
    cli.ok(&format!("registry probe {}/scratch", registry.address()));
    let known = cli.fails(5, &push);
    known.says("refused", &[&docker_entry, "does not take it, as it showed when it was probed"]);
    assert!(!known.text.contains(&nested_entry), "{}", known.text);
    cli.ok(&format!("create docker --format oci {image}"));
    let push = format!("push docker docker://{}/app:1", registry.address());
    cli.fails(5, &push).says("refused", &["push with --format v2s2"]);
    cli.ok(&format!("{push} --format v2s2"));
    // Another reason is not explained away.
    registry
        .on(Method::Put, "/v2/app/manifests/2")
        .always()
        .reply(400)
        .body(r#"{"errors":[{"code":"TAG_INVALID","message":"the tag is immutable"}]}"#);
    let other = cli.fails(5, &format!("push docker docker://{}/app:2 --format v2s2", registry.address()));
    assert!(!other.text.contains("probe"), "{}", other.text);
}
