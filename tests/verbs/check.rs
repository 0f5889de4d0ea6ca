//! `manifest check`: whether a list tells the truth.

use std::fs;

use manifest_core::Digest;
use manifest_testkit::{DockerRegistry, FakeRegistry, Image, Index, Method, Ran, Tar};
use serde_json::{Value, json};

use crate::in_process::{Cli, Put};

const AMD64: u16 = 62;
const ARM64: u16 = 183;

/// The beginning of a 64-bit little-endian ELF program for this machine.
fn program(machine: u16) -> Vec<u8> {
    let mut elf = vec![0; 120];
    elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    elf[16] = 2;
    elf[18..20].copy_from_slice(&machine.to_le_bytes());
    elf
}

/// A command that must say no; what it prints for people and for programs.
#[track_caller]
fn no(cli: &Cli, line: &str) -> (String, Value) {
    let printed = |line: &str| {
        let ran: Ran = cli.run(line);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        ran.stdout
    };
    let json: Value = serde_json::from_str(&printed(&format!("{line} --output json"))).unwrap();
    assert_eq!((&json["schema"], &json["ok"]), (&json!("check/1"), &json!(false)));
    (printed(line), json)
}

/// Findings as `severity about`.
fn findings(report: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one = |finding: &Value| format!("{} {}", text(&finding["severity"]), text(&finding["about"]));
    report["findings"].as_array().unwrap().iter().map(one).collect()
}

fn blob(cli: &Cli, digest: impl ToString) -> std::path::PathBuf {
    cli.layout().join("blobs/sha256").join(digest.to_string().trim_start_matches("sha256:"))
}

/// An index of what is in the layout, made by hand.
fn index(cli: &Cli, name: &str, manifests: &[Value]) -> Put {
    let media_type = "application/vnd.oci.image.index.v1+json";
    cli.put_document(&json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}), name)
}

fn entry(image: &Image, platform: &str) -> Value {
    let (os, architecture) = platform.split_once('/').unwrap();
    json!({
        "mediaType": image.media_type(), "digest": image.digest(), "size": image.manifest().len(),
        "platform": {"os": os, "architecture": architecture},
    })
}

#[test]
fn a_list_that_tells_the_truth_is_clean_wherever_it_is() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let (amd64, arm64) = (Image::new("linux/amd64"), Image::new("linux/arm64/v8"));
    let list = Index::of(&[&amd64, &arm64]);
    list.push_to(&registry, "app", "1");
    let put = cli.put_index(&list, "app");
    let remote = format!("docker://{}/app:1", registry.address());
    cli.ok(&format!("create app --all {remote}"));
    cli.ok(&format!("import kept --image app --oci-dir {}", cli.layout().display()));
    for place in [&remote, &put.to_string(), "app", "kept", "store:app"] {
        assert_eq!(cli.ok(&format!("check {place}")), "clean\n", "{place}");
        let report = cli.json(&format!("check {place}"));
        assert_eq!(report["ok"], true, "{report}");
        assert_eq!(
            report["checked"],
            json!({"lists": 1, "images": 2, "configs": 2, "blobs": 4, "bytes": report["checked"]["bytes"], "programs": 0}),
        );
    }
    cli.put(&amd64, "one");
    assert_eq!(cli.ok(&format!("check oci:{}:one", cli.layout().display())), "clean\n");
    let told = cli.run("check app").stderr;
    assert!(told.starts_with("checked 1 list, 2 images, 4 blobs ("), "{told}");
}

/// A3-7.
#[test]
fn an_entry_that_its_configuration_contradicts_is_told_with_both_platforms() {
    let cli = Cli::new();
    cli.ok(&format!("create app {} {}", cli.image("linux/amd64"), cli.image("linux/s390x")));
    cli.ok("annotate app --platform linux/s390x --os linux --arch arm64");
    let (text, report) = no(&cli, "check app");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("fault: linux/arm64 ("), "{text}");
    let both = "the list says that it is for linux/arm64, its configuration linux/s390x\n";
    assert!(text.ends_with(both), "{text}");
    assert_eq!(findings(&report), ["fault platform"]);
    assert_eq!(report["findings"][0]["platform"], "linux/arm64");
}

