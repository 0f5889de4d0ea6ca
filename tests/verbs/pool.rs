//! `manifest gc`, `fsck`, `df` and `blob`: the content that the store keeps.

use std::fs;
use std::path::PathBuf;

use manifest_core::Digest;
use manifest_testkit::Image;
use serde_json::{Value, json};

use crate::in_process::{Cli, wait};

/// Puts content into the store that nobody needs.
fn plant(cli: &Cli, content: &'static [u8]) -> Digest {
    let (store, digest) = (cli.store_at("2026-01-02T03:04:05Z"), Digest::sha256(content));
    wait(async move {
        let intake = store.blobs().intake().await.unwrap();
        intake.put(&digest, content).await.unwrap();
        intake.finish().await.unwrap();
    });
    digest
}

fn import(cli: &Cli, name: &str, image: &Image) {
    cli.put(image, name);
    cli.ok(&format!("import {name} --image {name} {}", cli.layout().display()));
}

fn blob_file(cli: &Cli, digest: &Digest) -> PathBuf {
    cli.workspace.store().join("blobs/sha256").join(digest.hex())
}

/// All blobs of the store and their sizes, as they lie on the disk.
fn blobs(cli: &Cli) -> Vec<(String, u64)> {
    let dir = cli.workspace.store().join("blobs/sha256");
    let file = |file: fs::DirEntry| (file.file_name().into_string().unwrap(), file.metadata().unwrap().len());
    let mut blobs: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| file(entry.unwrap())).collect();
    blobs.sort();
    blobs
}

/// A4-8, A4-12.
#[test]
fn gc_removes_what_nobody_needs_and_says_how_much() {
    let cli = Cli::new();
    assert_eq!(cli.ok("gc"), "0 blobs, 0 B\n");
    assert!(cli.store().is_empty(), "looking makes nothing");
    plant(&cli, b"content");
    assert_eq!(cli.ok("gc"), "0 blobs, 0 B\n", "it is young");
    let before = blobs(&cli);
    assert_eq!(cli.ok("gc --dry-run --grace 0"), "1 blob, 7 B\n");
    assert_eq!(blobs(&cli), before);
    assert_eq!(cli.ok("gc --grace 0"), "1 blob, 7 B\n");
    assert_eq!(cli.ok("gc --grace 0"), "0 blobs, 0 B\n");
    assert_eq!(blobs(&cli), []);
}

/// A4-9, A4-7.
#[test]
fn content_that_two_images_share_goes_with_the_second() {
    let cli = Cli::new();
    import(&cli, "one", &Image::new("linux/amd64").layer("shared").layer("one"));
    import(&cli, "two", &Image::new("linux/arm64").layer("shared").layer("two"));
    assert_eq!(blobs(&cli).len(), 7);
    cli.ok("rm one");
    assert_eq!(cli.json("gc --grace 0")["blobs"]["count"], 3);
    assert_eq!(cli.ok("fsck"), "clean\n");
    cli.ok("rm two");
    assert_eq!(cli.json("gc --grace 0")["blobs"]["count"], 4);
}

/// A1-16.
#[test]
fn df_counts_each_blob_once() {
    let cli = Cli::new();
    import(&cli, "one", &Image::new("linux/amd64").layer("shared"));
    import(&cli, "two", &Image::new("linux/arm64").layer("shared"));
    cli.ok("tag two three");
    cli.ok("create list store:one store:two");
    plant(&cli, b"content");
    let usage = cli.json("df");
    let (count, bytes) = (blobs(&cli).len(), blobs(&cli).iter().map(|(_, size)| size).sum::<u64>());
    assert_eq!(usage["blobs"], json!({ "count": count, "bytes": bytes }));
    assert_eq!(usage["reclaimable"], json!({ "count": 1, "bytes": 7 }));
    assert_eq!((&usage["lists"], &usage["images"], &usage["names"]), (&json!(1), &json!(2), &json!(4)));
    assert!(usage["inodes"].as_u64().unwrap() > count as u64);
    assert!(cli.ok("df").contains("reclaimable  1      7 B"), "{}", cli.ok("df"));
}

