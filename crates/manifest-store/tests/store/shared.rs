//! Stores in object storage: many writers, lost answers, services that break their promises.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use manifest_core::AnnotateList;
use manifest_store::object_store::path::Path;
use manifest_store::object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use manifest_store::{Draft, Force, IfTaken, Store, StoreError, StoreOptions};
use manifest_testkit::{Azurite, Moto};

use crate::cloud::{Breaks, Cloud, Compares, FAULTS, Fault, Names};
use crate::concurrency::block_on;
use crate::fixture::{Home, add, digests, draft, entry, name, which};
use crate::{one_after_another, suite, with_sentences};

const PATIENCE: Duration = Duration::from_secs(300);

/// Stores at one place, each as another process would have it.
trait Shelf: Sync {
    fn store(&self) -> Store;
}

impl<F: Fn() -> Store + Sync> Shelf for F {
    fn store(&self) -> Store {
        self()
    }
}

fn options() -> StoreOptions {
    StoreOptions { lock_timeout: PATIENCE, command: "manifest test".to_owned(), ..StoreOptions::default() }
}

fn on(cloud: &Arc<Cloud>) -> Store {
    Store::from_objects(cloud.clone(), "cloud://lists", options()).unwrap()
}

/// Adds one to a number in the list: an edit that is done twice is seen, and so is one that is lost.
fn count(draft: &mut Draft) -> Result<(), Infallible> {
    let counted = draft.list.annotations().get("count").map_or(0, |count| count.parse::<usize>().unwrap());
    let annotations = [("count".to_owned(), (counted + 1).to_string())].into();
    draft.list.annotate_list(&AnnotateList { annotations, ..AnnotateList::default() });
    Ok(())
}

/// `writers` count and add at once; every edit that was acknowledged is there once, and no other.
fn keeps_a_ledger(shelf: &impl Shelf, writers: usize, edits: usize) {
    block_on(shelf.store().create(&name("app"), draft([]), IfTaken::Refuse)).unwrap();
    std::thread::scope(|threads| {
        for writer in 0..writers {
            threads.spawn(move || {
                let store = shelf.store();
                for n in 0..edits {
                    block_on(store.update(&which("app"), |draft| {
                        count(draft).unwrap();
                        add(writer * edits + n)(draft)
                    }))
                    .unwrap();
                }
            });
        }
    });
    let record = block_on(shelf.store().load(&which("app"))).unwrap();
    let mut found = digests(&record);
    found.sort();
    let mut expected: Vec<_> = (0..writers * edits).map(|n| entry(n).digest).collect();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(record.list().unwrap().annotations()["count"], (writers * edits).to_string());
    assert_eq!(record.history().changes().len(), writers * edits + 1);
}

/// DUR-30 … DUR-36: each fault alone, and all of them together.
#[test]
fn sixteen_writers_over_a_failing_service_lose_nothing_and_do_nothing_twice() {
    let alone = FAULTS.map(|fault| vec![(fault, 30)]);
    let mixed = [1, 10].map(|percent| FAULTS.map(|fault| (fault, percent)).to_vec());
    for compares in [Compares::Content, Compares::Generation] {
        for percent in alone.iter().chain(&mixed) {
            let cloud = Arc::new(Cloud::new(compares, percent.clone()));
            keeps_a_ledger(&|| on(&cloud), 16, 5);
            let writes = cloud.writes.load(Ordering::SeqCst);
            assert!(writes < 80 * 10, "{writes} writes for 80 edits: {percent:?}");
        }
    }
}