#[test]
fn every_lie_of_a_list_is_told() {
    let cli = Cli::new();
    let (amd64, arm64, docker) =
        (Image::new("linux/amd64"), Image::new("linux/arm64"), Image::new("linux/386").docker());
    let artifact = Image::new("linux/amd64").artifact_type("application/x");
    for (image, name) in [(&amd64, "a"), (&arm64, "b"), (&docker, "c"), (&artifact, "d")] {
        cli.put(image, name);
    }
    let with = |mut entry: Value, member: &str, value: Value| {
        entry[member] = value;
        entry
    };
    let without = |mut entry: Value, member: &str| {
        entry.as_object_mut().unwrap().remove(member);
        entry
    };
    let gone = Digest::sha256(b"gone").to_string();
    let attests =
        json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": gone});
    let inner = index(&cli, "inner", &[entry(&arm64, "linux/arm64")]);
    let nested = json!({
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": inner.digest,
        "size": fs::metadata(blob(&cli, &inner.digest)).unwrap().len(),
    });
    let a = || entry(&amd64, "linux/amd64");
    for (name, entries, expected) in [
        ("empty", vec![], &["fault empty"][..]),
        ("size", vec![with(a(), "size", json!(7))], &["fault size"]),
        (
            "type",
            vec![with(a(), "mediaType", json!(docker.media_type()))],
            &["note mixed_formats", "fault media_type"],
        ),
        ("gone", vec![with(a(), "digest", json!(gone))], &["fault missing"]),
        ("untold", vec![without(a(), "platform")], &["fault no_platform"]),
        ("twice", vec![a(), a()], &["fault duplicate"]),
        ("docker", vec![entry(&docker, "linux/386")], &["note mixed_formats"]),
        (
            "attests",
            vec![a(), with(entry(&arm64, "unknown/unknown"), "annotations", attests)],
            &["fault attestation"],
        ),
        ("artifact", vec![without(entry(&artifact, "a/b"), "platform")], &["note artifact_type"]),
        ("no-artifact", vec![with(a(), "artifactType", json!("application/x"))], &["fault artifact_type"]),
        ("odd", vec![with(a(), "mediaType", json!("application/odd"))], &["note unknown_type"]),
        ("nested", vec![a(), nested], &["note nested"]),
    ] {
        let put = index(&cli, name, &entries);
        let faults = expected.iter().any(|finding| finding.starts_with("fault"));
        let ran = cli.run(&format!("check {put} --output json"));
        assert_eq!(ran.code, Some(i32::from(faults)), "{name}: {ran:?}");
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(findings(&report), expected, "{name}: {report:#}");
    }
    // What could not be looked at is counted.
    let report: Value = serde_json::from_str(
        &cli.run(&format!("check oci:{}:gone --output json", cli.layout().display())).stdout,
    )
    .unwrap();
    assert_eq!(report["unchecked"][0]["digest"], gone);
}

#[test]
fn lists_in_lists_are_followed_to_the_limit() {
    let cli = Cli::new();
    let image = Image::new("linux/amd64");
    cli.put(&image, "a");
    let mut entry = entry(&image, "linux/amd64");
    for level in 0..10 {
        let put = index(&cli, &format!("level-{level}"), std::slice::from_ref(&entry));
        let size = fs::metadata(blob(&cli, &put.digest)).unwrap().len();
        entry = json!({"mediaType": "application/vnd.oci.image.index.v1+json", "digest": put.digest, "size": size});
    }
    let at = |level: usize| format!("check oci:{}:level-{level}", cli.layout().display());
    assert_eq!(cli.json(&at(8))["checked"]["lists"], 9);
    let (_, report) = no(&cli, &at(9));
    assert_eq!(findings(&report).last().unwrap(), "fault too_deep");
    assert_eq!((report["unchecked"].as_array().unwrap().len(), &report["checked"]["images"]), (1, &json!(0)));
}

