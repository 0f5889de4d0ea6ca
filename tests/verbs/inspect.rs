//! `manifest inspect`.

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Index};
use serde_json::json;

use crate::in_process::Cli;

#[test]
fn people_see_a_head_and_a_table() {
    let cli = Cli::new();
    let (amd64, arm64) = (cli.image("linux/amd64"), cli.image("linux/arm64/v8"));
    let id = cli.ok(&format!("create app {amd64} {arm64} --annotation org.example=yes"));
    cli.ok("tag app app:2");
    cli.ok(&format!("annotate app {} --annotation board=rpi5", arm64.digest));
    let raw = cli.ok("inspect --raw app");
    let (size_1, size_2) =
        (Image::new("linux/amd64").manifest().len(), Image::new("linux/arm64/v8").manifest().len());
    assert_eq!(
        cli.ok("inspect app"),
        format!(
            "Name:    localhost/app:latest, localhost/app:2
Id:      {}
Digest:  {}
Type:    application/vnd.oci.image.index.v1+json ({} bytes)
Note:    org.example=yes

PLATFORM        DIGEST                                                                   SIZE  KIND
linux/amd64     {}  {size_1}   image
linux/arm64/v8  {}  {size_2}   image
  board=rpi5
",
            id.trim(),
            Digest::sha256(raw.as_bytes()),
            raw.len(),
            amd64.digest,
            arm64.digest
        )
    );
}

#[test]
fn raw_prints_the_bytes_that_the_digest_is_of() {
    let cli = Cli::new();
    cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    let raw = cli.ok("inspect --raw app");
    assert!(!raw.ends_with('\n'));
    assert_eq!(Digest::sha256(raw.as_bytes()).to_string(), cli.json("inspect app")["document"]["digest"]);
    assert_eq!(cli.ok("inspect --raw --output json app"), raw, "bytes are bytes");
    assert_eq!(cli.ok("inspect --raw store:app"), raw);
}

#[test]
fn a_list_is_shown_as_it_would_be_in_another_format() {
    let cli = Cli::new();
    let docker = cli.put(&Image::new("linux/amd64").docker(), "docker");
    cli.ok(&format!("create app {docker}"));
    let media_type = "application/vnd.docker.distribution.manifest.list.v2+json";
    assert_eq!(cli.json("inspect app")["document"]["mediaType"], media_type);
    let as_oci = cli.json("inspect app --format oci")["document"].clone();
    assert_eq!(as_oci["mediaType"], "application/vnd.oci.image.index.v1+json");
    let raw = cli.ok("inspect --raw -f oci app");
    assert_eq!(Digest::sha256(raw.as_bytes()).to_string(), as_oci["digest"]);
    cli.ok(&format!("add app {}", cli.image("linux/arm64")));
    cli.fails(8, "inspect app --format v2s2").says("oci_child", &["--format oci"]);
}

#[test]
fn programs_see_list_document_and_entries() {
    let cli = Cli::new();
    let arm = cli.image("linux/arm/v7");
    let id = cli.ok(&format!("create app {arm}"));
    let object = cli.json("inspect app");
    assert_eq!(object["schema"], "inspect/1");
    assert_eq!(object["origin"], "store:app");
    assert_eq!(object["list"]["id"], id.trim());
    assert_eq!(object["list"]["entries"], 1);
    let entry = &object["document"]["manifests"][0];
    assert_eq!(entry["platform"], json!({"architecture": "arm", "os": "linux", "variant": "v7"}));
    assert_eq!(entry["source"], format!("oci:{}", cli.layout().display()));
}

#[test]
fn lists_elsewhere_are_shown_with_their_origin() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let index = Index::of(&[&Image::new("linux/amd64")]).annotation("a", "b");
    let digest = index.push_to(&registry, "app", "1");
    let origin = format!("docker://{}/app:1", registry.address());
    let printed = cli.ok(&format!("inspect {origin}"));
    assert!(printed.starts_with(&format!("From:    {origin}\nDigest:  {digest}\n")), "{printed}");
    let object = cli.json(&format!("inspect {origin}"));
    assert_eq!((&object["origin"], object.get("list")), (&json!(origin), None));
    assert_eq!(cli.ok(&format!("inspect --raw {origin}")).as_bytes(), index.manifest());

    let layout = cli.put_index(&index, "list");
    assert_eq!(cli.json(&format!("inspect {layout}"))["document"]["digest"], digest.to_string());
}

