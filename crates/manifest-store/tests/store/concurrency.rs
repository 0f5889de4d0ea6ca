//! Many at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use manifest_store::{Force, Holder, IfTaken, Store, StoreError, StoreOptions, UpdateError, Waiting};

use crate::fixture::{Home, add, digests, draft, entry, name, which};

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// DUR-8, DUR-9.
#[test]
fn sixteen_threads_with_fifty_adds_each_lose_none() {
    let home = Home::new();
    block_on(home.store().create(&name("app"), draft([]), IfTaken::Refuse)).unwrap();
    std::thread::scope(|threads| {
        for thread in 0..16 {
            let home = &home;
            threads.spawn(move || {
                let store = home.store();
                for n in 0..50 {
                    block_on(store.update(&which("app"), add(thread * 50 + n))).unwrap();
                }
            });
        }
    });
    let record = block_on(home.store().load(&which("app"))).unwrap();
    let found: BTreeSet<_> = digests(&record).into_iter().collect();
    let expected: BTreeSet<_> = (0..800).map(|n| entry(n).digest).collect();
    assert_eq!(found, expected);
    assert_eq!(record.history().changes().len(), 801);
}

#[test]
fn one_of_many_who_create_or_tag_a_name_gets_it() {
    let home = Home::new();
    let (created, tagged) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|threads| {
        for thread in 0..8 {
            let (home, created, tagged) = (&home, &created, &tagged);
            threads.spawn(move || {
                let store = home.store();
                let own = name(&format!("own:{thread}"));
                block_on(store.create(&own, draft([thread]), IfTaken::Refuse)).unwrap();
                match block_on(store.create(&name("app"), draft([thread]), IfTaken::Refuse)) {
                    Ok(_) => created.fetch_add(1, Ordering::SeqCst),
                    Err(error) => {
                        assert!(matches!(error, StoreError::NameTaken { .. }), "{error:?}");
                        0
                    }
                };
                match block_on(store.tag(&(&own).into(), &name("tag"))) {
                    Ok(_) => tagged.fetch_add(1, Ordering::SeqCst),
                    Err(error) => {
                        assert!(matches!(error, StoreError::NameTaken { .. }), "{error:?}");
                        0
                    }
                };
            });
        }
    });
    assert_eq!((created.into_inner(), tagged.into_inner()), (1, 1));
    let records = block_on(home.store().records()).unwrap();
    assert_eq!(records.len(), 9, "who was refused left a record behind");
    let named: usize = records.iter().map(|record| record.as_ref().unwrap().names().len()).sum();
    assert_eq!(named, 10);
}

#[test]
fn readers_never_wait_and_never_fail_because_of_writers() {
    let home = Home::new();
    let store = home.store();
    block_on(store.create(&name("app"), draft([]), IfTaken::Refuse)).unwrap();
    block_on(store.create(&name("moving"), draft([]), IfTaken::Refuse)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let reader = |of: &'static str| {
            let (home, done) = (&home, &done);
            move || {
                // Who had to wait would end at once.
                let store = home.store_of("reader", Duration::ZERO);
                let (mut seen, mut rounds) = (0, 0);
                while !done.load(Ordering::SeqCst) || rounds == 0 {
                    let record = block_on(store.load(&which(of))).unwrap();
                    assert!(record.entries().len() >= seen, "{of} went back");
                    assert!(record.names().contains(&name(of)));
                    seen = record.entries().len();
                    assert!(block_on(store.records()).unwrap().iter().all(Result::is_ok));
                    rounds += 1;
                }
            }
        };
        threads.spawn(reader("app"));
        threads.spawn(reader("moving"));
        for n in 0..60 {
            block_on(store.update(&which("app"), add(n))).unwrap();
            block_on(store.tag(&which("app"), &name("app:2"))).unwrap();
            block_on(store.create(&name("moving"), draft(0..n), IfTaken::Replace)).unwrap();
            block_on(store.untag(&name("app:2"))).unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
}

/// Lets go of a lock that another thread holds.
struct Held {
    let_go: mpsc::Sender<()>,
    is_gone: mpsc::Receiver<()>,
}

impl Held {
    /// Returns when the lock is free. Until then nothing else runs: a clock that jumps from pause to pause would be at the end of
    /// all waiting before the other thread has moved.
    fn let_go(self) {
        drop(self.let_go);
        self.is_gone.recv().unwrap();
    }
}

/// Runs `waiting` while another thread holds the lock of `app`.
fn while_held(home: &Home, waiting: impl AsyncFnOnce(Store, Held)) {
    block_on(home.store().create(&name("app"), draft([]), IfTaken::Refuse)).unwrap();
    let (held, is_held) = mpsc::channel();
    let (let_go, may_go) = mpsc::channel::<()>();
    let (gone, is_gone) = mpsc::channel();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            let store = home.store_of("manifest add app first", Duration::ZERO);
            let edit = |draft: &mut manifest_store::Draft| {
                held.send(()).unwrap();
                // An error is the other side that has gone, which is as good.
                may_go.recv().ok();
                add(1)(draft)
            };
            block_on(store.update(&which("app"), edit)).unwrap();
            // Who does not wait for that has seen enough.
            gone.send(()).ok();
        });
        is_held.recv().unwrap();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let store = home.store_of("manifest add app second", Duration::from_secs(30));
        runtime.block_on(waiting(store, Held { let_go, is_gone }));
    });
}

