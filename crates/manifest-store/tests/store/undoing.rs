//! The history takes every edit back.

use std::convert::Infallible;

use manifest_core::{Annotate, AnnotateList, OnConflict};
use manifest_store::{Draft, IfTaken, StoreError};
use proptest::prelude::*;

use crate::fixture::{Home, add, draft, entry, name, source, which};

#[derive(Clone, Debug)]
enum Edit {
    Add(Vec<usize>),
    Remove(usize),
    Annotate(usize, String),
    AnnotateList(String),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        prop::collection::vec(0..30_usize, 1..6).prop_map(Edit::Add),
        (0..30_usize).prop_map(Edit::Remove),
        (0..30_usize, ".{0,12}").prop_map(|(at, text)| Edit::Annotate(at, text)),
        ".{0,12}".prop_map(Edit::AnnotateList),
    ];
    prop::collection::vec(edit, 1..10)
}

fn apply(edit: &Edit, draft: &mut Draft) {
    let annotations = |text: &String| [("key".to_owned(), text.clone())].into();
    match edit {
        Edit::Add(ns) => {
            draft.list.add_all(ns.iter().copied().map(entry), OnConflict::Refuse).unwrap();
        }
        // An entry that is not there is no edit.
        Edit::Remove(n) => drop(draft.list.remove(&entry(*n).digest)),
        Edit::Annotate(n, text) => {
            let change = Annotate { annotations: annotations(text), ..Annotate::default() };
            draft.list.annotate(&entry(*n).digest, &change).ok();
        }
        Edit::AnnotateList(text) => {
            let change = AnnotateList { annotations: annotations(text), ..AnnotateList::default() };
            draft.list.annotate_list(&change);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_document_comes_back_out_of_the_one_after_it(edits in edits()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let home = Home::new();
            let store = home.store();
            let made = store.create(&name("app"), Draft::default(), IfTaken::Refuse).await.unwrap();
            let mut documents = vec![made.encoded().bytes.clone()];
            for edit in &edits {
                let updated = store
                    .update(&which("app"), |draft| {
                        apply(edit, draft);
                        Ok::<_, Infallible>(())
                    })
                    .await
                    .unwrap();
                assert_eq!(updated.changed, documents.last() != Some(&updated.record.encoded().bytes));
                if updated.changed {
                    documents.push(updated.record.encoded().bytes.clone());
                }
            }
            let record = store.load(&which("app")).await.unwrap();
            let mut bytes = record.encoded().bytes.clone();
            assert_eq!(record.history().changes().len(), documents.len());
            for (change, document) in record.history().changes().iter().zip(&documents).rev() {
                assert_eq!(&bytes, document);
                if let Some(before) = change.document_before(&bytes) {
                    bytes = before;
                }
            }
            assert_eq!(bytes, documents[0]);
        });
    }
}

#[tokio::test]
async fn each_undo_goes_one_change_further_back_and_can_be_undone() {
    let home = Home::new();
    let store = home.store();
    let app = which("app");
    store.create(&name("app"), Draft::default(), IfTaken::Refuse).await.unwrap();
    let mut states = vec![store.load(&app).await.unwrap().encoded().clone()];
    for n in 1..=3 {
        states.push(store.update(&app, add(n)).await.unwrap().record.encoded().clone());
    }
    // A name is not what an undo is about.
    store.tag(&app, &name("other")).await.unwrap();
    for (expected, to) in [(2, 3), (1, 2), (0, 1)] {
        let undone = store.undo(&app, None).await.unwrap();
        assert_eq!((undone.record.encoded(), undone.to), (&states[expected], to));
    }
    assert!(matches!(store.undo(&app, None).await, Err(StoreError::NothingToUndo(_))));
    assert_eq!(store.undo(&app, Some(4)).await.unwrap().record.encoded(), &states[3], "redone");
    assert_eq!(store.load(&app).await.unwrap().names().len(), 2);

    // What is edited after an undo is undone first, then what the undo brought back.
    store.undo(&app, Some(2)).await.unwrap();
    store.update(&app, add(9)).await.unwrap();
    assert_eq!(store.undo(&app, None).await.unwrap().record.encoded(), &states[1]);
    assert_eq!(store.undo(&app, None).await.unwrap().record.encoded(), &states[0]);

    let beyond = store.undo(&app, Some(99)).await.unwrap_err();
    assert!(matches!(beyond, StoreError::NoSuchChange { number: 99, oldest: 1, .. }), "{beyond}");
    store.prune_history(&app).await.unwrap();
    assert!(matches!(store.undo(&app, None).await, Err(StoreError::NothingToUndo(_))));
    store.update(&app, add(1)).await.unwrap();
    assert_eq!(store.undo(&app, None).await.unwrap().record.encoded(), &states[0], "what was kept last");
}

#[tokio::test]
async fn an_undo_brings_the_sources_back() {
    let home = Home::new();
    let store = home.store();
    let app = which("app");
    let mut first = draft([1, 2]);
    first.sources.add(source("one", entry(1).digest, &[1]));
    first.sources.add(source("two", entry(2).digest, &[2]));
    let made = store.create(&name("app"), first, IfTaken::Refuse).await.unwrap();
    let remove = |draft: &mut Draft| -> Result<(), Infallible> {
        draft.list.remove(&entry(1).digest).unwrap();
        Ok(())
    };
    let removed = store.update(&app, remove).await.unwrap().record;
    assert_eq!(removed.sources().iter().count(), 1);
    let undone = store.undo(&app, None).await.unwrap().record;
    assert_eq!(undone.encoded(), made.encoded());
    assert_eq!(undone.sources().place_of(&entry(1).digest).unwrap().from, "one");
    assert_eq!(undone.sources().place_of(&entry(2).digest).unwrap().from, "two");
}