#[test]
fn blobs_that_are_not_there_are_told_and_each_is_asked_for_once() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let image = |platform: &str, own: &str| Image::new(platform).layer("shared").layer(own);
    let (amd64, arm64) = (image("linux/amd64", "one"), image("linux/arm64", "two"));
    let list = Index::of(&[&amd64, &arm64]);
    list.push_to(&registry, "app", "1");
    let remote = format!("docker://{}/app:1", registry.address());
    registry.clear_requests();
    assert_eq!(cli.ok(&format!("check {remote}")), "clean\n");
    let asked =
        |method: Method| registry.requests().iter().filter(|request| request.method == method).count();
    assert_eq!((asked(Method::Head), asked(Method::Get)), (3, 5), "three layers; one list, two images");

    let own = &arm64.blobs()[1];
    registry.remove_blob("app", &own.digest);
    let (text, report) = no(&cli, &format!("check {remote}"));
    assert!(text.starts_with("fault: linux/arm64 (") && text.contains(&own.digest.to_string()), "{text}");
    assert!(text.ends_with("does not exist\n"), "{text}");
    assert_eq!(
        (findings(&report), &report["checked"]["blobs"]),
        (vec!["fault missing".to_owned()], &json!(4))
    );

    // A length that is not that of the descriptor.
    registry.put_blob("app", own.bytes.clone());
    let mut manifest: Value = serde_json::from_slice(&arm64.manifest()).unwrap();
    manifest["layers"][1]["size"] = json!(5);
    registry.put_manifest("app", "short", arm64.media_type().as_str(), manifest.to_string());
    let (text, report) = no(&cli, &format!("check docker://{}/app:short", registry.address()));
    assert_eq!(findings(&report), ["fault size"], "{report}");
    assert!(text.contains("should have 5 bytes"), "{text}");

    // A registry that refuses to be asked is read from.
    registry.on(Method::Head, "/v2/app/blobs/*").always().reply(405);
    assert_eq!(cli.ok(&format!("check {remote}")), "clean\n");
    registry.remove_blob("app", &own.digest);
    assert_eq!(findings(&no(&cli, &format!("check {remote}")).1), ["fault missing"]);
}

#[test]
fn content_that_is_damaged_is_told_where_it_lies_in_files() {
    let cli = Cli::new();
    let (one, other) = (Image::new("linux/amd64").layer("x"), Image::new("linux/arm64"));
    let put = cli.put_index(&Index::of(&[&one, &other]), "app");
    fs::write(blob(&cli, one.blobs()[0].digest), vec![0; one.blobs()[0].bytes.len()]).unwrap();
    fs::write(blob(&cli, other.blobs()[1].digest), "{").unwrap();
    let (_, report) = no(&cli, &format!("check {put}"));
    assert_eq!(findings(&report), ["fault size", "fault digest"], "{report:#}");
    fs::remove_file(blob(&cli, other.digest())).unwrap();
    let (text, report) = no(&cli, &format!("check {put}"));
    assert_eq!(findings(&report), ["fault missing", "fault digest"]);
    assert!(text.contains("unchecked: linux/arm64: "), "{text}");
}

