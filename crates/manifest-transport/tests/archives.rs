//! Images in one file, as this and other programs write them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test ends at the first thing that is not as it should be; its files need not survive a crash"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use manifest_core::{Digest, Document, MediaType};
use manifest_testkit::{Image, Index, Tar, Tool, descriptor, docker_archive, program, put_blob, read_blob};
use manifest_transport::{
    Archive, ArchiveKind, Fetched, Guard, Location, Offer, Origin, Pick, Place, Transport, TransportError,
    Which,
};
use serde_json::{Value, json};
use tempfile::TempDir;

fn image(n: usize) -> Image {
    Image::new("linux/amd64").layer(format!("layer {n}")).layer("shared")
}

fn write(dir: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// An OCI archive with these images, each under its name; members have `prefix` before their names.
fn oci_archive(dir: &TempDir, images: &[(&Image, &str)], prefix: &str) -> PathBuf {
    let layout = dir.path().join("layout");
    for (image, name) in images {
        image.write_layout(&layout, name);
    }
    write(dir, "oci.tar", Tar::new().tree(&layout, prefix).finish())
}

fn open(text: &str) -> (Place, Which) {
    Transport::default().open(&text.parse::<Location>().unwrap()).unwrap()
}

async fn read(text: &str) -> Result<Fetched, TransportError> {
    let (place, which) = open(text);
    place.manifest(&which).await
}

async fn offers(place: &Place) -> Vec<Offer> {
    match place {
        Place::Archive(archive) => archive.offers().await.unwrap(),
        Place::Layout(layout) => layout.offers().await.unwrap(),
        other => panic!("{other}"),
    }
}

fn through(tool: &str, arguments: &[&str], from: &Path, to: &Path) {
    let input = std::fs::File::open(from).unwrap();
    let output =
        Command::new(program(tool)).args(arguments).stdin(input).stdout(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{tool}");
    std::fs::write(to, output.stdout).unwrap();
}

#[tokio::test]
async fn an_oci_archive_gives_the_bytes_that_lie_in_it() {
    for prefix in ["", "./"] {
        let (dir, image) = (TempDir::new().unwrap(), image(1));
        let path = oci_archive(&dir, &[(&image, "r.io/app:v1")], prefix);
        let path = path.display();
        for pick in ["", ":r.io/app:v1", ":@0", &format!("@{}", image.digest())] {
            let fetched = read(&format!("oci-archive:{path}{pick}")).await.unwrap();
            assert_eq!((fetched.bytes, fetched.digest), (image.manifest().into(), image.digest()), "{pick}");
            assert_eq!(fetched.origin, Origin::AsFound);
        }
        let (place, _) = open(&format!("oci-archive:{path}"));
        assert_eq!(place.to_string(), format!("oci-archive:{path}"));
        assert!(place.has_manifest(&image.digest()).await.unwrap());
        assert_eq!(place.named_digest("r.io/app:v1").await.unwrap(), Some(image.digest()));
        assert_eq!(place.named_digest("other").await.unwrap(), None);
        for blob in image.blobs() {
            let blob_descriptor = descriptor(&blob.bytes);
            assert_eq!(read_blob(&place, &blob_descriptor).await.unwrap(), blob.bytes);
            assert!(place.has_blob(&blob_descriptor).await.unwrap());
        }
        assert_eq!(place.config(&descriptor(&image.config())).await.unwrap(), image.config());
        assert!(!place.has_blob(&descriptor(b"none")).await.unwrap());
        assert!(matches!(place.blob(&descriptor(b"none")).await, Err(TransportError::NotFound(_))));
    }
}

/// A4-19.
#[tokio::test]
async fn a_list_in_an_archive_keeps_its_digest_and_the_order_of_its_entries() {
    let dir = TempDir::new().unwrap();
    let images: Vec<Image> = (0..11).map(image).collect();
    let index = Index::of(&images.iter().collect::<Vec<_>>());
    let layout = dir.path().join("layout");
    let digest = index.write_layout(&layout, "v1");
    let path = write(&dir, "oci.tar", Tar::new().tree(&layout, "").finish());
    let fetched = read(&format!("oci-archive:{}", path.display())).await.unwrap();
    assert_eq!(fetched.digest, digest);
    let Document::List(list, _) = fetched.document else { panic!("a list") };
    let expected: Vec<Digest> = images.iter().map(Image::digest).collect();
    assert_eq!(list.entries().iter().map(|entry| entry.digest).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_large_blob_comes_in_pieces_and_whole() {
    let dir = TempDir::new().unwrap();
    let image = Image::new("linux/amd64").layers(1, 3 << 20, 7);
    let path = oci_archive(&dir, &[(&image, "v1")], "");
    let (place, _) = open(&format!("oci-archive:{}", path.display()));
    let blob = &image.blobs()[0];
    assert_eq!(read_blob(&place, &descriptor(&blob.bytes)).await.unwrap(), blob.bytes);
}

#[tokio::test]
async fn what_skopeo_writes_is_read() {
    let (dir, image) = (TempDir::new().unwrap(), image(1));
    let layout = dir.path().join("layout");
    image.write_layout(&layout, "v1");
    let (oci, docker) = (dir.path().join("oci.tar"), dir.path().join("docker.tar"));
    let skopeo = Tool::new("skopeo");
    let from = format!("oci:{}:v1", layout.display());
    skopeo.run(["copy", &from, &format!("oci-archive:{}:v2", oci.display())]).ok();
    skopeo.run(["copy", &from, &format!("docker-archive:{}:r.io/app:v1", docker.display())]).ok();
    let fetched = read(&format!("oci-archive:{}:v2", oci.display())).await.unwrap();
    assert_eq!(fetched.bytes, image.manifest());
    for pick in ["", ":r.io/app:v1", ":@0"] {
        let (place, which) = open(&format!("docker-archive:{}{pick}", docker.display()));
        let fetched = place.manifest(&which).await.unwrap();
        assert_eq!((fetched.origin, &fetched.media_type), (Origin::Synthesised, &MediaType::DOCKER_MANIFEST));
        let Document::Image(manifest) = &fetched.document else { panic!("an image") };
        let layers: Vec<Digest> = manifest.layers.iter().map(|layer| layer.digest).collect();
        let expected: Vec<Digest> = image.layer_archives().iter().map(|layer| layer.digest).collect();
        assert_eq!(layers, expected, "as they lie there, which is not compressed");
        for blob in manifest.blobs() {
            assert!(place.has_blob(blob).await.unwrap(), "{blob:?}");
        }
    }
}

/// F-10, A4-18.
#[tokio::test]
async fn a_docker_archive_gives_a_manifest_that_was_made_up_and_says_so() {
    let (dir, image) = (TempDir::new().unwrap(), Image::new("linux/arm64"));
    let bytes = docker_archive(&[(&image, &["app:v1"])]);
    let path = write(&dir, "docker.tar", &bytes);
    let (place, which) = open(&format!("docker-archive:{}", path.display()));
    let fetched = place.manifest(&which).await.unwrap();
    let (config, layer) = (image.config(), &image.layer_archives()[0]);
    let expected = format!(
        concat!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","#,
            r#""config":{{"mediaType":"application/vnd.docker.container.image.v1+json","size":{},"digest":"{}"}},"#,
            r#""layers":[{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","size":{},"digest":"{}"}}]}}"#,
        ),
        config.len(),
        Digest::sha256(&config),
        layer.bytes.len(),
        layer.digest
    );
    assert_eq!(String::from_utf8_lossy(&fetched.bytes), expected);
    assert_eq!(fetched.origin, Origin::Synthesised);
    assert_eq!(place.config(&descriptor(&config)).await.unwrap(), config);
    assert_eq!(read_blob(&place, &descriptor(&layer.bytes)).await.unwrap(), layer.bytes);
    let again = read(&format!("docker-archive:{}@{}", path.display(), fetched.digest)).await.unwrap();
    assert_eq!(again.bytes, fetched.bytes, "its digest names it");
    // The same through a pipe.
    let piped = Archive::spool(ArchiveKind::Either, "stdin", std::io::Cursor::new(bytes)).await.unwrap();
    assert_eq!(piped.manifest(&Pick::Only).await.unwrap().digest, fetched.digest);
    assert_eq!(piped.offers().await.unwrap()[0].name.as_deref(), Some("app:v1"));
}

/// F-11, A4-20.
#[tokio::test]
async fn of_several_images_one_is_chosen_by_any_spelling_of_its_name_or_by_its_position() {
    let (dir, one, two) = (TempDir::new().unwrap(), image(1), image(2));
    let bytes = docker_archive(&[(&one, &["first:latest", "first:v1"]), (&two, &["r.io/second:v2"])]);
    let path = write(&dir, "docker.tar", bytes);
    let text = format!("docker-archive:{}", path.display());
    let error = read(&text).await.unwrap_err().to_string();
    assert!(error.contains("2 manifests: first:latest, first:v1, r.io/second:v2"), "{error}");
    let first = read(&format!("{text}:@0")).await.unwrap().digest;
    let second = read(&format!("{text}:@1")).await.unwrap().digest;
    for (pick, expected) in [
        ("first", first),
        ("first:v1", first),
        ("docker.io/library/first:latest", first),
        ("r.io/second:v2", second),
    ] {
        assert_eq!(read(&format!("{text}:{pick}")).await.unwrap().digest, expected, "{pick}");
    }
    for pick in [":second:v2", ":first:v2", ":@2"] {
        assert!(matches!(read(&format!("{text}{pick}")).await, Err(TransportError::NotFound(_))), "{pick}");
    }
    let (place, _) = open(&text);
    let offers = offers(&place).await;
    let listed: Vec<_> =
        offers.iter().map(|o| (o.position, o.name.as_deref(), o.descriptor.digest)).collect();
    assert_eq!(
        listed,
        [(0, Some("first:latest"), first), (0, Some("first:v1"), first), (1, Some("r.io/second:v2"), second)]
    );
    assert!(offers.iter().all(|o| o.origin == Origin::Synthesised && o.shadowed_by.is_none()));
}

/// F-12, A4-21.
#[tokio::test]
async fn an_archive_that_is_both_keeps_the_digests_of_the_oci_side() {
    let (dir, image) = (TempDir::new().unwrap(), image(1));
    let layout = dir.path().join("layout");
    image.write_layout(&layout, "v1");
    let mut index: Value =
        serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["annotations"]["io.containerd.image.name"] = json!("docker.io/library/app:v1");
    std::fs::write(layout.join("index.json"), index.to_string()).unwrap();
    let blob = |digest: Digest| format!("blobs/sha256/{}", digest.hex());
    let layers: Vec<_> = image.blobs().iter().rev().skip(1).rev().map(|layer| blob(layer.digest)).collect();
    let config = blob(Digest::sha256(&image.config()));
    let manifest = json!([{ "Config": config, "RepoTags": null, "Layers": layers }]).to_string();
    let both = Tar::new().tree(&layout, "").file("manifest.json", &manifest);
    let path = write(&dir, "both.tar", both.finish());
    for pick in ["", ":app:v1", ":docker.io/library/app:v1", ":v1", ":@0"] {
        for kind in ["docker-archive", "oci-archive"] {
            let fetched = read(&format!("{kind}:{}{pick}", path.display())).await.unwrap();
            assert_eq!((fetched.digest, fetched.origin), (image.digest(), Origin::AsFound), "{kind} {pick}");
        }
    }
    let (place, _) = open(&format!("docker-archive:{}", path.display()));
    assert_eq!(offers(&place).await[0].name.as_deref(), Some("docker.io/library/app:v1"));
    // Without the marks of a layout it is a Docker archive, whose layers are compressed as they are.
    let blobs = Tar::new().tree(&layout.join("blobs"), "blobs/").file("manifest.json", &manifest);
    let path = write(&dir, "docker.tar", blobs.finish());
    let fetched = read(&format!("docker-archive:{}", path.display())).await.unwrap();
    assert_eq!(fetched.origin, Origin::Synthesised);
    let Document::Image(made) = fetched.document else { panic!("an image") };
    let expected: Vec<Digest> = image.blobs().iter().map(|blob| blob.digest).take(2).collect();
    assert_eq!(made.layers.iter().map(|layer| layer.digest).collect::<Vec<_>>(), expected);
    assert!(made.layers.iter().all(|layer| layer.media_type.as_str().ends_with(".diff.tar.gzip")));
}

#[tokio::test]
async fn each_layer_is_judged_by_its_own_first_bytes() {
    let (dir, image) = (TempDir::new().unwrap(), image(1));
    let layers = image.layer_archives();
    let plain = write(&dir, "plain", &layers[1].bytes);
    let packed = dir.path().join("packed");
    through("zstd", &["-c"], &plain, &packed);
    let manifest = json!([{ "Config": "config.json", "Layers": ["a/layer.tar", "b/layer.tar"] }]);
    let tar = Tar::new()
        .file("a/layer.tar", &layers[0].bytes)
        .file("b/layer.tar", std::fs::read(packed).unwrap())
        .file("config.json", image.config())
        .file("manifest.json", manifest.to_string());
    let path = write(&dir, "docker.tar", tar.finish());
    let fetched = read(&format!("docker-archive:{}", path.display())).await.unwrap();
    let Document::Image(made) = fetched.document else { panic!("an image") };
    let types: Vec<_> = made.layers.iter().map(|layer| layer.media_type.as_str()).collect();
    let layer = "application/vnd.docker.image.rootfs.diff.tar";
    assert_eq!(types, [layer.to_owned(), format!("{layer}.zstd")]);
}

#[tokio::test]
async fn layers_that_lie_elsewhere_and_layers_behind_links_are_found() {
    let (dir, image) = (TempDir::new().unwrap(), image(1));
    let layers = image.layer_archives();
    let foreign = json!({
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "size": 7,
        "digest": Digest::sha256(b"foreign"), "urls": ["https://example.com/layer"],
    });
    let manifest = json!([{
        "Config": "config.json", "Layers": ["none/layer.tar", "b/layer.tar"],
        "LayerSources": { layers[0].digest.to_string(): foreign },
    }]);
    let tar = Tar::new()
        .file("c/layer.tar", &layers[1].bytes)
        .symlink("b/layer.tar", "../d/layer.tar")
        .hard_link("d/layer.tar", "./c/layer.tar")
        .file("config.json", image.config())
        .file("manifest.json", manifest.to_string());
    let path = write(&dir, "docker.tar", tar.finish());
    let fetched = read(&format!("docker-archive:{}", path.display())).await.unwrap();
    let Document::Image(made) = fetched.document else { panic!("an image") };
    assert_eq!(made.layers[0].digest, Digest::sha256(b"foreign"));
    assert_eq!(made.layers[0].urls, ["https://example.com/layer"]);
    assert_eq!(made.layers[1].digest, layers[1].digest);
}

#[tokio::test]
async fn an_archive_that_is_compressed_as_a_whole_is_read_too() {
    let (dir, image) = (TempDir::new().unwrap(), image(1));
    let path = oci_archive(&dir, &[(&image, "v1")], "");
    let docker = write(&dir, "docker.tar", docker_archive(&[(&image, &["app:v1"])]));
    for (tool, arguments) in [("gzip", ["-c", "-n"]), ("zstd", ["-c", "-q"])] {
        let packed = dir.path().join(tool);
        through(tool, &arguments, &path, &packed);
        let (place, which) = open(&format!("oci-archive:{}", packed.display()));
        assert_eq!(place.manifest(&which).await.unwrap().digest, image.digest(), "{tool}");
        let layer = &image.blobs()[0];
        assert_eq!(read_blob(&place, &descriptor(&layer.bytes)).await.unwrap(), layer.bytes);
        // Two frames behind one another are one archive as well.
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        let bytes = std::fs::read(&docker).unwrap();
        let (start, end) = (write(&dir, "start", &bytes[..700]), write(&dir, "end", &bytes[700..]));
        through(tool, &arguments, &start, &first);
        through(tool, &arguments, &end, &second);
        let both = [std::fs::read(first).unwrap(), std::fs::read(second).unwrap()].concat();
        let both = write(&dir, "both", both);
        assert!(read(&format!("docker-archive:{}", both.display())).await.is_ok(), "{tool}");
    }
}

#[tokio::test]
async fn a_file_that_was_replaced_is_read_anew() {
    let (dir, one, two) = (TempDir::new().unwrap(), image(1), image(22));
    let path = oci_archive(&dir, &[(&one, "v1")], "");
    let transport = Transport::default();
    let location: Location = format!("oci-archive:{}:v1", path.display()).parse().unwrap();
    let (place, which) = transport.open(&location).unwrap();
    assert_eq!(place.manifest(&which).await.unwrap().digest, one.digest());
    std::fs::remove_dir_all(dir.path().join("layout")).unwrap();
    std::fs::remove_file(&path).unwrap();
    oci_archive(&dir, &[(&two, "v1")], "");
    assert_eq!(place.manifest(&which).await.unwrap().digest, two.digest());
    assert_eq!(transport.open(&location).unwrap().0, place);
    std::fs::remove_file(&path).unwrap();
    let error = place.manifest(&which).await.unwrap_err();
    assert!(matches!(error, TransportError::Io("open", ..)), "{error:?}");
}

#[tokio::test]
async fn nothing_is_written_into_an_archive() {
    let (dir, image) = (TempDir::new().unwrap(), image(1));
    let path = oci_archive(&dir, &[(&image, "v1")], "");
    let before = std::fs::read(&path).unwrap();
    let (place, _) = open(&format!("oci-archive:{}", path.display()));
    let read_only = |result: Result<(), TransportError>| matches!(result, Err(TransportError::ReadOnly(_)));
    assert!(read_only(put_blob(&place, "x").await));
    assert!(read_only(
        place.put_manifest(&image.digest(), &image.media_type(), image.manifest().into()).await
    ));
    assert!(read_only(
        place.put_named(Some("v2"), &image.media_type(), image.manifest().into(), &Guard::default()).await
    ));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(place.registry_host(), None);
}

/// A0-1, A0-15, F-3.
#[tokio::test]
async fn what_is_offered_has_its_names_in_order_and_the_last_of_a_name_wins() {
    let dir = TempDir::new().unwrap();
    let images: Vec<Image> = (0..5).map(image).collect();
    let layout = dir.path().join("layout");
    for image in &images {
        image.write_layout(&layout, "v1");
    }
    let mut index: Value =
        serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][1]["annotations"] = json!({ "io.example.images.short_tag": "v2" });
    index["manifests"][2].as_object_mut().unwrap().remove("annotations");
    index["manifests"][2]["platform"] = json!({ "os": "", "architecture": "" });
    index["manifests"][4]["annotations"]["io.containerd.image.name"] = json!("docker.io/library/app:v1");
    // What one of the programs writes that makes such layouts.
    index["mediaType"] = json!("application/vnd.oci.layout.header.v1+json");
    std::fs::write(layout.join("index.json"), index.to_string()).unwrap();
    let path = write(&dir, "oci.tar", Tar::new().tree(&layout, "").finish());
    for text in [format!("oci:{}", layout.display()), format!("oci-archive:{}", path.display())] {
        let (place, _) = open(&text);
        let offers = offers(&place).await;
        let found: Vec<_> = offers
            .iter()
            .map(|o| (o.position, o.descriptor.digest, o.name.as_deref(), o.shadowed_by))
            .collect();
        let digest = |n: usize| images[n].digest();
        assert_eq!(
            found,
            [
                (0, digest(0), Some("v1"), Some(digest(3))),
                (1, digest(1), Some("v2"), None),
                (2, digest(2), None, None),
                (3, digest(3), Some("v1"), None),
                (4, digest(4), Some("docker.io/library/app:v1"), None),
            ],
            "{text}"
        );
        assert!(offers.iter().all(|offer| offer.origin == Origin::AsFound));
    }
    std::fs::write(layout.join("index.json"), r#"{"schemaVersion":2,"manifests":null}"#).unwrap();
    let (place, _) = open(&format!("oci:{}", layout.display()));
    assert_eq!(offers(&place).await, []);
}