/// A4-13.
#[test]
fn a_blob_is_found_by_its_digest_and_compared_with_it() {
    let cli = Cli::new();
    let digest = plant(&cli, b"content");
    let path = cli.ok(&format!("blob path {digest}"));
    assert_eq!(Digest::sha256(&fs::read(path.trim_end()).unwrap()), digest);
    assert_eq!(cli.ok(&format!("blob cat {digest}")), "content");
    cli.fails(2, "blob path sha256:xyz").says("misuse", &["invalid digest"]);
    for verb in ["path", "cat", "variants"] {
        let gone = Digest::sha256(b"gone");
        cli.fails(3, &format!("blob {verb} {gone}")).says("blob_not_found", &[&gone.to_string()]);
    }
    fs::write(blob_file(&cli, &digest), b"Content").unwrap();
    cli.fails(7, &format!("blob cat {digest}")).says("damaged", &["its content is not what its digest says"]);
}

/// SEC-39.
#[cfg(unix)]
#[test]
fn a_blob_that_is_no_file_is_damage() {
    let cli = Cli::new();
    let digest = plant(&cli, b"content");
    let path = blob_file(&cli, &digest);
    fs::remove_file(&path).unwrap();
    let outside = cli.workspace.write("outside", "content");
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    for verb in ["path", "cat"] {
        cli.fails(7, &format!("blob {verb} {digest}")).says("damaged", &["it is not a regular file"]);
    }
    assert_eq!(cli.ok("gc --grace 0"), "0 blobs, 0 B\n");
    assert_eq!(fs::read(&outside).unwrap(), b"content");
}

/// An image in the layout whose only layer is not compressed: that of `image`.
fn plain(cli: &Cli, image: &Image) -> (String, Digest) {
    let mut manifest: Value = serde_json::from_slice(&image.manifest()).unwrap();
    let tar = image.layer_archives().remove(0);
    let digest = Digest::sha256(&tar.bytes);
    cli.workspace.write(&format!("images/blobs/sha256/{}", digest.hex()), &tar.bytes);
    manifest["layers"][0] = json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest.to_string(), "size": tar.bytes.len(),
    });
    (cli.put_document(&manifest, "plain").to_string(), digest)
}

/// A4-11, A4-14 as far as such content exists.
#[test]
fn a_layer_is_found_in_all_its_compressions_and_goes_with_its_image() {
    let cli = Cli::new();
    let image = Image::new("linux/amd64").layer("layer");
    import(&cli, "packed", &image);
    let (_, diff_id) = plain(&cli, &image);
    cli.ok(&format!("import plain --image plain {}", cli.layout().display()));
    let manifest: Value = serde_json::from_slice(&image.manifest()).unwrap();
    let packed = manifest["layers"][0]["digest"].as_str().unwrap();
    for digest in [packed, &diff_id.to_string()] {
        let found = cli.json(&format!("blob variants {digest}"));
        let mut digests: Vec<&str> =
            found["variants"].as_array().unwrap().iter().map(|one| one["digest"].as_str().unwrap()).collect();
        digests.sort_unstable();
        let mut both = [packed.to_owned(), diff_id.to_string()];
        both.sort();
        assert_eq!(digests, both);
    }
    assert_eq!(cli.ok("gc --grace 0"), "0 blobs, 0 B\n");
    cli.ok("rm plain");
    assert_eq!(cli.json("gc --grace 0")["blobs"]["count"], 2, "the manifest and the layer");
    assert_eq!(cli.json(&format!("blob variants {diff_id}"))["variants"].as_array().unwrap().len(), 1);
}

