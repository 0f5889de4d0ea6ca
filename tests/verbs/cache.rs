//! What is remembered of images in registries: `manifest cache`, and `add --refresh`.

use manifest_testkit::{DockerRegistry, Image, Index};
use serde_json::json;

use crate::in_process::Cli;

/// A registry with `app:1`, an image, and `app:all`, a list.
fn published() -> (Cli, DockerRegistry) {
    let registry = DockerRegistry::plain();
    let place = format!("docker://{}/acme/app", registry.address());
    let cli = Cli::new();
    let (amd64, arm64) = (cli.image("linux/amd64"), cli.image("linux/arm64"));
    cli.ok(&format!("create one {amd64}"));
    cli.ok(&format!("push one {place}:one"));
    cli.ok(&format!("create all {amd64} {arm64}"));
    cli.ok(&format!("push all {place}:all"));
    cli.ok("rm one all");
    (cli, registry)
}

/// A4-15.
#[test]
fn what_was_read_once_serves_when_the_registry_is_gone() {
    let (cli, mut registry) = published();
    let place = format!("{}/acme/app", registry.address());
    cli.ok("create app");
    cli.ok(&format!("add app --platform linux/arm64 {place}:all"));
    registry.kill();
    cli.ok("create other");
    let ran = cli.run(&format!("add other --retry 0 --platform linux/amd64 docker://{place}:all"));
    ran.ok();
    assert!(ran.stderr.contains("is cached, as it was read"), "{}", ran.stderr);
    assert_eq!(cli.platforms("other"), ["linux/amd64"]);
    let added = cli.json(&format!("add other --retry 0 --platform linux/arm64 {place}:all"));
    assert!(added["added"][0]["cached"].is_string(), "{added}");

    // However the reference is written.
    cli.ok("create again");
    cli.ok(&format!("add again --retry 0 --all docker://{place}:all"));
    assert_eq!(cli.json("cache ls")["references"].as_array().unwrap().len(), 1);

    // --refresh wants the registry's own answer.
    cli.ok("create strict");
    cli.fails(5, &format!("add strict --retry 0 --refresh --all {place}:all"));

    let listed = cli.json("cache ls");
    let references = listed["references"].as_array().unwrap();
    assert_eq!(references.len(), 1, "{listed}");
    assert_eq!(references[0]["reference"], format!("{place}:all"));
    let shown = cli.json(&format!("cache show {place}:all"));
    assert_eq!(shown["documents"][0]["digest"], references[0]["digest"]);
    assert_eq!(cli.ok(&format!("cache rm docker://{place}:all")), format!("{place}:all\n"));
    cli.fails(5, &format!("add strict --retry 0 --all {place}:all"));
    cli.fails(3, &format!("cache rm {place}:all")).says("not_remembered", &["nothing is remembered"]);
    cli.fails(3, &format!("cache show {place}:all")).says("not_remembered", &["cache ls"]);
    cli.fails(2, "cache show oci:/x").says("misuse", &["images in registries"]);
    assert_eq!(cli.json("cache ls")["references"], json!([]));
}

/// A digest is the same for ever: no request is made for one that is known. A tag is asked for each time.
#[test]
fn a_digest_that_is_known_costs_no_request_and_a_tag_always_does() {
    let (cli, registry) = published();
    let place = format!("{}/acme/app", registry.address());
    let digest =
        cli.json(&format!("inspect docker://{place}:one"))["document"]["manifests"][0]["digest"].clone();
    let digest = digest.as_str().unwrap();
    cli.ok("create app");
    cli.ok(&format!("add app {place}@{digest}"));
    let before = registry.requests().len();
    cli.ok("create other");
    cli.ok(&format!("add other {place}@{digest}"));
    assert_eq!(registry.requests().len(), before);
    assert_eq!(cli.platforms("other"), ["linux/amd64"]);
    cli.ok(&format!("add other --refresh {place}@{digest}"));
    assert!(registry.requests().len() > before, "--refresh asks");

    // The tag moves, and the next add sees it.
    cli.ok(&format!("create moving {place}:one"));
    let newer = cli.put(&Image::new("linux/amd64").layer("newer"), "newer");
    cli.ok(&format!("create next {newer}"));
    cli.ok(&format!("push next docker://{place}:one"));
    cli.ok(&format!("create moved {place}:one"));
    assert_eq!(cli.entries("moved")[0].1, newer.digest);
}

