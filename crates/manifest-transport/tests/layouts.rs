//! OCI image layouts, shared with other programs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::path::Path;

use futures_util::future::join_all;
use manifest_core::{Descriptor, Digest, Document};
use manifest_testkit::{Image, Index, Tool, descriptor, put_blob, put_image, read_blob};
use manifest_transport::{Guard, Layout, Location, Pick, Place, Transport, TransportError, Which};
use serde_json::{Value, json};
use tempfile::TempDir;

fn start() -> (TempDir, Place) {
    let dir = TempDir::new().unwrap();
    let place = Place::Layout(Layout::new(dir.path().join("layout")));
    (dir, place)
}

fn root(place: &Place) -> &Path {
    match place {
        Place::Layout(layout) => layout.root(),
        other => panic!("{other}"),
    }
}

fn name(name: &str) -> Which {
    Which::Local(Pick::Name(name.to_owned()))
}

fn image(n: usize) -> Image {
    Image::new("linux/amd64").layer(format!("layer {n}"))
}

fn index(place: &Place) -> Value {
    serde_json::from_slice(&std::fs::read(root(place).join("index.json")).unwrap()).unwrap()
}

fn set_index(place: &Place, value: &Value) {
    write(&root(place).join("index.json"), value.to_string().as_bytes());
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::io::Write::write_all(&mut std::fs::File::create(path).unwrap(), bytes).unwrap();
}

fn blob_path(place: &Place, digest: &Digest) -> std::path::PathBuf {
    root(place).join("blobs/sha256").join(digest.hex())
}

#[tokio::test]
async fn what_was_written_is_read_back_and_by_skopeo() {
    let (_dir, place) = start();
    let image = image(1);
    let digest = put_image(&place, &image, "v1").await.unwrap();
    let picks = [Pick::Only, Pick::Name("v1".to_owned()), Pick::Position(0), Pick::Digest(digest)];
    for pick in picks {
        let fetched = place.manifest(&Which::Local(pick)).await.unwrap();
        assert_eq!((fetched.bytes, fetched.digest), (image.manifest().into(), digest));
        assert_eq!(fetched.media_type, image.media_type());
    }
    for blob in image.blobs() {
        assert_eq!(read_blob(&place, &descriptor(&blob.bytes)).await.unwrap(), blob.bytes);
        assert!(place.has_blob(&descriptor(&blob.bytes)).await.unwrap());
    }
    assert_eq!(place.named_digest("v1").await.unwrap(), Some(digest));
    let skopeo = Tool::new("skopeo");
    let source = format!("oci:{}:v1", root(&place).display());
    assert_eq!(skopeo.run(["inspect", "--raw", &source]).ok().as_bytes(), image.manifest());
    let copied = format!("oci:{}:v2", root(&place).display());
    skopeo.run(["copy", &source, &copied]).ok();
    assert_eq!(place.named_digest("v2").await.unwrap(), Some(digest), "and what skopeo wrote is read");
}

#[tokio::test]
async fn a_list_with_its_images_is_read_by_skopeo_for_one_platform() {
    let (_dir, place) = start();
    let children = [Image::new("linux/amd64"), Image::new("linux/arm64")];
    for child in &children {
        for blob in child.blobs() {
            put_blob(&place, blob.bytes).await.unwrap();
        }
        place.put_manifest(&child.digest(), &child.media_type(), child.manifest().into()).await.unwrap();
    }
    let list = Index::of(&[&children[0], &children[1]]);
    place.put_named(Some("v1"), &list.media_type(), list.manifest().into(), &Guard::default()).await.unwrap();
    let fetched = place.manifest(&name("v1")).await.unwrap();
    assert!(matches!(fetched.document, Document::List(ref list, _) if list.entries().len() == 2));
    let source = format!("oci:{}:v1", root(&place).display());
    let skopeo = Tool::new("skopeo");
    let seen = skopeo.run(["--override-arch", "arm64", "inspect", &source]);
    assert!(seen.ok().contains("\"Architecture\": \"arm64\""), "{seen:?}");
}

