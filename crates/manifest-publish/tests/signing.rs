//! Signing as a step of a publication.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests report by panicking"
)]

#[path = "signing/at_once.rs"]
mod at_once;
#[path = "signing/cut_off.rs"]
mod cut_off;
#[path = "signing/scene.rs"]
mod scene;

use std::collections::BTreeMap;

use manifest_core::Digest;
use manifest_publish::{
    PublishError, Signature, SignatureForm, Signed, Signing, dry_run, remove_signatures, signatures_of,
};
use manifest_testkit::{FakeRegistry, Image, Index, Method};
use manifest_transport::{Layout, Place, TransportError};

use self::scene::{Scene, Told, by, nested, sig, signing, target};

fn cosign(name: &str) -> manifest_publish::SignBy {
    by(name, SignatureForm::Cosign)
}

fn bundle(name: &str) -> manifest_publish::SignBy {
    by(name, SignatureForm::Bundle)
}

fn counts(written: usize, present: usize) -> Option<Signed> {
    let mut signed = Signed::default();
    (signed.written, signed.present) = (written, present);
    Some(signed)
}

/// The good signatures of all manifests of the scene, by form.
async fn found(scene: &Scene, place: &Place) -> BTreeMap<(Digest, SignatureForm), usize> {
    let mut all = BTreeMap::new();
    for digest in scene.digests() {
        for found in signatures_of(place, &digest, None).await.unwrap() {
            assert!(found.signature.is_ok(), "{found:?}");
            *all.entry((digest, found.form)).or_default() += 1;
        }
    }
    all
}

#[tokio::test]
async fn everything_is_signed_before_a_tag_moves_and_the_list_last() {
    for has_api in [true, false] {
        let scene = Scene::new();
        if has_api {
            scene.target.serve_referrers();
        }
        let told = Told::default();
        let options = signing(vec![cosign("a"), bundle("b")]);
        let pushed = scene.push(&[scene.to(&["1", "latest"])], &options, &told, None).await.unwrap();
        assert_eq!(pushed.targets[0].as_ref().unwrap().signed, counts(6, 0));
        let written = scene.written();
        let at = |name: &str| written.iter().position(|one| one == name).unwrap_or_else(|| panic!("{name}"));
        let first_tag = at("1").min(at("latest"));
        assert_eq!(first_tag, written.len() - 2, "{written:?}");
        let attached = scene.digests().iter().map(|digest| at(&sig(digest))).collect::<Vec<_>>();
        assert!(attached[2] > attached[0].max(attached[1]), "the list comes last: {written:?}");
        for digest in scene.digests() {
            assert!(at(&digest.to_string()) < at(&sig(&digest)), "signed before it was there");
        }
        assert_eq!(told.signed.lock().unwrap().len(), 6);
        assert_eq!(*told.not_compared.lock().unwrap(), 0);
        let found = found(&scene, &scene.place()).await;
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(found.values().all(|count| *count == 1), "{found:?}");
    }
}

#[tokio::test]
async fn signatures_name_the_first_tag_of_the_target_or_what_was_given() {
    let scene = Scene::new();
    let address = scene.target.address();
    let by_digest = format!("{address}/app@{}", scene.list.digest);
    for (names, identity, expected) in [
        (&["2", "1"][..], None, format!("{address}/app:2")),
        (&[], None, by_digest),
        (&["1"], Some("r.test/app:9"), "r.test/app:9".to_owned()),
    ] {
        let mut options = signing(vec![cosign("a")]);
        options.signing.identity = identity.map(str::to_owned);
        scene.push(&[scene.to(names)], &options, &Told::default(), None).await.unwrap();
        for digest in scene.digests() {
            let found = signatures_of(&scene.place(), &digest, None).await.unwrap();
            let Ok(Signature::Cosign(signature)) = &found.last().unwrap().signature else { panic!() };
            let text = String::from_utf8(signature.payload().to_vec()).unwrap();
            assert!(text.contains(&format!("\"docker-reference\":\"{expected}\"")), "{text}");
            assert!(text.contains("\"timestamp\":1700000000"), "{text}");
        }
    }
}

