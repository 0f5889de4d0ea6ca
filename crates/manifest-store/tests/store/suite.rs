//! What every backend must do.

use std::convert::Infallible;

use manifest_core::{Annotate, Digest, EncodeError, Format, List, OnConflict};
use manifest_store::{Base, Draft, Force, IfTaken, Repair, Selector, Store, StoreError, UpdateError};

use crate::collecting::at_once;
use crate::fixture::{add, digests, draft, entry, name, source, which};

pub(crate) use crate::blobs::{
    entries_that_are_relied_on_are_there_whole, what_is_put_is_read_back, what_is_something_else_is_not_kept,
};
pub(crate) use crate::collecting::{
    a_copy_holds_what_the_first_held, what_can_be_undone_is_held_until_the_history_is_forgotten,
    what_lists_in_lists_hold_stays, what_nobody_holds_goes_and_is_counted,
    what_two_lists_share_goes_with_the_second,
};
pub(crate) use crate::keeping::{
    a_copy_is_a_record_of_its_own, a_held_record_is_not_removed, a_push_is_noted_and_is_no_change,
    a_record_that_a_list_has_entries_of_is_not_removed, an_expired_hold_is_kept_and_holds_nothing,
    what_nobody_names_or_holds_is_stale_after_a_while,
};
pub(crate) use crate::leasing::{
    a_lease_that_is_given_back_is_free_at_once, a_push_that_lives_is_told_from_one_that_is_gone,
    one_at_a_time_has_a_tag_and_who_waits_names_the_holder, the_lease_of_one_that_is_gone_is_free_in_a_while,
};

pub(crate) async fn what_is_saved_is_loaded(store: &Store) {
    let base = Some(Base { reference: "ghcr.io/acme/app:1".to_owned(), digest: Digest::sha256(b"base") });
    let made = store
        .create(&name("app"), Draft { base: base.clone(), ..draft([1, 2]) }, IfTaken::Refuse)
        .await
        .unwrap();
    let loaded = store.load(&which("localhost/app:latest")).await.unwrap();
    assert_eq!(loaded, made);
    assert_eq!(digests(&loaded), [entry(1).digest, entry(2).digest]);
    assert_eq!(loaded.base(), base.as_ref());
    assert!(store.exists(&which("app")).await.unwrap());

    let updated = store.update(&which("app"), add(3)).await.unwrap();
    assert!(updated.changed);
    let loaded = store.load(&which("app")).await.unwrap();
    assert_eq!(loaded, updated.record);
    assert_eq!(loaded.entries().len(), 3);
    assert_eq!(loaded.encoded().digest, Digest::sha256(&loaded.encoded().bytes));
    assert_eq!(loaded.id(), made.id());
    assert_eq!(loaded.created(), made.created());
    assert!(loaded.updated() > made.updated());
}

pub(crate) async fn what_is_known_of_a_publication_is_replaced_as_a_whole(store: &Store) {
    let publications = store.publications();
    assert_eq!(publications.ids().await.unwrap(), []);
    let (one, two) = (publications.new_id().unwrap(), publications.new_id().unwrap());
    assert!(two > one, "ids sort by age");
    assert_eq!(publications.get(one).await.unwrap(), None);
    assert!(!publications.remove(one).await.unwrap());
    publications.put(one, b"first").await.unwrap();
    publications.put(two, b"").await.unwrap();
    publications.put(one, b"then\nthis").await.unwrap();
    assert_eq!(publications.get(one).await.unwrap().as_deref(), Some(&b"then\nthis"[..]));
    assert_eq!(publications.ids().await.unwrap(), [two, one], "the newest first");
    assert!(store.check(Repair::No).await.unwrap().findings.is_empty());
    store.collect(at_once()).await.unwrap();
    publications.lease(two).await.unwrap().release().await;
    let lease = publications.lease(two).await.unwrap();
    lease.release().await;
    assert!(publications.remove(two).await.unwrap());
    assert_eq!((publications.get(two).await.unwrap(), publications.ids().await.unwrap()), (None, vec![one]));
    assert!(!publications.remove(two).await.unwrap());
}

