//! Documents of all kinds on their way through: types that nobody knows, lists in lists, bytes that are kept.

use std::fs;

use manifest_core::Digest;
use manifest_testkit::{Image, Index};
use serde_json::{Value, json};

use crate::in_process::{Cli, Put};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Puts content into the layout of the test; its digest and size.
fn blob(cli: &Cli, bytes: &[u8]) -> (String, usize) {
    let digest = Digest::sha256(bytes);
    cli.workspace.write(&format!("images/blobs/sha256/{}", digest.hex()), bytes);
    (digest.to_string(), bytes.len())
}

/// The entry of a list for what lies in the layout.
fn entry(cli: &Cli, media_type: &str, digest: &str) -> Value {
    let file = cli.layout().join("blobs/sha256").join(&digest["sha256:".len()..]);
    let size = fs::metadata(file).unwrap().len();
    json!({"mediaType": media_type, "digest": digest, "size": size})
}

fn index(cli: &Cli, name: &str, manifests: &[Value]) -> Put {
    cli.put_document(&json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}), name)
}

fn import(cli: &Cli, name: &str, put: &str) {
    cli.ok(&format!("import {name} --image {put} --oci-dir {}", cli.layout().display()));
}

/// A list with an entry of a type that nobody knows, in the store.
fn odd(cli: &Cli) -> (Put, String) {
    let image = cli.image("linux/amd64");
    let (digest, size) = blob(cli, b"{\"what\":\"ever\"}");
    let odd = json!({
        "mediaType": "application/vnd.example.odd+json", "digest": digest, "size": size, "platform": {"os": "x", "architecture": "y"},
    });
    let list = index(cli, "odd", &[entry(cli, OCI_MANIFEST, &image.digest), odd]);
    (list, digest)
}

/// A3-1.
#[test]
fn the_four_types_are_known_and_others_are_kept_and_shown() {
    let cli = Cli::new();
    let docker = Image::new("linux/amd64").docker();
    for (put, media_type, schema) in [
        (cli.put(&docker, "docker"), DOCKER_MANIFEST, "inspect-image/1"),
        (cli.image("linux/arm64"), OCI_MANIFEST, "inspect-image/1"),
        (cli.put_index(&Index::of(&[&docker]).docker(), "docker-list"), DOCKER_LIST, "inspect/1"),
        (cli.put_index(&Index::of(&[&Image::new("linux/arm64")]), "list"), OCI_INDEX, "inspect/1"),
    ] {
        let object = cli.json(&format!("inspect {put}"));
        let shown = object.get("image").unwrap_or(&object["document"]);
        assert_eq!((&object["schema"], &shown["mediaType"]), (&json!(schema), &json!(media_type)), "{put}");
        cli.ok(&format!("create --replace app {put}"));
    }
    let (list, digest) = odd(&cli);
    cli.ok(&format!("create --replace app --from {list}"));
    assert_eq!(cli.document("app")["manifests"][1]["digest"], *digest);
    assert!(
        cli.ok("inspect app").contains("  application/vnd.example.odd+json\n"),
        "{}",
        cli.ok("inspect app")
    );
    cli.ok(&format!("add app {}", cli.image("linux/arm64")));
    assert_eq!(cli.document("app")["manifests"][1]["mediaType"], "application/vnd.example.odd+json");
}

/// A4-12.
#[test]
fn content_of_a_type_that_nobody_knows_is_held_like_any_other() {
    let cli = Cli::new();
    let (_, digest) = odd(&cli);
    import(&cli, "odd", "odd");
    assert_eq!(cli.ok(&format!("blob cat {digest}")), "{\"what\":\"ever\"}");
    let planted = cli.ok("gc --dry-run --grace 0");
    assert_eq!((&*planted, cli.ok("gc --grace 0")), ("0 blobs, 0 B\n", planted.clone()));
    cli.ok(&format!("blob cat {digest}"));
    cli.ok("rm odd");
    let dry = cli.json("gc --dry-run --grace 0");
    cli.ok(&format!("blob cat {digest}"));
    let mut real = cli.json("gc --grace 0");
    assert_eq!(real["blobs"]["count"], 4, "manifest, configuration, layer and this: {real}");
    real["dryRun"] = json!(true);
    assert_eq!(real, dry, "the same set");
}

/// An image whose configuration has members that nobody knows, and white space.
fn with_odd_config(cli: &Cli) -> (Put, Vec<u8>) {
    let image = Image::new("linux/amd64");
    let mut config: Value = serde_json::from_slice(&image.config()).unwrap();
    config["x.unknown"] = json!({"z": [1.5, null], "a": "<&>"});
    config["os.features"] = json!(["f"]);
    let config = serde_json::to_vec_pretty(&config).unwrap();
    let (digest, size) = blob(cli, &config);
    let mut manifest: Value = serde_json::from_slice(&image.manifest()).unwrap();
    manifest["config"]["digest"] = json!(digest);
    manifest["config"]["size"] = json!(size);
    cli.put(&image, "plain");
    (cli.put_document(&manifest, "odd"), config)
}