#[tokio::test]
async fn nothing_is_signed_twice_and_another_key_joins() {
    let scene = Scene::new();
    for (by, expected) in [
        (vec![cosign("a"), bundle("b")], counts(6, 0)),
        (vec![cosign("a"), bundle("b")], counts(0, 6)),
        (vec![cosign("c"), cosign("a"), bundle("d")], counts(6, 3)),
    ] {
        let options = signing(by);
        let pushed = scene.push(&[scene.to(&["1"])], &options, &Told::default(), None).await.unwrap();
        assert_eq!(pushed.targets[0].as_ref().unwrap().signed, expected);
    }
    // Another identity is another claim.
    let mut options = signing(vec![cosign("a")]);
    options.signing.identity = Some("r.test/other:1".to_owned());
    let pushed = scene.push(&[scene.to(&["1"])], &options, &Told::default(), None).await.unwrap();
    assert_eq!(pushed.targets[0].as_ref().unwrap().signed, counts(3, 0));
    let found = found(&scene, &scene.place()).await;
    for digest in scene.digests() {
        assert_eq!(found[&(digest, SignatureForm::Cosign)], 3);
        assert_eq!(found[&(digest, SignatureForm::Bundle)], 2);
    }
}

#[tokio::test]
async fn a_list_whose_tag_means_it_already_is_signed_all_the_same() {
    let scene = Scene::new();
    let to = [scene.to(&["1"])];
    scene.push(&to, &signing(Vec::new()), &Told::default(), None).await.unwrap();
    assert_eq!(found(&scene, &scene.place()).await, BTreeMap::new());
    scene.target.clear_requests();
    let pushed = scene.push(&to, &signing(vec![cosign("a")]), &Told::default(), None).await.unwrap();
    assert_eq!(pushed.targets[0].as_ref().unwrap().signed, counts(3, 0));
    assert!(!scene.written().contains(&"1".to_owned()), "{:?}", scene.written());
}

#[tokio::test]
async fn what_was_taken_from_the_target_itself_does_not_go_the_short_way() {
    let scene = Scene::new();
    let place = scene.client.repository(&scene.source.address(), "app");
    let options = signing(vec![cosign("a")]);
    let pushed =
        scene.push(&[target(place.clone(), &["2"])], &options, &Told::default(), None).await.unwrap();
    let outcome = pushed.targets[0].as_ref().unwrap();
    assert!(!outcome.short_way);
    assert_eq!((outcome.signed, outcome.present), (counts(3, 0), 2));
    let tags = scene.source.requests().into_iter().filter(|one| one.method == Method::Put);
    assert!(tags.last().unwrap().target.ends_with("/manifests/2"));
}

#[tokio::test]
async fn only_the_list_is_signed_where_that_is_wanted_or_nothing_else_is_brought() {
    for (children, entries) in [(false, true), (true, false)] {
        let scene = Scene::new();
        scene.target.allow_missing_children();
        let mut options = signing(vec![cosign("a")]);
        (options.signing.children, options.entries) = (children, entries);
        let pushed = scene.push(&[scene.to(&["1"])], &options, &Told::default(), None).await.unwrap();
        assert_eq!(pushed.targets[0].as_ref().unwrap().signed, counts(1, 0));
        assert!(scene.target.tag("app", &sig(&scene.list.digest)).is_some());
    }
}

#[tokio::test]
async fn lists_in_the_list_are_signed_with_what_is_in_them() {
    let source = FakeRegistry::start();
    let (one, two) = (Image::new("linux/amd64"), Image::new("linux/arm64"));
    let inner = Index::of(&[&one]);
    inner.push_to(&source, "app", "inner");
    two.push_to(&source, "app", "two");
    let entry = |digest, media_type: &str, size| (digest, media_type.to_owned(), size);
    let entries = [
        entry(inner.digest(), inner.media_type().as_str(), inner.manifest().len()),
        entry(two.digest(), two.media_type().as_str(), two.manifest().len()),
    ];
    let entries: Vec<_> =
        entries.iter().map(|(digest, kind, size)| (*digest, kind.as_str(), *size)).collect();
    let list = nested(&source, &entries);
    let scene = Scene::of(source, &list);
    let told = Told::default();
    for written in [4, 0] {
        let pushed = scene.push(&[scene.to(&["1"])], &signing(vec![cosign("a")]), &told, None).await.unwrap();
        assert_eq!(pushed.targets[0].as_ref().unwrap().signed, counts(written, 4 - written));
    }
    let order = told.signed.lock().unwrap().clone();
    assert_eq!(order.first(), Some(&one.digest()), "the deepest first");
    assert_eq!(order.last(), Some(&scene.list.digest));
}