/// A4-5.
#[test]
fn content_that_is_missing_is_damage_and_names_its_digest() {
    let cli = Cli::new();
    let image = Image::new("linux/amd64").layer("layer");
    import(&cli, "app", &image);
    cli.ok(&format!("create remote {}", cli.image("linux/arm64")));
    let manifest: Value = serde_json::from_slice(&image.manifest()).unwrap();
    let digest: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
    fs::remove_file(blob_file(&cli, &digest)).unwrap();
    let ran = cli.run("fsck");
    assert_eq!(ran.code, Some(7), "{ran:?}");
    for part in [&digest.to_string()[..], "is missing", "lost: content of localhost/app:latest"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let found: Value = serde_json::from_str(&cli.run("fsck --output json").stdout).unwrap();
    assert_eq!((&found["damaged"], &found["remote"]), (&json!(true), &json!(1)));
    assert_eq!(cli.ok("gc --grace 0"), "0 blobs, 0 B\n", "what is left stays");
}

/// A4-5.
#[test]
fn what_is_shown_of_a_record_says_what_content_is_lost() {
    let cli = Cli::new();
    let image = Image::new("linux/amd64").layer("layer");
    import(&cli, "app", &image);
    cli.ok("create list store:app");
    cli.ok(&format!("add list {}", cli.image("linux/arm64")));
    let raw = cli.ok("inspect --raw list");
    let parts = image.blobs().into_iter().map(|blob| blob.digest).chain([image.digest()]);
    for digest in parts {
        let file = blob_file(&cli, &digest);
        let whole = fs::read(&file).unwrap();
        let damages = [None, Some(&whole[1..])];
        for damage in damages {
            match damage {
                Some(bytes) => fs::write(&file, bytes).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            for name in ["app", "list"] {
                let (text, json) =
                    (cli.run(&format!("inspect {name}")), cli.run(&format!("inspect {name} --output json")));
                assert_eq!((text.code, json.code), (Some(7), Some(7)), "{text:?}");
                assert!(
                    text.stdout.contains(&image.digest().to_string()),
                    "it is shown all the same: {text:?}"
                );
                assert!(
                    text.stderr.contains(&digest.hex()) && text.stderr.contains(" is damaged: "),
                    "{text:?}"
                );
                let error: Value = serde_json::from_str(json.stderr.trim()).unwrap();
                assert_eq!(error["error"]["kind"], "damaged");
                let _shown: Value = serde_json::from_str(&json.stdout).unwrap();
            }
            assert_eq!(cli.ok("inspect --raw list"), raw, "the document itself is whole");
        }
        fs::write(&file, whole).unwrap();
        cli.ok("inspect app");
        cli.ok("inspect list");
    }
    // What it had before and may have again by an undo is not part of it.
    cli.ok("remove list --platform linux/amd64");
    cli.ok("rm app");
    fs::remove_dir_all(cli.workspace.store().join("blobs")).unwrap();
    cli.ok("inspect list");
}

#[test]
fn a_damaged_record_keeps_all_content_and_is_moved_aside_on_request() {
    let cli = Cli::new();
    import(&cli, "app", &Image::new("linux/amd64").layer("layer"));
    plant(&cli, b"content");
    let record = cli.record("app");
    fs::write(&record, "manifest-record 1 rubbish\n").unwrap();
    let ran = cli.run("gc --grace 0");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), "0 blobs, 0 B\n"));
    assert!(ran.stderr.contains(record.to_str().unwrap()), "{}", ran.stderr);
    assert_eq!(cli.run("fsck").code, Some(7));
    let repaired = cli.run("fsck --repair");
    assert_eq!(repaired.code, Some(0), "{repaired:?}");
    assert!(repaired.stdout.contains("repair (done): move it to lost+found"), "{}", repaired.stdout);
    cli.ok("fsck --repair");
    assert_eq!(cli.ok("fsck"), "clean\n");
    let lost: Vec<_> = fs::read_dir(cli.workspace.store().join("lost+found")).unwrap().collect();
    let [Ok(lost)] = &lost[..] else { panic!("{lost:?}") };
    let ran = cli.run("gc --grace 0");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "0 blobs, 0 B\n"), "what it held stays");
    assert!(ran.stderr.contains(lost.path().to_str().unwrap()), "{}", ran.stderr);
    fs::remove_file(lost.path()).unwrap();
    assert_eq!(cli.json("gc --grace 0")["blobs"]["count"], 4);
}
