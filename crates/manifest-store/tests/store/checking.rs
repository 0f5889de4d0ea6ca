//! Looking whether a store is what it should be, and putting it right.

use manifest_core::Digest;
use manifest_store::{CheckReport, Draft, IfTaken, Repair, Severity, Store, StoreError, StoreOptions};

use crate::collecting::image;
use crate::fixture::{Home, add, draft, files, name, overwrite, reseal, which};

/// A store with a list of remote entries, a list that holds an image, and what is remembered of a reference.
async fn filled(home: &Home) -> Store {
    let store = home.store();
    store.create(&name("app"), draft([1, 2]), IfTaken::Refuse).await.unwrap();
    store.update(&which("app"), add(3)).await.unwrap();
    store.tag(&which("app"), &name("app:2")).await.unwrap();
    let intake = store.blobs().intake().await.unwrap();
    let held = image(&intake, "amd64", "layer").await;
    store.create(&name("held"), Draft::default(), IfTaken::Refuse).await.unwrap();
    store.update(&which("held"), crate::collecting::hold(&held.entry)).await.unwrap();
    intake.finish().await.unwrap();
    store
}

async fn check(store: &Store) -> CheckReport {
    store.check(Repair::No).await.unwrap()
}

fn whats(report: &CheckReport) -> Vec<(Severity, &str)> {
    report.findings.iter().map(|finding| (finding.severity, finding.what.as_str())).collect()
}

#[tokio::test]
async fn a_store_that_is_whole_is_clean_and_counted() {
    let home = Home::new();
    assert_eq!(check(&home.store()).await.findings, []);
    assert!(!home.root().exists(), "looking makes nothing");
    let report = check(&filled(&home).await).await;
    assert_eq!(report.findings, []);
    assert_eq!((report.records, report.names, report.blobs.count, report.remote), (2, 3, 3, 3));
}

/// "What it must show", 5.
#[tokio::test]
async fn a_flipped_bit_in_any_file_is_found() {
    let home = Home::new();
    let store = filled(&home).await;
    let mut all = Vec::new();
    for dir in ["", "records", "names", "blobs/sha256"] {
        let dir = home.root().join(dir);
        all.extend(files(&dir).into_iter().map(|file| dir.join(file)).filter(|path| path.is_file()));
    }
    assert_eq!(all.len(), 1 + 2 + 3 + 3);
    for path in all {
        let whole = std::fs::read(&path).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 2] {
            let mut flipped = whole.clone();
            flipped[at] ^= 4;
            overwrite(&path, &flipped);
            let report = match store.check(Repair::No).await {
                Err(StoreError::NewerVersion { path: there, .. }) if there == path => continue,
                report => report.unwrap(),
            };
            assert!(report.is_damaged(), "byte {at} of {path:?}: {report:?}");
            let found = report.findings.iter().any(|finding| finding.object == path.display().to_string());
            assert!(found, "byte {at} of {path:?}: {report:?}");
        }
        overwrite(&path, &whole);
    }
    assert_eq!(check(&store).await.findings, []);
}

#[tokio::test]
async fn what_is_damaged_is_moved_aside_and_never_deleted() {
    let home = Home::new();
    let store = filled(&home).await;
    let held = store.load(&which("held")).await.unwrap();
    let blob = home.root().join("blobs/sha256").join(Digest::sha256(b"layer").hex());
    let name_file = home.name_file("localhost%2fapp%3a2");
    overwrite(&home.record_file(&held), b"manifest-record 1 x\nrest");
    overwrite(&blob, b"Layer");
    overwrite(&name_file, b"rubbish");
    let repaired = store.check(Repair::Yes).await.unwrap();
    assert_eq!(repaired.findings.iter().filter(|finding| finding.repaired).count(), 3, "{repaired:?}");
    let lost = files(&home.root().join("lost+found"));
    assert_eq!(lost.len(), 3, "{lost:?}");
    for (prefix, content) in
        [("blob-", &b"Layer"[..]), ("name-", b"rubbish"), ("record-", b"manifest-record 1 x\nrest")]
    {
        let file = lost.iter().find(|file| file.starts_with(prefix)).unwrap();
        assert_eq!(std::fs::read(home.root().join("lost+found").join(file)).unwrap(), content);
    }
    assert!(store.exists(&which("app:2")).await.unwrap(), "the name leads to its record again");
    // Nothing needs the rest of the image any more, and its name leads nowhere.
    let report = check(&store).await;
    assert_eq!(whats(&report).len(), 1, "{report:?}");
    assert!(!report.is_damaged());
    store.check(Repair::Yes).await.unwrap();
    assert_eq!(check(&store).await.findings, []);
}