/// What a signature costs beside the content: GET of the tag, two for the payload, two for the configuration, one for the tag.
#[tokio::test]
async fn a_signature_takes_no_more_requests_than_it_must() {
    let scene = Scene::new();
    scene.target.serve_referrers();
    let to = [scene.to(&["1"])];
    scene.push(&to, &signing(Vec::new()), &Told::default(), None).await.unwrap();
    scene.requests();
    // Without the entries: they are looked for as before.
    let bare = async |options| {
        scene.push(&to, &options, &Told::default(), None).await.unwrap();
        scene.requests().len()
    };
    let unsigned_with_the_long_way = bare(signing(vec![cosign("z")])).await - 3 * 6 - 1;
    for (by, expected) in [
        // All are there: the tag, and the payload under it.
        (cosign("z"), 3 * 2),
        // Those that are there are read first, and their configuration.
        (cosign("y"), 3 * 8),
        // The API, two for the bundle, one for the manifest; until it is known that there is the API, the tag that stands in
        // for it; once whether there is `{}`, which is written.
        (bundle("b"), 3 * 4 + 2 + 3),
        // The API, the tag, the manifest and the bundle.
        (bundle("b"), 3 * 4),
    ] {
        let form = by.vouch.form();
        let cost = bare(signing(vec![by])).await - unsigned_with_the_long_way;
        assert_eq!(cost, expected, "{form}");
    }
    assert_eq!(unsigned_with_the_long_way, 6, "the tag twice, each entry, the list and whether it is shown");
}

#[tokio::test]
async fn a_target_that_cannot_hold_them_fails_before_a_byte_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::new();
    let layout = || Place::Layout(Layout::new(directory.path().join("layout")));
    let with_identity = |mut options: manifest_publish::PushOptions| {
        options.signing.identity = Some("r.test/app:1".to_owned());
        options
    };
    let simple = || signing(vec![by("s", SignatureForm::Simple)]);
    let is_early = |error: &PublishError| {
        let no_store = |error: &TransportError| matches!(error, TransportError::SignatureStore { .. });
        matches!(error, PublishError::CannotHold { .. })
            || matches!(error, PublishError::Transport(error) if no_store(error))
    };
    for (place, options, why) in [
        (layout(), signing(vec![cosign("a")]), "no reference"),
        (layout(), with_identity(simple()), "only images in registries"),
        (scene.place(), simple(), "no store is known"),
    ] {
        let targets = [target(place, &["1"])];
        let refused = scene.push(&targets, &options, &Told::default(), None).await.unwrap_err();
        assert!(is_early(&refused), "{refused:?}");
        assert!(refused.to_string().contains(why), "{refused}");
        let planned = dry_run(&scene.client.transport, scene.content(), &targets, &options).await;
        assert!(is_early(&planned.unwrap_err()));
    }
    assert!(scene.target.requests().iter().all(|request| request.path() == "/v2/"));
    assert!(!directory.path().join("layout").exists());
    // It holds the other forms.
    let mut options = signing(vec![cosign("a"), bundle("b")]);
    options.signing.identity = Some("r.test/app:1".to_owned());
    for expected in [counts(6, 0), counts(0, 6)] {
        let targets = [target(layout(), &["1"])];
        let pushed = scene.push(&targets, &options, &Told::default(), None).await.unwrap();
        assert_eq!(pushed.targets[0].as_ref().unwrap().signed, expected);
    }
    assert_eq!(found(&scene, &layout()).await.len(), 6);
}

#[tokio::test]
async fn an_archive_has_its_signatures_inside() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::new();
    let location = format!("oci-archive:{}", directory.path().join("app.tar").display()).parse().unwrap();
    let (archive, _) = scene.client.transport.open(&location).unwrap();
    let mut options = signing(vec![cosign("a"), bundle("b")]);
    options.signing.identity = Some("r.test/app:1".to_owned());
    let targets = [target(archive, &["1"])];
    let pushed = scene.push(&targets, &options, &Told::default(), None).await.unwrap();
    assert_eq!(pushed.targets[0].as_ref().unwrap().signed, counts(6, 0));
    let fresh = manifest_testkit::Client::default();
    let (archive, _) = fresh.transport.open(&location).unwrap();
    assert_eq!(found(&scene, &archive).await.len(), 6);
}