#[test]
fn a_configuration_that_cannot_be_read_or_counts_other_layers_is_told() {
    let cli = Cli::new();
    let image = Image::new("linux/amd64");
    cli.put(&image, "plain");
    for (name, config, about) in [
        ("twice", r#"{"os":"linux","os":"linux"}"#.to_owned(), "fault unreadable"),
        ("none", r#"{"os":"linux","architecture":"amd64"}"#.to_owned(), "fault layers"),
    ] {
        let digest = Digest::sha256(config.as_bytes());
        fs::write(blob(&cli, digest), &config).unwrap();
        let mut manifest: Value = serde_json::from_slice(&image.manifest()).unwrap();
        manifest["config"]["digest"] = json!(digest);
        manifest["config"]["size"] = json!(config.len());
        let put = cli.put_document(&manifest, name);
        assert_eq!(findings(&no(&cli, &format!("check {put}")).1), [about], "{name}");
    }
}

#[test]
fn trouble_on_the_way_is_an_error_and_no_finding() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let list = Index::of(&[&Image::new("linux/amd64")]);
    list.push_to(&registry, "app", "1");
    let remote = format!("docker://{}/app:1", registry.address());
    cli.ok(&format!("create app --all {remote}"));
    registry.on(Method::Head, "/v2/app/blobs/*").always().reply(503);
    for line in [format!("check --retry 0 {remote}"), "check --retry 0 app".to_owned()] {
        cli.fails(5, &line).says("retries_exhausted", &["503"]);
    }
    cli.fails(3, &format!("check {remote}0")).says("image_not_found", &[]);
    cli.fails(3, "check gone").says("list_not_found", &["docker://gone"]);
    cli.fails(2, "check ostree:x").says("invalid_reference", &["ostree:"]);
    cli.fails(2, "check --programs 3 app").says("misuse", &["--deep"]);
}

/// A list whose image for arm64 was made of the wrong program, on the right base.
fn wrong_program() -> Index {
    let base = |machine| Tar::new().directory("bin/").program("bin/sh", program(machine));
    let app = Tar::new().program("usr/bin/app", program(AMD64)).file("usr/share/data", program(ARM64));
    let image = |platform: &str, machine| Image::new(platform).files(base(machine)).files(app.clone());
    Index::of(&[&image("linux/amd64", AMD64), &image("linux/arm64", ARM64)])
}

#[test]
fn programs_for_another_machine_are_found() {
    let cli = Cli::new();
    let put = cli.put_index(&wrong_program(), "app");
    assert_eq!(cli.ok(&format!("check {put}")), "clean\n", "nobody looked");
    let (text, report) = no(&cli, &format!("check --deep {put}"));
    let said = "usr/bin/app is built for amd64 (ELF), and the image is for linux/arm64\n";
    assert!(text.starts_with("fault: linux/arm64 (") && text.ends_with(said), "{text}");
    assert_eq!(findings(&report), ["fault program"]);
    assert_eq!(
        (&report["findings"][0]["files"], &report["checked"]["programs"]),
        (&json!(["usr/bin/app"]), &json!(4))
    );
    // One program an image is that of the uppermost layer.
    let (_, report) = no(&cli, &format!("check --deep --programs 1 {put}"));
    assert_eq!((findings(&report).len(), &report["checked"]["programs"]), (1, &json!(2)));
    cli.ok(&format!("create app --all {put}"));
    no(&cli, "check --deep app");
    // A layer above it puts it right.
    let right = Image::new("linux/arm64")
        .files(Tar::new().program("usr/bin/app", program(AMD64)))
        .files(Tar::new().program("usr/bin/app", program(ARM64)));
    assert_eq!(cli.ok(&format!("check --deep {}", cli.put(&right, "right"))), "clean\n");
    // An image alone says itself what it is for.
    let wrong = cli.put(&Image::new("linux/arm64").files(Tar::new().program("app", program(AMD64))), "wrong");
    let (text, _) = no(&cli, &format!("check --deep {wrong}"));
    assert!(text.starts_with("fault: linux/arm64 ("), "{text}");
}

#[test]
fn layers_that_could_not_be_looked_through_are_counted() {
    let cli = Cli::new();
    let script = Image::new("linux/amd64").files(Tar::new().program("bin/run", "#!/bin/sh\n"));
    let report = cli.json(&format!("check --deep {}", cli.put(&script, "script")));
    assert_eq!(report["unchecked"][0]["why"], "has no programs that linux loads", "{report}");
    let mut manifest: Value = serde_json::from_slice(&script.manifest()).unwrap();
    manifest["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
    let report = cli.json(&format!("check --deep {}", cli.put_document(&manifest, "encrypted")));
    assert!(report["unchecked"][0]["why"].as_str().unwrap().contains("encrypted"), "{report}");
    // Something that nothing can unpack, under the digest that the manifest names.
    let noise = vec![0x55; 2000];
    fs::write(blob(&cli, Digest::sha256(&noise)), &noise).unwrap();
    manifest["layers"][0] = json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": Digest::sha256(&noise), "size": noise.len(),
    });
    let report = cli.json(&format!("check --deep {}", cli.put_document(&manifest, "noise")));
    assert!(report["unchecked"][0]["why"].as_str().unwrap().contains("unpacked"), "{report}");
}

#[test]
fn a_real_registry_is_asked_like_any_other() {
    let (cli, registry) = (Cli::new(), DockerRegistry::plain());
    wrong_program().push_http(&registry.address(), "app", "1");
    let remote = format!("docker://{}/app:1", registry.address());
    assert_eq!(cli.ok(&format!("check {remote}")), "clean\n");
    let heads = registry.requests().iter().filter(|line| line.method == Method::Head).count();
    assert_eq!(heads, 3, "the two images share a layer");
    assert_eq!(findings(&no(&cli, &format!("check --deep {remote}")).1), ["fault program"]);
    let layer = wrong_program();
    let manifest: Value = serde_json::from_slice(&layer.manifest()).unwrap();
    let gone = manifest["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let link = registry.storage().join("docker/registry/v2/repositories/app/_manifests/revisions/sha256");
    fs::remove_dir_all(link.join(gone.trim_start_matches("sha256:"))).unwrap();
    assert_eq!(findings(&no(&cli, &format!("check {remote}")).1), ["fault missing"]);
}