/// A4-5.
#[tokio::test]
async fn a_held_blob_that_is_missing_is_damage_and_a_remote_one_is_not() {
    let home = Home::new();
    let store = filled(&home).await;
    let layer = Digest::sha256(b"layer");
    std::fs::remove_file(home.root().join("blobs/sha256").join(layer.hex())).unwrap();
    let report = check(&store).await;
    assert_eq!(whats(&report), [(Severity::Damage, &*format!("{layer} is missing"))]);
    assert!(report.findings[0].lost.contains("localhost/held:latest"), "{report:?}");
    assert_eq!(report.remote, 3);
    let lost = async |name: &str| store.lost(&store.load(&which(name)).await.unwrap()).await.unwrap();
    let [error] = &lost("held").await[..] else { panic!("one blob is missing") };
    assert!(error.to_string().ends_with(&format!("{layer} is missing")), "{error}");
    assert!(lost("app").await.is_empty(), "what is elsewhere is not asked for");
}

#[tokio::test]
async fn what_an_interrupted_change_leaves_is_put_right() {
    let home = Home::new();
    let store = filled(&home).await;
    let app = store.load(&which("app")).await.unwrap();
    // A name that its record lists, and that has no file; a file that leads to a record that does not list the name.
    std::fs::remove_file(home.name_file("localhost%2fapp%3a2")).unwrap();
    let pair = format!("{} localhost/other:latest", app.id());
    let line = format!("{pair} {}\n", Digest::sha256(pair.as_bytes()));
    overwrite(&home.name_file("localhost%2fother%3alatest"), line.as_bytes());
    overwrite(&home.root().join(format!("records/.tmp-{}-abcdefghijkl", app.id())), b"half");
    let report = check(&store).await;
    assert_eq!((report.findings.len(), report.is_damaged()), (3, false), "{report:?}");
    assert!(report.findings.iter().all(|finding| !finding.repaired));
    let repaired = store.check(Repair::Yes).await.unwrap();
    assert_eq!(repaired.findings.iter().filter(|finding| finding.repaired).count(), 2, "{repaired:?}");
    let listed = (Severity::Leftover, "the record lists the name, which leads nowhere");
    assert_eq!(whats(&check(&store).await), [listed]);
    assert!(!store.exists(&which("other")).await.unwrap());
    assert!(!store.exists(&which("app:2")).await.unwrap(), "it may have been taken away");
    store.tag(&which("app"), &name("app:2")).await.unwrap();
    assert_eq!(check(&store).await.findings, []);
}

#[tokio::test]
async fn what_a_record_in_lost_and_found_held_stays() {
    let home = Home::new();
    let store = filled(&home).await;
    let held = store.load(&which("held")).await.unwrap();
    overwrite(&home.record_file(&held), b"manifest-record 1 x\nrest");
    store.check(Repair::Yes).await.unwrap();
    let collected = store.collect(crate::collecting::at_once()).await.unwrap();
    assert_eq!((collected.blobs.count, collected.kept.count), (0, 3), "{collected:?}");
    let [path] = &collected.set_aside[..] else { panic!("{collected:?}") };
    assert!(path.starts_with(home.root().join("lost+found")), "{path:?}");
    std::fs::remove_file(path).unwrap();
    assert_eq!(store.collect(crate::collecting::at_once()).await.unwrap().blobs.count, 3);
}

