//! The history takes every edit back.

use std::convert::Infallible;

use manifest_core::{Annotate, AnnotateList, OnConflict};
use manifest_store::{Draft, IfTaken};
use proptest::prelude::*;

use crate::fixture::{Home, entry, name, which};

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
