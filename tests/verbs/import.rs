//! `manifest import`: layouts and archives, choices and names, and what a record of ours is good for then.

use std::fs;
use std::path::{Path, PathBuf};

use manifest_core::{Algorithm, Digest};
use manifest_testkit::{Blob, Image, Index, Tar, docker_archive};
use serde_json::{Value, json};

use crate::in_process::Cli;

/// F-9: the platforms of a list of the field.
const PLATFORMS: [(&str, &str); 11] = [
    ("linux/amd64", ""),
    ("linux/arm/v5", ""),
    ("linux/arm/v7", ""),
    ("linux/arm64/v8", ""),
    ("linux/386", ""),
    ("linux/mips64le", ""),
    ("linux/ppc64le", ""),
    ("linux/riscv64", ""),
    ("linux/s390x", ""),
    ("windows/amd64", "10.0.20348.587"),
    ("windows/amd64", "10.0.17763.2686"),
];

fn f9() -> Index {
    let image = |(platform, version): &(&str, &str)| match *version {
        "" => Image::new(platform),
        version => Image::new(platform).os_version(version).layer("base").layer(version).layer("app"),
    };
    let images: Vec<Image> = PLATFORMS.iter().map(image).collect();
    Index::of(&images.iter().collect::<Vec<_>>())
}

/// An OCI archive of the layout of a test.
fn oci_archive(cli: &Cli) -> PathBuf {
    cli.workspace.write("oci.tar", Tar::new().tree(&cli.layout(), "").finish())
}

fn write(cli: &Cli, name: &str, bytes: impl AsRef<[u8]>) -> String {
    cli.workspace.write(name, bytes).display().to_string()
}

fn edit_index(cli: &Cli, edit: impl FnOnce(&mut Value)) {
    let path = cli.layout().join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut index);
    fs::write(path, index.to_string()).unwrap();
}

/// The names of all records.
fn names(cli: &Cli) -> Vec<Value> {
    let mut names: Vec<Value> =
        cli.json("ls")["lists"].as_array().unwrap().iter().map(|list| list["names"].clone()).collect();
    names.sort_by_key(Value::to_string);
    names
}

fn is_held(cli: &Cli, digest: &Digest) -> bool {
    cli.workspace.store().join("blobs/sha256").join(digest.hex()).exists()
}

/// A4-19, F-9.
#[test]
fn a_list_comes_out_of_an_archive_as_it_went_in() {
    let cli = Cli::new();
    let index = f9();
    let put = cli.put_index(&index, "app:1.0");
    edit_index(&cli, |index| drop(index.as_object_mut().unwrap().remove("mediaType")));
    let archive = oci_archive(&cli);
    fs::remove_dir_all(cli.layout()).unwrap();
    let object = cli.json(&format!("import --oci-archive {}", archive.display()));
    let imported = &object["imported"][0];
    assert_eq!((&imported["outcome"], &imported["synthesised"]), (&json!("imported"), &json!(false)));
    let list = &imported["list"];
    assert_eq!(list["names"], json!(["localhost/app:1.0"]));
    assert_eq!(
        (&list["digest"], &list["kind"], &list["origin"]),
        (&json!(put.digest), &json!("list"), &json!("imported"))
    );
    let platforms: Vec<&str> = PLATFORMS.iter().map(|(platform, _)| *platform).collect();
    assert_eq!(cli.platforms("app:1.0"), platforms);
    assert_eq!(cli.ok("inspect --raw app:1.0").as_bytes(), index.manifest());
    assert_eq!(cli.json("ls")["lists"][0]["origin"], "imported");
    // All of it is here: it goes out again without the archive.
    fs::remove_file(&archive).unwrap();
    let out = cli.workspace.path().join("again.tar");
    assert_eq!(cli.ok(&format!("export app:1.0 --oci-archive {}", out.display())).trim(), put.digest);
}

/// F-9b.
#[test]
fn the_platform_of_an_image_is_what_its_configuration_says() {
    let cli = Cli::new();
    let image = cli.put(&Image::new("linux/arm64/v8"), "v1");
    let archive = oci_archive(&cli);
    cli.ok(&format!("import one --oci-archive {}", archive.display()));
    cli.ok("create list store:one");
    assert_eq!(cli.entries("list"), [("linux/arm64/v8".to_owned(), image.digest)]);
    let out = cli.workspace.path().join("out.tar");
    cli.ok(&format!("export one --name v1 --oci-archive {}", out.display()));
    let (before, after) = (cli.ok("inspect --raw one"), cli.workspace.path().join("two"));
    cli.ok(&format!("import two --oci-archive {}", out.display()));
    assert_eq!(cli.ok("inspect --raw two"), before);
    assert!(!after.exists());
}

