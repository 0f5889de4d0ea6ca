//! OCI archives, written from a layout.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test ends at the first thing that is not as it should be; its files need not survive a crash"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use manifest_core::{Algorithm, Digest};
use manifest_testkit::{Image, Index, Tool, program, put_image};
use manifest_transport::archive::{Archive, ArchiveKind, Existing, pack};
use manifest_transport::{Layout, Pick, Place, TransportError};
use tempfile::TempDir;

fn image(n: usize) -> Image {
    Image::new("linux/amd64").layer(format!("layer {n}"))
}

fn layout(dir: &TempDir, name: &str) -> PathBuf {
    let path = dir.path().join(name);
    image(1).write_layout(&path, "v1");
    Index::of(&[&image(2), &image(3)]).write_layout(&path, "v2");
    path
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_is_packed_is_read_by_us_by_skopeo_and_by_tar() {
    let dir = TempDir::new().unwrap();
    let (layout, target) = (layout(&dir, "layout"), dir.path().join("packed.tar"));
    pack(&layout, &target, Existing::Refuse).await.unwrap();
    let archive = Archive::new(ArchiveKind::Oci, &target);
    let list = Index::of(&[&image(2), &image(3)]);
    assert_eq!(archive.manifest(&Pick::Name("v1".to_owned())).await.unwrap().bytes, image(1).manifest());
    assert_eq!(archive.manifest(&Pick::Name("v2".to_owned())).await.unwrap().bytes, list.manifest());
    let skopeo = Tool::new("skopeo");
    let from = format!("oci-archive:{}:v2", target.display());
    assert_eq!(skopeo.run(["inspect", "--raw", &from]).ok().as_bytes(), list.manifest());
    let listed =
        Command::new(program("tar")).args(["--numeric-owner", "-tvf"]).arg(&target).output().unwrap();
    assert!(listed.status.success() && listed.stderr.is_empty(), "{listed:?}");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let names: Vec<&str> = listed.lines().map(|line| line.split_whitespace().last().unwrap()).collect();
    assert_eq!(names[..4], ["oci-layout", "index.json", "blobs/", "blobs/sha256/"]);
    assert!(names[4..].is_sorted() && names[4..].iter().all(|name| name.starts_with("blobs/sha256/")));
    for line in listed.lines() {
        let mode = if line.ends_with('/') { "drwxr-xr-x 0/0" } else { "-rw-r--r-- 0/0" };
        assert!(line.starts_with(mode) && line.contains("1970-01-01"), "{line}");
    }
    assert_eq!(files(dir.path()), ["layout", "packed.tar"]);
}

/// A0-16.
#[tokio::test]
async fn equal_layouts_give_equal_bytes_whatever_else_lies_in_them() {
    let dir = TempDir::new().unwrap();
    let (one, two) = (layout(&dir, "one"), layout(&dir, "two"));
    for odd in [".manifest.lock", "blobs/sha256/.tmp-x", "blobs/sha256/README", "blobs/md5/x", "notes"] {
        let path = two.join(odd);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "not of the layout").unwrap();
    }
    let packed = |layout: PathBuf, target: PathBuf| async move {
        pack(&layout, &target, Existing::Refuse).await.unwrap();
        std::fs::read(target).unwrap()
    };
    let first = packed(one.clone(), dir.path().join("1.tar")).await;
    assert_eq!(first, packed(one, dir.path().join("2.tar")).await);
    assert_eq!(first, packed(two, dir.path().join("3.tar")).await);
}

