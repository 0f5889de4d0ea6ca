//! `manifest add` of single images.

use manifest_testkit::Image;
use serde_json::json;

use crate::in_process::Cli;

#[test]
fn add_prints_the_digest_and_tells_platform_and_origin() {
    let cli = Cli::new();
    let arm64 = cli.image("linux/arm64");
    cli.ok("create app");
    let ran = cli.run(&format!("add app {arm64}"));
    assert_eq!(ran.ok(), format!("{}\n", arm64.digest));
    assert_eq!(ran.stderr, format!("added linux/arm64 from {arm64}\n"));
    assert_eq!(cli.entries("app"), [("linux/arm64".to_owned(), arm64.digest)]);
}

#[test]
fn several_images_are_added_in_their_order_or_none() {
    let cli = Cli::new();
    let (amd64, arm, s390x) = (cli.image("linux/amd64"), cli.image("linux/arm/v7"), cli.image("linux/s390x"));
    cli.ok("create app");
    let printed = cli.ok(&format!("add app {s390x} {amd64} {arm}"));
    assert_eq!(printed, format!("{}\n{}\n{}\n", s390x.digest, amd64.digest, arm.digest));
    assert_eq!(cli.platforms("app"), ["linux/s390x", "linux/amd64", "linux/arm/v7"]);

    let (ppc, rival) = (cli.image("linux/ppc64le"), cli.put(&Image::new("linux/amd64").layer("x"), "rival"));
    cli.fails(4, &format!("add app {ppc} {rival}")).says("platform_taken", &["linux/amd64", &amd64.digest]);
    cli.fails(3, &format!("add app {ppc} oci:{}:gone", cli.layout().display()));
}

#[test]
fn a_platform_that_is_taken_is_refused_and_says_what_helps() {
    let cli = Cli::new();
    let one = cli.image("linux/arm64");
    let other = cli.put(&Image::new("linux/arm64/v8").layer("other"), "other");
    cli.ok(&format!("create app {one}"));
    cli.fails(4, &format!("add app {other}")).says(
        "platform_taken",
        &["has an entry for linux/arm64 already", &one.digest, "--replace", "--allow-duplicate"],
    );
    cli.ok(&format!("add app {other} --allow-duplicate"));
    assert_eq!(cli.entries("app").len(), 2);
}

#[test]
fn replace_keeps_the_position() {
    for flag in ["--replace", "--amend"] {
        let cli = Cli::new();
        let (amd64, arm64) = (cli.image("linux/amd64"), cli.image("linux/arm64"));
        let newer = cli.put(&Image::new("linux/amd64").layer("newer"), "newer");
        cli.ok(&format!("create app {amd64} {arm64}"));
        let ran = cli.run(&format!("add app {newer} {flag}"));
        ran.ok();
        assert_eq!(ran.stderr, format!("replaced linux/amd64 from {newer}\n"));
        assert_eq!(
            cli.entries("app"),
            [("linux/amd64".to_owned(), newer.digest), ("linux/arm64".to_owned(), arm64.digest)]
        );
    }
}

#[test]
fn replace_adds_where_there_is_nothing_to_replace() {
    let cli = Cli::new();
    cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    let added = cli.json(&format!("add app --replace {}", cli.image("linux/arm64")));
    assert_eq!(added["added"][0]["outcome"], "added");
    cli.fails(2, "add app --replace --allow-duplicate oci:/x").says("misuse", &["cannot be used with"]);
}

/// A0-8.
#[test]
fn a_digest_that_is_there_stays_as_it_is() {
    let cli = Cli::new();
    let amd64 = cli.image("linux/amd64");
    cli.ok(&format!("create app {amd64}"));
    cli.ok(&format!("annotate app {} --annotation mine=1", amd64.digest));
    let before = cli.store();
    let ran = cli.run(&format!("add app {amd64}"));
    assert_eq!(
        (ran.ok(), ran.stderr.as_str()),
        (&*format!("{}\n", amd64.digest), &*format!("unchanged linux/amd64 from {amd64}\n"))
    );
    assert_eq!(cli.store(), before);
}

