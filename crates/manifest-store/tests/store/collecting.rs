//! Removing what no record holds, while others go on.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use manifest_core::{Descriptor, Digest, MediaType, OnConflict};
use manifest_store::{
    Collect, Collected, Draft, Force, IfTaken, Intake, Repair, Source, Store, StoreError, StoreOptions,
    Writers,
};

use crate::fixture::{Home, add, draft, files, name, overwrite, which};

/// Everything that nobody needs goes, whoever writes.
pub(crate) fn at_once() -> Collect {
    Collect { grace: Duration::ZERO, writers: Writers::None, ..Collect::default() }
}

/// An image in the store: its manifest, its configuration and a layer.
pub(crate) struct Held {
    pub(crate) entry: Descriptor,
    pub(crate) blobs: Vec<Digest>,
}

/// Writes an image; layers of the same text are the same.
pub(crate) async fn image(intake: &Intake, text: &str, layer: &str) -> Held {
    let config = format!(r#"{{"os":"linux","architecture":"{text}"}}"#);
    let blob = |media_type: &str, content: &str| {
        let digest = Digest::sha256(content.as_bytes());
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}}}"#, content.len())
    };
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{},{}]}}"#,
        MediaType::OCI_MANIFEST,
        blob(MediaType::OCI_CONFIG.as_str(), &config),
        blob("application/vnd.oci.image.layer.v1.tar", layer),
        blob("application/vnd.oci.image.layer.nondistributable.v1.tar", "elsewhere"),
    );
    let mut blobs = Vec::new();
    for content in [&config[..], layer, &manifest] {
        blobs.push(put(intake, content).await);
    }
    let digest = Digest::sha256(manifest.as_bytes());
    let mut entry = Descriptor::new(MediaType::OCI_MANIFEST, digest, manifest.len() as u64);
    let mut platform = manifest_core::Platform::default();
    (platform.os, platform.architecture) = ("linux".to_owned(), text.to_owned());
    entry.platform = Some(platform);
    Held { entry, blobs }
}

async fn put(intake: &Intake, content: &str) -> Digest {
    let digest = Digest::sha256(content.as_bytes());
    intake.put(&digest, content.as_bytes()).await.unwrap();
    digest
}

/// An edit that adds an entry that the store holds.
pub(crate) fn hold(entry: &Descriptor) -> impl FnMut(&mut Draft) -> Result<(), manifest_core::EditError> {
    let entry = entry.clone();
    move |draft| {
        draft.sources.add(here(&entry));
        draft.list.add(entry.clone(), OnConflict::Refuse).map(drop)
    }
}

fn here(entry: &Descriptor) -> Source {
    Source {
        from: "somewhere".to_owned(),
        place: Source::HERE.to_owned(),
        digest: entry.digest,
        resolved: "2026-01-02T03:04:05Z".parse().unwrap(),
        entries: vec![entry.digest],
        record: None,
    }
}

async fn there(store: &Store, blobs: &[Digest]) -> usize {
    let mut there = 0;
    for blob in blobs {
        there += usize::from(store.blobs().has(blob).await.unwrap().is_some());
    }
    there
}

fn counts(collected: &Collected) -> (u64, u64) {
    assert!(collected.unreadable.is_empty(), "{collected:?}");
    (collected.blobs.count, collected.blobs.bytes)
}

/// A4-8, A4-12.
pub(crate) async fn what_nobody_holds_goes_and_is_counted(store: &Store) {
    let nothing = store.collect(at_once()).await.unwrap();
    assert_eq!(counts(&nothing), (0, 0));
    let intake = store.blobs().intake().await.unwrap();
    let blob = put(&intake, "content").await;
    intake.finish().await.unwrap();
    let dry = store.collect(Collect { dry_run: true, ..at_once() }).await.unwrap();
    assert_eq!((counts(&dry), there(store, &[blob]).await), ((1, 7), 1));
    let collected = store.collect(at_once()).await.unwrap();
    assert_eq!((counts(&collected), there(store, &[blob]).await), ((1, 7), 0));
    assert_eq!(counts(&store.collect(at_once()).await.unwrap()), (0, 0));
}

