//! How much memory the program takes, whatever it is sent.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Method, Ran, Tar, TokenServer, Workspace};
use serde_json::{Value, json};

use super::command;

/// What no command takes more than, in bytes. Of a build for debugging the code alone is some 20 MiB larger.
const LIMIT: u64 = if cfg!(debug_assertions) { 72 << 20 } else { 64 << 20 };
const CHUNK: &[u8] = &[b' '; 64 << 10];

/// Runs a command that must not take more than it may.
#[track_caller]
pub(super) fn run(workspace: &Workspace, words: &str) -> Ran {
    measured(workspace, words).0
}

/// As [`run`], with what it took, if it took its time.
#[track_caller]
fn measured(workspace: &Workspace, words: &str) -> (Ran, Option<u64>) {
    let (ran, peak) = Ran::measured(&mut command(workspace, words));
    assert!(peak < Some(LIMIT), "{peak:?}: {ran:?}");
    assert_ne!(ran.code, Some(2), "{ran:?}");
    (ran, peak)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut one = GzEncoder::new(Vec::new(), Compression::best());
    one.write_all(bytes).unwrap();
    one.finish().unwrap()
}

/// A gzip stream of so many MiB of zeros, in members of one.
fn zeros(mebibytes: usize) -> Vec<u8> {
    gzip(&[0; 1 << 20]).repeat(mebibytes)
}

/// The head of a member of a tar archive that is larger than any disk.
fn tar_head() -> Vec<u8> {
    Tar::new().header_only("bin/it", 0o77_7777_7777).unfinished()
}

/// A zstd frame of these bytes as they are.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let block = (u32::try_from(bytes.len()).unwrap() << 3) | 1;
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0][..], &block.to_le_bytes()[..3], bytes].concat()
}

/// One zstd frame that repeats a byte for so many MiB and wants to look back on all of them.
///
/// Spec: RFC 8878, sections 3.1.1.1 and 3.1.1.2.
fn zstd_zeros(mebibytes: usize, window_log: u8) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3];
    let blocks = mebibytes * 8;
    for block in 1..=blocks {
        // A run of 128 KiB, which is the largest block.
        let header = ((128_u32 << 10) << 3) | (1 << 1) | u32::from(block == blocks);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// SEC-50, A7: bodies without an end.
#[test]
fn a_body_without_an_end_takes_no_memory() {
    let (workspace, registry, tokens) = (Workspace::new(), FakeRegistry::start(), TokenServer::start());
    let image = Image::new("linux/amd64").layers(1, 1000, 1);
    image.push_to(&registry, "app", "v1");
    let there = format!("docker://{}/app:v1", registry.address());
    let read = [format!("inspect {there}"), format!("create app {there}"), format!("check --deep {there}")];
    for (pattern, status) in [
        ("/v2/app/manifests/*", 200),
        ("/v2/app/blobs/*", 200),
        ("/v2/app/manifests/*", 400),
        ("/v2/app/manifests/*", 403),
        ("/v2/app/blobs/*", 404),
        ("/v2/app/manifests/*", 500),
    ] {
        let endless = registry.on(Method::Get, pattern).status(status).endless(CHUNK).always();
        for words in &read {
            let ran = run(&workspace, &format!("{words} --retry 1 --retry-delay 1ms"));
            let inspected = pattern.contains("blobs") && words.starts_with("inspect");
            assert!(ran.code != Some(0) || inspected, "{ran:?}");
            assert!(ran.stderr.len() < 2000, "{} bytes of complaints", ran.stderr.len());
        }
        assert!(endless.hits() > 0, "{pattern} {status}");
        registry.clear_rules();
    }
    registry.bearer(&tokens);
    tokens.on(Method::Get, "/token*").status(200).endless(CHUNK).always();
    run(&workspace, &read[0]).fails(5);
}

/// SEC-50: errors without an end, to what is written.
#[test]
fn an_answer_without_an_end_to_a_push_takes_no_memory() {
    let (workspace, registry) = (Workspace::new(), FakeRegistry::start());
    Image::new("linux/amd64").write_layout(&workspace.path().join("layout"), "v1");
    run(&workspace, "create app oci:layout:v1").ok();
    let uploads = "/v2/app/blobs/uploads/*";
    for (method, pattern) in [
        (Method::Post, uploads),
        (Method::Put, uploads),
        (Method::Put, "/v2/app/manifests/*"),
        (Method::Head, "*"),
    ] {
        for status in [400, 404, 503] {
            registry.on(method, pattern).status(status).endless(CHUNK).always();
            let to = registry.address();
            let ran = run(&workspace, &format!("push --retry 1 --retry-delay 1ms app docker://{to}/app:1"));
            assert!(ran.code != Some(0) || method == Method::Head, "{ran:?}");
            registry.clear_rules();
        }
    }
}

/// An image whose only layer is this, in the layout `images` of the workspace.
fn image_with_layer(workspace: &Workspace, name: &str, media_type: &str, layer: &[u8]) -> String {
    let layout = workspace.path().join("images");
    Image::new("linux/amd64").write_layout(&layout, "base");
    let put = |bytes: &[u8]| {
        let digest = Digest::sha256(bytes);
        fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        (digest.to_string(), bytes.len())
    };
    let diff_id = Digest::sha256(b"something").to_string();
    let config =
        json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [diff_id]}});
    let ((config, config_size), (layer, layer_size)) = (put(config.to_string().as_bytes()), put(layer));
    let (oci, kind) = ("application/vnd.oci.image", "application/vnd.oci.image.manifest.v1+json");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": kind,
        "config": {"mediaType": format!("{oci}.config.v1+json"), "digest": config, "size": config_size},
        "layers": [{"mediaType": format!("{oci}.layer.v1.{media_type}"), "digest": layer, "size": layer_size}],
    });
    let (digest, size) = put(manifest.to_string().as_bytes());
    add_to_index(
        &layout,
        json!({
            "mediaType": kind, "digest": digest, "size": size,
            "annotations": {"org.opencontainers.image.ref.name": name},
        }),
    );
    format!("oci:images:{name}")
}

