//! Archives that are damaged, or were made to do harm.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test ends at the first thing that is not as it should be; its files need not survive a crash"
)]

use std::path::PathBuf;

use manifest_core::{Digest, MediaType};
use manifest_testkit::{Image, Tar, descriptor, docker_archive, program, read_blob};
use manifest_transport::{Archive, ArchiveKind, Place, TransportError, Which};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

const NO_PICK: Which = Which::Local(manifest_transport::Pick::Only);

fn image() -> Image {
    Image::new("linux/amd64").layer("one").layer("two")
}

fn write(dir: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// All causes of an error, the outermost first.
fn chain(error: &TransportError) -> String {
    let first: Option<&dyn std::error::Error> = Some(error);
    let causes = std::iter::successors(first, |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

async fn refused(kind: ArchiveKind, bytes: &[u8]) -> TransportError {
    let dir = TempDir::new().unwrap();
    let place = Place::Archive(Archive::new(kind, write(&dir, "archive.tar", bytes)));
    let error = place.manifest(&NO_PICK).await.unwrap_err();
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["archive.tar"]);
    error
}

/// The layout of one image, with what stands before it.
fn oci(before: Tar) -> Tar {
    let dir = TempDir::new().unwrap();
    image().write_layout(dir.path(), "v1");
    before.tree(dir.path(), "")
}

fn docker(config: &str, layers: &[&str], more: Tar) -> Vec<u8> {
    let manifest = json!([{ "Config": config, "Layers": layers }]).to_string();
    more.file("manifest.json", manifest).finish()
}

/// A4-22, F-13.
#[tokio::test]
async fn what_is_no_archive_of_images_is_refused_with_the_reason() {
    let good = docker_archive(&[(&image(), &["app:v1"])]);
    let manifest = |json: &str| Tar::new().file("manifest.json", json).finish();
    let cases: [(ArchiveKind, Vec<u8>, &str); 16] = [
        (ArchiveKind::Docker, Vec::new(), "it is empty"),
        (ArchiveKind::Docker, b"text\n".to_vec(), "not a tar archive"),
        (ArchiveKind::Oci, b"text\n".repeat(1000), "no header at byte 0"),
        (ArchiveKind::Either, Tar::new().finish(), "it holds no images"),
        (ArchiveKind::Oci, Tar::new().file("etc/passwd", "x").finish(), "it holds no images"),
        (ArchiveKind::Oci, good.clone(), "not an OCI archive, but a Docker archive; write docker-archive:"),
        (ArchiveKind::Docker, oci(Tar::new()).finish(), "but an OCI archive; write oci-archive:"),
        (ArchiveKind::Docker, manifest("null"), "manifest.json names no images"),
        (ArchiveKind::Docker, manifest("[]"), "manifest.json names no images"),
        (ArchiveKind::Docker, manifest("{}"), "manifest.json is not valid"),
        (ArchiveKind::Docker, manifest(r#"[{"Config":"a","Config":"b"}]"#), "duplicate field"),
        (ArchiveKind::Docker, manifest(r#"[{"Config":"none.json"}]"#), "it has no \"none.json\""),
        (
            ArchiveKind::Docker,
            Tar::new().file("a/layer.tar", "").file("a/json", "{}").finish(),
            "before Docker 1.10",
        ),
        (ArchiveKind::Docker, Tar::new().file("repositories", "{}").finish(), "before Docker 1.10"),
        (ArchiveKind::Docker, good[..good.len() - 1024].to_vec(), "it ends too early, in the header"),
        (ArchiveKind::Docker, good[..3000].to_vec(), "it ends too early, in \"0-0/layer.tar\""),
    ];
    for (kind, bytes, why) in cases {
        let error = refused(kind, &bytes).await;
        assert!(matches!(error, TransportError::Archive(..)), "{why}: {error:?}");
        assert!(chain(&error).contains(why), "{why}: {}", chain(&error));
    }
}

#[tokio::test]
async fn an_archive_may_end_with_one_empty_block_and_nothing_behind_it_is_read() {
    let dir = TempDir::new().unwrap();
    let good = oci(Tar::new()).finish();
    let one_block = write(&dir, "one", &good[..good.len() - 512]);
    let padded = write(&dir, "padded", [&good[..], &[7; 3000]].concat());
    for path in [one_block, padded] {
        let archive = Archive::new(ArchiveKind::Oci, path);
        assert!(Place::Archive(archive).manifest(&NO_PICK).await.is_ok());
    }
    let mut hidden = good[..good.len() - 512].to_vec();
    hidden.extend(Tar::new().file("hidden", "x").finish());
    assert!(chain(&refused(ArchiveKind::Oci, &hidden).await).contains("not a tar archive, or damaged"));
}

/// SEC-31, SEC-33, SEC-34, SEC-40.
#[tokio::test]
async fn headers_that_two_readers_could_understand_differently_are_refused() {
    let sparse = [("GNU.sparse.major", "1"), ("size", "1")];
    let many = (0..2000).map(|n| format!("k{n}")).collect::<Vec<_>>();
    let many: Vec<_> =
        many.iter().map(|key| (key.as_str(), "value that takes some room, and more of it")).collect();
    for (tar, why) in [
        (Tar::new().symlink(".", "/tmp"), "leads out of the archive"),
        (Tar::new().symlink("./", "elsewhere"), "leads out of the archive"),
        (Tar::new().file("../manifest.json", "[]"), "\"../manifest.json\" leads out of the archive"),
        (Tar::new().file("a/../../b", ""), "leads out of the archive"),
        (Tar::new().file("/etc/passwd", ""), "leads out of the archive"),
        (Tar::new().file("a", "1").file("./a", "2"), "two members \"./a\""),
        (Tar::new().file("oci-layout", "{}"), "two members \"oci-layout\""),
        (Tar::new().directory("a/").file("a", "1"), "two members \"a\""),
        (
            Tar::new().extended(&[("size", "0")]).file("a", [0; 512]),
            "is 512 bytes in one header and 0 in another",
        ),
        (Tar::new().extended(&[("size", "512")]).header_only("a", 0), "is 0 bytes in one header and 512"),
        (Tar::new().extended(&[("size", "-1")]).file("a", ""), "extended header at byte 0"),
        (Tar::new().member(b'x', "x", "", b"7 a=1\n").file("a", ""), "extended header at byte 0"),
        (Tar::new().extended(&sparse).file("a", "1"), "sparse file"),
        (Tar::new().member(b'S', "a", "", b""), "sparse file"),
        (Tar::new().member(b'g', "g", "", b"10 path=ab\n"), "extended header at byte 0"),
        (Tar::new().member(b'g', "g", "", b"9 path=a\n"), "extended header at byte 0"),
        (Tar::new().extended(&many).file("a", ""), "longer than 65536 bytes"),
        (Tar::new().member(b'L', "long", "", &[b'x'; 70_000]).file("a", ""), "longer than 65536 bytes"),
        (Tar::new().member(b'2', "a", "b", b"content"), "has content"),
        (Tar::new().member(b'5', "a", "", b"content"), "has content"),
        (Tar::new().extended(&[("path", "oci-layout")]).file("a", ""), "two members \"oci-layout\""),
    ] {
        let error = refused(ArchiveKind::Oci, &oci(tar).finish()).await;
        assert!(matches!(error, TransportError::Archive(..)), "{why}: {error:?}");
        assert!(chain(&error).contains(why), "{why}: {}", chain(&error));
    }
    let for_nothing = oci(Tar::new()).extended(&[("path", "b")]).finish();
    assert!(chain(&refused(ArchiveKind::Oci, &for_nothing).await).contains("extended header"));
}

#[tokio::test]
async fn a_size_that_leads_out_of_the_file_is_refused_at_once() {
    for size in [1 << 20, 0o77_7777_7777] {
        let bytes = oci(Tar::new()).header_only("a", size).finish();
        let error = refused(ArchiveKind::Oci, &bytes).await;
        assert!(chain(&error).contains("it ends too early, in \"a\""), "{}", chain(&error));
    }
    let huge = oci(Tar::new()).extended(&[("size", "18446744073709551615")]).header_only("a", 0).finish();
    assert!(chain(&refused(ArchiveKind::Oci, &huge).await).contains("it ends too early"));
}

#[tokio::test]
async fn what_is_unknown_is_let_be() {
    let odd = Tar::new()
        .member(b'g', "comment", "", b"16 comment=text\n")
        .symlink("loop", "loop")
        .symlink("out", "/etc/passwd")
        .member(b'3', "dev/null", "", b"")
        .member(b'6', "pipe", "", b"")
        .member(b'L', "long", "", &[&[b'x'; 300][..], &[0]].concat())
        .file("short", "content")
        .extended(&[("mtime", "1.5"), ("path", "other/name")])
        .file("a", "content")
        .directory("blobs/")
        .directory("./");
    let (dir, image) = (TempDir::new().unwrap(), image());
    let path = write(&dir, "oci.tar", oci(odd).finish());
    let place = Place::Archive(Archive::new(ArchiveKind::Oci, path));
    assert_eq!(place.manifest(&NO_PICK).await.unwrap().digest, image.digest());
}

/// SEC-39, SEC-40.
#[tokio::test]
async fn links_are_followed_to_files_within_the_archive_only() {
    let (image, layer) = (image(), image().layer_archives());
    let config = image.config();
    let base = |layer_links: Tar| layer_links.file("c.json", &config).file("b.tar", &layer[1].bytes);
    let chain_of = |links: usize| {
        let tar = Tar::new().file("link0", &layer[0].bytes);
        (1..=links).fold(tar, |tar, n| tar.symlink(&format!("link{n}"), &format!("link{}", n - 1)))
    };
    for (tar, first, why) in [
        (Tar::new().symlink("a", "b2").symlink("b2", "a"), "a", "by more than 8 links"),
        (Tar::new().hard_link("a", "a"), "a", "by more than 8 links"),
        (chain_of(9), "link9", "by more than 8 links"),
        (Tar::new().symlink("a", "/etc/passwd"), "a", "leads out of the archive, to \"/etc/passwd\""),
        (Tar::new().symlink("x/a", "../../etc/passwd"), "x/a", "leads out of the archive"),
        (Tar::new().hard_link("x/a", "../b.tar"), "x/a", "leads out of the archive"),
        (Tar::new().symlink("a", "none"), "a", "it has no \"none\""),
        (Tar::new().symlink("a", "dir").directory("dir/"), "a", "not a regular file"),
        (Tar::new().member(b'6', "a", "", b""), "a", "not a regular file"),
        (Tar::new(), "../a", "leads out of the archive"),
        (Tar::new(), "/etc/passwd", "leads out of the archive"),
    ] {
        let error = refused(ArchiveKind::Docker, &docker("c.json", &[first, "b.tar"], base(tar))).await;
        assert!(matches!(error, TransportError::Archive(..)), "{why}: {error:?}");
        assert!(chain(&error).contains(why), "{why}: {}", chain(&error));
    }
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "docker.tar", docker("c.json", &["link8", "b.tar"], base(chain_of(8))));
    assert!(Place::Archive(Archive::new(ArchiveKind::Docker, path)).manifest(&NO_PICK).await.is_ok());
    // The manifest and the configuration lead to one another.
    let circle = Tar::new().symlink("manifest.json", "c.json").symlink("c.json", "manifest.json").finish();
    assert!(chain(&refused(ArchiveKind::Docker, &circle).await).contains("by more than 8 links"));
}

/// F-13.
#[tokio::test]
async fn layers_and_configuration_must_agree() {
    let (image, layers) = (image(), image().layer_archives());
    let no_diff_ids = r#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let packed = &image.blobs()[0].bytes;
    let tar = || Tar::new().file("a", &layers[0].bytes).file("b", &layers[1].bytes).file("packed", packed);
    let cut = &packed[..packed.len() - 9];
    for (tar, config, names, why) in [
        (tar(), image.config(), &["a"][..], "2 diff IDs, but there are 1 layers"),
        (tar(), image.config(), &["a", "b", "b"], "2 diff IDs, but there are 3 layers"),
        (tar(), no_diff_ids.into(), &["packed"], "0 diff IDs, but there are 1 layers"),
        (tar(), b"{}".to_vec(), &["a", "b"], "missing field `rootfs`"),
        (tar(), b"text".to_vec(), &["a", "b"], "the configuration \"c.json\" is not valid"),
        (
            tar().file("cut", cut),
            image.config(),
            &["cut", "b"],
            "cannot unpack \"cut\", which is compressed with gzip",
        ),
    ] {
        let error = refused(ArchiveKind::Docker, &docker("c.json", names, tar.file("c.json", config))).await;
        assert!(matches!(error, TransportError::Archive(..)), "{why}: {error:?}");
        assert!(chain(&error).contains(why), "{why}: {}", chain(&error));
    }
    let swapped = docker("c.json", &["b", "a"], tar().file("c.json", image.config()));
    let error = refused(ArchiveKind::Docker, &swapped).await;
    assert!(
        matches!(&error, TransportError::DigestMismatch { what, .. } if what.starts_with("b of docker-archive:"))
    );
    let wrong_name = format!("{}.json", Digest::sha256(b"other").hex());
    let wrong = docker(&wrong_name, &["a", "b"], tar().file(&wrong_name, image.config()));
    assert!(matches!(refused(ArchiveKind::Docker, &wrong).await, TransportError::DigestMismatch { .. }));
    let fine = docker("c.json", &["packed", "b"], tar().file("c.json", image.config()));
    let dir = TempDir::new().unwrap();
    let place = Place::Archive(Archive::new(ArchiveKind::Docker, write(&dir, "docker.tar", fine)));
    assert!(place.manifest(&NO_PICK).await.is_ok());
}

/// SEC-30, SEC-39.
#[tokio::test]
async fn an_oci_side_that_is_damaged_is_refused_and_a_blob_never_arrives_whole() {
    let image = image();
    let marker = r#"{"imageLayoutVersion":"1.0.0"}"#;
    let index = |digest: &str| {
        json!({ "schemaVersion": 2, "manifests": [
            { "mediaType": MediaType::OCI_MANIFEST, "digest": digest, "size": image.manifest().len() },
        ] })
        .to_string()
    };
    let layout = |marker: &str, index: &str| Tar::new().file("oci-layout", marker).file("index.json", index);
    let hex = "a".repeat(63);
    for digest in
        ["sha256:../../x", "../x:aaaa", "sha256:", &format!("sha256:{hex}"), &format!("sha256:{hex}A")]
    {
        let error = refused(ArchiveKind::Oci, &layout(marker, &index(digest)).finish()).await;
        assert!(matches!(error, TransportError::Decode { .. }), "{digest}: {error:?}");
    }
    let digest = image.digest().to_string();
    for (bytes, why) in [
        (layout("{}", &index(&digest)).finish(), "version 1.0.0 is supported"),
        (layout("", &index(&digest)).finish(), "not an OCI layout"),
        (Tar::new().file("oci-layout", marker).finish(), "it has no \"index.json\""),
        (Tar::new().file("oci-layout", marker).directory("index.json").finish(), "not a regular file"),
        (Tar::new().file("oci-layout", vec![b' '; 5000]).finish(), "larger than 4096 bytes"),
    ] {
        let error = refused(ArchiveKind::Oci, &bytes).await;
        assert!(chain(&error).contains(why), "{why}: {}", chain(&error));
    }
    let good = || layout(marker, &index(&digest));
    let name = format!("blobs/sha256/{}", image.digest().hex());
    let mut spoilt = image.manifest();
    spoilt[0] ^= 1;
    let error = refused(ArchiveKind::Oci, &good().finish()).await;
    assert!(matches!(error, TransportError::NotFound(_)), "{error:?}");
    let error = refused(ArchiveKind::Oci, &good().file(&name, &spoilt).finish()).await;
    assert!(matches!(error, TransportError::DigestMismatch { .. }), "{error:?}");
    let error = refused(ArchiveKind::Oci, &good().symlink(&name, "/etc/passwd").finish()).await;
    assert!(matches!(error, TransportError::Archive(..)), "{error:?}");
    let error = refused(ArchiveKind::Oci, &good().file(&name, vec![b' '; (4 << 20) + 1]).finish()).await;
    assert!(matches!(error, TransportError::TooLarge { limit: 4_194_304, .. }), "{error:?}");
    let dir = TempDir::new().unwrap();
    for content in [&spoilt[..], &spoilt[1..], b""] {
        let path = write(&dir, "oci.tar", good().file(&name, content).finish());
        let place = Place::Archive(Archive::new(ArchiveKind::Oci, path));
        let blob = descriptor(&image.manifest());
        let error = read_blob(&place, &blob).await.unwrap_err();
        let mismatch =
            matches!(error, TransportError::DigestMismatch { .. } | TransportError::SizeMismatch { .. });
        assert!(mismatch, "{error:?}");
        assert!(!place.has_blob(&blob).await.unwrap() && !place.has_manifest(&image.digest()).await.unwrap());
    }
}

/// SEC-40.
#[tokio::test]
async fn long_names_take_a_bounded_amount_of_memory() {
    let name = "x".repeat(60_000);
    let long = (0..1200).fold(Tar::new(), |tar, n| {
        tar.member(b'L', "long", "", format!("{n}{name}").as_bytes()).file("short", "")
    });
    assert!(chain(&refused(ArchiveKind::Oci, &long.finish()).await).contains("more than 67108864 bytes"));
}

/// SEC-39.
#[tokio::test]
async fn a_path_that_is_no_regular_file_is_refused_at_once() {
    let dir = TempDir::new().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new(program("mkfifo")).arg(&pipe).status().unwrap().success());
    for path in [pipe, dir.path().to_owned(), dir.path().join("none")] {
        let place = Place::Archive(Archive::new(ArchiveKind::Oci, path));
        let error = place.manifest(&NO_PICK).await.unwrap_err();
        assert!(matches!(error, TransportError::Io("open", ..)), "{error:?}");
        assert!(
            place.has_blob(&descriptor(b"x")).await.is_err(),
            "an archive that is not there has nothing to tell"
        );
    }
}

/// A file of 9 GiB in an archive that a program wrote with an extended header for its size.
#[tokio::test]
async fn a_member_too_large_for_a_plain_header_is_jumped_over() {
    let (dir, image) = (TempDir::new().unwrap(), image());
    let size: u64 = 9 << 30;
    let start = Tar::new().extended(&[("size", &size.to_string())]).header_only("large", 0).unfinished();
    let path = write(&dir, "oci.tar", &start);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(start.len() as u64 + size).unwrap();
    let mut file = std::fs::File::options().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, &oci(Tar::new()).finish()).unwrap();
    let place = Place::Archive(Archive::new(ArchiveKind::Oci, path));
    assert_eq!(place.manifest(&NO_PICK).await.unwrap().digest, image.digest());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is done to an archive: it is refused, or it gives what was in it.
    #[test]
    fn a_damaged_archive_never_gives_something_else(
        changes in prop::collection::vec((0_usize..20_000, any::<u8>()), 1..8),
        cut in 0_usize..30_000,
        of_docker in any::<bool>(),
    ) {
        let image = image();
        let mut bytes =
            if of_docker { docker_archive(&[(&image, &["app:v1"])]) } else { oci(Tar::new()).finish() };
        for (at, value) in changes {
            let len = bytes.len();
            bytes[at % len] = value;
        }
        bytes.truncate(cut.max(1));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let Ok(archive) = Archive::spool(ArchiveKind::Either, "it", std::io::Cursor::new(bytes)).await else {
                return;
            };
            let place = Place::Archive(archive);
            if let Ok(fetched) = place.manifest(&NO_PICK).await && !of_docker {
                assert_eq!(fetched.bytes, image.manifest());
            }
            for blob in image.blobs() {
                if let Ok(read) = read_blob(&place, &descriptor(&blob.bytes)).await {
                    assert_eq!(read, blob.bytes);
                }
            }
        });
    }
}
