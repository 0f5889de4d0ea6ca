//! Where images are named: transports that there are and that there are not, and what is asked of a registry.

use std::fs;

use manifest_testkit::{Blob, DockerRegistry, FakeRegistry, Image, Index, Tar};
use serde_json::{Value, json};

use crate::in_process::Cli;

/// A1-2.
#[test]
fn what_a_registry_lacks_is_told_at_once_and_is_another_error_than_a_list_that_is_not_here() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let nothing = format!("docker://{}/none:x", registry.address());
    cli.fails(3, &format!("inspect {nothing}")).says("image_not_found", &[&nothing]);
    // One for people, one for programs.
    assert_eq!(registry.requests().len(), 2, "{:?}", registry.requests());
    cli.fails(3, &format!("inspect {}/none:x", registry.address())).says("list_not_found", &["none:x"]);
    assert_eq!(registry.requests().len(), 2, "a name without a transport is looked for here only");
}

/// A1-2b: as far as there is no pull.
#[test]
fn a_second_tag_of_an_image_that_is_here_costs_no_blob() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let image = Image::new("linux/amd64");
    let digest = image.push_to(&registry, "app", "v2");
    cli.put(&image, "app:v1");
    let import = |options: &str| cli.json(&format!("import {options} --oci-dir {}", cli.layout().display()));
    import("");
    cli.ok(&format!("create list docker://{}/app:v2", registry.address()));
    assert_eq!(cli.entries("list"), [("linux/amd64".to_owned(), digest.to_string())]);
    let paths: Vec<_> = registry.requests().iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(paths, ["/v2/app/manifests/v2"], "the configuration is here");

    let second = import("app:v2");
    assert_eq!(
        second["imported"][0]["blobs"],
        json!([{"action": "skip", "count": 2, "bytes": bytes(&image)}])
    );
    for name in ["app:v1", "app:v2"] {
        assert_eq!(cli.json(&format!("inspect {name}"))["image"]["digest"], digest.to_string());
    }
}

/// How many bytes the blobs of an image have.
fn bytes(image: &Image) -> usize {
    image.blobs().iter().map(|blob| blob.bytes.len()).sum()
}

/// A1-3.
#[test]
fn a_transport_that_there_is_not_is_told_those_that_there_are() {
    let cli = Cli::new();
    cli.ok("create demo");
    let transports = ["docker://", "oci:", "dir:", "oci-archive:", "docker-archive:", "store:"];
    for text in ["library://x/y", "shub://x/y", "docker-daemon:x", "containers-storage:x", "ostree:x"] {
        for line in [
            format!("add demo {text}"),
            format!("create new {text}"),
            format!("create new --from {text}"),
            format!("inspect {text}"),
            format!("push demo {text}"),
        ] {
            let failed = cli.fails(2, &line);
            failed.says("invalid_reference", &["is not supported"]).says("invalid_reference", &transports);
        }
    }
}

/// A3-8.
#[test]
fn a_list_is_the_same_wherever_it_is_read() {
    let (cli, registry) = (Cli::new(), DockerRegistry::plain());
    let images = [Image::new("linux/amd64"), Image::new("linux/arm64/v8")];
    let list = Index::of(&images.each_ref()).annotation("org.example.note", "é<>&");
    let layout = cli.put_index(&list, "app");
    cli.ok(&format!("import app --oci-dir {}", cli.layout().display()));
    let docker = images.each_ref().map(|image| {
        let blobs = image.blobs();
        let path = |blob: &Blob| format!("blobs/sha256/{}", blob.digest.hex());
        json!({"Config": path(&blobs[1]), "RepoTags": null, "Layers": [path(&blobs[0])]})
    });
    let archive = Tar::new().tree(&cli.layout(), "").file("manifest.json", json!(docker).to_string());
    let archive = cli.workspace.write("app.tar", archive.finish());
    let target = format!("docker://{}/team/app:1", registry.address());
    cli.ok(&format!("push app {target}"));
    let archive = archive.display();
    let places = [
        "store:app".to_owned(),
        layout.to_string(),
        format!("oci-archive:{archive}"),
        // Docker writes both kinds in one file.
        format!("docker-archive:{archive}"),
        target,
    ];
    let document = cli.json("inspect app")["document"].clone();
    let table = |place: &str| -> Vec<String> {
        let printed = cli.ok(&format!("inspect {place}"));
        printed.lines().skip_while(|line| !line.starts_with("Digest:")).map(str::to_owned).collect()
    };
    for place in &places {
        assert_eq!(cli.ok(&format!("inspect --raw {place}")).as_bytes(), list.manifest(), "{place}");
        assert_eq!(table(place), table("app"), "{place}");
        let mut shown = cli.json(&format!("inspect {place}"))["document"].clone();
        // Where an entry is read is told of what is in the store only.
        for entry in shown["manifests"].as_array_mut().unwrap() {
            entry["source"] = json!("store:");
        }
        assert_eq!(shown, document, "{place}");
        cli.ok(&format!("create copy --replace --all {place}"));
        assert_eq!(cli.entries("copy"), cli.entries("app"), "{place}");
    }
}

/// F-9b, A3-8: the other half, an image of its own.
#[test]
fn an_image_is_the_same_wherever_it_is_read() {
    let (cli, registry) = (Cli::new(), DockerRegistry::plain());
    let image = Image::new("linux/arm64/v8").layer("one").layer("two");
    let layout = cli.put(&image, "one");
    cli.ok(&format!("import one --oci-dir {}", cli.layout().display()));
    let archive = cli.workspace.write("one.tar", Tar::new().tree(&cli.layout(), "").finish());
    let target = format!("docker://{}/team/one:1", registry.address());
    cli.ok(&format!("push one {target}"));
    let shown = |place: &str| -> Value {
        let object = cli.json(&format!("inspect {place}"));
        json!([object["image"], object["config"], object["layers"]])
    };
    for place in [layout.to_string(), format!("oci-archive:{}", archive.display()), target] {
        assert_eq!(shown(&place), shown("one"), "{place}");
    }
    fs::remove_dir_all(cli.layout()).unwrap();
    assert_eq!(cli.ok("inspect --raw one").as_bytes(), image.manifest());
}