#[test]
fn what_the_user_says_of_the_platform_stands() {
    let cli = Cli::new();
    let image = cli.image("linux/arm64");
    for (flags, expected) in [
        (
            "--os linux --arch arm --variant v7",
            json!({"architecture": "arm", "os": "linux", "variant": "v7"}),
        ),
        ("--arch riscv64", json!({"architecture": "riscv64", "os": "linux"})),
        ("--os freebsd", json!({"architecture": "arm64", "os": "freebsd"})),
        ("--variant v9", json!({"architecture": "arm64", "os": "linux", "variant": "v9"})),
        (
            "--os windows --arch amd64 --os-version 10.0.20348.1 --os-features win32k",
            json!({"architecture": "amd64", "os": "windows", "os.version": "10.0.20348.1", "os.features": ["win32k"]}),
        ),
        (
            "--os-features a,b --os-features c",
            json!({"architecture": "arm64", "os": "linux", "os.features": ["a", "b", "c"]}),
        ),
    ] {
        cli.ok("create --replace app");
        cli.ok(&format!("add app {image} {flags}"));
        assert_eq!(cli.document("app")["manifests"][0]["platform"], expected, "{flags}");
    }
}

#[test]
fn annotations_are_not_divided_at_commas() {
    let cli = Cli::new();
    cli.ok("create app");
    cli.ok(&format!("add app {} --annotation hoge=fuga --annotation k=v,w", cli.image("linux/amd64")));
    assert_eq!(cli.document("app")["manifests"][0]["annotations"], json!({"hoge": "fuga", "k": "v,w"}));
    let other = cli.image("linux/arm64");
    cli.fails(2, &format!("add app {other} --annotation hoge")).says("misuse", &["hoge", "KEY=VALUE"]);
}

#[test]
fn features_need_a_docker_list() {
    let cli = Cli::new();
    let docker = cli.put(&Image::new("linux/amd64").docker(), "docker");
    let oci = cli.image("linux/arm64");
    cli.ok("create app");
    cli.ok(&format!("add app {docker} --features sse4,aes"));
    assert_eq!(cli.document("app")["mediaType"], "application/vnd.docker.distribution.manifest.list.v2+json");
    assert_eq!(cli.document("app")["manifests"][0]["platform"]["features"], json!(["sse4", "aes"]));
    cli.fails(8, &format!("add app {oci}")).says("not_representable", &["features", &docker.digest]);
    cli.ok("create other --format oci");
    cli.fails(8, &format!("add other {docker} --features sse4"))
        .says("not_representable", &["an OCI image index", "features", "create --amend --format v2s2 other"]);
}

#[test]
fn an_artifact_has_no_platform_and_is_in_nobodys_way() {
    let cli = Cli::new();
    let artifact = |name: &str| {
        cli.put(&Image::new("linux/amd64").artifact_type("application/spdx+json").layer(name), name)
    };
    let (one, two) = (artifact("one"), artifact("two"));
    cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    cli.ok(&format!("add app {one} {two}"));
    let entries = cli.document("app")["manifests"].clone();
    assert_eq!(entries.as_array().unwrap().len(), 3);
    assert_eq!(entries[1]["artifactType"], "application/spdx+json");
}

#[test]
fn the_list_is_looked_for_before_anything_is_read() {
    let cli = Cli::new();
    cli.fails(3, "add gone oci:/nowhere").says("list_not_found", &["there is no list gone", "manifest ls"]);
}

#[test]
fn a_list_and_an_image_are_needed() {
    let cli = Cli::new();
    cli.ok("create app");
    assert!(cli.fails(2, "add app").says("misuse", &["<IMAGE>"]).message.contains("<IMAGE>"));
    cli.fails(2, "add").says("misuse", &["<LIST>"]);
}

#[test]
fn images_are_named_in_many_ways() {
    let cli = Cli::new();
    let (amd64, arm64) = (cli.image("linux/amd64"), cli.image("linux/arm64"));
    let layout = cli.layout().display().to_string();
    for (image, digest) in [
        (format!("oci:{layout}:linux-amd64"), &amd64.digest),
        (format!("oci:{layout}:@1"), &arm64.digest),
        (format!("oci:{layout}@{}", arm64.digest), &arm64.digest),
    ] {
        cli.ok("create --replace app");
        assert_eq!(cli.ok(&format!("add app {image}")), format!("{digest}\n"), "{image}");
    }
    cli.fails(3, &format!("add app oci:{layout}"))
        .says("image_not_found", &["2 manifests", "linux-amd64, linux-arm64"]);
    cli.fails(3, &format!("add app oci:{layout}:@2")).says("image_not_found", &[":@2"]);
}
