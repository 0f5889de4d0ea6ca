//! `manifest annotate` of entries.

use manifest_testkit::Image;
use serde_json::{Value, json};

use crate::in_process::{Cli, Put};

fn app(cli: &Cli) -> [Put; 2] {
    let images = [cli.image("linux/amd64"), cli.image("linux/arm/v7")];
    cli.ok(&format!("create app {} {}", images[0], images[1]));
    images
}

fn entry(cli: &Cli, at: usize) -> Value {
    cli.document("app")["manifests"][at].clone()
}

#[test]
fn an_entry_is_found_by_digest_image_or_platform() {
    let cli = Cli::new();
    let [amd64, arm] = app(&cli);
    for (number, (name, at)) in [
        (amd64.digest.clone(), 0),
        (amd64.to_string(), 0),
        ("--platform linux/amd64".to_owned(), 0),
        (arm.digest.clone(), 1),
        ("--platform linux/arm".to_owned(), 1),
        ("--platform linux/arm/v7".to_owned(), 1),
    ]
    .into_iter()
    .enumerate()
    {
        let printed = cli.ok(&format!("annotate app {name} --annotation number={number}"));
        assert_eq!(printed, format!("{}\n", [&amd64, &arm][at].digest), "{name}");
        assert_eq!(entry(&cli, at)["annotations"]["number"], number.to_string(), "{name}");
    }
}

#[test]
fn entries_that_are_not_there_are_told_apart() {
    let cli = Cli::new();
    let [amd64, _] = app(&cli);
    let unknown = format!("sha256:{}", "0".repeat(64));
    let other = cli.image("linux/s390x");
    cli.fails(3, &format!("annotate app {unknown} --annotation a=b"))
        .says("entry_not_found", &[&unknown, "manifest inspect"]);
    cli.fails(3, &format!("annotate app {other} --annotation a=b")).says("entry_not_found", &[&other.digest]);
    cli.fails(3, "annotate app --platform linux/s390x --annotation a=b")
        .says("no_such_platform", &["linux/s390x", "linux/amd64, linux/arm/v7"]);
    cli.fails(2, "annotate app sha256:12 --annotation a=b")
        .says("misuse", &["\"sha256:12\" is not a digest"]);
    cli.fails(2, "annotate app --annotation a=b").says("misuse", &["no entry is named", "--platform"]);
    cli.fails(2, &format!("annotate app {} --platform linux/amd64", amd64.digest)).says("misuse", &[]);
    cli.fails(2, "annotate app localhost/app --annotation a=b").says("misuse", &["not an entry"]);
    cli.fails(3, &format!("annotate gone {} --annotation a=b", amd64.digest))
        .says("list_not_found", &["gone"]);
}

#[test]
fn every_field_is_written_as_it_was_given() {
    let cli = Cli::new();
    let [amd64, _] = app(&cli);
    cli.ok(&format!(
        "annotate app {} --os windows --arch arm64 --variant v9 --os-version 10.0.1 --os-features x --os-features y,z \
         --annotation a=1 --annotation b=x=y --artifact-type application/x",
        amd64.digest
    ));
    let entry = entry(&cli, 0);
    assert_eq!(
        entry["platform"],
        json!({"architecture": "arm64", "os": "windows", "os.version": "10.0.1", "os.features": ["x", "y", "z"], "variant": "v9"})
    );
    assert_eq!(entry["annotations"], json!({"a": "1", "b": "x=y"}));
    assert_eq!(entry["artifactType"], "application/x");
}

#[test]
fn an_empty_value_clears_a_field() {
    let cli = Cli::new();
    let [amd64, _] = app(&cli);
    let plain = entry(&cli, 0);
    let set = "--variant v2 --os-version 1 --os-features x --annotation a=1 --artifact-type application/x";
    cli.ok(&format!("annotate app {} {set}", amd64.digest));
    assert_ne!(entry(&cli, 0), plain);
    cli.ok(&format!(
        "annotate app {} --variant= --os-version= --os-features= --remove-annotation a --artifact-type=",
        amd64.digest
    ));
    assert_eq!(entry(&cli, 0), plain);
}