/// A4-9.
pub(crate) async fn what_two_lists_share_goes_with_the_second(store: &Store) {
    let intake = store.blobs().intake().await.unwrap();
    let (one, two) = (image(&intake, "amd64", "shared").await, image(&intake, "arm64", "shared").await);
    for (list, held) in [("one", &one), ("two", &two)] {
        store.create(&name(list), Draft::default(), IfTaken::Refuse).await.unwrap();
        store.update(&which(list), hold(&held.entry)).await.unwrap();
    }
    intake.finish().await.unwrap();
    assert_eq!(counts(&store.collect(at_once()).await.unwrap()), (0, 0));
    let usage = store.usage().await.unwrap();
    assert_eq!((usage.lists, usage.names, usage.blobs.count, usage.reclaimable.count), (2, 2, 5, 0));
    store.remove(&which("one"), Force::No).await.unwrap();
    assert_eq!(store.collect(at_once()).await.unwrap().blobs.count, 2, "its manifest and configuration");
    assert_eq!(there(store, &two.blobs).await, 3);
    store.remove(&which("two"), Force::No).await.unwrap();
    assert_eq!(store.collect(at_once()).await.unwrap().blobs.count, 3);
}

/// A4-12: an index in an index, a type that nobody knows, and no end of depth.
pub(crate) async fn what_lists_in_lists_hold_stays(store: &Store) {
    let intake = store.blobs().intake().await.unwrap();
    let held = image(&intake, "amd64", "layer").await;
    let odd = put(&intake, "of no known type").await;
    let mut inner = held.entry.clone();
    let mut all = [held.blobs.clone(), vec![odd]].concat();
    for depth in 0..3 {
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{{"mediaType":"{}","digest":"{}","size":{}}},{{"mediaType":"application/x-{depth}","digest":"{odd}","size":16}}]}}"#,
            MediaType::OCI_INDEX,
            inner.media_type,
            inner.digest,
            inner.size,
        );
        let digest = put(&intake, &index).await;
        all.push(digest);
        inner = Descriptor::new(MediaType::OCI_INDEX, digest, index.len() as u64);
    }
    store.create(&name("app"), Draft::default(), IfTaken::Refuse).await.unwrap();
    store.update(&which("app"), hold(&inner)).await.unwrap();
    intake.finish().await.unwrap();
    assert_eq!(counts(&store.collect(at_once()).await.unwrap()), (0, 0));
    assert_eq!(there(store, &all).await, all.len());
    let checked = store.check(Repair::No).await.unwrap();
    assert_eq!((checked.findings.as_slice(), checked.blobs.count), (&[][..], all.len() as u64));
}

pub(crate) async fn what_can_be_undone_is_held_until_the_history_is_forgotten(store: &Store) {
    let intake = store.blobs().intake().await.unwrap();
    let held = image(&intake, "amd64", "layer").await;
    store.create(&name("app"), Draft::default(), IfTaken::Refuse).await.unwrap();
    store.update(&which("app"), hold(&held.entry)).await.unwrap();
    intake.finish().await.unwrap();
    store.update(&which("app"), |draft| draft.list.remove(&held.entry.digest)).await.unwrap();
    assert_eq!(counts(&store.collect(at_once()).await.unwrap()), (0, 0));
    store.undo(&which("app"), None).await.unwrap();
    assert_eq!(store.load(&which("app")).await.unwrap().entries().len(), 1);
    store.update(&which("app"), |draft| draft.list.remove(&held.entry.digest)).await.unwrap();
    store.prune_history(&which("app")).await.unwrap();
    assert_eq!(store.collect(at_once()).await.unwrap().blobs.count, 3);
}

