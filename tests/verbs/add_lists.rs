//! `manifest add` of images that are lists themselves.

use manifest_testkit::{Image, Index};
use serde_json::{Value, json};

use crate::in_process::{Cli, Put};

fn multi(cli: &Cli) -> Put {
    let images = ["linux/amd64", "linux/arm/v7", "linux/arm64", "linux/s390x"].map(Image::new);
    cli.put_index(&Index::of(&images.each_ref()), "multi")
}

fn entry(digest: &str, platform: &str) -> Value {
    let (os, architecture) = platform.split_once('/').unwrap();
    json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 300,
        "platform": {"architecture": architecture, "os": os},
    })
}

/// A list of two images with an attestation each.
fn attested(cli: &Cli) -> (Put, [Put; 4]) {
    let (amd64, arm64) = (cli.image("linux/amd64"), cli.image("linux/arm64"));
    let proof = |name: &str| cli.put(&Image::new("unknown/unknown").layer(name), name);
    let (for_amd64, for_arm64) = (proof("for-amd64"), proof("for-arm64"));
    let attestation = |proof: &Put, of: &Put| {
        let mut entry = entry(&proof.digest, "unknown/unknown");
        entry["annotations"] = json!({
            "vnd.docker.reference.digest": of.digest, "vnd.docker.reference.type": "attestation-manifest",
        });
        entry
    };
    let document = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
            entry(&amd64.digest, "linux/amd64"), entry(&arm64.digest, "linux/arm64"),
            attestation(&for_amd64, &amd64), attestation(&for_arm64, &arm64),
        ],
    });
    (cli.put_document(&document, "attested"), [amd64, arm64, for_amd64, for_arm64])
}

fn digests(cli: &Cli, list: &str) -> Vec<String> {
    cli.entries(list).into_iter().map(|(_, digest)| digest).collect()
}

#[test]
fn several_platforms_are_listed_when_none_is_chosen() {
    let cli = Cli::new();
    let multi = multi(&cli);
    cli.ok("create app");
    for line in [format!("add app {multi}"), format!("create other {multi}")] {
        cli.fails(2, &line).says(
            "several_platforms",
            &[
                &multi.to_string(),
                "linux/amd64, linux/arm/v7, linux/arm64, linux/s390x",
                "--all",
                "--platform",
            ],
        );
    }
}

#[test]
fn a_list_of_one_image_needs_no_choice() {
    let cli = Cli::new();
    let one = cli.put_index(&Index::of(&[&Image::new("linux/riscv64")]), "one");
    cli.ok(&format!("create app {one}"));
    assert_eq!(cli.platforms("app"), ["linux/riscv64"]);
}

#[test]
fn all_adds_every_entry() {
    let cli = Cli::new();
    let multi = multi(&cli);
    cli.ok(&format!("create app --all {multi}"));
    assert_eq!(cli.platforms("app"), ["linux/amd64", "linux/arm/v7", "linux/arm64", "linux/s390x"]);
    assert_eq!(cli.ok(&format!("add app --all {multi}")).lines().count(), 4);
    assert_eq!(cli.entries("app").len(), 4, "adding again adds nothing");
    cli.fails(2, &format!("add app --all --platform linux/amd64 {multi}"))
        .says("misuse", &["cannot be used"]);
}

#[test]
fn platform_chooses_strictly() {
    let cli = Cli::new();
    let multi = multi(&cli);
    for (wanted, expected) in [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/aarch64", "linux/arm64"),
    ] {
        cli.ok("create --replace app");
        cli.ok(&format!("add app {multi} --platform {wanted}"));
        assert_eq!(cli.platforms("app"), [expected], "{wanted}");
    }
    // Machines that could run one of them are not asked for.
    for wanted in ["linux/arm/v6", "linux/arm/v8", "linux/amd64/v3", "windows/amd64", "linux/386"] {
        cli.fails(3, &format!("add app {multi} --platform {wanted}")).says(
            "no_such_platform",
            &[&format!("no image for {wanted}"), "linux/amd64, linux/arm/v7, linux/arm64, linux/s390x"],
        );
    }
    cli.fails(2, &format!("add app {multi} --platform linux")).says("misuse", &["linux", "--platform"]);
}

#[test]
fn several_platforms_may_be_chosen() {
    let cli = Cli::new();
    cli.ok(&format!("create app --platform linux/s390x --platform linux/amd64 {}", multi(&cli)));
    assert_eq!(cli.platforms("app"), ["linux/amd64", "linux/s390x"], "in the order of the list");
}

#[test]
fn platform_checks_a_single_image_too() {
    let cli = Cli::new();
    let amd64 = cli.image("linux/amd64");
    cli.ok("create app");
    cli.fails(3, &format!("add app {amd64} --platform linux/arm64"))
        .says("no_such_platform", &["no image for linux/arm64; it has linux/amd64"]);
    cli.ok(&format!("add app {amd64} --platform linux/amd64"));
}

#[test]
fn os_and_arch_choose_from_a_list() {
    let cli = Cli::new();
    let multi = multi(&cli);
    cli.ok("create app");
    cli.ok(&format!("add app {multi} --os linux --arch arm --variant v7 --annotation a=1"));
    assert_eq!(cli.platforms("app"), ["linux/arm/v7"]);
    assert_eq!(cli.document("app")["manifests"][0]["annotations"]["a"], "1");
    cli.fails(2, &format!("add app {multi} --all --arch arm")).says("misuse", &["choose from a list"]);
    cli.fails(2, &format!("add app {multi} --platform linux/arm --os linux")).says("misuse", &[]);
}

