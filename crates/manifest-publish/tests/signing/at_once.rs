//! Many that sign the same at once.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use manifest_core::{Descriptor, Digest, Tag};
use manifest_publish::{
    Attesting, Predicate, Signature, SignatureForm, Signing, attest, sign, signatures_of,
};
use manifest_store::Store;
use manifest_testkit::{Client, FakeRegistry, Image, Method};
use manifest_transport::{Fetched, Place};

use crate::scene::{Told, by, sig, store_in};

const SIGNERS: usize = 16;
const ROUNDS: usize = 10;

/// One of those who sign: with connections, and a hold of the store, of its own.
struct Signer {
    client: Client,
    place: Place,
    store: Option<Store>,
    signing: Signing,
}

fn signers(registry: &FakeRegistry, repository: &str, store: Option<&std::path::Path>) -> Vec<Signer> {
    let signer = |n: usize| {
        let client = Client::default();
        let place = client.repository(&registry.address(), repository);
        let by =
            [SignatureForm::Cosign, SignatureForm::Bundle].map(|form| by(&format!("key {n}"), form)).to_vec();
        let signing = Signing { by, timestamp: i64::try_from(n).ok(), ..Signing::default() };
        Signer { client, place, store: store.map(store_in), signing }
    };
    (0..SIGNERS).map(signer).collect()
}

async fn all_sign(signers: &[Signer], image: &Image) -> usize {
    let told = Told::default();
    let bytes = image.manifest();
    let subject = Fetched::kept("it", &Digest::sha256(&bytes), bytes.into(), &image.media_type()).unwrap();
    let signing = signers.iter().map(|one| async {
        let turns = one.store.as_ref().map(Store::publications);
        let what = (&one.place, &subject, Some("1"));
        sign(&one.client.transport, what, (&one.signing, 4), turns.as_ref(), &told).await
    });
    for signed in join_all(signing).await {
        assert_eq!(signed.unwrap().written, 2);
    }
    *told.not_compared.lock().unwrap()
}

async fn all_are_there(place: &Place, digest: &Digest) {
    let (mut attached, mut bundles) = (BTreeSet::new(), BTreeSet::new());
    for found in signatures_of(place, digest, None).await.unwrap() {
        match found.signature.unwrap() {
            Signature::Cosign(signature) => {
                attached.insert(format!("{:?}", signature.annotations()));
            }
            Signature::Bundle(bundle) => {
                bundles.insert(bundle);
            }
            _ => {}
        }
    }
    assert_eq!((attached.len(), bundles.len()), (SIGNERS, SIGNERS));
}

/// Where the registry keeps `If-Match` nobody needs to know of the others.
#[tokio::test]
async fn sixteen_who_sign_at_once_lose_nothing_where_the_registry_compares() {
    let registry = FakeRegistry::start();
    let image = Image::new("linux/amd64");
    let mut beaten = 0;
    for round in 0..ROUNDS {
        let repository = format!("app{round}");
        let digest = image.push_to(&registry, &repository, "1");
        let signers = signers(&registry, &repository, None);
        assert_eq!(all_sign(&signers, &image).await, 0, "nobody is warned");
        all_are_there(&signers[0].place, &digest).await;
        let path = format!("/v2/{repository}/manifests/sha256-");
        let refused =
            |one: &&manifest_testkit::Request| one.status == Some(412) && one.path().starts_with(&path);
        beaten += registry.requests().iter().filter(refused).count();
        registry.clear_requests();
    }
    assert!(beaten > 0, "nobody was in anybody's way");
}

/// Where it does not, those who share a store take turns, and are warned of the others.
#[tokio::test]
async fn sixteen_who_sign_at_once_and_share_a_store_lose_nothing() {
    let registry = FakeRegistry::start();
    registry.ignore_preconditions();
    let image = Image::new("linux/amd64");
    let directory = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        let repository = format!("app{round}");
        let digest = image.push_to(&registry, &repository, "1");
        let signers = signers(&registry, &repository, Some(directory.path()));
        assert_eq!(all_sign(&signers, &image).await, SIGNERS, "each is warned once");
        all_are_there(&signers[0].place, &digest).await;
    }
}

/// Who does not see the others looks again a moment later, and writes again what is gone.
#[tokio::test]
async fn what_another_signer_took_away_is_written_again() {
    let registry = FakeRegistry::start();
    registry.ignore_preconditions();
    let image = Image::new("linux/amd64");
    let digest = image.push_to(&registry, "app", "1");
    let signers = signers(&registry, "app", None);
    // Somebody else has read the tag before we wrote to it, and writes after: our second look finds it gone.
    let path = format!("/v2/app/manifests/{}", sig(&digest));
    let gone = registry.on(Method::Get, &path).skip(1).times(1).reply(404);
    assert_eq!(all_sign(&signers[..1], &image).await, 1);
    assert_eq!(gone.hits(), 1, "nobody looked again");
    let puts = registry.requests().into_iter().filter(|one| one.method == Method::Put && one.path() == path);
    assert_eq!(puts.count(), 2);
    assert_eq!(signers[0].client.clock.pauses_in_ms(), [500, 500], "a quarter of a second, or up to three");
    let found = signatures_of(&signers[0].place, &digest, None).await.unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
}

fn saying(what: &str) -> Attesting {
    let predicate = Predicate::new("urn:example", format!("{{\"says\": {what:?}}}")).unwrap();
    Attesting { predicate, by: None, timestamp: None }
}

fn described(image: &Image) -> Descriptor {
    let bytes = image.manifest();
    Descriptor::new(image.media_type(), Digest::sha256(&bytes), bytes.len() as u64)
}

/// So do those who attach statements, of all subjects together.
#[tokio::test]
async fn an_attestation_that_somebody_else_took_away_is_noted_again() {
    let registry = FakeRegistry::start();
    registry.ignore_preconditions();
    let images = [Image::new("linux/amd64"), Image::new("linux/arm64")];
    let subjects = images.each_ref().map(described);
    for image in &images {
        image.push_to(&registry, "app", "1");
    }
    let client = Client::default();
    let place = client.repository(&registry.address(), "app");
    // Somebody else has read the tag before we wrote to it, and writes after: he leaves his own behind, and ours is gone.
    let tag = Tag::of_referrers(&subjects[0].digest);
    let path = format!("/v2/app/manifests/{tag}");
    let gone = registry.on(Method::Get, &path).skip(2).times(1).reply(404);
    let told = Told::default();
    let attached =
        attest(&client.transport, (&place, &subjects), &saying("ours"), None, &told).await.unwrap();
    assert_eq!(attached[0].noted, Some(tag));
    assert_eq!(gone.hits(), 1, "nobody looked again");
    let puts = registry.requests().into_iter().filter(|one| one.method == Method::Put && one.path() == path);
    assert_eq!(puts.count(), 2);
    assert_eq!(client.clock.pauses_in_ms(), [500, 500], "once for both, and once for what was gone");
    assert_eq!(*told.not_compared.lock().unwrap(), 1);
}