pub(crate) async fn a_copy_holds_what_the_first_held(store: &Store) {
    let intake = store.blobs().intake().await.unwrap();
    let held = image(&intake, "amd64", "layer").await;
    store.create(&name("app"), Draft::default(), IfTaken::Refuse).await.unwrap();
    store.update(&which("app"), hold(&held.entry)).await.unwrap();
    intake.finish().await.unwrap();
    store.copy(&which("app"), &name("copy"), IfTaken::Refuse).await.unwrap();
    store.remove(&which("app"), Force::No).await.unwrap();
    assert_eq!(counts(&store.collect(at_once()).await.unwrap()), (0, 0));
}

/// A4-10.
#[tokio::test]
async fn what_a_paused_writer_relies_on_stays() {
    let home = Home::new();
    let (writer, collector) = (home.store(), home.store());
    let old = home.blob(b"layer").await;
    let intake = writer.blobs().intake().await.unwrap();
    assert!(intake.has(&old, 5).await.unwrap());
    let held = image(&intake, "amd64", "layer").await;
    let mut open = intake.writer(&Digest::sha256(b"more"), 4).await.unwrap();
    open.write(&b"mo"[..]).await.unwrap();
    // It holds no lock now, so that nobody waits for it.
    let collected = collector.collect(at_once()).await.unwrap();
    assert_eq!((counts(&collected), collected.temporary.count, collected.kept.count), ((0, 0), 0, 3));
    open.write(&b"re"[..]).await.unwrap();
    open.finish().await.unwrap();
    writer.create(&name("app"), Draft::default(), IfTaken::Refuse).await.unwrap();
    writer.update(&which("app"), hold(&held.entry)).await.unwrap();
    assert_eq!(counts(&collector.collect(at_once()).await.unwrap()), (0, 0));
    intake.finish().await.unwrap();
    assert_eq!(counts(&collector.collect(at_once()).await.unwrap()), (1, 4), "nothing holds that one");
    assert_eq!(collector.check(Repair::No).await.unwrap().findings, []);
}

#[tokio::test]
async fn what_a_writer_that_is_gone_left_behind_goes() {
    let home = Home::new();
    let store = home.store();
    let intake = store.blobs().intake().await.unwrap();
    put(&intake, "content").await;
    drop(intake);
    let killed = home.root().join("blobs/sha256/.tmp-killed");
    overwrite(&killed, b"half");
    overwrite(&home.root().join("intakes").join("0".repeat(32)), b"\nsha256:half");
    let found = store.check(Repair::No).await.unwrap();
    assert_eq!((found.findings.len(), found.is_damaged()), (3, false), "{found:?}");
    let dry = store.collect(Collect { dry_run: true, ..at_once() }).await.unwrap();
    assert_eq!((dry.blobs.count, dry.temporary.count), (1, 3));
    assert!(killed.exists());
    let collected = store.collect(at_once()).await.unwrap();
    assert_eq!((collected.blobs.count, collected.temporary.count), (1, 3));
    assert!(files(&home.root().join("intakes")).is_empty());
    assert!(files(&home.root().join("blobs/sha256")).is_empty());
    assert_eq!(store.check(Repair::No).await.unwrap().findings, []);
}

#[tokio::test]
async fn temporary_files_and_names_that_lead_nowhere_go_when_nobody_has_their_locks() {
    let home = Home::new();
    let store = home.store();
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let gone = store.create(&name("gone"), draft([1]), IfTaken::Refuse).await.unwrap();
    std::fs::remove_file(home.record_file(&gone)).unwrap();
    let record = home.root().join(format!("records/.tmp-{}-abcdefghijkl", made.id()));
    let name_file = home.root().join("names/.tmp-localhost%2fapp%3alatest-abcdefghijkl");
    overwrite(&record, b"half");
    overwrite(&name_file, b"half");
    let day = real_time(&home).collect(Collect::default()).await.unwrap();
    assert_eq!((day.temporary.count, day.names), (0, 1), "a young one may be in use");
    let lock = std::fs::File::open(home.root().join(format!("locks/record-{}", made.id()))).unwrap();
    lock.lock().unwrap();
    assert_eq!(store.collect(at_once()).await.unwrap().temporary.count, 1);
    assert!(record.exists() && !name_file.exists());
    drop(lock);
    assert_eq!(store.collect(at_once()).await.unwrap().temporary.count, 1);
    assert_eq!(files(&home.root().join("names")), ["localhost%2fapp%3alatest"]);
    assert_eq!(store.check(Repair::No).await.unwrap().findings, []);
}