pub(crate) async fn a_store_that_is_not_there_is_empty(store: &Store) {
    assert!(matches!(store.load(&which("app")).await, Err(StoreError::NotFound(text)) if text == "app"));
    assert!(matches!(store.load(&which(&"ab".repeat(32))).await, Err(StoreError::NotFound(_))));
    assert!(!store.exists(&which("abcdefabcdef")).await.unwrap());
    assert!(store.records().await.unwrap().is_empty());
    assert!(matches!(store.untag(&name("app")).await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.remove(&which("app"), Force::Yes).await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.tag(&which("app"), &name("b")).await, Err(StoreError::NotFound(_))));
    let updated = store.update(&which("app"), add(1)).await;
    assert!(matches!(updated, Err(UpdateError::Store(StoreError::NotFound(_)))));
}

pub(crate) async fn a_taken_name_is_refused_or_taken_over(store: &Store) {
    let old = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    store.tag(&which("app"), &name("app:old")).await.unwrap();
    let refused = store.create(&name("app"), draft([2]), IfTaken::Refuse).await;
    assert!(matches!(refused, Err(StoreError::NameTaken { id, .. }) if id == old.id()));
    assert_eq!(store.records().await.unwrap().len(), 1, "a refused list was left behind");

    let new = store.create(&name("app"), draft([2]), IfTaken::Replace).await.unwrap();
    assert_eq!(store.load(&which("app")).await.unwrap(), new);
    let survivor = store.load(&which("app:old")).await.unwrap();
    assert_eq!((survivor.id(), survivor.names()), (old.id(), &[name("app:old")][..]));
    assert_eq!(survivor.history().changes().last().unwrap().untagged, [name("app")]);

    let newest = store.create(&name("app"), draft([3]), IfTaken::Replace).await.unwrap();
    assert!(store.load(&new.id().into()).await.unwrap().names().is_empty());
    assert_eq!(store.load(&which("app")).await.unwrap().id(), newest.id());
}

pub(crate) async fn a_record_can_have_several_names(store: &Store) {
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    for new in ["app:1", "app:A", "app:a", "ghcr.io/acme/app:1"] {
        let tagged = store.tag(&which("app"), &name(new)).await.unwrap();
        assert_eq!(tagged.names().last(), Some(&name(new)));
        assert_eq!(store.load(&which(new)).await.unwrap(), tagged);
    }
    let again = store.tag(&which("app:1"), &name("app:A")).await.unwrap();
    assert_eq!(again.names().len(), 5, "a name stands twice");
    let left = store.untag(&name("app")).await.unwrap();
    assert_eq!(left.names().len(), 4);
    assert!(!store.exists(&which("app")).await.unwrap());
    for old in ["app:1", "app:A", "app:a", "ghcr.io/acme/app:1"] {
        store.untag(&name(old)).await.unwrap();
    }
    assert!(store.load(&made.id().into()).await.unwrap().names().is_empty());
}

pub(crate) async fn a_name_that_another_record_has_is_refused(store: &Store) {
    let one = store.create(&name("one"), draft([1]), IfTaken::Refuse).await.unwrap();
    store.create(&name("two"), draft([1]), IfTaken::Refuse).await.unwrap();
    let refused = store.tag(&which("two"), &name("one")).await;
    assert!(matches!(refused, Err(StoreError::NameTaken { id, .. }) if id == one.id()));
    assert_eq!(store.load(&which("two")).await.unwrap().names(), [name("two")]);
    store.untag(&name("one")).await.unwrap();
    store.tag(&which("two"), &name("one")).await.unwrap();
}

pub(crate) async fn a_name_that_is_taken_goes_from_one_record_to_the_other(store: &Store) {
    let old = store.create(&name("old"), draft([1]), IfTaken::Refuse).await.unwrap();
    let new = store.create(&name("new"), draft([2]), IfTaken::Refuse).await.unwrap();
    let taken = store.take_name(&which("new"), &name("old")).await.unwrap();
    assert_eq!((taken.id(), taken.names()), (new.id(), &[name("new"), name("old")][..]));
    assert_eq!(taken.history().changes().last().unwrap().tagged, [name("old")]);
    assert_eq!(store.load(&which("old")).await.unwrap(), taken);
    let left = store.load(&old.id().into()).await.unwrap();
    assert!(left.names().is_empty());
    assert_eq!(left.history().changes().last().unwrap().untagged, [name("old")]);

    assert_eq!(store.take_name(&which("new"), &name("old")).await.unwrap(), taken, "it has it already");
    store.take_name(&old.id().into(), &name("free")).await.unwrap();
    assert_eq!(store.load(&which("free")).await.unwrap().id(), old.id());
    store.remove(&which("new"), Force::No).await.unwrap();
    store.remove(&which("old"), Force::No).await.unwrap();
    assert!(!store.exists(&which("old")).await.unwrap(), "it went back");
}