#[test]
fn a_source_may_be_written_with_its_transport() {
    let cli = Cli::new();
    let [amd64, arm64] = ["linux/amd64", "linux/arm64"]
        .map(|text| cli.put(&Image::new(text), text.rsplit('/').next().unwrap()));
    let (layout, archive) = (cli.layout(), oci_archive(&cli));
    let (layout, archive) = (layout.display(), archive.display());
    for (words, image) in [
        (format!("one oci:{layout}:amd64"), &amd64),
        (format!("two oci-archive:{archive}:arm64"), &arm64),
        (format!("three oci-archive:{archive}:@0"), &amd64),
    ] {
        let name = words.split(' ').next().unwrap();
        cli.ok(&format!("import {words}"));
        let raw = cli.ok(&format!("inspect --raw {name}"));
        assert_eq!(Digest::sha256(raw.as_bytes()), image.digest.parse().unwrap(), "{words}");
    }
    cli.ok(&format!("import oci:{layout}:arm64"));
    assert!(names(&cli).contains(&json!(["localhost/arm64:latest"])));
    cli.fails(2, &format!("import four oci:{layout}:arm64 --image amd64")).says("misuse", &["--image"]);
    cli.fails(2, &format!("import four --all oci:{layout}:arm64")).says("misuse", &["--all"]);
}

/// F-10, and the half of A4-18 that needs no pipe.
#[test]
fn an_image_of_docker_is_one_record_with_its_names() {
    let cli = Cli::new();
    let image = Image::new("linux/amd64");
    let archive = write(&cli, "docker.tar", docker_archive(&[(&image, &["app:v1", "example.com/app:v1"])]));
    let ran = cli.run(&format!("import --docker-archive {archive}"));
    ran.ok();
    assert!(ran.stderr.contains("holds no manifest for"), "{ran:?}");
    assert_eq!(names(&cli), [json!(["localhost/app:v1", "example.com/app:v1"])]);
    let list = cli.json("ls")["lists"][0].clone();
    assert_eq!((&list["kind"], &list["origin"]), (&json!("image"), &json!("imported")));
    assert!(is_held(&cli, &Digest::sha256(&image.config())));
    // The same again is the same record.
    let again = cli.json(&format!("import --docker-archive {archive}"));
    assert_eq!(
        (&again["imported"][0]["outcome"], &again["imported"][0]["list"]["id"]),
        (&json!("unchanged"), &list["id"])
    );
    assert_eq!(again["imported"][0]["synthesised"], true);
}

/// A4-20, F-11.
#[test]
fn of_several_images_one_must_be_chosen_or_all() {
    let (amd64, arm64) = (Image::new("linux/amd64"), Image::new("linux/arm64"));
    let archive = docker_archive(&[(&amd64, &["first:v1"]), (&arm64, &["docker.io/library/second:v2"])]);
    let cli = Cli::new();
    let file = write(&cli, "two.tar", archive);
    cli.fails(2, &format!("import app {file}"))
        .says("several_images", &["first:v1", "docker.io/library/second:v2", "--image", "--all"]);
    cli.fails(3, &format!("import app {file} --image third")).says("image_not_found", &["third", "first:v1"]);
    cli.fails(2, &format!("import app --all {file}")).says("misuse", &["--all"]);
    for (choice, platform) in [
        ("first:v1", "linux/amd64"),
        ("docker.io/library/first:v1", "linux/amd64"),
        ("second:v2", "linux/arm64"),
        ("docker.io/library/second:v2", "linux/arm64"),
        ("@1", "linux/arm64"),
    ] {
        cli.ok(&format!("import chosen --replace --image {choice} {file}"));
        cli.ok("create list store:chosen --replace");
        assert_eq!(cli.platforms("list"), [platform], "{choice}");
    }
    let cli = Cli::new();
    let file =
        cli.workspace.write("two.tar", docker_archive(&[(&amd64, &["first:v1"]), (&arm64, &["second:v2"])]));
    cli.ok(&format!("import --all {}", file.display()));
    assert_eq!(names(&cli), [json!(["localhost/first:v1"]), json!(["localhost/second:v2"])]);
    let cli = Cli::new();
    let file = write(&cli, "nameless.tar", docker_archive(&[(&amd64, &[]), (&arm64, &[])]));
    cli.fails(2, &format!("import --all {file}")).says("misuse", &["@0", "has no name"]);
}