/// A store with the clock by which files get their times.
fn real_time(home: &Home) -> Store {
    Store::open(home.root(), StoreOptions::default())
}

#[tokio::test]
async fn what_is_young_stays() {
    let home = Home::new();
    let blob = home.blob(b"content").await;
    let store = real_time(&home);
    let young = store.collect(Collect::default()).await.unwrap();
    assert_eq!((counts(&young), young.kept.count), ((0, 0), 1));
    let path = home.root().join("blobs/sha256").join(blob.hex());
    for (hours, removed) in [(-1000, 0), (23, 0), (25, 1)] {
        let time =
            std::time::SystemTime::from(jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours));
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
        assert_eq!(store.collect(Collect::default()).await.unwrap().blobs.count, removed, "{hours} h");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_may_need_anything() {
    let home = Home::new();
    let store = home.store();
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let blob = home.blob(b"content").await;
    overwrite(&home.record_file(&made), b"manifest-record 1 x\n");
    overwrite(&home.root().join("blobs/sha256/.tmp-killed"), b"half");
    let collected = store.collect(at_once()).await.unwrap();
    assert_eq!((collected.blobs.count, collected.temporary.count, collected.names), (0, 1, 0));
    let [StoreError::Damaged { path, .. }] = &collected.unreadable[..] else { panic!("{collected:?}") };
    assert_eq!(*path, home.record_file(&made));
    assert!(home.root().join("blobs/sha256").join(blob.hex()).exists());
    assert!(home.name_file("localhost%2fapp%3alatest").exists(), "its name was taken");
}

#[tokio::test]
async fn a_held_manifest_that_cannot_be_read_may_need_anything() {
    let home = Home::new();
    let store = home.store();
    let intake = store.blobs().intake().await.unwrap();
    let held = image(&intake, "amd64", "layer").await;
    store.create(&name("app"), Draft::default(), IfTaken::Refuse).await.unwrap();
    store.update(&which("app"), hold(&held.entry)).await.unwrap();
    intake.finish().await.unwrap();
    overwrite(&home.root().join("blobs/sha256").join(held.entry.digest.hex()), b"{}");
    let collected = store.collect(at_once()).await.unwrap();
    assert_eq!((collected.blobs.count, collected.unreadable.len()), (0, 1));
    // One that is missing says nothing more; what it needed is lost with it.
    std::fs::remove_file(home.root().join("blobs/sha256").join(held.entry.digest.hex())).unwrap();
    assert_eq!(store.collect(at_once()).await.unwrap().blobs.count, 2);
}

#[tokio::test]
async fn a_held_manifest_that_cannot_be_read_may_need_anything_whoever_else_relies_on_it() {
    let home = Home::new();
    let store = home.store();
    let intake = store.blobs().intake().await.unwrap();
    let held = image(&intake, "amd64", "layer").await;
    store.create(&name("app"), Draft::default(), IfTaken::Refuse).await.unwrap();
    store.update(&which("app"), hold(&held.entry)).await.unwrap();
    intake.finish().await.unwrap();
    let file = home.root().join("blobs/sha256").join(held.entry.digest.hex());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[5] ^= 4;
    overwrite(&file, &bytes);
    let intake = store.blobs().intake().await.unwrap();
    assert!(intake.has(&held.entry.digest, held.entry.size).await.unwrap());
    let collected = store.collect(at_once()).await.unwrap();
    assert_eq!((collected.blobs.count, collected.unreadable.len()), (0, 1), "{collected:?}");
    intake.finish().await.unwrap();
}

/// A store with a list that holds a blob as a manifest, which it is not; the blob.
pub(crate) async fn with_what_is_no_manifest(home: &Home) -> (Store, Digest) {
    let store = home.store();
    let intake = store.blobs().intake().await.unwrap();
    let mut held = image(&intake, "amd64", "layer").await;
    let manifest = r#"{"schemaVersion":2,"config":"#;
    held.entry.digest = put(&intake, manifest).await;
    held.entry.size = manifest.len() as u64;
    store.create(&name("app"), Draft::default(), IfTaken::Refuse).await.unwrap();
    store.update(&which("app"), hold(&held.entry)).await.unwrap();
    intake.finish().await.unwrap();
    (store, held.entry.digest)
}

#[tokio::test]
async fn a_held_manifest_that_is_none_may_need_anything() {
    let home = Home::new();
    let (store, _) = with_what_is_no_manifest(&home).await;
    let collected = store.collect(at_once()).await.unwrap();
    assert_eq!((collected.blobs.count, collected.kept.count), (0, 4), "{collected:?}");
    let [StoreError::Damaged { what, .. }] = &collected.unreadable[..] else { panic!("{collected:?}") };
    assert!(what.starts_with("it cannot be read as application/vnd.oci.image.manifest"), "{what}");
    store.remove(&which("app"), Force::Yes).await.unwrap();
    assert_eq!(counts(&store.collect(at_once()).await.unwrap()).0, 4);
}

/// E2-12.
#[cfg(unix)]
#[tokio::test]
async fn the_locks_of_what_is_gone_go_with_it_unless_somebody_has_them() {
    let home = Home::new();
    let store = home.store();
    let locks = || files(&home.root().join("locks"));
    let app = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    home.blob(b"content").await;
    store.update(&which("app"), add(2)).await.unwrap();
    let before = locks();
    for n in 0..5 {
        let list = store.create(&name(&format!("list-{n}")), draft([n]), IfTaken::Refuse).await.unwrap();
        store.update(&list.id().into(), add(10)).await.unwrap();
        store.remove(&list.id().into(), Force::No).await.unwrap();
    }
    let all = locks();
    assert_eq!(all.len(), before.len() + 10);
    store.collect(Collect { dry_run: true, ..at_once() }).await.unwrap();
    assert_eq!(locks(), all);
    let held = home.root().join("locks/name-localhost%2flist-3%3alatest");
    let lock = std::fs::File::open(&held).unwrap();
    lock.lock().unwrap();
    store.collect(at_once()).await.unwrap();
    assert_eq!(locks().len(), before.len() + 1, "{:?}", locks());
    assert!(held.exists());
    drop(lock);
    store.collect(at_once()).await.unwrap();
    assert_eq!(locks(), before);
    assert!(before.contains(&format!("record-{}", app.id())));
    store.update(&which("app"), add(3)).await.unwrap();
}

/// Everybody wants the same few names, which come and go with their locks.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn names_that_come_and_go_with_their_locks_lead_to_one_record_each() {
    const ROUNDS: usize = 60;
    let home = Arc::new(Home::new());
    home.blob(b"content").await;
    let is_over = Arc::new(AtomicBool::new(false));
    let collector = {
        let (home, is_over) = (home.clone(), is_over.clone());
        tokio::spawn(async move {
            while !is_over.load(Ordering::SeqCst) {
                home.store().collect(at_once()).await.unwrap();
            }
        })
    };
    let write = |writer: usize| {
        let home = home.clone();
        tokio::spawn(async move {
            let store = home.store();
            for round in 0..ROUNDS {
                let name = name(&format!("app-{}", round % 2));
                let made = match store.create(&name, draft([writer]), IfTaken::Refuse).await {
                    Ok(made) => made,
                    Err(StoreError::NameTaken { .. }) => continue,
                    Err(error) => panic!("{error:?}"),
                };
                // Nobody else has the name, and what nobody else may do to it is done.
                let edited = store.update(&which(&name.to_string()), add(100 + round)).await.unwrap();
                assert_eq!(edited.record.id(), made.id(), "round {round} of {writer}");
                store.remove(&which(&name.to_string()), Force::No).await.unwrap();
            }
        })
    };
    for writer in (0..4).map(write).collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    is_over.store(true, Ordering::SeqCst);
    collector.await.unwrap();
    let store = home.store();
    store.collect(at_once()).await.unwrap();
    assert_eq!(files(&home.root().join("locks")), ["pool"]);
    assert_eq!(store.check(Repair::No).await.unwrap().findings, []);
}

