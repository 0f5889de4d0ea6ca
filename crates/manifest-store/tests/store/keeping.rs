//! What keeps records from being removed, and what becomes of those that nobody keeps: a part of the suite.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use manifest_core::{EditError, OnConflict};
use manifest_store::{
    Clock, Draft, Force, HeldBy, IfTaken, Origin, Record, Source, Store, StoreError, StoreOptions,
};

use crate::fixture::{add, digests, draft, entry, name, source, which};

fn by(name: &str) -> HeldBy {
    HeldBy::Name(name.to_owned())
}

pub(crate) async fn a_held_record_is_not_removed(store: &Store) {
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    for who in ["zoe", "ci", "ci"] {
        store.hold(&which("app"), who, None).await.unwrap();
    }
    for force in [Force::No, Force::Names] {
        let refused = store.remove(&which("app"), force).await;
        assert!(
            matches!(&refused, Err(StoreError::Held { id, by: all }) if *id == made.id() && *all == [by("ci"), by("zoe")]),
            "{refused:?}"
        );
    }
    assert_eq!(store.load(&which("app")).await.unwrap().updated(), made.updated(), "a hold is no change");
    for _ in 0..2 {
        store.release(&which("app"), "ci").await.unwrap();
    }
    let removed = store.remove(&which("app"), Force::Yes).await.unwrap();
    assert_eq!(removed.overridden, [by("zoe")]);
    assert!(matches!(store.hold(&which("app"), "ci", None).await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.release(&which("app"), "ci").await, Err(StoreError::NotFound(_))));
}

pub(crate) async fn an_expired_hold_is_kept_and_holds_nothing(store: &Store) {
    store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let record = store.hold(&which("app"), "ci", Some(Timestamp::UNIX_EPOCH)).await.unwrap();
    assert_eq!((record.holds().len(), store.holders(&record).await.unwrap()), (1, vec![]));
    let again = store.hold(&which("app"), "ci", None).await.unwrap();
    assert_eq!((again.holds().len(), store.holders(&again).await.unwrap()), (1, vec![by("ci")]));
    store.hold(&which("app"), "ci", Some(Timestamp::UNIX_EPOCH)).await.unwrap();
    store.remove(&which("app"), Force::No).await.unwrap();
}

/// An edit that takes the first entry of another record.
fn take(from: &Record) -> impl FnMut(&mut Draft) -> Result<(), EditError> {
    let source = Source { record: Some(from.id()), ..source("ghcr.io/acme/app", entry(1).digest, &[1]) };
    move |draft| {
        draft.sources.add(source.clone());
        draft.list.add(entry(1), OnConflict::Refuse).map(drop)
    }
}

pub(crate) async fn a_record_that_a_list_has_entries_of_is_not_removed(store: &Store) {
    let base = store.create(&name("base"), draft([1]), IfTaken::Refuse).await.unwrap();
    let all = store.create(&name("all"), draft([2]), IfTaken::Refuse).await.unwrap();
    store.update_using(&which("all"), &[base.id()], take(&base)).await.unwrap();
    let holder = HeldBy::List(all.id());
    let refused = store.remove(&which("base"), Force::No).await;
    assert!(matches!(&refused, Err(StoreError::Held { by, .. }) if *by == [holder]), "{refused:?}");

    store.update(&which("all"), |draft| draft.list.remove(&entry(1).digest).map(drop)).await.unwrap();
    let base = store.load(&which("base")).await.unwrap();
    assert_eq!(store.holders(&base).await.unwrap(), []);
    store.update_using(&which("all"), &[base.id()], take(&base)).await.unwrap();
    store.remove(&which("all"), Force::No).await.unwrap();
    store.remove(&which("base"), Force::No).await.unwrap();

    store.create(&name("all"), draft([2]), IfTaken::Refuse).await.unwrap();
    let gone = store.update_using(&which("all"), &[base.id()], take(&base)).await;
    assert!(gone.is_err(), "a record that is gone cannot be used");
}