#[tokio::test]
async fn blobs_of_sha512_are_packed_too() {
    let dir = TempDir::new().unwrap();
    let (layout, target) = (layout(&dir, "layout"), dir.path().join("packed.tar"));
    let digest = Algorithm::Sha512.digest(&image(4).manifest());
    let path = layout.join("blobs/sha512").join(digest.hex());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, image(4).manifest()).unwrap();
    pack(&layout, &target, Existing::Refuse).await.unwrap();
    let archive = Archive::new(ArchiveKind::Oci, &target);
    assert_eq!(archive.manifest(&Pick::Digest(digest)).await.unwrap().digest, digest);
    let listed = Command::new(program("tar")).arg("-tf").arg(&target).output().unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().ends_with(&format!("blobs/sha512/{}\n", digest.hex())));
}

/// A0-7.
#[tokio::test]
async fn what_stands_at_the_target_stays_unless_it_may_be_replaced() {
    let dir = TempDir::new().unwrap();
    let (layout, target) = (layout(&dir, "layout"), dir.path().join("packed.tar"));
    std::fs::write(&target, "before").unwrap();
    let error = pack(&layout, &target, Existing::Refuse).await.unwrap_err();
    assert!(matches!(error, TransportError::Exists(_)), "{error:?}");
    assert_eq!(std::fs::read(&target).unwrap(), b"before");
    pack(&layout, &target, Existing::Replace).await.unwrap();
    let archive = Archive::new(ArchiveKind::Oci, &target);
    assert_eq!(archive.offers().await.unwrap().len(), 2);
    std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
    let error = pack(&layout, &dir.path().join("link"), Existing::Refuse).await.unwrap_err();
    assert!(matches!(error, TransportError::Exists(_)), "{error:?}");
}

#[tokio::test]
async fn a_layout_that_is_damaged_is_not_packed_and_leaves_nothing() {
    let elsewhere = TempDir::new().unwrap();
    std::fs::write(elsewhere.path().join("secret"), "secret").unwrap();
    let spoil = |what: &str| {
        let dir = TempDir::new().unwrap();
        let layout = layout(&dir, "layout");
        let blob = layout.join("blobs/sha256").join(Digest::sha256(&image(1).manifest()).hex());
        match what {
            "marker" => std::fs::remove_file(layout.join("oci-layout")).unwrap(),
            "index" => std::fs::write(layout.join("index.json"), "{").unwrap(),
            "no index" => std::fs::remove_file(layout.join("index.json")).unwrap(),
            "bit" => {
                let mut bytes = std::fs::read(&blob).unwrap();
                bytes[0] ^= 1;
                std::fs::write(&blob, bytes).unwrap();
            }
            "link" => {
                std::fs::remove_file(&blob).unwrap();
                std::os::unix::fs::symlink(elsewhere.path().join("secret"), &blob).unwrap();
            }
            "directory" => {
                std::fs::remove_file(&blob).unwrap();
                std::fs::create_dir(&blob).unwrap();
            }
            other => panic!("{other}"),
        }
        (dir, layout)
    };
    for (what, expected) in [
        ("marker", "is not an OCI image layout: it has no file oci-layout"),
        ("index", "is not a usable manifest"),
        ("no index", "cannot open"),
        ("bit", "but its content is"),
        ("link", "cannot open"),
        ("directory", "cannot open"),
    ] {
        let (dir, layout) = spoil(what);
        let error = pack(&layout, &dir.path().join("packed.tar"), Existing::Replace).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{what}: {error}");
        assert_eq!(files(dir.path()), ["layout"], "{what}");
    }
}

#[tokio::test]
async fn a_layout_of_ours_comes_back_whole() {
    let dir = TempDir::new().unwrap();
    let place = Place::Layout(Layout::new(dir.path().join("layout")));
    put_image(&place, &image(1), "r.io/app:v1").await.unwrap();
    let target = dir.path().join("packed.tar");
    pack(&dir.path().join("layout"), &target, Existing::Refuse).await.unwrap();
    let offers = Archive::new(ArchiveKind::Oci, &target).offers().await.unwrap();
    assert_eq!(offers[0].name.as_deref(), Some("r.io/app:v1"));
    assert_eq!(offers[0].descriptor.digest, image(1).digest());
}