#[tokio::test]
async fn a_temporary_file_of_any_name_stops_nobody_and_gets_no_lock() {
    let home = Home::new();
    let store = home.store();
    store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let locks = files(&home.root().join("locks"));
    for dir in ["records", "names"] {
        for label in ["x".repeat(249), "A-b".to_owned(), "-".to_owned()] {
            overwrite(&home.root().join(dir).join(format!(".tmp-{label}")), b"x");
        }
    }
    store.collect(at_once()).await.unwrap();
    store.check(Repair::Yes).await.unwrap();
    let mut after = files(&home.root().join("locks"));
    after.retain(|lock| lock != "pool");
    assert_eq!(after, locks.into_iter().filter(|lock| lock != "pool").collect::<Vec<_>>());
}

#[tokio::test]
async fn edits_that_need_no_blobs_do_not_wait_for_a_collector() {
    let home = Home::new();
    let store = home.store_of("test", Duration::ZERO);
    home.blob(b"content").await;
    let pool = std::fs::File::open(home.root().join("locks/pool")).unwrap();
    pool.lock().unwrap();
    store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    store.update(&which("app"), add(2)).await.unwrap();
    store.usage().await.unwrap();
    store.blobs().has(&Digest::sha256(b"content")).await.unwrap().unwrap();
    let busy = store.blobs().intake().await.unwrap_err();
    assert!(matches!(busy, StoreError::Busy(..)), "{busy:?}");
    assert!(busy.to_string().starts_with("the pool of blobs is in use by"), "{busy}");
    assert!(matches!(store.collect(at_once()).await, Err(StoreError::Busy(..))));
}

