//! `manifest export`: layouts and archives, and what becomes of what is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use manifest_testkit::{Image, Index, Ran};
use serde_json::Value;

use crate::in_process::Cli;

/// The name of a list in `index.json`.
const NAME: &str = "org.opencontainers.image.ref.name";

/// A list of two images; its digest.
fn app(cli: &Cli) -> String {
    cli.ok(&format!("create app {} {}", cli.image("linux/amd64"), cli.image("linux/arm64")));
    digest(cli, "app")
}

fn digest(cli: &Cli, list: &str) -> String {
    cli.json(&format!("ls --filter name={list}"))["lists"][0]["digest"].as_str().unwrap().to_owned()
}

fn out(cli: &Cli) -> PathBuf {
    cli.workspace.path().join("out")
}

fn index(layout: &Path) -> Value {
    serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap()
}

/// All files below a directory.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// What stands in the directory that exports go to.
fn beside(cli: &Cli) -> Vec<String> {
    let entries = fs::read_dir(cli.workspace.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".tmp-")).collect()
}

/// A0-1.
#[test]
fn the_descriptor_carries_the_name() {
    let cli = Cli::new();
    let digest = app(&cli);
    let out = out(&cli);
    let ran = cli.run(&format!("export app --oci-dir {}", out.display()));
    assert_eq!(ran.ok(), format!("{digest}\n"));
    assert!(ran.stderr.starts_with("exported localhost/app:latest to oci:"), "{ran:?}");
    assert_eq!(index(&out)["manifests"][0]["annotations"][NAME], "localhost/app:latest");
    cli.ok("tag app example.com/app:1.0");
    for (arguments, name) in [
        ("example.com/app:1.0", "example.com/app:1.0"),
        ("app --name 1.0", "1.0"),
        ("app", "localhost/app:latest"),
    ] {
        cli.ok(&format!("export {arguments} --replace --oci-dir {}", out.display()));
        assert_eq!(index(&out)["manifests"][0]["annotations"][NAME], name, "{arguments}");
    }
    cli.fails(2, &format!("export app app --name x --oci-dir {}", out.display())).says("misuse", &["--name"]);
    cli.fails(2, "export app");
    cli.fails(3, "export gone --oci-dir x").says("list_not_found", &["gone"]);
}