pub(crate) async fn ids_and_their_prefixes_serve_as_names(store: &Store) {
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let id = made.id().to_string();
    for text in [&id[..], &id[..12], &id[..40]] {
        assert_eq!(store.load(&which(text)).await.unwrap().id(), made.id());
        assert!(!store.update(&which(text), add(1)).await.unwrap().changed);
        store.tag(&which(text), &name("app:2")).await.unwrap();
        store.untag(&name("app:2")).await.unwrap();
        assert_eq!(store.load(&which(text)).await.unwrap().names(), made.names());
    }
    assert!(!store.exists(&which(&"ab".repeat(6))).await.unwrap());
    store.remove(&which(&id[..12]), Force::No).await.unwrap();
    assert!(!store.exists(&which(&id)).await.unwrap());
    assert!(!store.exists(&which("app")).await.unwrap());
}

pub(crate) async fn a_name_wins_over_an_id(store: &Store) {
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let short = made.id().short();
    store.create(&name(&short), draft([2]), IfTaken::Refuse).await.unwrap();
    let found = store.load(&which(&short)).await.unwrap();
    assert_eq!(found.entries(), [entry(2)]);
    let updated = store.update(&which(&short), add(3)).await.unwrap();
    assert_eq!(updated.record.id(), found.id());
    store.remove(&which(&short), Force::No).await.unwrap();
    assert_eq!(store.load(&which(&short)).await.unwrap().id(), made.id());
    let updated = store.update(&which(&short), add(4)).await.unwrap();
    assert_eq!(updated.record.id(), made.id());
}

pub(crate) async fn removing_by_name_frees_the_name_and_then_the_record(store: &Store) {
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    store.tag(&which("app"), &name("app:2")).await.unwrap();
    let removed = store.remove(&which("app"), Force::No).await.unwrap();
    assert_eq!((removed.untagged, removed.deleted), (vec![name("app")], None));
    let removed = store.remove(&which("app:2"), Force::No).await.unwrap();
    assert_eq!((removed.untagged, removed.deleted), (vec![name("app:2")], Some(made.id())));
    assert!(store.records().await.unwrap().is_empty());
    store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
}

pub(crate) async fn removing_by_id_asks_before_it_takes_several_names(store: &Store) {
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    store.tag(&which("app"), &name("app:2")).await.unwrap();
    let by_id: Selector = made.id().into();
    let refused = store.remove(&by_id, Force::No).await;
    assert!(matches!(refused, Err(StoreError::SeveralNames { names, .. }) if names.len() == 2));
    let removed = store.remove(&by_id, Force::Yes).await.unwrap();
    assert_eq!((removed.untagged.len(), removed.deleted), (2, Some(made.id())));
    assert!(!store.exists(&which("app")).await.unwrap() && !store.exists(&which("app:2")).await.unwrap());

    let nameless = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    store.untag(&name("app")).await.unwrap();
    let removed = store.remove(&nameless.id().into(), Force::No).await.unwrap();
    assert_eq!((removed.untagged, removed.deleted), (vec![], Some(nameless.id())));
}

pub(crate) async fn an_edit_that_fails_changes_nothing(store: &Store) {
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let failed = store
        .update(&which("app"), |draft| {
            draft.list.add(entry(2), OnConflict::Refuse).unwrap();
            Err::<(), _>("no")
        })
        .await;
    assert!(matches!(failed, Err(UpdateError::Edit("no"))));
    assert_eq!(store.load(&which("app")).await.unwrap(), made);
    store.update(&which("app"), add(2)).await.unwrap();
}