#[tokio::test]
async fn a_name_moves_and_what_others_wrote_stays() {
    let (_dir, place) = start();
    put_image(&place, &image(1), "v1").await.unwrap();
    put_image(&place, &image(2), "other").await.unwrap();
    let mut before = index(&place);
    before["annotations"] = json!({ "com.example.owner": "ann" });
    before["com.example.member"] = json!([1, { "deep": null }]);
    before["manifests"][1]["annotations"]["com.example.note"] = json!("keep me");
    before["manifests"][1]["com.example.field"] = json!(7);
    let foreign = json!({
        "mediaType": "application/vnd.example.unknown+json", "digest": Digest::sha256(b"foreign"), "size": 7,
    });
    before["manifests"].as_array_mut().unwrap().push(foreign.clone());
    set_index(&place, &before);
    let digest = put_image(&place, &image(3), "v1").await.unwrap();
    let after = index(&place);
    assert_eq!(place.named_digest("v1").await.unwrap(), Some(digest));
    assert_eq!(after["annotations"], before["annotations"]);
    assert_eq!(after["com.example.member"], before["com.example.member"]);
    let entries = after["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 3, "the old v1 is gone: {after}");
    assert!(entries.contains(&before["manifests"][1]) && entries.contains(&foreign), "{after}");
}

#[tokio::test]
async fn a_name_that_stands_twice_stands_once_when_it_is_set() {
    let (_dir, place) = start();
    let (one, two) = (image(1), image(2));
    put_image(&place, &one, "v1").await.unwrap();
    put_image(&place, &two, "v2").await.unwrap();
    let mut twice = index(&place);
    twice["manifests"][1]["annotations"]["org.opencontainers.image.ref.name"] = json!("v1");
    set_index(&place, &twice);
    assert_eq!(place.named_digest("v1").await.unwrap(), Some(one.digest()), "the first one counts");
    // It is in the index already, but not as what the name means.
    place.put_named(Some("v1"), &two.media_type(), two.manifest().into(), &Guard::default()).await.unwrap();
    assert_eq!(place.named_digest("v1").await.unwrap(), Some(two.digest()));
    assert_eq!(index(&place)["manifests"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_index_is_left_alone_when_it_says_everything_already() {
    let (_dir, place) = start();
    put_image(&place, &image(1), "v1").await.unwrap();
    let bytes = serde_json::to_vec_pretty(&index(&place)).unwrap();
    write(&root(&place).join("index.json"), &bytes);
    put_image(&place, &image(1), "v1").await.unwrap();
    assert_eq!(std::fs::read(root(&place).join("index.json")).unwrap(), bytes);
}

#[tokio::test]
async fn sixteen_tasks_that_name_sixteen_manifests_lose_none() {
    let (_dir, place) = start();
    let tasks = (0..16).map(|n| {
        let place = place.clone();
        tokio::spawn(async move { put_image(&place, &image(n), &format!("v{n}")).await.unwrap() })
    });
    for (n, digest) in join_all(tasks).await.into_iter().enumerate() {
        assert_eq!(place.named_digest(&format!("v{n}")).await.unwrap(), Some(digest.unwrap()));
    }
    assert_eq!(index(&place)["manifests"].as_array().unwrap().len(), 16);
    let left = std::fs::read_dir(root(&place).join("blobs/sha256")).unwrap();
    assert!(left.into_iter().all(|file| !file.unwrap().file_name().to_string_lossy().starts_with('.')));
}

#[tokio::test]
async fn what_is_no_layout_is_told_with_the_reason() {
    let (dir, place) = start();
    for (marker, why) in [
        (None, "no file oci-layout"),
        (Some("{"), "oci-layout"),
        (Some(r#"{"imageLayoutVersion":"2.0.0"}"#), "version 1.0.0"),
        (Some("[]"), "version 1.0.0"),
    ] {
        if let Some(marker) = marker {
            write(&root(&place).join("oci-layout"), marker.as_bytes());
        }
        let error = place.manifest(&name("v1")).await.unwrap_err();
        assert!(matches!(error, TransportError::NotALayout(..)), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(place.named_digest("v1").await.unwrap(), None);
    }
    let location: Location = format!("oci:{}:v1", dir.path().display()).parse().unwrap();
    let (place, which) = Transport::default().open(&location).unwrap();
    assert!(matches!(place.manifest(&which).await, Err(TransportError::NotALayout(..))));
}

#[tokio::test]
async fn a_name_that_is_not_there_is_told_with_those_that_are() {
    let (_dir, place) = start();
    put_image(&place, &image(1), "v1").await.unwrap();
    put_image(&place, &image(2), "v2").await.unwrap();
    for which in [name("v3"), Which::Local(Pick::Only), Which::Local(Pick::Position(2))] {
        let error = place.manifest(&which).await.unwrap_err();
        assert!(matches!(&error, TransportError::NotFound(what) if what.contains("v1, v2")), "{error:?}");
    }
    let digest = Digest::sha256(b"none");
    assert!(matches!(place.manifest(&digest.into()).await, Err(TransportError::NotFound(_))));
    assert!(!place.has_manifest(&digest).await.unwrap());
    assert!(matches!(place.blob(&descriptor(b"none")).await, Err(TransportError::NotFound(_))));
}

/// SEC-39.
#[cfg(unix)]
#[tokio::test]
async fn a_blob_that_is_no_regular_file_is_refused_and_replaced_when_written() {
    let (dir, place) = start();
    let image = image(1);
    put_image(&place, &image, "v1").await.unwrap();
    let (path, blob) = (blob_path(&place, &image.digest()), descriptor(&image.manifest()));
    let elsewhere = dir.path().join("elsewhere");
    write(&elsewhere, &image.manifest());
    let link = || std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    let fifo = || {
        let made = std::process::Command::new(manifest_testkit::program("mkfifo")).arg(&path).status();
        assert!(made.unwrap().success());
    };
    let odd: [&dyn Fn(); 2] = [&link, &fifo];
    for make in odd {
        std::fs::remove_file(&path).unwrap();
        make();
        assert!(matches!(place.manifest(&name("v1")).await, Err(TransportError::Io("open", ..))));
        assert!(matches!(place.blob(&blob).await, Err(TransportError::Io("open", ..))));
        assert!(!place.has_manifest(&image.digest()).await.unwrap());
        assert!(!place.has_blob(&blob).await.unwrap());
        put_image(&place, &image, "v1").await.unwrap();
        assert_eq!(place.manifest(&name("v1")).await.unwrap().digest, image.digest());
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(place.manifest(&name("v1")).await, Err(TransportError::Io("open", ..))));
    assert!(!place.has_blob(&blob).await.unwrap());
    assert_eq!(std::fs::read(&elsewhere).unwrap(), image.manifest(), "nothing was written through the link");
}

#[tokio::test]
async fn wrong_content_is_refused_and_replaced_when_written() {
    let (_dir, place) = start();
    let image = image(1);
    put_image(&place, &image, "v1").await.unwrap();
    let blob = descriptor(&image.manifest());
    let mut spoilt = image.manifest();
    spoilt[0] ^= 1;
    for content in [&spoilt[..], &image.manifest()[1..], b""] {
        write(&blob_path(&place, &image.digest()), content);
        let error = place.manifest(&name("v1")).await.unwrap_err();
        assert!(matches!(error, TransportError::DigestMismatch { .. }), "{error:?}");
        let error = read_blob(&place, &blob).await.unwrap_err();
        assert!(
            matches!(error, TransportError::DigestMismatch { .. } | TransportError::SizeMismatch { .. }),
            "{error:?}"
        );
        assert!(!place.has_manifest(&image.digest()).await.unwrap());
        place.put_manifest(&image.digest(), &image.media_type(), image.manifest().into()).await.unwrap();
        assert_eq!(place.manifest(&name("v1")).await.unwrap().digest, image.digest());
    }
}

#[tokio::test]
async fn a_blob_whose_source_fails_leaves_nothing() {
    use futures_util::stream::{self, StreamExt as _};
    let (_dir, place) = start();
    let Place::Layout(layout) = &place else { panic!("a layout") };
    let pieces = vec![Ok("half".into()), Err(TransportError::NotFound("the rest".to_owned()))];
    let blob: Descriptor = descriptor(b"half and half");
    let error = layout.put_blob(&blob, stream::iter(pieces).boxed()).await.unwrap_err();
    assert!(matches!(error, TransportError::NotFound(_)), "{error:?}");
    assert_eq!(std::fs::read_dir(root(&place).join("blobs/sha256")).unwrap().count(), 0);
}

/// SEC-50, SEC-51.
#[tokio::test]
async fn huge_files_are_refused_before_they_are_read() {
    let (_dir, place) = start();
    put_image(&place, &image(1), "v1").await.unwrap();
    let grow = |path: &Path| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_len(10 << 30).unwrap();
    };
    grow(&blob_path(&place, &image(1).digest()));
    let error = place.manifest(&name("v1")).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { limit: 4_194_304, .. }), "{error:?}");
    grow(&root(&place).join("index.json"));
    for error in [
        place.manifest(&name("v1")).await.map(|_| ()).unwrap_err(),
        put_image(&place, &image(2), "v2").await.map(|_| ()).unwrap_err(),
    ] {
        assert!(
            matches!(&error, TransportError::TooLarge { what, .. } if what.ends_with("index.json")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn an_index_that_is_not_one_is_refused_and_never_overwritten() {
    let (_dir, place) = start();
    put_image(&place, &image(1), "v1").await.unwrap();
    for bad in [
        "",
        "{",
        "[]",
        r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
        r#"{"schemaVersion":3,"manifests":[]}"#,
    ] {
        write(&root(&place).join("index.json"), bad.as_bytes());
        let error = place.manifest(&name("v1")).await.unwrap_err();
        assert!(matches!(error, TransportError::Decode { .. }), "{bad}: {error:?}");
        assert!(put_image(&place, &image(2), "v2").await.is_err(), "{bad}");
        assert_eq!(std::fs::read(root(&place).join("index.json")).unwrap(), bad.as_bytes());
    }
}
