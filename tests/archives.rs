//! Layouts and archives on their way in and out, beside other people's programs and through a pipe.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a broken promise ends a test by a panic; files of tests need not survive a crash, and processes are polled"
)]

use std::fs;
use std::path::Path;

use manifest_core::Digest;
use manifest_testkit::{DockerRegistry, Image, Index, Ran, Tool, Workspace, docker_archive};
use serde_json::Value;

const MANIFEST: &str = env!("CARGO_BIN_EXE_manifest");

fn manifest(workspace: &Workspace, words: &str) -> Ran {
    workspace.run(MANIFEST, words.split_whitespace())
}

fn json(workspace: &Workspace, words: &str) -> Value {
    serde_json::from_str(manifest(workspace, &format!("{words} --output json")).ok()).unwrap()
}

fn skopeo(arguments: &[&str]) -> String {
    Tool::new("skopeo").run(arguments).ok().to_owned()
}

fn list() -> Index {
    let images = [
        Image::new("linux/amd64"),
        Image::new("linux/arm64/v8"),
        Image::new("windows/amd64").os_version("10.0.1"),
    ];
    Index::of(&images.iter().collect::<Vec<_>>()).annotation("org.example.note", "é<>&")
}

/// Checks that every file that stands under a digest's name is that content; the number of them.
#[track_caller]
fn check_blobs(workspace: &Workspace) -> usize {
    let dir = workspace.store().join("blobs/sha256");
    let Ok(entries) = fs::read_dir(&dir) else { return 0 };
    let mut count = 0;
    for entry in entries {
        let (name, path) = {
            let entry = entry.unwrap();
            (entry.file_name(), entry.path())
        };
        let Ok(digest) = format!("sha256:{}", name.to_str().unwrap()).parse::<Digest>() else { continue };
        assert!(digest.verifies(&fs::read(&path).unwrap()), "{} is not what its name says", path.display());
        count += 1;
    }
    count
}

#[test]
fn what_is_exported_is_read_by_skopeo_to_the_byte() {
    let workspace = Workspace::new();
    list().write_layout(&workspace.path().join("images"), "app:1.0");
    manifest(&workspace, "import app:1.0 --oci-dir images").ok();
    manifest(&workspace, "export app:1.0 --oci-archive out.tar").ok();
    manifest(&workspace, "export app:1.0 --oci-dir out").ok();
    let raw = manifest(&workspace, "inspect --raw app:1.0").stdout;
    assert_eq!(raw.as_bytes(), list().manifest());
    let at = |name: &str| workspace.path().join(name).display().to_string();
    for source in [
        format!("oci-archive:{}:localhost/app:1.0", at("out.tar")),
        format!("oci:{}:localhost/app:1.0", at("out")),
    ] {
        assert_eq!(skopeo(&["inspect", "--raw", &source]), raw, "{source}");
        let copy = format!("oci:{}:1.0", at("copied"));
        skopeo(&["copy", "--quiet", "--all", "--preserve-digests", &source, &copy]);
        assert_eq!(skopeo(&["inspect", "--raw", &copy]), raw, "{source}");
        fs::remove_dir_all(at("copied")).unwrap();
    }
}

#[test]
fn what_skopeo_writes_is_imported_to_the_byte() {
    let workspace = Workspace::new();
    let at = |name: &str| workspace.path().join(name).display().to_string();
    list().write_layout(Path::new(&at("images")), "app:1.0");
    Image::new("linux/amd64").write_layout(Path::new(&at("images")), "one");
    skopeo(&[
        "copy",
        "--quiet",
        "--all",
        &format!("oci:{}:app:1.0", at("images")),
        &format!("oci-archive:{}:app:1.0", at("oci.tar")),
    ]);
    skopeo(&[
        "copy",
        "--quiet",
        &format!("oci:{}:one", at("images")),
        &format!("docker-archive:{}:example.com/one:2", at("docker.tar")),
    ]);
    let imported = json(&workspace, "import --oci-archive oci.tar");
    assert_eq!(imported["imported"][0]["list"]["digest"], list().digest().to_string());
    let imported = json(&workspace, "import --docker-archive docker.tar");
    assert_eq!(imported["imported"][0]["list"]["names"], serde_json::json!(["example.com/one:2"]));
    // An image that was made up for a Docker archive is a whole image as well.
    let registry = DockerRegistry::plain();
    let target = format!("docker://{}/team/one:2", registry.address());
    manifest(&workspace, &format!("push example.com/one:2 {target}")).ok();
    let inspected = skopeo(&["inspect", "--tls-verify=false", &target]);
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!((&inspected["Os"], &inspected["Architecture"]), (&"linux".into(), &"amd64".into()));
}