pub(crate) async fn an_edit_of_nothing_changes_nothing(store: &Store) {
    let made = store.create(&name("app"), draft([1, 2]), IfTaken::Refuse).await.unwrap();
    let updated = store.update(&which("app"), |_| Ok::<_, Infallible>(7)).await.unwrap();
    assert_eq!((updated.value, updated.changed, &updated.record), (7, false, &made));
    let again = store
        .update(&which("app"), |draft| {
            draft.list.remove(&entry(2).digest)?;
            draft.list.add(entry(2), OnConflict::Refuse)
        })
        .await
        .unwrap();
    assert!(!again.changed, "there and back is no change");
    let stray = store
        .update(&which("app"), |draft| {
            draft.sources.add(source("stray", entry(9).digest, &[9]));
            Ok::<_, Infallible>(())
        })
        .await
        .unwrap();
    assert!(!stray.changed, "a source of an entry that is not in the list is no change");
    assert_eq!(store.load(&which("app")).await.unwrap(), made);
}

pub(crate) async fn a_list_that_cannot_be_written_is_refused(store: &Store) {
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let failed = store
        .update(&which("app"), |draft| {
            draft.format = Some(Format::Docker);
            Ok::<_, Infallible>(())
        })
        .await;
    assert!(matches!(failed, Err(UpdateError::Store(StoreError::Unencodable(EncodeError::OciChild { .. })))));
    assert_eq!(store.load(&which("app")).await.unwrap(), made);
    let failed =
        store.create(&name("b"), Draft { format: Some(Format::Docker), ..draft([1]) }, IfTaken::Refuse).await;
    assert!(matches!(failed, Err(StoreError::Unencodable(_))));
    assert!(!store.exists(&which("b")).await.unwrap());
}

pub(crate) async fn the_format_is_the_one_asked_for(store: &Store) {
    let empty = Draft { format: Some(Format::Docker), ..Draft::default() };
    let made = store.create(&name("docker"), empty, IfTaken::Refuse).await.unwrap();
    assert_eq!((made.format(), made.encoded().format), (Some(Format::Docker), Format::Docker));
    let made = store.create(&name("free"), Draft::default(), IfTaken::Refuse).await.unwrap();
    assert_eq!((made.format(), made.encoded().format), (None, Format::Oci));
    let updated = store
        .update(&which("docker"), |draft| {
            draft.format = None;
            Ok::<_, Infallible>(())
        })
        .await
        .unwrap();
    assert_eq!((updated.record.format(), updated.record.encoded().format), (None, Format::Oci));
    let change = updated.record.history().changes().last().unwrap();
    assert_eq!(change.was.as_ref().unwrap().format, Some(Format::Docker));
}

pub(crate) async fn a_published_list_keeps_its_bytes_until_it_is_edited(store: &Store) {
    let bytes = b"{ \"manifests\": null,\n \"unknown\": 1.50,\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\"}\n";
    let (list, format) = List::decode(bytes).unwrap();
    let published = Draft { format: Some(format), ..list.into() };
    let made = store.create(&name("app"), published, IfTaken::Refuse).await.unwrap();
    assert_eq!(made.encoded().bytes, bytes);
    store.tag(&which("app"), &name("app:2")).await.unwrap();
    assert_eq!(store.load(&which("app")).await.unwrap().encoded().bytes, bytes);
    let updated = store.update(&which("app"), add(1)).await.unwrap();
    assert!(String::from_utf8_lossy(&updated.record.encoded().bytes).ends_with("],\"unknown\":1.50}"));
}

pub(crate) async fn sources_follow_the_entries(store: &Store) {
    let mut published = draft([1, 2]);
    published.sources.add(source("ghcr.io/acme/app", Digest::sha256(b"index"), &[1, 2, 99]));
    let made = store.create(&name("app"), published, IfTaken::Refuse).await.unwrap();
    let entries: Vec<_> = made.sources().iter().map(|source| source.entries.clone()).collect();
    assert_eq!(entries, [vec![entry(1).digest, entry(2).digest]]);

    let added = store
        .update(&which("app"), |draft| {
            draft.sources.add(source("quay.io/three", entry(3).digest, &[3]));
            draft.list.add(entry(3), OnConflict::Refuse)
        })
        .await
        .unwrap();
    assert_eq!(added.record.sources().place_of(&entry(3).digest).unwrap().from, "quay.io/three");
    assert_eq!(added.record.history().changes().last().unwrap().was, None);

    let removed = store.update(&which("app"), |draft| draft.list.remove(&entry(1).digest)).await.unwrap();
    let loaded = store.load(&which("app")).await.unwrap();
    assert_eq!(loaded, removed.record);
    assert_eq!(loaded.sources().place_of(&entry(1).digest), None);
    assert_eq!(loaded.sources().place_of(&entry(2).digest).unwrap().from, "ghcr.io/acme/app");
    let lost = &loaded.history().changes().last().unwrap().was.as_ref().unwrap().sources;
    assert_eq!(lost.place_of(&entry(1).digest).unwrap().from, "ghcr.io/acme/app");
    assert_eq!(lost.iter().count(), 1);
}

