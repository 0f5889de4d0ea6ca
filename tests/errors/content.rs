//! Content that is missing, too large, or not what its digest says.

use std::fs;

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Index, Method};

use crate::in_process::{Cli, Put};

fn blob(cli: &Cli, image: &Put) -> std::path::PathBuf {
    let hex = image.digest.strip_prefix("sha256:").unwrap();
    cli.layout().join("blobs/sha256").join(hex)
}

#[test]
fn a_layout_that_is_not_there_is_not_found() {
    let cli = Cli::new();
    let nowhere = cli.workspace.path().join("nowhere");
    cli.ok("create app");
    for line in ["add app", "create new", "create new --from", "inspect", "annotate app --subject"] {
        cli.fails(3, &format!("{line} oci:{}:x", nowhere.display()))
            .says("layout_not_found", &[nowhere.to_str().unwrap(), "there is nothing at"]);
    }
}

#[test]
fn a_directory_that_is_no_layout_says_what_it_lacks() {
    let cli = Cli::new();
    cli.ok("create app");
    let plain = cli.workspace.path().join("plain");
    fs::create_dir(&plain).unwrap();
    let add = format!("add app oci:{}:x", plain.display());
    cli.fails(7, &add).says("bad_content", &[plain.to_str().unwrap(), "no file oci-layout"]);
    fs::write(plain.join("oci-layout"), "{").unwrap();
    cli.fails(7, &add).says("bad_content", &["oci-layout"]);
    fs::write(plain.join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    cli.fails(7, &add).says("bad_content", &["2.0.0", "1.0.0"]);
    fs::write(plain.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    cli.fails(3, &add).says("file_not_found", &["index.json"]);
    fs::write(plain.join("index.json"), "[]").unwrap();
    cli.fails(7, &add).says("bad_content", &["index.json is not a usable manifest"]);
}

#[test]
fn a_name_that_the_layout_lacks_shows_those_that_it_has() {
    let cli = Cli::new();
    let (_, _) = (cli.image("linux/amd64"), cli.image("linux/arm64"));
    cli.ok("create app");
    cli.fails(3, &format!("add app oci:{}:latest", cli.layout().display()))
        .says("image_not_found", &[":latest", "2 manifests: linux-amd64, linux-arm64"]);
}

/// A0-4.
#[test]
fn a_blob_of_a_layout_that_was_changed_is_refused() {
    let cli = Cli::new();
    let image = cli.image("linux/amd64");
    let good = fs::read_to_string(blob(&cli, &image)).unwrap();
    fs::write(blob(&cli, &image), good.replace("\"schemaVersion\":2", "\"schemaVersion\":3")).unwrap();
    cli.ok("create app");
    cli.fails(7, &format!("add app {image}")).says(
        "bad_content",
        &[&image.to_string(), &format!("should be {}", image.digest), "its content is sha256:"],
    );
    fs::remove_file(blob(&cli, &image)).unwrap();
    cli.fails(3, &format!("add app {image}")).says("image_not_found", &[&image.to_string()]);
}

#[test]
fn an_image_configuration_that_was_changed_is_refused() {
    let cli = Cli::new();
    let image = cli.image("linux/amd64");
    let config = Digest::sha256(&Image::new("linux/amd64").config());
    let path = cli.layout().join("blobs/sha256").join(config.hex());
    cli.ok("create app");
    for (damage, part) in [(&b"{}"[..], "bytes"), (b"", "bytes")] {
        fs::write(&path, damage).unwrap();
        cli.fails(7, &format!("add app {image}")).says("bad_content", &[&config.to_string(), part]);
    }
    fs::remove_file(&path).unwrap();
    cli.fails(3, &format!("add app {image}")).says("image_not_found", &[&config.to_string()]);
}

/// A0-4.
#[test]
fn wrong_bytes_of_a_registry_are_refused() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = Image::new("linux/amd64").push_to(&registry, "app", "1");
    registry.on(Method::Get, "/v2/app/manifests/*").wrong_bytes().always();
    cli.ok("create app");
    let image = format!("{}/app", registry.address());
    cli.fails(7, &format!("add app --retry 0 {image}@{digest}"))
        .says("bad_content", &[&format!("should be {digest}"), "is sha256:", &registry.address()]);
    registry.clear_rules();
    registry.on(Method::Get, "/v2/app/blobs/*").wrong_bytes().always();
    let failed = cli.fails(7, &format!("add app --retry 0 {image}:1"));
    assert_eq!(failed.kind, "bad_content", "{}", failed.text);
}

#[test]
fn a_manifest_of_ten_mebibytes_is_not_read() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let huge = Index::of(&[]).annotation("pad", &"x".repeat(10 << 20));
    huge.push_to(&registry, "app", "1");
    let here = cli.put_index(&huge, "huge");
    cli.ok("create app");
    for image in [here.to_string(), format!("{}/app:1", registry.address())] {
        for line in [
            format!("add app {image}"),
            format!("create new --from {image}"),
            format!("inspect docker://{image}"),
        ] {
            let line = line.replace("docker://oci:", "oci:");
            cli.fails(7, &line).says("bad_content", &["larger than 4194304 bytes"]);
        }
    }
}

#[test]
fn what_is_no_manifest_says_why() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    cli.ok("create app");
    let media_type = "application/vnd.oci.image.index.v1+json";
    for (number, bytes) in [
        "not json",
        "[]",
        r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:12"}]}"#,
        r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
        &format!(r#"{{"schemaVersion":2,"manifests":[],"x":{}1{}}}"#, "[".repeat(100), "]".repeat(100)),
    ]
    .into_iter()
    .enumerate()
    {
        registry.put_manifest("app", &number.to_string(), media_type, bytes.to_owned());
        let image = format!("{}/app:{number}", registry.address());
        let failed = cli.fails(7, &format!("add app {image}"));
        failed.says("bad_content", &[&image, "is not a usable manifest", "because: "]);
    }
}

#[test]
fn images_that_a_registry_lacks_are_not_found() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    cli.ok("create app");
    let image = format!("{}/app:gone", registry.address());
    cli.fails(3, &format!("add app {image}")).says("image_not_found", &[&image]);
    cli.fails(3, &format!("inspect docker://{image}")).says("image_not_found", &[&image]);
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    let cli = Cli::new();
    cli.ok("create app");
    // Port 1 of this machine refuses at once.
    let failed = cli.fails(5, "add app 127.0.0.1:1/app --retry 1 --retry-delay 1ms");
    failed.says("retries_exhausted", &["127.0.0.1:1", "2 times", "--retry N"]);
}

#[test]
fn a_login_file_or_certificate_directory_that_is_named_must_be_there() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    Image::new("linux/amd64").push_to(&registry, "app", "1");
    cli.ok("create app");
    for verb in ["add app", "inspect", "create new --from", "annotate app --subject", "push app"] {
        let line = format!("{verb} docker://{}/app:1", registry.address());
        cli.fails(6, &format!("{line} --authfile /nowhere/auth.json"))
            .says("credentials", &["/nowhere/auth.json does not exist"]);
        cli.fails(3, &format!("{line} --cert-dir /nowhere"))
            .says("file_not_found", &["/nowhere", "No such file"]);
    }
    assert_eq!(registry.requests().len(), 0, "told before anything is asked");
}