#[test]
fn single_images_are_shown_as_such() {
    let cli = Cli::new();
    let image = cli.image("linux/amd64");
    let printed = cli.ok(&format!("inspect {image}"));
    assert!(printed.contains("a single image\nConfig:  sha256:"), "{printed}");
    let object = cli.json(&format!("inspect {image}"));
    assert_eq!(object["schema"], "inspect-image/1");
    assert_eq!(object["image"]["digest"], *image.digest);
    assert_eq!(object["layers"].as_array().unwrap().len(), 1);
    assert_eq!(cli.ok(&format!("inspect --raw {image}")).as_bytes(), Image::new("linux/amd64").manifest());
}

#[test]
fn a_name_without_a_transport_is_looked_for_in_the_store_only() {
    let cli = Cli::new();
    cli.fails(3, "inspect registry.example.com/app:1")
        .says("list_not_found", &["registry.example.com/app:1", "docker://registry.example.com/app:1"]);
    cli.fails(3, "inspect 127.0.0.1:1/app").says("list_not_found", &["docker://127.0.0.1:1/app"]);
    cli.fails(3, "inspect app").says("list_not_found", &["manifest ls"]);
    cli.fails(2, "inspect ostree:/x").says("invalid_reference", &["\"ostree:\" is not supported"]);
}

// A0-5
#[test]
fn sources_tell_what_was_typed_and_what_it_is_pinned_to() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = Image::new("linux/amd64").push_to(&registry, "app", "v1");
    let typed = format!("docker://{}/app:v1", registry.address());
    let arm = cli.image("linux/arm64");
    cli.ok(&format!("create app {typed} {arm}"));
    let object = cli.json("inspect app --sources");
    let source = object["sources"][0].clone();
    assert_eq!(
        (&source["entry"], &source["digest"]),
        (&json!(digest.to_string()), &json!(digest.to_string()))
    );
    assert_eq!(source["from"], typed);
    assert_eq!(source["place"], format!("docker://{}/app", registry.address()));
    assert!(source["resolved"].as_str().unwrap().ends_with('Z'), "{source}");
    assert_eq!(object["sources"][1]["from"], arm.to_string());
    let printed = cli.ok("inspect app --sources");
    let row: Vec<&str> = printed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        row[..4],
        [&*digest.to_string(), &typed, source["place"].as_str().unwrap(), &digest.to_string()]
    );
    assert!(cli.ok("inspect app --sources --holders").starts_with("HOLDER  SINCE  UNTIL\n\nENTRY"));
    assert_eq!(cli.json("inspect app").get("sources"), None, "only when asked for");

    let id = cli.import("image", "linux/arm64");
    cli.ok("create all store:image");
    assert_eq!(cli.json("inspect all --sources")["sources"][0]["record"], id.trim());
}

#[test]
fn images_of_the_store_are_shown_with_their_names() {
    let cli = Cli::new();
    let image = Image::new("linux/amd64");
    let id = cli.keep("base:1", &image);
    let printed = cli.ok("inspect base:1");
    let head = format!("Name:    localhost/base:1\nId:      {id}\nDigest:  {}\nType:    ", image.digest());
    assert!(
        printed.starts_with(&head) && printed.contains(", a single image\nConfig:  sha256:"),
        "{printed}"
    );
    let object = cli.json("inspect base:1");
    assert_eq!((&object["schema"], &object["origin"]), (&json!("inspect-image/1"), &json!("store:base:1")));
    assert_eq!(
        (&object["record"]["id"], &object["image"]["digest"]),
        (&json!(id), &json!(image.digest().to_string()))
    );
    assert_eq!(cli.ok("inspect --raw base:1").as_bytes(), image.manifest());
    assert_eq!(cli.json("inspect base:1 --holders --sources")["sources"], json!([]));
    cli.fails(2, "inspect base:1 --format oci").says("misuse", &["localhost/base:1 is an image"]);
}