/// A0-7.
#[test]
fn what_is_there_stays_unless_the_user_says_otherwise() {
    let cli = Cli::new();
    app(&cli);
    let out = out(&cli);
    fs::create_dir(&out).unwrap();
    let export = |options: &str| format!("export {options} --oci-dir {}", out.display());
    cli.ok(&export("app"));
    let index_json = index(&out);
    assert_eq!(index_json["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(index_json["manifests"].as_array().unwrap().len(), 1);

    let before = files(&out);
    cli.fails(4, &export("app")).says("exists", &["exists already", "--replace", "--append"]);
    assert_eq!(files(&out), before, "the first export is intact");
    cli.ok(&format!("create other {}", cli.image("linux/s390x")));
    cli.ok(&export("other --append"));
    assert_eq!(index(&out)["manifests"].as_array().unwrap().len(), 2);
    cli.ok(&export("app --replace"));
    assert_eq!(files(&out), before);
    fs::write(out.join("notes.txt"), "mine").unwrap();
    cli.fails(7, &export("app --replace")).says("bad_content", &["notes.txt"]);
    assert!(out.join("notes.txt").exists());

    let file = cli.workspace.write("app.tar", "mine");
    let export = |options: &str| format!("export app {options} --oci-archive {}", file.display());
    cli.fails(4, &export("")).says("exists", &["app.tar"]);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    cli.ok(&export("--replace"));
    cli.fails(2, &export("--append"));
    assert_eq!(beside(&cli), Vec::<String>::new());
}

/// A0-16.
#[test]
fn two_exports_of_the_same_are_equal_to_the_byte() {
    let cli = Cli::new();
    app(&cli);
    cli.ok(&format!("create aaa {}", cli.image("linux/s390x")));
    let at = |name: &str| cli.workspace.path().join(name);
    for (order, name) in [("app aaa", "one"), ("aaa app", "two")] {
        cli.ok(&format!("export {order} --oci-dir {}", at(name).display()));
        cli.ok(&format!("export {order} --oci-archive {}", at(&format!("{name}.tar")).display()));
    }
    assert_eq!(files(&at("one")), files(&at("two")));
    assert_eq!(fs::read(at("one.tar")).unwrap(), fs::read(at("two.tar")).unwrap());
    let names: Vec<_> = index(&at("one"))["manifests"].as_array().unwrap().to_vec();
    let names: Vec<_> = names.iter().map(|entry| entry["annotations"][NAME].as_str().unwrap()).collect();
    assert_eq!(names, ["localhost/aaa:latest", "localhost/app:latest"]);
}

/// A0-18.
#[test]
fn the_digest_survives_the_way_out_and_in() {
    let cli = Cli::new();
    app(&cli);
    cli.ok("annotate --index app --annotation org.example.note=é<>&");
    let (digest, raw) = (digest(&cli, "app"), cli.ok("inspect --raw app"));
    for (option, target) in [("--oci-dir", "out"), ("--oci-archive", "out.tar")] {
        let target = cli.workspace.path().join(target);
        let target = target.display();
        cli.ok(&format!("export app {option} {target}"));
        let object = cli.json(&format!("import back --replace {option} {target}"));
        assert_eq!(object["imported"][0]["list"]["digest"], *digest, "{option}");
        assert_eq!(cli.ok("inspect --raw back"), raw, "{option}");
        cli.ok(&format!("export back --name x {option} {target}2"));
        let again = cli.json(&format!("import x {option} {target}2 --replace"));
        assert_eq!(again["imported"][0]["list"]["digest"], *digest, "{option}");
    }
}

#[test]
fn a_single_image_is_exported_and_pushed_as_it_is() {
    let cli = Cli::new();
    let image = cli.put(&Image::new("linux/arm64/v8"), "v1");
    cli.ok(&format!("import one --oci-dir {}", cli.layout().display()));
    fs::remove_dir_all(cli.layout()).unwrap();
    let at = |name: &str| format!("{}", cli.workspace.path().join(name).display());
    assert_eq!(cli.ok(&format!("export one --oci-archive {}", at("one.tar"))), format!("{}\n", image.digest));
    assert_eq!(cli.ok(&format!("push one oci:{}:1", at("pushed"))), format!("{}\n", image.digest));
    let plan = cli.ok(&format!("push --dry-run one oci:{}:1", at("other")));
    assert!(plan.contains(" image, "), "{plan}");
    for place in [format!("oci:{}:1", at("pushed")), format!("oci-archive:{}", at("one.tar"))] {
        cli.ok(&format!("create from {place} --replace"));
        assert_eq!(cli.entries("from"), [("linux/arm64/v8".to_owned(), image.digest.clone())]);
    }
    cli.fails(2, &format!("push one --format v2s2 oci:{}:2", at("pushed"))).says("not_a_list", &["one"]);
}

#[test]
fn what_lies_in_a_registry_is_brought_along() {
    let (cli, registry) = (Cli::new(), manifest_testkit::FakeRegistry::start());
    let images = [Image::new("linux/amd64"), Image::new("linux/arm64")];
    Index::of(&[&images[0], &images[1]]).push_to(&registry, "team/app", "1");
    cli.ok(&format!("create app --all docker://{}/team/app:1", registry.address()));
    cli.ok(&format!("export app --oci-dir {}", out(&cli).display()));
    for blob in images.iter().flat_map(Image::blobs) {
        assert!(out(&cli).join("blobs/sha256").join(blob.digest.hex()).exists());
    }
}

#[test]
fn an_export_that_fails_leaves_nothing() {
    let cli = Cli::new();
    app(&cli);
    fs::remove_dir_all(cli.layout().join("blobs")).unwrap();
    for (option, target) in [("--oci-dir", "out"), ("--oci-archive", "out.tar")] {
        let target = cli.workspace.path().join(target);
        let ran: Ran = cli.run(&format!("export app {option} {}", target.display()));
        ran.fails(3);
        assert!(!target.exists() && beside(&cli).is_empty(), "{ran:?}");
    }
}
