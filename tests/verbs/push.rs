//! `manifest push`: targets and flags; layouts are enough for that.

use std::fs;

use manifest_testkit::{FakeRegistry, Image, Method, Request};
use serde_json::Value;

use crate::in_process::Cli;

/// A list of two images, and the layout that it is to be pushed to.
fn app(cli: &Cli) -> String {
    cli.ok(&format!("create app {} {}", cli.image("linux/amd64"), cli.image("linux/arm64")));
    format!("oci:{}", cli.workspace.path().join("out").display())
}

fn index(cli: &Cli) -> Value {
    serde_json::from_slice(&fs::read(cli.workspace.path().join("out/index.json")).unwrap()).unwrap()
}

#[test]
fn push_prints_the_digest_of_the_list() {
    let cli = Cli::new();
    let out = app(&cli);
    let digest = cli.json("inspect app")["document"]["digest"].as_str().unwrap().to_owned();
    let ran = cli.run(&format!("push app {out}:1"));
    assert_eq!(ran.ok(), format!("{digest}\n"));
    assert!(ran.stderr.starts_with(&format!("pushed localhost/app:latest to {out}:1: ")), "{ran:?}");
    assert_eq!(index(&cli)["manifests"][0]["digest"], *digest);
    assert_eq!(cli.ok(&format!("inspect --raw {out}:1")), cli.ok("inspect --raw app"));
    for (_, entry) in cli.entries("app") {
        let file = cli.workspace.path().join("out/blobs/sha256").join(&entry["sha256:".len()..]);
        assert!(file.exists(), "{entry} is not there");
    }
}

#[test]
fn a_list_is_pushed_to_the_registry_of_its_own_name() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    app(&cli);
    cli.fails(2, "push app").says("misuse", &["localhost/app:latest names no registry", "give a target"]);
    let name = format!("{}/team/app:7", registry.address());
    cli.ok(&format!("tag app {name}"));
    let digest = cli.ok("push app");
    assert_eq!(registry.tag("team/app", "7").unwrap().to_string(), digest.trim());
}

#[test]
fn targets_that_make_no_sense_are_refused() {
    let cli = Cli::new();
    let out = app(&cli);
    let digest = cli.image("linux/s390x").digest;
    for (target, part) in [
        (format!("registry.example.com/app@{digest}"), "a target has a tag, not a digest"),
        (format!("{out}:@0"), "a target has a name"),
        (format!("{out}@{digest}"), "a target has a name"),
        (format!("dir:out@{digest}"), "a target has no digest"),
        ("store:other".to_owned(), "manifest tag"),
        ("localhost/other".to_owned(), "out of the store"),
    ] {
        cli.fails(2, &format!("push app {target}")).says("misuse", &[part]);
    }
}

#[test]
fn the_digest_file_holds_the_digest_and_nothing_else() {
    let cli = Cli::new();
    let out = app(&cli);
    let file = cli.workspace.path().join("digest");
    let digest = cli.ok(&format!("push app {out}:1 --digestfile {}", file.display()));
    assert_eq!(fs::read_to_string(&file).unwrap(), digest.trim());
    fs::remove_file(&file).unwrap();
    cli.fails(2, &format!("push app {out}:@0 --digestfile {}", file.display()));
    assert!(!file.exists(), "a push that failed writes no digest");
}

#[test]
fn the_list_goes_when_that_is_asked_for() {
    for flag in ["--rm", "--purge", "-p"] {
        let cli = Cli::new();
        let out = app(&cli);
        cli.ok("tag app another:name");
        cli.ok(&format!("push {flag} app {out}:1"));
        assert_eq!(cli.store().len(), 0, "{flag}");
    }
    let cli = Cli::new();
    app(&cli);
    cli.fails(2, "push --rm app store:x");
    cli.ok("inspect app");
}

#[test]
fn a_dry_run_writes_nothing() {
    let cli = Cli::new();
    let out = app(&cli);
    let plan = cli.ok(&format!("push --dry-run app {out}:1"));
    assert!(plan.lines().any(|line| line.starts_with("copy ") && line.contains("blob")), "{plan}");
    assert!(plan.trim_end().ends_with(&format!("as {out}:1")), "{plan}");
    assert!(!cli.workspace.path().join("out").exists());
}

#[test]
fn a_conversion_is_done_when_asked_for_and_said() {
    let cli = Cli::new();
    let out = app(&cli);
    let docker = cli.put(&Image::new("linux/amd64").docker(), "docker");
    cli.ok(&format!("create docker {docker}"));
    let ran = cli.run(&format!("push docker {out}:1 --format oci"));
    ran.ok();
    assert!(ran.stderr.contains("converted from application/vnd.docker"), "{ran:?}");
    assert_eq!(cli.ok(&format!("inspect --raw {out}:1")), cli.ok("inspect --raw --format oci docker"));
    cli.fails(8, &format!("push app {out}:2 --format v2s2")).says("oci_child", &["--format oci"]);
}