/// Writers that share all blobs, and a collector that takes whatever it may.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_lose_nothing_to_a_collector() {
    const WRITERS: usize = 4;
    const ROUNDS: usize = 40;
    let home = Arc::new(Home::new());
    // The store is there before: its first file has no lock, and the clock of the collector is ahead.
    home.store().blobs().intake().await.unwrap().finish().await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let collector = {
        let (home, is_over) = (home.clone(), is_over.clone());
        tokio::spawn(async move {
            let (store, mut removed) = (home.store(), 0);
            while !is_over.load(Ordering::SeqCst) {
                removed += store.collect(at_once()).await.unwrap().blobs.count;
            }
            removed
        })
    };
    let write = |writer: usize| {
        let home = home.clone();
        tokio::spawn(async move {
            let store = home.store();
            for round in 0..ROUNDS {
                let list = format!("list-{writer}");
                let intake = store.blobs().intake().await.unwrap();
                let held = image(&intake, &format!("cpu{}", round % 3), "layer").await;
                let draft = Draft::default();
                store.create(&name(&list), draft, IfTaken::Replace).await.unwrap();
                store.update(&which(&list), hold(&held.entry)).await.unwrap();
                intake.finish().await.unwrap();
                assert_eq!(there(&store, &held.blobs).await, 3, "round {round} of {writer}");
                let copy = format!("copy-{writer}");
                store.copy(&which(&list), &name(&copy), IfTaken::Replace).await.unwrap();
                store.remove(&which(&list), Force::Yes).await.unwrap();
                assert_eq!(there(&store, &held.blobs).await, 3, "copy {round} of {writer}");
                store.remove(&which(&copy), Force::Yes).await.unwrap();
                for old in store.stale(jiff::Timestamp::MAX).await.unwrap().into_iter().flatten() {
                    store.remove_stale(old.id(), jiff::Timestamp::MAX).await.unwrap();
                }
            }
        })
    };
    for writer in (0..WRITERS).map(write).collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    is_over.store(true, Ordering::SeqCst);
    assert!(collector.await.unwrap() > 0, "nothing was ever removed");
    let left = home.store().collect(at_once()).await.unwrap();
    assert_eq!(left.kept.count, 0);
    assert_eq!(home.store().check(Repair::No).await.unwrap().findings, []);
}