/// Nothing but their number is bounded by that: what counts for nothing never held anything.
#[tokio::test]
async fn the_holds_of_lists_that_are_gone_are_dropped_after_a_day() {
    let hours = Arc::new(AtomicI64::new(0));
    let clock = Clock::new({
        let hours = hours.clone();
        move || Timestamp::from_second(hours.load(Ordering::SeqCst) * 3600).unwrap()
    });
    let options = || StoreOptions { clock: clock.clone(), ..StoreOptions::default() };
    let dir = tempfile::tempdir().unwrap();
    #[cfg_attr(
        not(feature = "shared"),
        allow(unused_mut, reason = "one is added where there is another backend")
    )]
    let mut stores = vec![Store::open(dir.path().join("store"), options())];
    #[cfg(feature = "shared")]
    stores.push(Store::in_memory(options()).unwrap());
    for store in stores {
        let base = store.create(&name("base"), draft([1]), IfTaken::Refuse).await.unwrap();
        let using = || {
            let mut draft = Draft::default();
            take(&base)(&mut draft).unwrap();
            draft
        };
        let user = store.create(&name("user"), using(), IfTaken::Refuse).await.unwrap();
        for _ in 0..200 {
            hours.fetch_add(1, Ordering::SeqCst);
            store.create(&name("build"), using(), IfTaken::Refuse).await.unwrap();
            store.remove(&which("build"), Force::No).await.unwrap();
        }
        let base = store.load(&which("base")).await.unwrap();
        assert!(base.holds().len() <= 64, "{}", base.holds().len());
        assert_eq!(store.holders(&base).await.unwrap(), [HeldBy::List(user.id())]);
    }
}

pub(crate) async fn a_copy_is_a_record_of_its_own(store: &Store) {
    let mut start = draft([1, 2]);
    start.sources.add(source("ghcr.io/acme/app", entry(1).digest, &[1]));
    let made = store.create(&name("app"), start, IfTaken::Refuse).await.unwrap();
    store.hold(&which("app"), "ci", None).await.unwrap();
    store.note_push(&which("app"), "docker://ghcr.io/acme/app:1", made.encoded().digest).await.unwrap();
    let copy = store.copy(&which("app"), &name("copy"), IfTaken::Refuse).await.unwrap();
    assert_ne!(copy.id(), made.id());
    assert_eq!((copy.encoded(), copy.sources()), (made.encoded(), made.sources()));
    assert_eq!((copy.holds(), copy.pushed(), copy.origin()), (&[][..], None, Origin::Created));
    let changes = copy.history().changes();
    assert_eq!((changes.len(), &changes[0].before, &changes[0].added), (1, &None, &digests(&made)));
    store.update(&which("copy"), add(3)).await.unwrap();
    assert_eq!(store.load(&which("app")).await.unwrap().entries().len(), 2);

    let taken = store.copy(&which("app"), &name("copy"), IfTaken::Refuse).await;
    assert!(matches!(taken, Err(StoreError::NameTaken { id, .. }) if id == copy.id()), "{taken:?}");
    store.copy(&which("app"), &name("copy"), IfTaken::Replace).await.unwrap();
    assert_eq!(store.load(&copy.id().into()).await.unwrap().names(), []);
    let gone = store.copy(&which("gone"), &name("new"), IfTaken::Refuse).await;
    assert!(matches!(gone, Err(StoreError::NotFound(_))), "{gone:?}");
}

pub(crate) async fn a_push_is_noted_and_is_no_change(store: &Store) {
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let digest = entry(9).digest;
    store.note_push(&which("app"), "docker://ghcr.io/acme/app:1", digest).await.unwrap();
    let noted = store.load(&which("app")).await.unwrap();
    let pushed = noted.pushed().unwrap();
    assert_eq!((pushed.target.as_str(), pushed.digest), ("docker://ghcr.io/acme/app:1", digest));
    assert!(pushed.when >= made.updated());
    assert_eq!((noted.updated(), noted.history()), (made.updated(), made.history()));
}

pub(crate) async fn what_nobody_names_or_holds_is_stale_after_a_while(store: &Store) {
    store.create(&name("named"), draft([1]), IfTaken::Refuse).await.unwrap();
    store.create(&name("held"), draft([1]), IfTaken::Refuse).await.unwrap();
    store.hold(&which("held"), "ci", None).await.unwrap();
    store.untag(&name("held")).await.unwrap();
    store.create(&name("old"), draft([1]), IfTaken::Refuse).await.unwrap();
    let old = store.untag(&name("old")).await.unwrap();
    let ids = |stale: Vec<Result<Record, StoreError>>| -> Vec<_> {
        stale.into_iter().map(|record| record.unwrap().id()).collect()
    };
    let since = old.updated();
    let before = Timestamp::from_millisecond(since.as_millisecond() - 1).unwrap();
    assert_eq!(ids(store.stale(before).await.unwrap()), []);
    assert_eq!(ids(store.stale(since).await.unwrap()), [old.id()]);

    // What is not stale any more when its turn comes stays.
    assert!(!store.remove_stale(old.id(), before).await.unwrap());
    store.tag(&old.id().into(), &name("again")).await.unwrap();
    assert!(!store.remove_stale(old.id(), Timestamp::MAX).await.unwrap());
    store.untag(&name("again")).await.unwrap();
    assert!(store.remove_stale(old.id(), Timestamp::MAX).await.unwrap());
    assert!(!store.remove_stale(old.id(), Timestamp::MAX).await.unwrap(), "it is gone");
    assert_eq!(store.records().await.unwrap().len(), 2);
}