/// A4-21, F-12.
#[test]
fn of_an_archive_of_both_kinds_the_oci_side_is_taken() {
    let cli = Cli::new();
    let image = Image::new("linux/amd64");
    let put = cli.put(&image, "v1");
    edit_index(&cli, |index| {
        index["manifests"][0]["annotations"]["io.containerd.image.name"] = json!("docker.io/library/app:v1");
    });
    let blob = |blob: &Blob| format!("blobs/sha256/{}", blob.digest.hex());
    let (mut layers, mut sources) = (image.blobs(), json!({}));
    let config = layers.pop().unwrap();
    for (layer, archive) in layers.iter().zip(image.layer_archives()) {
        sources[archive.digest.to_string()] = json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.digest, "size": layer.bytes.len(),
        });
    }
    let manifest = json!([{
        "Config": blob(&config), "RepoTags": null, "Layers": layers.iter().map(blob).collect::<Vec<_>>(),
        "LayerSources": sources,
    }]);
    let tar = Tar::new().tree(&cli.layout(), "").file("manifest.json", manifest.to_string()).finish();
    let file = write(&cli, "both.tar", tar);
    for option in ["--docker-archive", "--oci-archive"] {
        let object = cli.json(&format!("import {option} {file}"));
        let imported = &object["imported"][0];
        assert_eq!(
            (&imported["list"]["digest"], &imported["synthesised"]),
            (&json!(put.digest), &json!(false))
        );
        assert_eq!(imported["list"]["names"], json!(["docker.io/library/app:v1"]));
    }
}

/// A4-22, F-13.
#[test]
fn archives_that_are_none_leave_the_store_as_it_was() {
    let image = Image::new("linux/amd64");
    let docker = |manifest: &str| Tar::new().file("manifest.json", manifest).finish();
    let whole = docker_archive(&[(&image, &["app:v1"])]);
    let cycle = Tar::new().symlink("manifest.json", "c.json").symlink("c.json", "manifest.json").finish();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("text", b"hello, world\n".repeat(100)),
        ("no manifest", Tar::new().file("README", "x").finish()),
        ("null", docker("null")),
        ("no images", docker("[]")),
        ("legacy", Tar::new().file("repositories", "{}").file("a/layer.tar", "x").finish()),
        ("truncated", whole[..whole.len() / 2].to_vec()),
        ("cycle", cycle),
        ("leads out", Tar::new().file("../manifest.json", "[]").finish()),
        ("more diff IDs", docker(&json!([{"Config": "c", "Layers": []}]).to_string())),
    ];
    let cli = Cli::new();
    for (name, bytes) in cases {
        let file = write(&cli, "bad.tar", bytes);
        for arguments in [format!("import x {file}"), format!("import x --docker-archive {file}")] {
            cli.fails(7, &arguments).says("bad_archive", &["bad.tar"]);
        }
        let left = fs::read_dir(cli.workspace.path().join("tmp")).unwrap().count();
        assert_eq!((left, cli.store().len()), (0, 0), "{name}");
    }
}

/// A4-22, A4-3: what is wrong below the index.
#[test]
fn an_image_that_misses_a_part_or_has_a_wrong_one_is_not_saved() {
    let image = Image::new("linux/amd64").layer("one").layer("two");
    let parts: Vec<Digest> = image.blobs().iter().map(|blob| blob.digest).chain([image.digest()]).collect();
    for part in parts {
        let cli = Cli::new();
        cli.put(&image, "app:v1");
        let path = cli.layout().join("blobs/sha256").join(part.hex());
        let right = fs::read(&path).unwrap();
        let mut wrong = right.clone();
        wrong[0] ^= 1;
        fs::write(&path, wrong).unwrap();
        let archive = oci_archive(&cli);
        for source in
            [format!("--oci-dir {}", cli.layout().display()), format!("--oci-archive {}", archive.display())]
        {
            let ran = cli.run(&format!("import {source}"));
            assert!(ran.fails(7).contains(&part.to_string()), "{ran:?}");
            assert!(!is_held(&cli, &part));
        }
        fs::remove_file(&path).unwrap();
        let ran = cli.run(&format!("import --oci-dir {}", cli.layout().display()));
        assert!(ran.fails(3).contains(&part.to_string()), "{ran:?}");
        assert_eq!(names(&cli), [] as [Value; 0]);
        fs::write(&path, right).unwrap();
        cli.ok(&format!("import --oci-dir {}", cli.layout().display()));
    }
}