fn add_to_index(layout: &Path, entry: Value) {
    let path = layout.join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    index["manifests"].as_array_mut().unwrap().push(entry);
    fs::write(path, index.to_string()).unwrap();
}

/// SEC-52.
#[test]
fn a_layer_that_unpacks_to_very_much_takes_no_memory() {
    let workspace = Workspace::new();
    let (in_gzip, in_zstd) = (gzip(&tar_head()), zstd(&tar_head()));
    for (name, media_type, start, bomb, said) in [
        ("gzip", "tar+gzip", &in_gzip, zeros(200), "unpacks to more than 200 times its size"),
        ("zstd", "tar+zstd", &in_zstd, zstd_zeros(1024, 23), "unpacks to more than 200 times its size"),
        ("window", "tar+zstd", &in_zstd, zstd_zeros(1024, 25), "unpacks to more than 200 times its size"),
        ("larger", "tar+zstd", &in_zstd, zstd_zeros(1024, 26), "is no layer that can be unpacked"),
        ("largest", "tar+zstd", &in_zstd, zstd_zeros(1024, 31), "is no layer that can be unpacked"),
    ] {
        let image = image_with_layer(&workspace, name, media_type, &[&start[..], &bomb].concat());
        run(&workspace, &format!("create {name} {image}")).ok();
        let (ran, peak) = measured(&workspace, &format!("check --deep {name}"));
        assert!(ran.stdout.contains(said), "{ran:?}");
        assert!(peak.is_some() || !said.contains("200 times"), "it took its time, and nobody looked");
    }
}

/// SEC-52: an archive that is compressed as a whole goes to a file without a name, not into memory.
#[test]
fn an_archive_that_unpacks_to_very_much_takes_no_memory() {
    let workspace = Workspace::new();
    for (name, bomb) in [
        ("gzip", zeros(100)),
        ("zstd", zstd_zeros(200, 23)),
        ("window", zstd_zeros(200, 25)),
        ("larger", zstd_zeros(200, 26)),
    ] {
        workspace.write(&format!("{name}.tar"), bomb);
        for kind in ["docker-archive", "oci-archive"] {
            let ran = run(&workspace, &format!("inspect {kind}:{name}.tar"));
            assert!(matches!(ran.code, Some(7)), "{ran:?}");
        }
    }
    assert_eq!(fs::read_dir(workspace.path().join("tmp")).unwrap().count(), 0);
}

/// SEC-51: a file that says that it is very large.
#[test]
fn a_sparse_file_takes_no_memory() {
    let workspace = Workspace::new();
    let layout = workspace.path().join("layout");
    let image = Image::new("linux/amd64").layers(1, 1000, 1);
    let digest = image.write_layout(&layout, "v1");
    let blobs: Vec<_> =
        image.blobs().iter().map(|blob| format!("blobs/sha256/{}", blob.digest.hex())).collect();
    let manifest = format!("blobs/sha256/{}", digest.hex());
    let files = ["index.json", "oci-layout", &manifest].into_iter().map(str::to_owned).chain(blobs);
    for file in files {
        let path = layout.join(&file);
        let kept = fs::read(&path).unwrap();
        fs::File::create(&path).unwrap().set_len(10 << 30).unwrap();
        for words in ["inspect oci:layout:v1", "create app oci:layout:v1", "check --deep oci:layout:v1"] {
            let ran = run(&workspace, words);
            assert!(ran.code != Some(70) && ran.code.is_some(), "{ran:?}");
            assert!(!file.contains("index") || ran.code != Some(0), "{ran:?}");
        }
        fs::write(path, kept).unwrap();
        run(&workspace, "check --deep oci:layout:v1").ok();
    }
    let sparse = workspace.write("sparse.tar", "");
    fs::File::options().write(true).open(sparse).unwrap().set_len(10 << 30).unwrap();
    for kind in ["docker-archive", "oci-archive"] {
        run(&workspace, &format!("inspect {kind}:sparse.tar")).fails(7);
    }
}
