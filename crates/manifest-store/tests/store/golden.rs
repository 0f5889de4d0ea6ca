//! Stores of released versions, which must always load, and bytes that must not change.

use std::path::{Path, PathBuf};

use manifest_core::{Digest, Format, ListName};
use manifest_store::{Clock, Record, Store, StoreOptions};
use tempfile::TempDir;

use crate::fixture::{add, entry, files, name, which};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A copy of the golden store of version 1, at a time that stands still.
fn version_1() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (fixtures().join("v1"), dir.path().join("store"));
    for part in ["records", "names"] {
        std::fs::create_dir_all(to.join(part)).unwrap();
        for file in files(&from.join(part)) {
            std::fs::copy(from.join(part).join(&file), to.join(part).join(&file)).unwrap();
        }
    }
    std::fs::copy(from.join("version"), to.join("version")).unwrap();
    let clock = Clock::new(|| "2027-02-03T04:05:06.789123Z".parse().unwrap());
    let command = "manifest add app four".to_owned();
    let store = Store::open(to, StoreOptions { command, clock, ..StoreOptions::default() });
    (dir, store)
}

fn shown(names: &[ListName]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_store_of_version_1_loads() {
    let (_dir, store) = version_1();
    let records: Vec<Record> = store.records().await.unwrap().into_iter().map(Result::unwrap).collect();
    let [empty, app] = &records[..] else { panic!("{records:?}") };

    assert_eq!(shown(empty.names()), ["localhost/empty:latest"]);
    assert_eq!((empty.format(), empty.entries().len()), (Some(Format::Docker), 0));

    assert_eq!(shown(app.names()), ["localhost/app:latest", "ghcr.io/acme/app:2"]);
    assert_eq!(app.id().short(), "960c3774e8f4");
    let digests: Vec<_> = app.entries().iter().map(|entry| entry.digest).collect();
    assert_eq!(digests, [entry(2).digest, entry(3).digest]);
    assert_eq!(app.sources().place_of(&entry(2).digest).unwrap().place, "docker://ghcr.io/acme/app");
    assert_eq!(app.sources().place_of(&entry(3).digest).unwrap().digest, entry(3).digest);
    assert_eq!(app.base().unwrap().digest, Digest::sha256(b"base"));
    assert_eq!(app.created().to_string(), "2027-01-15T08:00:00Z");
    assert_eq!(app.updated().to_string(), "2027-01-15T08:00:09Z");

    let history = app.history();
    assert_eq!((history.folded(), history.changes().len()), (7, 5));
    let mut document = app.encoded().bytes.clone();
    for change in history.changes().iter().skip(1).rev() {
        document = change.document_before(&document).unwrap();
    }
    assert_eq!(Digest::sha256(&document), history.changes()[0].after);
    let lost = &history.changes()[4].was.as_ref().unwrap().sources;
    assert_eq!(lost.place_of(&entry(1).digest).unwrap().from, "ghcr.io/acme/app");
}

#[tokio::test]
async fn a_record_that_is_written_now_has_these_bytes() {
    let (dir, store) = version_1();
    let updated = store.update(&which("app"), add(4)).await.unwrap();
    store.tag(&which("app"), &name("app:Next")).await.unwrap();
    let root = dir.path().join("store");
    let written =
        std::fs::read_to_string(root.join("records").join(updated.record.id().to_string())).unwrap();
    let golden = std::fs::read_to_string(fixtures().join("rewritten.record")).unwrap();
    assert_eq!(written, golden);
    let pair = format!("{} localhost/app:Next", updated.record.id());
    assert_eq!(
        std::fs::read_to_string(root.join("names/localhost%2fapp%3a%4eext")).unwrap(),
        format!("{pair} {}\n", Digest::sha256(pair.as_bytes()))
    );
}