pub(crate) async fn records_come_newest_first(store: &Store) {
    for text in ["a", "b", "c"] {
        store.create(&name(text), draft([1]), IfTaken::Refuse).await.unwrap();
    }
    store.update(&which("a"), add(2)).await.unwrap();
    let names: Vec<_> = store
        .records()
        .await
        .unwrap()
        .iter()
        .map(|record| record.as_ref().unwrap().names()[0].to_string())
        .collect();
    assert_eq!(names, ["localhost/a:latest", "localhost/c:latest", "localhost/b:latest"]);
}

pub(crate) async fn the_history_tells_what_was_done(store: &Store) {
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let added = store.update(&which("app"), add(2)).await.unwrap().record;
    let annotate = Annotate { annotations: [("k".to_owned(), "v".to_owned())].into(), ..Annotate::default() };
    let annotated = store
        .update(&which("app"), |draft| draft.list.annotate(&entry(1).digest, &annotate))
        .await
        .unwrap()
        .record;
    store.update(&which("app"), |draft| draft.list.remove(&entry(1).digest)).await.unwrap();
    let tagged = store.tag(&which("app"), &name("app:2")).await.unwrap();

    let [create, add, change, remove, tag] = tagged.history().changes() else {
        panic!("{:?}", tagged.history())
    };
    assert_eq!((create.before, create.after), (None, made.encoded().digest));
    assert_eq!((&create.added[..], &create.tagged[..]), (&[entry(1).digest][..], &[name("app")][..]));
    assert_eq!((add.before, add.after), (Some(made.encoded().digest), added.encoded().digest));
    assert_eq!((&add.added[..], &add.removed[..]), (&[entry(2).digest][..], &[][..]));
    assert_eq!(add.revert.as_ref().unwrap().middle, "");
    assert_eq!(
        (&change.added[..], &change.removed[..], change.after),
        (&[][..], &[][..], annotated.encoded().digest)
    );
    assert_eq!(remove.removed, [entry(1).digest]);
    assert_eq!(
        (tag.before, tag.after, &tag.tagged[..]),
        (Some(remove.after), remove.after, &[name("app:2")][..])
    );
    assert_eq!((tag.command.as_str(), tagged.history().folded()), ("manifest test", 0));
    assert!(tagged.history().changes().is_sorted_by_key(|change| change.when));
    assert_eq!(add.document_before(&added.encoded().bytes), Some(made.encoded().bytes.clone()));
    assert_eq!(add.document_before(&made.encoded().bytes), None);
    assert_eq!(create.document_before(&made.encoded().bytes), None);
}

pub(crate) async fn only_the_last_thousand_changes_are_kept_one_by_one(store: &Store) {
    store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    for n in 0..1020 {
        let value = if n % 2 == 0 { "even" } else { "odd" };
        let change = manifest_core::AnnotateList {
            annotations: [("parity".to_owned(), value.to_owned())].into(),
            ..manifest_core::AnnotateList::default()
        };
        let updated = store
            .update(&which("app"), |draft| {
                draft.list.annotate_list(&change);
                Ok::<_, Infallible>(())
            })
            .await
            .unwrap();
        assert!(updated.changed);
    }
    let history = store.load(&which("app")).await.unwrap().history().clone();
    assert_eq!((history.changes().len(), history.folded()), (1000, 21));
    assert!(history.changes().iter().all(|change| change.revert.as_ref().unwrap().middle.len() < 60));
}
