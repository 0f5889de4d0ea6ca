//! DUR-40. Leases: what one process at a time may do. Time is that of the runtime, which goes on when nobody has anything to do.

use std::collections::BTreeSet;
use std::time::Duration;

use manifest_store::{Lease, Store, StoreError};
use tokio::time::{Instant, pause, resume};

/// As the tags of a publication.
fn tags(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| format!("docker://r.example.com/app:{name}")).collect()
}

async fn take(store: &Store, names: &[&str]) -> Result<Vec<Lease>, StoreError> {
    store.publications().lease_tags(tags(names)).await
}

async fn release(leases: Vec<Lease>) {
    for lease in leases {
        lease.release().await;
    }
}

pub(crate) async fn one_at_a_time_has_a_tag_and_who_waits_names_the_holder(store: &Store) {
    pause();
    let held = take(store, &["1", "2"]).await.unwrap();
    let others = take(store, &["3"]).await.unwrap();
    // Longer than any term: it is renewed meanwhile, and the other one is given up.
    let refused = take(store, &["0", "2"]).await.unwrap_err();
    let StoreError::Busy(what, holder, waited) = &refused else { panic!("{refused:?}") };
    assert_eq!(what, "the tag docker://r.example.com/app:2");
    assert_eq!((holder.pid, holder.command.as_deref()), (Some(std::process::id()), Some("manifest test")));
    assert!(*waited >= Duration::from_secs(300), "{waited:?}");
    for lease in held.iter().chain(&others) {
        lease.confirm().await.unwrap();
    }
    release(take(store, &["0"]).await.unwrap()).await;
    release(held).await;
    release(take(store, &["0", "2"]).await.unwrap()).await;
    release(others).await;
    resume();
}

pub(crate) async fn a_lease_that_is_given_back_is_free_at_once(store: &Store) {
    pause();
    for _ in 0..3 {
        let begun = Instant::now();
        release(take(store, &["1", "2", "3"]).await.unwrap()).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    let held = take(store, &["1"]).await.unwrap();
    let (waiting, _) = tokio::join!(take(store, &["1"]), async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        release(held).await;
    });
    release(waiting.unwrap()).await;
    resume();
}

pub(crate) async fn the_lease_of_one_that_is_gone_is_free_in_a_while(store: &Store) {
    pause();
    // A process that is killed says nothing more.
    drop(take(store, &["1"]).await.unwrap());
    let begun = Instant::now();
    let next = take(store, &["1"]).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    next[0].confirm().await.unwrap();
    release(next).await;
    resume();
}

pub(crate) async fn a_push_that_lives_is_told_from_one_that_is_gone(store: &Store) {
    pause();
    let publications = store.publications();
    let id = publications.new_id().unwrap();
    let held = publications.lease(id).await.unwrap();
    let begun = Instant::now();
    let refused = publications.lease(id).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Busy(what, ..) if *what == format!("the push {id}")), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(held);
    publications.lease(id).await.unwrap().release().await;
    publications.lease(id).await.unwrap().release().await;
    resume();
}