/// DUR-10.
#[test]
fn the_wait_for_a_lock_ends_and_names_the_holder() {
    let home = Home::new();
    while_held(&home, async |store, _let_go| {
        let failed = store.update(&which("app"), add(2)).await.unwrap_err();
        let UpdateError::Store(StoreError::Busy(what, holder, waited)) = failed else { panic!("{failed:?}") };
        assert_eq!(what, "the list app");
        assert_eq!(holder.command.as_deref(), Some("manifest add app first"));
        assert_eq!(holder.pid, Some(std::process::id()));
        assert!((30..31).contains(&waited.as_secs()), "{waited:?}");
        let failed = store.tag(&which("app"), &name("b")).await.unwrap_err();
        assert!(matches!(failed, StoreError::Busy(..)), "{failed:?}");

        assert!(store.load(&which("app")).await.unwrap().entries().is_empty());
        store.create(&name("other"), draft([]), IfTaken::Refuse).await.unwrap();
        store.update(&which("other"), add(1)).await.unwrap();
    });
    let record = block_on(home.store().load(&which("app"))).unwrap();
    assert_eq!(record.entries(), [entry(1)]);
    assert_eq!(record.names(), [name("app")]);
}

#[test]
fn who_waits_for_a_while_is_told_once_for_whom() {
    let home = Home::new();
    while_held(&home, async |_store, _let_go| {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tells = Arc::clone(&told);
        let tell = move |what: &str, holder: &Holder| {
            tells.lock().unwrap().push((what.to_owned(), holder.command.clone().unwrap()));
        };
        for (millis, times) in [(400, 0), (5000, 1)] {
            let options = home.options("manifest add app second", Duration::from_millis(millis));
            let store =
                Store::open(home.root(), StoreOptions { waiting: Waiting::new(tell.clone()), ..options });
            store.update(&which("app"), add(2)).await.unwrap_err();
            let expected = vec![("the list app".to_owned(), "manifest add app first".to_owned()); times];
            assert_eq!(*told.lock().unwrap(), expected, "{millis}");
        }
    });
}

#[test]
fn who_waits_gets_the_lock_when_it_is_free() {
    let home = Home::new();
    while_held(&home, async |store, held| {
        let start = tokio::time::Instant::now();
        let selector = which("app");
        let (updated, ()) = tokio::join!(store.update(&selector, add(2)), async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            held.let_go();
        });
        assert_eq!(updated.unwrap().record.entries(), [entry(1), entry(2)]);
        assert!(start.elapsed() >= Duration::from_secs(10));
    });
}

#[test]
fn two_removals_of_the_two_names_of_a_list_remove_it() {
    for _ in 0..10 {
        let home = Home::new();
        let store = home.store();
        block_on(store.create(&name("app"), draft([1]), IfTaken::Refuse)).unwrap();
        block_on(store.tag(&which("app"), &name("other"))).unwrap();
        std::thread::scope(|threads| {
            for named in ["app", "other"] {
                let store = home.store();
                threads.spawn(move || block_on(store.remove(&which(named), Force::No)).unwrap());
            }
        });
        assert!(block_on(store.records()).unwrap().is_empty(), "a list without a name is left");
    }
}