/// A3-2.
#[test]
fn a_configuration_goes_in_and_out_to_the_byte() {
    let cli = Cli::new();
    let (put, config) = with_odd_config(&cli);
    import(&cli, "one", "odd");
    let digest = Digest::sha256(&config);
    assert_eq!(cli.ok(&format!("blob cat {digest}")).as_bytes(), config);
    let out = cli.workspace.path().join("out");
    assert_eq!(cli.ok(&format!("export one --oci-dir {}", out.display())).trim(), put.digest);
    assert_eq!(fs::read(out.join("blobs/sha256").join(digest.hex())).unwrap(), config);
    cli.ok("create list store:one");
    assert_eq!(cli.document("list")["manifests"][0]["platform"]["os.features"], json!(["f"]));
}

/// Lists in lists: `depth` of them around one image each.
fn nested(cli: &Cli, depth: usize) -> Put {
    let mut inner: Option<Put> = None;
    for level in (0..depth).rev() {
        let image = cli.image(&format!("linux/level{level}"));
        let mut entries = vec![entry(cli, OCI_MANIFEST, &image.digest)];
        entries.extend(inner.map(|inner| entry(cli, OCI_INDEX, &inner.digest)));
        inner = Some(index(cli, &format!("{depth}-level{level}"), &entries));
    }
    inner.unwrap()
}

/// A3-3: a leaf is shown in the place of its list, and the list itself when it is nested.
#[test]
fn lists_in_lists_are_read_to_the_last_leaf_and_no_deeper_than_the_limit() {
    let cli = Cli::new();
    let leaves = |depth: usize| (0..depth).map(|level| format!("linux/level{level}")).collect::<Vec<_>>();
    for depth in [3, 8] {
        cli.ok(&format!("create --replace app --all {}", nested(&cli, depth)));
        assert_eq!(cli.platforms("app"), leaves(depth));
    }
    cli.fails(7, &format!("create deep --all {}", nested(&cli, 9))).says("bad_content", &["8"]);
    let cli = Cli::new();
    let three = nested(&cli, 3);
    cli.ok(&format!("create nested --nest {three}"));
    assert_eq!(cli.entries("nested"), [("-".to_owned(), three.digest.clone())]);
    assert!(cli.ok("inspect nested").trim_end().ends_with("  list"));
    // All levels are in the store, and come out again.
    import(&cli, "three", "3-level0");
    fs::remove_dir_all(cli.layout()).unwrap();
    let out = cli.workspace.path().join("out");
    assert_eq!(cli.ok(&format!("export three --oci-dir {}", out.display())).trim(), three.digest);
}

/// A3-4: F-9 itself stands with the imports.
#[test]
fn what_names_no_type_is_known_by_its_shape_and_a_size_is_a_promise() {
    let cli = Cli::new();
    let image = cli.put(&Image::new("linux/amd64").without_media_type(), "image");
    let list = cli.put_index(&Index::of(&[&Image::new("linux/arm64")]).without_media_type(), "list");
    let empty = cli.put_index(&Index::of(&[]).without_media_type(), "empty");
    assert_eq!(cli.json(&format!("inspect {image}"))["schema"], "inspect-image/1");
    for put in [&list, &empty] {
        assert_eq!(cli.json(&format!("inspect {put}"))["schema"], "inspect/1");
    }
    cli.ok(&format!("create app --all {image} {list}"));
    assert_eq!(cli.platforms("app"), ["linux/amd64", "linux/arm64"]);
    cli.ok(&format!("create none --from {empty}"));
    assert_eq!(cli.entries("none"), []);
    let typeless: Value = serde_json::from_str(&cli.ok("inspect --raw none")).unwrap();
    assert_eq!(typeless.get("mediaType"), None, "what was not edited is as it was");

    let cli = Cli::new();
    let image = cli.image("linux/amd64");
    let mut wrong = entry(&cli, OCI_MANIFEST, &image.digest);
    wrong["size"] = json!(wrong["size"].as_u64().unwrap() + 1);
    let list = index(&cli, "wrong", &[wrong]);
    cli.fails(7, &format!("create app {list}")).says("bad_content", &[&image.digest, "bytes"]);
    cli.fails(7, &format!("import app --image wrong --oci-dir {}", cli.layout().display()));
}

/// A3-10: but for what `verify` would say.
#[test]
fn a_layer_that_may_not_be_copied_stays_where_it_is() {
    let cli = Cli::new();
    let image = Image::new("windows/amd64").os_version("10.0.1").layer("base").layer("own");
    let mut manifest: Value = serde_json::from_slice(&image.manifest()).unwrap();
    let foreign = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let own = manifest["layers"][1]["digest"].as_str().unwrap().to_owned();
    manifest["layers"][0]["mediaType"] =
        json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    manifest["layers"][0]["urls"] = json!(["https://example.com/base"]);
    cli.put(&image, "whole");
    let put = cli.put_document(&manifest, "foreign");
    fs::remove_file(cli.layout().join("blobs/sha256").join(&foreign["sha256:".len()..])).unwrap();
    cli.ok(&format!("create app {put}"));
    assert_eq!(cli.platforms("app"), ["windows/amd64"]);
    assert!(cli.ok(&format!("inspect {put}")).contains(&foreign));
    let out = cli.workspace.path().join("out");
    cli.ok(&format!("push app oci:{}:1", out.display()));
    let there = |digest: &str| out.join("blobs/sha256").join(&digest["sha256:".len()..]).exists();
    assert_eq!((there(&foreign), there(&own)), (false, true));
    import(&cli, "kept", "foreign");
    cli.ok("inspect kept");
    assert_eq!(cli.ok("fsck"), "clean\n", "what is not meant to be here is not missing");
}