#[tokio::test]
async fn simple_signatures_go_to_their_store() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::new().with_lookaside(directory.path());
    let options = signing(vec![by("s", SignatureForm::Simple)]);
    for expected in [counts(3, 0), counts(0, 3)] {
        let pushed = scene.push(&[scene.to(&["1"])], &options, &Told::default(), None).await.unwrap();
        assert_eq!(pushed.targets[0].as_ref().unwrap().signed, expected);
    }
    let reference = format!("{}/app:1", scene.target.address()).parse().unwrap();
    let store = scene.client.transport.signatures(&reference);
    let found = signatures_of(&scene.place(), &scene.list.digest, store.as_ref()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].form, SignatureForm::Simple);
    let removed = remove_signatures(&scene.place(), &scene.list.digest, store.as_ref()).await.unwrap();
    assert_eq!((removed.removed, removed.stays.len()), (1, 0));
}

#[tokio::test]
async fn a_key_that_does_not_sign_moves_no_tag_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::new().with_lookaside(directory.path());
    let other = scene.client.repository(&scene.target.address(), "other");
    let targets = [scene.to(&["1"]), target(other, &["1"])];
    let options = signing(vec![cosign("a"), by("broken", SignatureForm::Simple)]);
    let failed = scene.push(&targets, &options, &Told::default(), None).await.unwrap_err();
    assert!(matches!(failed, PublishError::Sign(_)), "{failed:?}");
    assert_eq!(scene.target.tag("app", "1"), None);
    assert_eq!(scene.target.tag("other", "1"), None);
}

#[tokio::test]
async fn a_tag_of_signatures_that_is_something_else_is_left_alone() {
    let scene = Scene::new();
    let image = Image::new("plan9/mips");
    for index in [false, true] {
        let tag = sig(&scene.list.digest);
        let is = match index {
            true => Index::of(&[&image]).push_to(&scene.target, "app", &tag),
            false => image.push_to(&scene.target, "app", &tag),
        };
        let options = signing(vec![cosign("a")]);
        let pushed = scene.push(&[scene.to(&["1"])], &options, &Told::default(), None).await;
        if index {
            assert!(matches!(pushed, Err(PublishError::CannotAddTo { .. })), "{pushed:?}");
            assert_eq!(scene.target.tag("app", &tag), Some(is));
        }
    }
}

#[tokio::test]
async fn what_is_no_signature_is_found_as_such() {
    let scene = Scene::new();
    let options = signing(vec![cosign("a"), bundle("b")]);
    scene.push(&[scene.to(&["1"])], &options, &Told::default(), None).await.unwrap();
    let tag = sig(&scene.list.digest);
    let (kind, bytes) = scene.target.manifest("app", &tag).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    for (changed, why) in [
        (text.replace("simplesigning.v1+json", "simplesigning.v9"), "simplesigning.v9"),
        (text.replace("\"layers\":[{", "\"layers\":[{\"x\":1},{"), "usable manifest"),
        ("[]".to_owned(), "usable manifest"),
    ] {
        scene.target.put_manifest("app", &tag, &kind, changed);
        let found = signatures_of(&scene.place(), &scene.list.digest, None).await.unwrap();
        let Err(told) = &found[0].signature else { panic!("{why}: {found:?}") };
        assert!(told.to_string().contains(why), "{told}");
        assert_eq!(told.kind(), "unreadable");
        assert!(found[1].signature.is_ok());
    }
}

#[tokio::test]
async fn all_signatures_of_a_manifest_can_be_removed() {
    for (has_api, keeps_tags) in [(true, false), (false, false), (false, true)] {
        let scene = Scene::new();
        if has_api {
            scene.target.serve_referrers();
        }
        if keeps_tags {
            scene.target.keep_tags();
        }
        let options = signing(vec![cosign("a"), bundle("b"), bundle("c")]);
        scene.push(&[scene.to(&["1"])], &options, &Told::default(), None).await.unwrap();
        let removed = remove_signatures(&scene.place(), &scene.list.digest, None).await.unwrap();
        assert_eq!((removed.removed, removed.stays), (3, Vec::new()), "{has_api}");
        assert_eq!(signatures_of(&scene.place(), &scene.list.digest, None).await.unwrap(), []);
        let child = signatures_of(&scene.place(), &scene.entries[0].digest, None).await.unwrap();
        assert_eq!(child.len(), 3, "those of others stay");
        assert_eq!(scene.target.tag("app", "1"), Some(scene.list.digest));
    }
}

#[test]
fn nothing_is_signed_by_default() {
    assert!(Signing::default().is_nothing());
    assert!(Signing::default().children);
}