#[test]
fn annotations_are_merged_and_removed_one_by_one() {
    let cli = Cli::new();
    let [amd64, _] = app(&cli);
    cli.ok(&format!("annotate app {} --annotation a=1 --annotation b=2 --annotation c=3", amd64.digest));
    cli.ok(&format!(
        "annotate app {} --annotation a=9 --remove-annotation b --remove-annotation gone",
        amd64.digest
    ));
    assert_eq!(entry(&cli, 0)["annotations"], json!({"a": "9", "c": "3"}));
}

#[test]
fn an_architecture_without_a_variant_clears_the_variant() {
    let cli = Cli::new();
    let [_, arm] = app(&cli);
    cli.ok(&format!("annotate app {} --arch arm64", arm.digest));
    assert_eq!(entry(&cli, 1)["platform"], json!({"architecture": "arm64", "os": "linux"}));
}

#[test]
fn no_change_writes_nothing() {
    let cli = Cli::new();
    let [amd64, _] = app(&cli);
    let before = cli.store();
    for change in ["", "--os linux", "--remove-annotation gone", "--variant="] {
        assert_eq!(cli.ok(&format!("annotate app {} {change}", amd64.digest)), format!("{}\n", amd64.digest));
    }
    assert_eq!(cli.store(), before);
}

#[test]
fn an_entry_may_not_come_to_stand_for_the_platform_of_another() {
    let cli = Cli::new();
    let [amd64, arm] = app(&cli);
    let failed = cli.fails(4, &format!("annotate app {} --arch amd64", arm.digest));
    failed.says("platform_taken", &["linux/amd64", &amd64.digest, "--allow-duplicate"]);
    assert!(!failed.hint.contains("--replace"), "annotate has no such flag: {}", failed.hint);
    cli.ok(&format!("annotate app {} --arch amd64 --allow-duplicate", arm.digest));
    assert_eq!(cli.platforms("app"), ["linux/amd64", "linux/amd64"]);
}

#[test]
fn half_a_platform_is_refused() {
    let cli = Cli::new();
    let artifact = cli.put(&Image::new("linux/amd64").artifact_type("application/x"), "artifact");
    let document = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": artifact.digest, "size": 300,
            "artifactType": "application/x",
        }],
    });
    cli.ok(&format!("create app --all {}", cli.put_document(&document, "list")));
    cli.fails(2, &format!("annotate app {} --os linux", artifact.digest))
        .says("misuse", &[&artifact.digest, "--os and --arch together"]);
    cli.ok(&format!("annotate app {} --os linux --arch arm64", artifact.digest));
    cli.fails(2, &format!("annotate app {} --arch=", artifact.digest)).says("misuse", &[]);
    cli.ok(&format!("annotate app {} --os= --arch=", artifact.digest));
    assert_eq!(entry(&cli, 0).get("platform"), None);
}

#[test]
fn features_make_a_docker_list_necessary() {
    let cli = Cli::new();
    let docker = cli.put(&Image::new("linux/amd64").docker(), "docker");
    cli.ok(&format!("create docker {docker}"));
    cli.ok(&format!("annotate docker {} --features sse4 --features aes", docker.digest));
    assert_eq!(cli.document("docker")["manifests"][0]["platform"]["features"], json!(["sse4", "aes"]));
    cli.fails(8, &format!("annotate docker {} --annotation a=b", docker.digest))
        .says("not_representable", &["features"]);
    cli.ok(&format!("annotate docker {} --features= --annotation a=b", docker.digest));
    assert_eq!(cli.document("docker")["mediaType"], "application/vnd.oci.image.index.v1+json");

    let [amd64, _] = app(&cli);
    cli.fails(8, &format!("annotate app {} --features sse4", amd64.digest))
        .says("not_representable", &["an OCI image index has no place for", "features", "--format v2s2"]);
}