/// SEC-38: the directory is exchanged for a link while it is swept.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_is_not_led_out_of_the_store() {
    let home = Home::new();
    let store = home.store();
    let outside = home.root().with_file_name("outside");
    std::fs::create_dir_all(&outside).unwrap();
    let mut precious = BTreeSet::new();
    for n in 0..50 {
        let file = Digest::sha256(format!("precious {n}").as_bytes()).hex();
        overwrite(&outside.join(&file), b"precious");
        precious.insert(file);
    }
    home.blob(b"first").await;
    let is_over = Arc::new(AtomicBool::new(false));
    let swapper = {
        let (dir, is_over, outside) = (home.root().join("blobs/sha256"), is_over.clone(), outside.clone());
        std::thread::spawn(move || {
            let aside = dir.with_file_name("aside");
            while !is_over.load(Ordering::SeqCst) {
                std::fs::rename(&dir, &aside).unwrap();
                std::os::unix::fs::symlink(&outside, &dir).unwrap();
                std::fs::remove_file(&dir).unwrap();
                std::fs::rename(&aside, &dir).unwrap();
            }
        })
    };
    for _ in 0..300 {
        // What is exchanged is refused, or found in time.
        drop(store.collect(at_once()).await);
    }
    is_over.store(true, Ordering::SeqCst);
    swapper.join().unwrap();
    assert_eq!(files(&outside).into_iter().collect::<BTreeSet<_>>(), precious);
}

#[tokio::test]
async fn an_edit_that_drops_its_intake_leaves_the_blobs_to_the_record() {
    let home = Home::new();
    let store = home.store();
    let intake = store.blobs().intake().await.unwrap();
    let held = image(&intake, "amd64", "layer").await;
    store.create(&name("app"), Draft::default(), IfTaken::Refuse).await.unwrap();
    store.update(&which("app"), hold(&held.entry)).await.unwrap();
    drop(intake);
    let collected = store.collect(at_once()).await.unwrap();
    assert_eq!((counts(&collected), collected.temporary.count), ((0, 0), 1));
    let same = store.update(&which("app"), |_| Ok::<_, Infallible>(())).await.unwrap();
    assert!(!same.changed);
}

/// Half of many blobs are unreferenced. Not a benchmark: a bound that only a mistake would miss.
#[tokio::test]
async fn many_blobs_are_collected_in_little_time() {
    let home = Home::new();
    home.blob(b"first").await;
    let dir = home.root().join("blobs/sha256");
    for n in 0..5000 {
        overwrite(&dir.join(Digest::sha256(format!("{n}").as_bytes()).hex()), b"x");
    }
    let started = std::time::Instant::now();
    let collected = home.store().collect(at_once()).await.unwrap();
    assert_eq!(collected.blobs.count, 5001);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[cfg(feature = "shared")]
#[tokio::test]
async fn a_shared_store_is_not_collected_with_a_short_grace_while_somebody_may_write() {
    let store = Home::new().memory();
    let short = Collect { grace: Duration::from_secs(3600), ..Collect::default() };
    assert!(matches!(store.collect(short).await, Err(StoreError::ShortGrace { .. })));
    store.collect(Collect::default()).await.unwrap();
}