#[tokio::test]
async fn a_history_that_does_not_lead_back_is_damage() {
    let home = Home::new();
    let store = filled(&home).await;
    let app = store.load(&which("app")).await.unwrap();
    reseal(&home.record_file(&app), |body| {
        body.replacen(r#""revert":{"prefix":"#, r#""revert":{"prefix":1"#, 1)
    });
    let report = check(&store).await;
    assert_eq!(whats(&report), [(Severity::Damage, "its history does not lead back")]);
    assert!(report.findings[0].lost.contains("before change 2"), "{report:?}");
}

#[tokio::test]
async fn a_damaged_record_whose_document_is_whole_says_so() {
    let home = Home::new();
    let store = filled(&home).await;
    let app = store.load(&which("app")).await.unwrap();
    let text = std::fs::read_to_string(home.record_file(&app)).unwrap();
    overwrite(&home.record_file(&app), text.replacen("\"created\"", "\"creates\"", 1).as_bytes());
    let report = check(&store).await;
    assert!(report.findings[0].lost.contains("begins with the third line"), "{report:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn what_does_not_belong_here_is_told_and_left_alone() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let home = Home::new();
    let store = filled(&home).await;
    let root = home.root();
    let outside = root.with_file_name("outside");
    overwrite(&outside, b"precious");
    overwrite(&root.join("records/README"), b"x");
    std::fs::create_dir(root.join("blobs/md5")).unwrap();
    symlink(&outside, root.join("names/link")).unwrap();
    symlink(&outside, root.join("locks/record-x")).unwrap();
    let app = store.load(&which("app")).await.unwrap();
    std::fs::set_permissions(home.record_file(&app), PermissionsExt::from_mode(0o644)).unwrap();
    let report = check(&store).await;
    let mut found = whats(&report);
    found.sort();
    assert_eq!(
        found,
        [
            (Severity::Damage, "it is a link and should be a file"),
            (Severity::Damage, "it is a link and should be a file"),
            (Severity::Leftover, "it is a directory that does not belong here"),
            (Severity::Leftover, "it is a file that does not belong here"),
            (Severity::Leftover, "others than its owner may use it"),
        ],
        "{report:?}"
    );
    store.check(Repair::Yes).await.unwrap();
    assert!(root.join("records/README").exists() && root.join("blobs/md5").exists());
    assert_eq!(std::fs::read(&outside).unwrap(), b"precious");
}

/// All that is below a directory: what each file holds, and when it was changed.
fn everything(dir: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut all = Vec::new();
    for file in files(dir) {
        let path = dir.join(file);
        let found = path.symlink_metadata().unwrap();
        let content = if found.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        all.push((path.clone(), content, found.modified().unwrap()));
        if found.is_dir() {
            all.extend(everything(&path));
        }
    }
    all
}

/// A4-12: neither is a lock made, nor a note of one emptied.
#[tokio::test]
async fn who_only_looks_changes_nothing_at_all() {
    let home = Home::new();
    let store = filled(&home).await;
    let app = store.load(&which("app")).await.unwrap();
    let gone = store.create(&name("gone"), draft([1]), IfTaken::Refuse).await.unwrap();
    let broken = store.create(&name("broken"), draft([1]), IfTaken::Refuse).await.unwrap();
    std::fs::remove_file(home.record_file(&gone)).unwrap();
    overwrite(&home.record_file(&broken), b"rubbish");
    overwrite(&home.name_file("localhost%2fbroken%3alatest"), b"rubbish");
    for id in [app.id().to_string(), "0".repeat(64)] {
        overwrite(&home.root().join(format!("records/.tmp-{id}-abcdefghijkl")), b"half");
    }
    let locks = home.root().join("locks");
    let dry = manifest_store::Collect { dry_run: true, ..crate::collecting::at_once() };
    let look = async || {
        let before = everything(&home.root());
        let collected = store.collect(dry).await.unwrap();
        assert_eq!((collected.temporary.count, collected.names), (2, 1), "{collected:?}");
        assert!(check(&store).await.is_damaged());
        store.usage().await.unwrap();
        assert_eq!(everything(&home.root()), before);
    };
    look().await;
    for lock in files(&locks) {
        std::fs::remove_file(locks.join(lock)).unwrap();
    }
    look().await;
    std::fs::remove_dir(&locks).unwrap();
    look().await;
}

/// The pool of blobs is free while blobs are hashed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_until_all_blobs_are_hashed() {
    let home = Home::new();
    let options = |lock_timeout| StoreOptions { lock_timeout, ..StoreOptions::default() };
    let store = Store::open(home.root(), options(std::time::Duration::from_secs(60)));
    let collector = Store::open(home.root(), options(std::time::Duration::ZERO));
    home.blob(b"layer").await;
    let large = home.root().join("blobs/sha256").join(Digest::sha256(b"large").hex());
    std::fs::File::create(&large).unwrap().set_len(256 << 20).unwrap();
    let checked = tokio::spawn(async move { store.check(Repair::No).await.unwrap() });
    let began = std::time::Instant::now();
    let mut collected = None;
    while !checked.is_finished() {
        if collector.collect(manifest_store::Collect::default()).await.is_ok() {
            collected = Some(std::time::Instant::now());
        }
        // It wants the pool for a moment, too.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let (all, last) = (began.elapsed(), collected.unwrap().elapsed());
    assert!(last < all / 2, "nothing could be collected for the last {last:?} of {all:?}");
    assert_eq!(
        whats(&checked.await.unwrap()),
        [(Severity::Damage, "its content is not what its digest says")]
    );
}

#[tokio::test]
async fn a_held_manifest_that_is_none_is_told_and_left_where_it_is() {
    let home = Home::new();
    let (store, held) = crate::collecting::with_what_is_no_manifest(&home).await;
    for repair in [Repair::No, Repair::Yes] {
        let report = store.check(repair).await.unwrap();
        let [finding] = &report.findings[..] else { panic!("{report:?}") };
        assert!(
            finding.what.starts_with("it cannot be read as application/vnd.oci.image.manifest"),
            "{finding:?}"
        );
        assert_eq!((finding.severity, &finding.repair), (Severity::Damage, &None));
        assert!(finding.lost.contains("localhost/app:latest"), "{finding:?}");
        assert!(store.blobs().has(&held).await.unwrap().is_some());
    }
}

/// Nothing is moved in a bucket: what can be done is told, and done where that is possible.
#[cfg(feature = "shared")]
#[tokio::test]
async fn in_a_bucket_what_is_told_to_be_possible_is() {
    use manifest_store::object_store::memory::InMemory;
    use manifest_store::object_store::path::Path;
    use manifest_store::object_store::{ObjectStoreExt as _, PutPayload};
    let (objects, home) = (std::sync::Arc::new(InMemory::new()), Home::new());
    let options = home.options("test", std::time::Duration::from_secs(5));
    let store = Store::from_objects(objects.clone(), "memory:", options).unwrap();
    let app = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    store.create(&name("named"), draft([2]), IfTaken::Refuse).await.unwrap();
    let reference = "example.com/app:1";
    let remember = async || {
        let fetched = jiff::Timestamp::UNIX_EPOCH;
        let document = manifest_store::CachedDocument {
            digest: Digest::sha256(b"{}"),
            media_type: manifest_core::MediaType::OCI_MANIFEST,
            bytes: b"{}".to_vec(),
        };
        let cached =
            manifest_store::Cached { reference: reference.to_owned(), fetched, documents: vec![document] };
        store.cache().keep(cached).await.unwrap();
    };
    let cached = Path::parse("cache/example.com%2fapp%3a1").unwrap();
    let damage = async |path: &Path| {
        assert!(objects.head(path).await.is_ok(), "{path}");
        objects.put(path, PutPayload::from("rubbish")).await.unwrap();
    };
    let blob = Digest::sha256(b"blob").hex();
    objects.put(&Path::from(format!("blobs/sha256/{blob}")), PutPayload::from("rubbish")).await.unwrap();
    damage(&Path::from(format!("records/{}", app.id()))).await;
    damage(&Path::parse("names/localhost%2fnamed%3alatest").unwrap()).await;
    remember().await;
    damage(&cached).await;
    let by_hand = "move it elsewhere with the tools of the service";
    let report = store.check(Repair::Yes).await.unwrap();
    let mut done: Vec<_> =
        report.findings.iter().filter_map(|found| Some((found.repair.as_deref()?, found.repaired))).collect();
    done.sort_unstable();
    let name = format!("{by_hand}, and give that record the name again with tag");
    assert_eq!(
        done,
        [(by_hand, false), (by_hand, false), (&*name, false), ("remove it", true)],
        "{report:?}"
    );

    // What is remembered wrongly can be forgotten, and remembered anew.
    assert!(objects.head(&cached).await.is_err());
    remember().await;
    damage(&cached).await;
    assert!(store.cache().find(reference).await.is_err());
    assert!(store.cache().forget(reference).await.unwrap());
    assert_eq!(store.cache().find(reference).await.unwrap(), None);
    remember().await;
    damage(&cached).await;
    remember().await;
    assert!(store.cache().find(reference).await.unwrap().is_some());
}

#[tokio::test]
async fn a_publication_is_carried_out_by_one_process_and_its_lock_goes_with_it() {
    let home = Home::new();
    let (store, publications) = (home.store(), home.store().publications());
    let id = publications.new_id().unwrap();
    publications.put(id, b"something").await.unwrap();
    let lease = publications.lease(id).await.unwrap();
    let refused = publications.lease(id).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Busy(what, ..) if *what == format!("the push {id}")), "{refused}");
    drop(lease);
    drop(publications.lease(id).await.unwrap());
    let lock = home.root().join("locks").join(format!("publication-{id}"));
    let beside = home.root().join("publications").join(format!(".tmp-{id}-0123"));
    overwrite(&beside, b"");
    for is_there in [true, false] {
        store.collect(crate::collecting::at_once()).await.unwrap();
        assert_eq!((lock.exists(), beside.exists()), (is_there, false));
        assert!(check(&store).await.findings.is_empty());
        publications.remove(id).await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_publication_is_told_and_moved_aside() {
    let home = Home::new();
    let publications = home.store().publications();
    let id = publications.new_id().unwrap();
    publications.put(id, b"something").await.unwrap();
    let file = home.root().join("publications").join(id.to_string());
    let whole = std::fs::read(&file).unwrap();
    let text = String::from_utf8(whole).unwrap();
    for (damaged, part) in [
        (text.replace("thing", "thinG"), "checksum"),
        (text.replace("manifest-", "-"), "does not begin like a publication"),
        (String::new(), "does not begin like a publication"),
    ] {
        overwrite(&file, damaged.as_bytes());
        let refused = publications.get(id).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Damaged { what, .. } if what.contains(part)), "{refused}");
        let report = home.store().check(Repair::No).await.unwrap();
        assert!(report.is_damaged() && report.findings.len() == 1, "{report:?}");
    }
    let report = home.store().check(Repair::Yes).await.unwrap();
    assert!(report.findings[0].repaired, "{report:?}");
    assert_eq!(publications.ids().await.unwrap(), []);
    assert_eq!(std::fs::read_dir(home.root().join("lost+found")).unwrap().count(), 1);

    overwrite(&file, text.replace("publication 1 ", "publication 2 ").as_bytes());
    let refused = publications.get(id).await.unwrap_err();
    assert!(matches!(refused, StoreError::NewerVersion { found: 2, known: 1, .. }), "{refused}");
    let report = home.store().check(Repair::Yes).await.unwrap();
    assert!(file.exists() && report.is_damaged(), "{report:?}");
    overwrite(&file, b"rubbish");
    assert!(publications.remove(id).await.unwrap());
    overwrite(&home.root().join("publications/stray"), b"");
    let report = home.store().check(Repair::No).await.unwrap();
    assert!(report.findings[0].what.contains("does not belong here"), "{report:?}");
}