/// A0-1: names that another program keeps in a key of its own.
#[test]
fn names_of_other_programs_are_read() {
    let cli = Cli::new();
    cli.put(&Image::new("linux/amd64"), "x");
    cli.put(&Image::new("linux/arm64"), "y");
    edit_index(&cli, |index| {
        for (at, tag) in [(0, "v1"), (1, "v2")] {
            index["manifests"][at]["annotations"] = json!({ "org.example.short_tag": tag });
        }
    });
    let layout = cli.layout();
    cli.fails(2, &format!("import --oci-dir {}", layout.display())).says("several_images", &["v1, v2"]);
    cli.ok(&format!("import --all --oci-dir {}", layout.display()));
    assert_eq!(names(&cli), [json!(["localhost/v1:latest"]), json!(["localhost/v2:latest"])]);
}

/// A0-15.
#[test]
fn of_two_images_with_one_name_the_last_is_taken_and_that_is_said() {
    let cli = Cli::new();
    let first = cli.put(&Image::new("linux/amd64"), "app:v1");
    let second = cli.put(&Image::new("linux/arm64"), "app:v1");
    let ran = cli.run(&format!("import --oci-dir {}", cli.layout().display()));
    ran.ok();
    assert!(ran.stderr.contains("warning: app:v1"), "{ran:?}");
    assert!(ran.stderr.contains(&first.digest) && ran.stderr.contains(&second.digest), "{ran:?}");
    assert_eq!(cli.json("ls")["lists"][0]["digest"], *second.digest);
}

/// A4-4, A0-10.
#[test]
fn a_taken_name_is_replaced_only_when_that_is_said() {
    let cli = Cli::new();
    let import = |image: &Image, options: &str| {
        fs::remove_dir_all(cli.layout()).unwrap_or_default();
        cli.put(image, "v1");
        format!("import app {options} --oci-dir {}", cli.layout().display())
    };
    cli.ok(&import(&Image::new("linux/amd64"), ""));
    let other = Image::new("linux/arm64");
    cli.fails(4, &import(&other, "")).says("name_taken", &["localhost/app:latest", "--replace"]);
    cli.ok(&import(&other, "--replace"));
    let lists = cli.json("ls")["lists"].clone();
    assert_eq!(lists.as_array().unwrap().len(), 1, "{lists}");
    assert_eq!(lists[0]["digest"], other.digest().to_string());
    // What somebody wrote here is never removed.
    cli.ok(&format!("create --replace app {}", cli.image("linux/amd64")));
    cli.ok(&import(&other, "--replace"));
    assert_eq!(cli.json("ls")["lists"].as_array().unwrap().len(), 3);
}

/// C4-2: a name that cannot go where it should stays where it is.
#[test]
fn a_name_that_is_replaced_leads_to_the_old_image_or_to_the_new_one() {
    let cli = Cli::new();
    let (old, new) = (Image::new("linux/amd64"), Image::new("linux/arm64"));
    cli.put(&old, "old");
    cli.put(&new, "new");
    let import = |name: &str, image: &str| {
        format!(
            "import {name} --image {image} --replace --lock-timeout 0 --oci-dir {}",
            cli.layout().display()
        )
    };
    cli.ok(&import("app", "old"));
    cli.ok(&import("example.com/new:1", "new"));
    // The same image gets a second name, which is taken from the first.
    edit_index(&cli, |index| {
        let mut named = index["manifests"][1].clone();
        named["annotations"]["org.opencontainers.image.ref.name"] = json!("example.com/new:1");
        index["manifests"].as_array_mut().unwrap().push(named);
        index["manifests"][1]["annotations"]["org.opencontainers.image.ref.name"] = json!("app");
        index["manifests"].as_array_mut().unwrap().remove(0);
    });
    let both = format!("import --replace --lock-timeout 0 --oci-dir {}", cli.layout().display());
    let record = cli.record("example.com/new:1");
    let id = record.file_name().unwrap().to_str().unwrap();
    let lock = fs::File::open(cli.workspace.store().join(format!("locks/record-{id}"))).unwrap();
    lock.lock().unwrap();
    cli.fails(9, &both).says("busy", &["example.com/new:1"]);
    assert_eq!(cli.ok("inspect --raw app").as_bytes(), old.manifest());
    drop(lock);
    cli.ok(&both);
    assert_eq!(names(&cli), [json!(["example.com/new:1", "localhost/app:latest"])]);
    assert_eq!(cli.ok("inspect --raw app").as_bytes(), new.manifest());
}