/// A4-18.
#[test]
fn an_archive_comes_through_a_pipe() {
    let image = Image::new("linux/arm64");
    let archive = docker_archive(&[(&image, &["whatever:1"])]);
    let workspace = Workspace::new();
    for words in [
        &["import", "app:v1"][..],
        &["import", "app:v2", "-"],
        &["import", "-"],
        &["import", "app:v3", "--docker-archive", "-"],
    ] {
        Ran::with_input(workspace.command(MANIFEST).args(words), &archive).ok();
        assert_eq!(fs::read_dir(workspace.path().join("tmp")).unwrap().count(), 0, "{words:?}");
    }
    let listed = json(&workspace, "ls --filter name=app:v1");
    let list = &listed["lists"][0];
    assert_eq!(
        (&list["kind"], &list["origin"], &list["entries"]),
        (&"image".into(), &"imported".into(), &0.into())
    );
    manifest(&workspace, "create multi store:app:v1").ok();
    let shown = json(&workspace, "inspect multi");
    assert_eq!(shown["document"]["manifests"][0]["platform"]["architecture"], "arm64");
    manifest(&workspace, "exists whatever:1").ok();
}

/// A4-22: nothing comes, or something else, or the half of it.
#[test]
fn a_pipe_that_brings_no_archive_leaves_nothing() {
    let archive = docker_archive(&[(&Image::new("linux/amd64"), &["app:1"])]);
    let workspace = Workspace::new();
    for input in [&b""[..], b"hello", &archive[..archive.len() / 2]] {
        let ran = Ran::with_input(workspace.command(MANIFEST).args(["import", "app"]), input);
        assert!(ran.fails(7).contains("- is not a usable archive"), "{ran:?}");
        assert_eq!(fs::read_dir(workspace.path().join("tmp")).unwrap().count(), 0);
    }
    manifest(&workspace, "exists app").fails(1);
}

/// A1-6, A0-9.
#[test]
fn an_import_that_is_interrupted_leaves_nothing_under_the_name_of_a_digest() {
    let workspace = Workspace::new();
    let image = Image::new("linux/amd64").layers(6, 4 << 20, 1);
    image.write_layout(&workspace.path().join("images"), "app:1");
    for (round, signal) in ["INT", "KILL", "INT", "KILL"].into_iter().enumerate() {
        let mut running = workspace.start(MANIFEST, ["import", "--oci-dir", "images"]);
        // Until something is under way, and a bit longer each time.
        let store = workspace.store();
        while !running.has_ended() && !store.join("blobs").exists() {
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_millis(20 * round as u64));
        if !running.has_ended() {
            running.signal(signal);
        }
        running.wait();
        check_blobs(&workspace);
    }
    manifest(&workspace, "import --oci-dir images --replace").ok();
    assert_eq!(check_blobs(&workspace), image.blobs().len() + 1);
    manifest(&workspace, "gc --grace 0").ok();
    for dir in ["blobs/sha256", "records", "names", "intakes"] {
        let left = fs::read_dir(workspace.store().join(dir)).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> =
            left.filter(|name| dir == "intakes" || name.to_string_lossy().starts_with('.')).collect();
        assert!(left.is_empty(), "{dir}: {left:?}");
    }
    assert_eq!(check_blobs(&workspace), image.blobs().len() + 1);
    let digest = image.digest().to_string();
    // One that was killed between its record and its name has left a record without a name.
    let listed = json(&workspace, "ls");
    let named = |list: &&Value| !list["names"].as_array().unwrap().is_empty();
    let lists: Vec<_> = listed["lists"].as_array().unwrap().iter().filter(named).collect();
    assert_eq!(lists.len(), 1, "{listed}");
    assert_eq!(lists[0]["digest"], *digest);
}