#[test]
fn names_and_removals_survive_lost_answers_too() {
    let percent = FAULTS.map(|fault| (fault, 4)).to_vec();
    let cloud = Arc::new(Cloud::new(Compares::Content, percent));
    let (created, removed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|threads| {
        for writer in 0..4 {
            let (cloud, created, removed) = (&cloud, &created, &removed);
            threads.spawn(move || {
                let store = on(cloud);
                for n in 0..10 {
                    let own = name(&format!("own:{writer}-{n}"));
                    block_on(store.create(&own, draft([n]), IfTaken::Refuse)).unwrap();
                    block_on(store.tag(&(&own).into(), &name("tag")))
                        .map(|_| created.fetch_add(1, Ordering::SeqCst))
                        .ok();
                    if block_on(store.remove(&which("tag"), Force::Yes)).is_ok() {
                        removed.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let records = block_on(on(&cloud).records()).unwrap();
    assert_eq!(records.len(), 40, "a record that has two names loses one at a time");
    assert!(records.iter().all(Result::is_ok));
    assert!(created.into_inner() >= 1 && removed.into_inner() >= 1);
}

/// What S3 calls the state of an object is a hash of its content: a list that is edited there and back has had that
/// very content before, and a stale write must be refused all the same.
#[tokio::test]
async fn a_state_that_comes_back_is_another_state() {
    let cloud = Arc::new(Cloud::new(Compares::Content, Vec::new()));
    let (one, other) = (on(&cloud), on(&cloud));
    one.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let object = async || {
        let records = cloud.list_with_delimiter(Some(&Path::from("names"))).await.unwrap();
        cloud.get(&records.objects[0].location).await.unwrap().meta.e_tag
    };
    let mut seen = vec![object().await];
    let id = one.load(&which("app")).await.unwrap().id();
    for _ in 0..3 {
        // The content of a name is its record: it is the same each time.
        other.untag(&name("app")).await.unwrap();
        seen.push(object().await);
        other.tag(&id.into(), &name("app")).await.unwrap();
        seen.push(object().await);
    }
    let states = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), states, "a state came back");
}

/// An edit that is held up between reading and writing, while others bring back what it read.
#[tokio::test]
async fn a_stale_edit_starts_again_even_if_the_list_looks_the_same() {
    let cloud = Arc::new(Cloud::new(Compares::Content, Vec::new()));
    let (slow, quick) = (on(&cloud), on(&cloud));
    slow.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let mut tries = 0;
    let updated = slow
        .update(&which("app"), |draft| {
            tries += 1;
            if tries == 1 {
                std::thread::scope(|threads| {
                    threads.spawn(|| {
                        block_on(quick.update(&which("app"), add(2))).unwrap();
                        let remove = |draft: &mut Draft| draft.list.remove(&entry(2).digest);
                        block_on(quick.update(&which("app"), remove)).unwrap();
                    });
                });
            }
            add(3)(draft)
        })
        .await
        .unwrap();
    assert_eq!(tries, 2);
    assert_eq!(updated.record.list().unwrap().entries(), [entry(1), entry(3)]);
    assert_eq!(updated.record.history().changes().len(), 4, "an edit of the other was lost");
}

#[tokio::test]
async fn a_service_that_breaks_a_promise_is_refused_before_anything_is_saved() {
    for (breaks, promise) in [
        (Breaks::Create, "it does not refuse to create an object that is there"),
        (Breaks::Update, "it does not refuse to replace an object that has changed"),
        (Breaks::Listing, "it does not list an object that was just written"),
    ] {
        let cloud = Arc::new(Cloud::that_breaks(breaks));
        let failed = on(&cloud).create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap_err();
        assert!(
            matches!(failed, StoreError::BrokenPromise { promise: told, .. } if told == promise),
            "{failed}"
        );
        assert!(failed.to_string().contains("edits would be lost"), "{failed}");
        for dir in ["records", "names", "probe"] {
            let left = cloud.list_with_delimiter(Some(&Path::from(dir))).await.unwrap();
            assert!(left.objects.is_empty(), "{dir}");
        }
    }
}

#[tokio::test]
async fn a_service_is_tried_once_and_vouched_for() {
    let cloud = Arc::new(Cloud::new(Compares::Content, Vec::new()));
    on(&cloud).create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let version = cloud.get(&Path::from("version")).await.unwrap().bytes().await.unwrap();
    let version = String::from_utf8(version.to_vec()).unwrap();
    let (first, second) = version.split_once('\n').unwrap();
    assert!(first == "manifest-store 1" && second.contains("manifest test"), "{version}");
    let before = cloud.writes.load(Ordering::SeqCst);
    on(&cloud).update(&which("app"), add(2)).await.unwrap();
    assert_eq!(cloud.writes.load(Ordering::SeqCst), before + 1);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let cloud = Arc::new(Cloud::new(Compares::Content, Vec::new()));
    cloud.put(&Path::from("version"), PutPayload::from("manifest-store 2\n")).await.unwrap();
    let failed = on(&cloud).create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap_err();
    assert!(matches!(failed, StoreError::NewerVersion { found: 2, .. }), "{failed}");
    let failed = on(&cloud).load(&which("app")).await.unwrap_err();
    assert!(matches!(failed, StoreError::NewerVersion { found: 2, .. }), "{failed}");
}

#[tokio::test]
async fn damaged_objects_are_told_and_left_alone() {
    let cloud = Arc::new(Cloud::new(Compares::Content, Vec::new()));
    let made = on(&cloud).create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let path = Path::from(format!("records/{}", made.id()));
    for (content, told) in [
        ("", "does not begin like an object"),
        ("manifest-record 1 sha256:00\n", "does not begin like an object"),
        ("manifest-object 1 1 kept 0000000000000001\nhello", "does not begin like a record"),
    ] {
        cloud.put(&path, PutPayload::from(content)).await.unwrap();
        let failed = on(&cloud).update(&which("app"), add(2)).await.unwrap_err();
        let text = failed.to_string();
        let place = format!("cloud://lists/records/{}", made.id());
        assert!(text.contains(told) && text.contains(&place), "{text}");
        assert_eq!(cloud.get(&path).await.unwrap().bytes().await.unwrap(), content.as_bytes());
    }
    cloud.put(&path, PutPayload::from("manifest-object 9 x\n")).await.unwrap();
    let failed = on(&cloud).load(&which("app")).await.unwrap_err();
    assert!(matches!(failed, StoreError::NewerVersion { found: 9, .. }), "{failed}");
}

#[tokio::test]
async fn a_service_that_never_answers_a_write_leaves_it_open() {
    let cloud = Arc::new(Cloud::new(Compares::Content, vec![(Fault::Timeout, 100)]));
    let failed = on(&cloud).create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap_err();
    assert!(matches!(failed, StoreError::Uncertain(..)), "{failed}");
    assert!(failed.to_string().contains("may have been made or not"), "{failed}");
}

#[tokio::test]
async fn a_name_that_cannot_be_written_leaves_nothing_behind() {
    let cloud = Arc::new(Cloud::new(Compares::Content, Vec::new()));
    let made = on(&cloud).create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    *cloud.names.lock().unwrap() = Names::Denied;
    let store = on(&cloud);
    let failed = [
        store.tag(&which("app"), &name("new")).await,
        store.rename(&name("app"), &name("new")).await,
        store.create(&name("new"), draft([2]), IfTaken::Refuse).await,
        store.create(&name("app"), draft([2]), IfTaken::Replace).await,
    ];
    for failed in failed {
        assert!(matches!(failed, Err(StoreError::Forbidden(..))), "{failed:?}");
    }
    let records: Vec<_> = store.records().await.unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(records, [made]);
}

#[tokio::test]
async fn a_name_that_was_taken_over_without_an_answer_leads_to_the_new_list() {
    let cloud = Arc::new(Cloud::new(Compares::Content, Vec::new()));
    on(&cloud).create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    *cloud.names.lock().unwrap() = Names::Fading;
    let failed = on(&cloud).create(&name("app"), draft([2]), IfTaken::Replace).await;
    assert!(matches!(failed, Err(StoreError::Uncertain(..))), "{failed:?}");
    *cloud.names.lock().unwrap() = Names::Served;
    assert_eq!(digests(&on(&cloud).load(&which("app")).await.unwrap()), [entry(2).digest]);
}

/// A runtime that has one thread, a store that outlives it, and a store that goes away inside another.
#[test]
fn stores_do_not_depend_on_the_runtime_of_the_caller() {
    let store = Store::in_memory(options()).unwrap();
    block_on(store.create(&name("app"), draft([1]), IfTaken::Refuse)).unwrap();
    block_on(async move {
        let (one, two) = (which("app"), which("app"));
        let (added, again) = tokio::join!(store.update(&one, add(2)), store.update(&two, add(3)));
        assert!(added.unwrap().changed && again.unwrap().changed);
        // A change whose future is dropped goes on to its end, or has not begun.
        drop(tokio::time::timeout(Duration::ZERO, store.update(&one, add(4))).await);
        store.load(&one).await.unwrap();
        drop(store);
    });
}

fn connect(url: &str, variables: &[(String, String)]) -> Store {
    let home = Home::new();
    Store::connect(url, variables.to_vec(), home.options("manifest test", PATIENCE)).unwrap()
}

/// The behaviour suite and a short ledger, each in a prefix of its own.
fn serves(url: &str, variables: &[(String, String)]) {
    let store = |prefix: &str| connect(&format!("{url}/{prefix}"), variables);
    block_on(async {
        with_sentences!(one_after_another, store);
    });
    keeps_a_ledger(&|| store("some where/ledger"), 8, 5);
}

#[test]
fn amazon_does_what_every_backend_must() {
    let moto = Moto::start();
    moto.create_container("lists");
    serves("s3://lists", &moto.environment());
}

#[test]
fn azure_does_what_every_backend_must() {
    let azurite = Azurite::start();
    azurite.create_container("lists");
    serves("az://lists", &azurite.environment());
}

#[tokio::test]
async fn a_bucket_that_is_not_there_and_a_service_that_is_not_there_are_told_apart() {
    let moto = Moto::start();
    let mut variables = moto.environment();
    let failed = connect("s3://missing", &variables).create(&name("app"), draft([1]), IfTaken::Refuse).await;
    let failed = failed.unwrap_err();
    assert!(
        matches!(&failed, StoreError::Io(_, _, error) if error.kind() == std::io::ErrorKind::NotFound),
        "{failed:?}"
    );
    drop(moto);
    for (_, value) in variables.iter_mut().filter(|(name, _)| name == "AWS_ENDPOINT") {
        *value = "http://127.0.0.1:1".to_owned();
    }
    variables.push(("AWS_SECRET_ACCESS_KEY".to_owned(), "hunter2".to_owned()));
    let failed = connect("s3://missing", &variables).load(&which("app")).await.unwrap_err();
    assert!(matches!(failed, StoreError::Unreachable(..)), "{failed:?}");
    assert!(
        format!("{failed:?}").contains("Connection refused") && !format!("{failed:?}").contains("hunter2"),
        "{failed:?}"
    );
}

/// Two stores on one bucket, the first of which stands still for longer than its term.
#[tokio::test(start_paused = true)]
async fn a_lease_that_was_taken_over_is_noticed_before_it_is_relied_on() {
    let cloud = Arc::new(Cloud::new(Compares::Content, Vec::new()));
    let tags = || std::collections::BTreeSet::from(["docker://r.example.com/app:1".to_owned()]);
    // Nothing renews what was taken by a runtime that is gone.
    let store = on(&cloud);
    let stopped = std::thread::spawn(move || {
        let taken = block_on(async { store.publications().lease_tags(tags()).await.unwrap() });
        (store, taken)
    });
    let (_store, stopped) = stopped.join().unwrap();
    let next = on(&cloud).publications().lease_tags(tags()).await.unwrap();
    let lost = stopped[0].confirm().await;
    assert!(matches!(&lost, Err(StoreError::LeaseLost(..))), "{lost:?}");
    next[0].confirm().await.unwrap();
    // One that was lost gives nothing back.
    for lease in stopped {
        lease.release().await;
    }
    next[0].confirm().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    next[0].confirm().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn leases_survive_lost_answers_and_throttling() {
    for fault in FAULTS {
        let cloud = Arc::new(Cloud::new(Compares::Content, vec![(fault, 20)]));
        let (one, two) = (on(&cloud).publications(), on(&cloud).publications());
        let tags = || std::collections::BTreeSet::from(["docker://r.example.com/app:1".to_owned()]);
        for _ in 0..10 {
            for publications in [&one, &two] {
                let taken = publications.lease_tags(tags()).await.unwrap();
                for lease in taken {
                    lease.release().await;
                }
            }
        }
    }
}