#[test]
fn what_is_damaged_in_the_store_does_not_pass_for_what_is_imported() {
    let cli = Cli::new();
    let image = Image::new("linux/amd64").layer("small").layers(1, 2 << 20, 7);
    let index = Index::of(&[&image, &Image::new("linux/arm64")]);
    cli.put_index(&index, "app:v1");
    let import = format!("import --oci-dir {}", cli.layout().display());
    cli.ok(&import);
    let damage = |digest: &Digest| {
        let path = cli.workspace.store().join("blobs/sha256").join(digest.hex());
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let code = |line: &str| cli.run(line).code;
    let (large, small): (Vec<Blob>, Vec<Blob>) =
        image.blobs().into_iter().partition(|blob| blob.bytes.len() > 1 << 20);
    for digest in small.iter().map(|blob| blob.digest).chain([image.digest()]) {
        damage(&digest);
        assert_eq!(code("fsck"), Some(7));
        assert_eq!(cli.json(&import)["imported"][0]["outcome"], "unchanged");
        assert_eq!(code("fsck"), Some(0), "{digest}");
    }
    // A large one is not read, until it is out of the way.
    damage(&large[0].digest);
    cli.ok(&import);
    assert_eq!(code("fsck --repair"), Some(0));
    cli.ok(&import);
    assert_eq!(code("fsck"), Some(0));
}

/// The digests of records are of sha256, those of a layout need not be.
#[test]
fn an_image_of_another_algorithm_imported_again_is_the_same() {
    let cli = Cli::new();
    let image = Image::new("linux/amd64");
    cli.put(&image, "app:v1");
    let digest = Algorithm::Sha512.digest(&image.manifest());
    let blobs = cli.layout().join("blobs/sha512");
    fs::create_dir(&blobs).unwrap();
    fs::write(blobs.join(digest.hex()), image.manifest()).unwrap();
    edit_index(&cli, |index| index["manifests"][0]["digest"] = json!(digest));
    let import = format!("import --oci-dir {}", cli.layout().display());
    let first = cli.json(&import)["imported"][0].clone();
    assert_eq!(first["list"]["digest"], json!(image.digest()));
    let again = cli.json(&import)["imported"][0].clone();
    assert_eq!((&again["outcome"], &again["list"]["id"]), (&json!("unchanged"), &first["list"]["id"]));
}

/// A0-9: the process is gone between the blobs and the record.
#[test]
fn blobs_that_an_import_left_behind_serve_the_next_one() {
    let cli = Cli::new();
    cli.put(&Image::new("linux/amd64").layer("one").layer("two"), "app:v1");
    let import = format!("import --oci-dir {}", cli.layout().display());
    cli.ok(&import);
    cli.ok("rm app:v1");
    let object = cli.json(&import);
    let blobs = object["imported"][0]["blobs"].clone();
    assert_eq!(blobs.as_array().unwrap().len(), 1, "{blobs}");
    assert_eq!((&blobs[0]["action"], &blobs[0]["count"]), (&json!("skip"), &json!(3)));
    assert_eq!(names(&cli), [json!(["localhost/app:v1"])]);
}

/// A1-9.
#[test]
fn what_was_imported_from_stays_as_it_is() {
    let cli = Cli::new();
    cli.put_index(&f9(), "app:1");
    let layout = cli.layout();
    let content = |dir: &Path| Tar::new().tree(dir, "").finish();
    let before = content(&layout);
    cli.ok(&format!("import --oci-dir {}", layout.display()));
    cli.ok("create list --all store:app:1");
    cli.ok("rm list app:1");
    assert_eq!(content(&layout), before);
}

/// A1-19.
#[test]
fn an_image_that_a_list_uses_is_not_removed() {
    let cli = Cli::new();
    let image = cli.put(&Image::new("linux/amd64"), "v1");
    cli.ok(&format!("import image --oci-dir {}", cli.layout().display()));
    fs::remove_dir_all(cli.layout()).unwrap();
    cli.ok("create list localhost/image");
    let source = cli.json("inspect list --sources")["sources"][0].clone();
    assert_eq!((&source["place"], &source["entry"]), (&json!("store:"), &json!(image.digest)));
    cli.fails(4, "rm image").says("held", &["localhost/list:latest"]);
    let out = cli.workspace.path().join("out");
    cli.ok(&format!("push list oci:{}:1", out.display()));
    assert!(out.join("blobs/sha256").join(&image.digest["sha256:".len()..]).exists());
    cli.ok(&format!("remove list {}", image.digest));
    cli.ok("rm image");
    assert_eq!(names(&cli), [json!(["localhost/list:latest"])]);
}

#[test]
fn entries_of_an_imported_list_are_read_here() {
    let cli = Cli::new();
    cli.put_index(&f9(), "app:1");
    cli.ok(&format!("import --oci-dir {}", cli.layout().display()));
    fs::remove_dir_all(cli.layout()).unwrap();
    cli.ok("create some store:app:1 --platform linux/arm64 --platform linux/amd64");
    assert_eq!(cli.platforms("some"), ["linux/amd64", "linux/arm64/v8"]);
    // The list that they came from is not needed for that.
    cli.ok("rm app:1");
    cli.ok("gc --grace 0s");
    cli.ok(&format!("export some --oci-dir {}", cli.workspace.path().join("out").display()));
}

#[test]
fn a_blob_that_is_lost_or_wrong_is_named_and_not_sent() {
    let cli = Cli::new();
    let image = Image::new("linux/amd64");
    cli.put(&image, "v1");
    cli.ok(&format!("import image --oci-dir {}", cli.layout().display()));
    let layer = image.blobs()[0].digest;
    let path = cli.workspace.store().join("blobs/sha256").join(layer.hex());
    fs::write(&path, b"wrong").unwrap();
    let out = cli.workspace.path().join("out");
    cli.fails(7, &format!("export image --oci-dir {}", out.display())).says("damaged", &[&layer.to_string()]);
    fs::remove_file(&path).unwrap();
    cli.fails(7, &format!("export image --oci-dir {}", out.display())).says("damaged", &["it is missing"]);
    cli.fails(7, "create list localhost/image").says("damaged", &["it is missing"]);
    assert!(!out.exists());
}

#[test]
fn sources_are_told_apart() {
    let cli = Cli::new();
    cli.put(&Image::new("linux/amd64"), "app:v1");
    let (layout, archive) = (cli.layout(), oci_archive(&cli));
    let (layout, archive) = (layout.display(), archive.display());
    for (arguments, from) in [
        (format!("--oci-dir {layout}"), format!("oci:{layout}:app:v1")),
        (format!("{layout}"), format!("oci:{layout}:app:v1")),
        (format!("x {layout}"), format!("oci:{layout}:app:v1")),
        (format!("x --oci-dir {layout}"), format!("oci:{layout}:app:v1")),
        (format!("--oci-archive {archive}"), format!("oci-archive:{archive}:app:v1")),
        (format!("{archive}"), format!("oci-archive:{archive}:app:v1")),
        (format!("x {archive}"), format!("oci-archive:{archive}:app:v1")),
    ] {
        let object = cli.json(&format!("import {arguments}"));
        assert_eq!(object["imported"][0]["from"], *from, "{arguments}");
    }
    assert_eq!(names(&cli).len(), 2);
    cli.fails(7, &format!("import --docker-archive {archive}")).says("bad_archive", &["oci-archive:"]);
    cli.fails(3, "import x gone.tar").says("file_not_found", &["gone.tar"]);
    cli.fails(3, "import --oci-dir gone").says("layout_not_found", &["gone"]);
    cli.fails(2, &format!("import X {archive}")).says("invalid_reference", &["\"X\""]);
    cli.fails(2, &format!("import x {archive} --oci-dir {layout}"));
}
