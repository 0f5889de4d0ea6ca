//! Each kind of failure has its word and its exit code.

use std::fs;

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Method};

use crate::in_process::Cli;

/// A4-1: but for kinds that only unpacking, recompression and signing have.
#[test]
fn each_kind_of_failure_has_a_word_and_an_exit_code() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = Image::new("linux/amd64").push_to(&registry, "app", "1");
    let at = |repository: &str| format!("docker://{}/{repository}", registry.address());
    registry.on(Method::Get, "/v2/wrong/manifests/*").wrong_bytes().always();
    Image::new("linux/amd64").push_to(&registry, "wrong", "1");
    registry.on(Method::Get, "/v2/denied/manifests/*").reply(403).always();
    registry.on(Method::Get, "/v2/down/manifests/*").reply(503).always();
    cli.ok("create app");
    cli.ok("create damaged");
    let record = cli.record("damaged");
    fs::write(&record, "rubbish").unwrap();
    let file = cli.workspace.write("file", "no directory and no archive");
    let file = file.display();
    let layout = cli.image("linux/arm64");

    let app = cli.record("app");
    let lock = format!("../locks/record-{}", app.file_name().unwrap().to_str().unwrap());
    let lock = fs::File::open(app.parent().unwrap().join(lock)).unwrap();
    lock.lock().unwrap();

    for (what, line, exit, kind) in [
        ("parse reference", "add app x@y".to_owned(), 2, "invalid_reference"),
        ("pull image", format!("add app {} --retry 0", at("down:1")), 5, "retries_exhausted"),
        ("pull image", format!("add app {}", at("denied:1")), 6, "denied"),
        ("pull image", format!("add app {}", at("none:1")), 3, "image_not_found"),
        ("image digest", format!("add app --retry 0 {}", at(&format!("wrong@{digest}"))), 7, "bad_content"),
        ("create directory", format!("create new --store {file}"), 12, "io"),
        ("tarball", format!("import new {file}"), 7, "bad_archive"),
        ("save to store", format!("add app {layout} --lock-timeout 0"), 9, "busy"),
        ("read from store", "inspect damaged".to_owned(), 7, "damaged"),
        ("metadata", "tag damaged new".to_owned(), 7, "damaged"),
        ("image not found", "inspect nosuch".to_owned(), 3, "list_not_found"),
        ("blob not found", format!("blob cat {}", Digest::sha256(b"")), 3, "blob_not_found"),
        ("layer type", "create new --format v2s2".to_owned() + &format!(" {layout}"), 8, "oci_child"),
    ] {
        let failed = cli.fails(exit, &line);
        assert_eq!(failed.kind, kind, "{what}: {}", failed.text);
    }
}