#[test]
fn the_list_alone_is_pushed_when_that_is_asked_for() {
    let cli = Cli::new();
    let out = app(&cli);
    cli.ok(&format!("push --all=false app {out}:1"));
    let (_, entry) = cli.entries("app").remove(0);
    assert!(!cli.workspace.path().join("out/blobs/sha256").join(&entry["sha256:".len()..]).exists());
    let help = cli.ok("push --help").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("--all") && help.contains("[default: true]"), "{help}");
    assert!(help.contains("--retry") && help.contains("[default: 5]"), "{help}");
}

#[test]
fn a_push_is_noted_in_the_list() {
    let cli = Cli::new();
    let out = app(&cli);
    assert_eq!(cli.json("inspect app")["list"].get("pushed"), None);
    cli.ok(&format!("push --dry-run app {out}:1"));
    assert_eq!(cli.json("inspect app")["list"].get("pushed"), None);
    let digest = cli.ok(&format!("push app {out}:1"));
    let list = cli.json("inspect app")["list"].clone();
    assert_eq!(
        (&list["pushed"]["target"], &list["pushed"]["digest"]),
        (&format!("{out}:1").into(), &digest.trim().into())
    );
    let time = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(
        time(&list["pushed"]["when"]) >= time(&list["updated"]),
        "a push is no change of the list: {list}"
    );
    let digest = cli.ok(&format!("push app {out}:2"));
    assert_eq!(cli.json("inspect app")["list"]["pushed"]["digest"], digest.trim());
}

#[test]
fn a_push_that_cannot_be_noted_is_done_all_the_same() {
    let cli = Cli::new();
    let out = app(&cli);
    let record = cli.record("app");
    let lock = record
        .with_file_name("")
        .join("../locks")
        .join(format!("record-{}", record.file_name().unwrap().to_str().unwrap()));
    let lock = fs::File::open(lock).unwrap();
    lock.lock().unwrap();
    let ran = cli.run(&format!("push --lock-timeout 0 app {out}:1"));
    ran.ok();
    assert!(
        ran.stderr.contains("warning: the push is not noted in localhost/app:latest: the list"),
        "{ran:?}"
    );
    assert_eq!(index(&cli)["manifests"].as_array().unwrap().len(), 1);
}

/// Five images in layouts, whose layers are small but for one.
fn five(cli: &Cli) {
    let platforms = ["amd64", "arm64", "s390x", "riscv64", "ppc64le"];
    let images: Vec<String> = (1..)
        .zip(platforms)
        .map(|(seed, arch)| {
            let size = if seed == 1 { 100_000 } else { 1_000 };
            let image = Image::new(&format!("linux/{arch}")).layers(2, size, seed);
            cli.put(&image, &format!("five-{arch}")).to_string()
        })
        .collect();
    cli.ok(&format!("create five {}", images.join(" ")));
}

fn asked_for(registry: &FakeRegistry, what: &str) -> usize {
    let is_asked = |request: &&Request| request.method == Method::Head && request.target.contains(what);
    registry.requests().iter().filter(is_asked).count()
}

#[test]
fn a_repository_that_nobody_has_heard_of_is_asked_for_little() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    five(&cli);
    cli.ok(&format!("push five docker://{}/new:1", registry.address()));
    assert_eq!(asked_for(&registry, "/manifests/sha256:"), 0);
    // The two large layers, and the first of those that are small.
    assert_eq!(asked_for(&registry, "/blobs/"), 3);
    registry.clear_requests();
    cli.ok("create other");
    cli.ok(&format!("add other --all docker://{}/new:1", registry.address()));
    cli.ok(&format!("push five docker://{}/new:2", registry.address()));
    assert_eq!(asked_for(&registry, "/manifests/sha256:"), 5, "a known one is asked for everything");
}

#[test]
fn a_repository_without_tags_that_was_half_filled_is_asked_for_everything() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    five(&cli);
    let push = format!("push five docker://{}/new:1", registry.address());
    registry.on(Method::Put, "/v2/new/manifests/*").always().reply(400);
    assert_ne!(cli.run(&push).code, Some(0));
    registry.clear_rules();
    // Whatever it has, it says that it does not know the name, as some do before the first tag.
    let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#;
    registry.on(Method::Get, "/v2/new/tags/list*").always().reply(404).body(unknown);
    registry.clear_requests();
    cli.ok(&push);
    let sent = registry.requests().iter().filter(|request| request.method == Method::Post).count();
    assert_eq!(sent, 0, "what has arrived is not sent again");
}
