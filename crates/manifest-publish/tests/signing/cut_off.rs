//! Publications that sign and are cut off.

use std::sync::Arc;

use manifest_publish::{Journal, Phase, PublishError, PushOptions, resume};
use tokio::sync::Semaphore;

use crate::scene::{Scene, Told, signing, store_in};
use crate::{bundle, cosign, counts, found};

/// Cut off after so many signatures were made.
async fn cut_off(scene: &Scene, options: &PushOptions, journal: &Journal, after: u32) {
    let made = Arc::new(Semaphore::new(0));
    let told = Told { on_signed: Some(Arc::clone(&made)), ..Told::default() };
    let targets = [scene.to(&["1"])];
    let pushing = Box::pin(scene.push(&targets, options, &told, Some(journal)));
    let reached = Box::pin(made.acquire_many(after));
    match futures_util::future::select(reached, pushing).await {
        futures_util::future::Either::Left((permits, _)) => drop(permits.unwrap()),
        futures_util::future::Either::Right(_) => panic!("the push was done"),
    }
}

#[tokio::test]
async fn a_push_that_was_cut_off_goes_on_and_signs_what_is_missing() {
    for after in 1..=6 {
        let directory = tempfile::tempdir().unwrap();
        let scene = Scene::new();
        let store = store_in(directory.path());
        let record = scene.record(&store).await;
        let mut options = signing(vec![cosign("a"), bundle("b")]);
        options.jobs = 1;
        cut_off(&scene, &options, &Journal::new(store.publications(), &record), after).await;
        assert_eq!(scene.target.tag("app", "1"), None, "an unsigned list was seen");

        let known = Journal::all(&store.publications()).await.unwrap();
        let id = known[0].as_ref().unwrap().id;
        assert_eq!(known[0].as_ref().unwrap().phase, Phase::Content);
        let again = || async { Journal::again(store.publications(), id).await.unwrap().unwrap() };
        let targets = [scene.to(&["1"])];
        for wrong in
            [signing(Vec::new()), signing(vec![cosign("a")]), signing(vec![cosign("b"), bundle("b")])]
        {
            let (journal, publication) = again().await;
            let transport = &scene.client.transport;
            let told = Told::default();
            let refused = resume(transport, (&publication, &targets), None, &wrong, &told, &journal).await;
            let refused = refused.unwrap_err();
            assert!(matches!(refused, PublishError::SignsOtherwise { .. }), "{refused:?}");
            let text = refused.to_string();
            let (a, b) = (cosign("a"), bundle("b"));
            let (a, b) = (a.vouch.key(), b.vouch.key());
            let both = format!("cosign by {a} (--sign-key a.key); bundle by {b} (--sign-key b.key)");
            assert!(text.contains(&both), "{text}");
        }
        // The order of the keys, and when and as what they would sign now, do not matter.
        let mut options = signing(vec![bundle("b"), cosign("a")]);
        (options.signing.timestamp, options.signing.identity) = (Some(9), Some("r.test/x:1".to_owned()));
        let (journal, publication) = again().await;
        let told = Told::default();
        let transport = &scene.client.transport;
        let done = resume(transport, (&publication, &targets), None, &options, &told, &journal).await;
        let signed = done.unwrap()[0].as_ref().unwrap().signed.unwrap();
        // One signature may have been made and not written when it was cut off.
        assert_eq!(signed.written + signed.present, 6);
        assert!(signed.present + 1 >= after as usize, "{after}: {signed:?}");
        assert_eq!(scene.target.tag("app", "1"), Some(scene.list.digest));
        let found = found(&scene, &scene.place()).await;
        assert_eq!((found.len(), found.values().sum::<usize>()), (6, 6), "{found:?}");
    }
}

#[tokio::test]
async fn a_push_that_signs_nothing_is_not_resumed_with_keys() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::new();
    let store = store_in(directory.path());
    let record = scene.record(&store).await;
    let journal = Journal::new(store.publications(), &record);
    let targets = [scene.to(&["1"])];
    let pushed = scene.push(&targets, &signing(Vec::new()), &Told::default(), Some(&journal)).await.unwrap();
    assert_eq!(pushed.targets[0].as_ref().unwrap().signed, None);
    assert_ne!(counts(0, 0), None);
    drop(journal);
    let known = Journal::all(&store.publications()).await.unwrap();
    let id = known[0].as_ref().unwrap().id;
    let (journal, publication) = Journal::again(store.publications(), id).await.unwrap().unwrap();
    let options = signing(vec![cosign("a")]);
    let transport = &scene.client.transport;
    let refused =
        resume(transport, (&publication, &targets), None, &options, &Told::default(), &journal).await;
    assert!(refused.unwrap_err().to_string().contains("signs nothing"));
}