#[test]
fn lists_in_lists_are_made_flat() {
    let cli = Cli::new();
    let multi = multi(&cli);
    let top = cli.image("linux/ppc64le");
    let mut inner = entry(&multi.digest, "linux/x");
    inner.as_object_mut().unwrap().remove("platform");
    inner["mediaType"] = json!("application/vnd.oci.image.index.v1+json");
    inner["size"] = json!(size(&cli, &multi.digest));
    let document = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry(&top.digest, "linux/ppc64le"), inner],
    });
    let outer = cli.put_document(&document, "outer");
    cli.ok(&format!("create app --all {outer}"));
    assert_eq!(
        cli.platforms("app"),
        ["linux/ppc64le", "linux/amd64", "linux/arm/v7", "linux/arm64", "linux/s390x"]
    );
    cli.ok(&format!("create one --platform linux/s390x {outer}"));
    assert_eq!(cli.platforms("one"), ["linux/s390x"]);
}

#[test]
fn nest_adds_a_list_as_one_entry() {
    let cli = Cli::new();
    let multi = multi(&cli);
    cli.ok(&format!("create app --nest {multi}"));
    assert_eq!(cli.entries("app"), [("-".to_owned(), multi.digest)]);
    assert_eq!(cli.document("app")["manifests"][0]["mediaType"], "application/vnd.oci.image.index.v1+json");
    cli.fails(2, "add app --nest --all oci:/x").says("misuse", &[]);
    cli.fails(2, "add app --nest localhost/app").says("misuse", &["only a list that was pushed"]);
}

#[test]
fn attestations_come_along_with_their_images() {
    let cli = Cli::new();
    let (list, [amd64, arm64, for_amd64, for_arm64]) = attested(&cli);
    cli.ok(&format!("create all --all {list}"));
    assert_eq!(digests(&cli, "all"), [&*amd64.digest, &arm64.digest, &for_amd64.digest, &for_arm64.digest]);
    cli.ok(&format!("create one --platform linux/arm64 {list}"));
    assert_eq!(digests(&cli, "one"), [&*arm64.digest, &for_arm64.digest]);
    cli.ok(&format!("create bare --all --attestations drop {list}"));
    assert_eq!(digests(&cli, "bare"), [&*amd64.digest, &arm64.digest]);
    cli.fails(2, &format!("create no --attestations maybe {list}")).says("misuse", &["keep or drop"]);
}

#[test]
fn replace_drops_the_attestations_of_what_is_gone() {
    let cli = Cli::new();
    let (list, [_, arm64, _, for_arm64]) = attested(&cli);
    let newer = cli.put(&Image::new("linux/amd64").layer("newer"), "newer");
    cli.ok(&format!("create app --all {list}"));
    cli.ok(&format!("add app --replace {newer}"));
    assert_eq!(digests(&cli, "app"), [&*newer.digest, &arm64.digest, &for_arm64.digest]);
}

#[test]
fn entries_of_another_draft_are_taken_over_with_their_sources() {
    let cli = Cli::new();
    let multi = multi(&cli);
    cli.ok(&format!("create base --all {multi}"));
    for image in ["localhost/base", "store:base"] {
        cli.fails(2, &format!("create other {image}")).says("several_platforms", &["linux/s390x"]);
        cli.ok(&format!("create --replace app {image} --platform linux/arm/v7"));
        let entry = cli.json("inspect app")["document"]["manifests"][0].clone();
        assert_eq!(entry["platform"]["variant"], "v7");
        assert_eq!(entry["source"], format!("oci:{}", cli.layout().display()));
    }
    cli.fails(3, "create other localhost/gone").says("list_not_found", &["localhost/gone"]);
}

#[test]
fn entries_that_do_not_say_their_platform_are_looked_into() {
    let cli = Cli::new();
    let amd64 = cli.image("linux/amd64");
    let mut silent = entry(&amd64.digest, "linux/amd64");
    silent.as_object_mut().unwrap().remove("platform");
    silent["size"] = json!(size(&cli, &amd64.digest));
    let document = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [silent],
    });
    cli.ok(&format!("create app {}", cli.put_document(&document, "silent")));
    assert_eq!(cli.platforms("app"), ["linux/amd64"]);
}

#[test]
fn a_list_that_lies_about_what_it_holds_is_refused() {
    let cli = Cli::new();
    let amd64 = cli.image("linux/amd64");
    let mut lie = entry(&amd64.digest, "linux/amd64");
    lie["mediaType"] = json!("application/vnd.oci.image.index.v1+json");
    lie["size"] = json!(size(&cli, &amd64.digest));
    let document = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [lie],
    });
    let list = cli.put_document(&document, "lie");
    cli.fails(7, &format!("create app --all {list}")).says("bad_content", &["image.index", "image.manifest"]);
}

/// The size of a manifest in the layout.
fn size(cli: &Cli, digest: &str) -> u64 {
    let hex = digest.trim_start_matches("sha256:");
    std::fs::metadata(cli.layout().join("blobs/sha256").join(hex)).unwrap().len()
}