/// A4-17: what is damaged is told when it is needed, and replaced when it is read anew.
#[test]
fn what_is_remembered_wrongly_is_never_served() {
    let (cli, mut registry) = published();
    let place = format!("{}/acme/app", registry.address());
    cli.ok(&format!("create app {place}:one"));
    let dir = cli.workspace.store().join("cache");
    let file = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&file).unwrap();
    for at in [0, 40, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(cli.run("cache ls").code, Some(7), "byte {at}");
    }
    cli.ok(&format!("create again {place}:one"));
    cli.ok("cache ls");
    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    registry.kill();
    cli.ok("create third");
    cli.fails(7, &format!("add third --retry 0 {place}:one")).says("damaged", &["not what was remembered"]);
    assert_eq!(cli.ok("cache rm --all"), format!("{}\n", file.display()));
    assert_eq!(cli.json("cache ls")["references"], json!([]));
}

/// The places of images that were moved are read again; the rest of the list stays.
#[test]
fn refresh_takes_over_what_has_moved_and_keeps_what_was_said_of_it() {
    let registry = DockerRegistry::plain();
    let place = format!("{}/acme/app", registry.address());
    let cli = Cli::new();
    let (amd64, arm64) = (cli.image("linux/amd64"), cli.image("linux/arm64"));
    cli.ok(&format!("create build {amd64} {arm64}"));
    cli.ok(&format!("push build docker://{place}:all"));
    cli.ok(&format!("create app --all {place}:all"));
    cli.ok(&format!("add app {}", cli.image("linux/s390x")));
    cli.ok(&format!("annotate app {} --annotation team=a", arm64.digest));
    let before = cli.document("app");

    let newer = cli.put(&Image::new("linux/arm64").layer("newer"), "newer");
    cli.ok(&format!("add build --replace {newer}"));
    cli.ok(&format!("push build docker://{place}:all"));

    let looked = cli.json("refresh app --dry-run");
    let states: Vec<_> =
        looked["entries"].as_array().unwrap().iter().map(|e| e["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["unchanged", "moved", "unchanged"], "{looked}");
    assert_eq!(looked["entries"][1]["after"], newer.digest);
    assert_eq!(cli.document("app"), before, "a dry run changes nothing");

    let text = cli.ok("refresh app --platform linux/arm64");
    assert!(text.contains("moved") && text.contains("linux/arm64"), "{text}");
    let after = cli.document("app");
    assert_eq!(after["manifests"][1]["digest"], newer.digest);
    assert_eq!(after["manifests"][1]["annotations"]["team"], "a");
    assert_eq!(after["manifests"][0], before["manifests"][0]);
    assert_eq!(after["manifests"][2], before["manifests"][2]);
    assert!(cli.ok("refresh app").lines().skip(1).all(|line| line.starts_with("unchanged")));
    // It can be pushed: the new entry is known to be there.
    cli.ok(&format!("push app docker://{place}:again"));
    cli.ok("undo app");
    assert_eq!(cli.document("app"), before);
    cli.fails(3, "refresh gone").says("list_not_found", &["gone"]);
}

#[test]
fn what_is_gone_at_its_source_stays_and_is_told() {
    let cli = Cli::new();
    let (amd64, arm64) = (Image::new("linux/amd64"), Image::new("linux/arm64"));
    let both = cli.put_index(&Index::of(&[&amd64, &arm64]), "both");
    cli.ok(&format!("create app --all {both}"));
    std::fs::remove_dir_all(cli.layout()).unwrap();
    cli.put_index(&Index::of(&[&amd64]), "both");
    let before = cli.document("app");
    let states: Vec<String> = cli
        .ok("refresh app")
        .lines()
        .skip(1)
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["unchanged", "gone"]);
    assert_eq!(cli.document("app"), before);
}

/// An image of the store is read there again, whatever became of what it was imported from.
#[test]
fn what_is_pinned_or_cannot_be_read_does_not_keep_the_rest_from_being_refreshed() {
    let cli = Cli::new();
    let import = |image: &Image| {
        cli.put(image, "img");
        cli.ok(&format!("import img --replace --image img {}", cli.layout().display()));
    };
    import(&Image::new("linux/amd64"));
    let (arm64, s390x) = (cli.image("linux/arm64"), cli.image("linux/s390x"));
    let pinned = format!("oci:{}@{}", cli.layout().display(), s390x.digest);
    cli.ok(&format!("create app store:img {arm64} {pinned}"));
    let newer = Image::new("linux/amd64").layer("newer");
    import(&newer);
    std::fs::remove_dir_all(cli.layout()).unwrap();

    let ran = cli.run("refresh app");
    let states: Vec<&str> =
        ran.ok().lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(states, ["moved", "unreadable", "pinned"]);
    assert!(ran.stderr.contains("cannot be read"), "{ran:?}");
    // It is the list's own from now on, as if it had been added.
    assert_eq!(cli.json("refresh app")["entries"][0]["from"], "store:img");
    cli.fails(4, "rm img");
}
