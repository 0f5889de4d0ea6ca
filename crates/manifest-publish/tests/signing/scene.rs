//! A list that lies in one registry and is signed on its way to another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use manifest_core::{Descriptor, Digest, Document, Encoded, Format, List};
use manifest_publish::{
    Claim, Content, Journal, PREDICATE_SIGN, Progress, PublishError, PushOptions, Pushed, SignBy, Signature,
    SignatureForm, Signing, SimpleStore, SimpleStoreError, Step, Target, Vouch, push,
};
use manifest_sign::{KeyId, Payload, PayloadType, SignError};
use manifest_store::{IfTaken, NewRecord, Origin, Record, Source, Sources, Store, StoreOptions};
use manifest_testkit::{Client, FakeRegistry, Image, Index, Request};
use manifest_transport::Place;
use serde_json::{Value, json};

/// A key whose signatures anybody can make, which is good enough to count them.
#[derive(Debug)]
pub(crate) struct TestKey {
    id: KeyId,
    form: SignatureForm,
}

impl TestKey {
    pub(crate) fn by(name: &str, form: SignatureForm) -> SignBy {
        let vouch = Arc::new(Self { id: KeyId::new(name), form });
        SignBy { vouch, given: format!("--sign-key {name}.key") }
    }

    fn over(&self, message: &[u8]) -> String {
        Digest::sha256(&[self.id.as_str().as_bytes(), b"|", message].concat()).to_string()
    }
}

fn payload(claim: &Claim, kind: PayloadType) -> Vec<u8> {
    let identity = claim.identity.clone().expect("an identity");
    let payload = Payload::new(identity, claim.subject.digest);
    Payload { creator: claim.creator.clone(), timestamp: claim.timestamp, ..payload }.encode(kind)
}

fn says(payload: &[u8], kind: PayloadType, claim: &Claim) -> bool {
    Payload::decode(payload, kind).is_ok_and(|payload| {
        payload.digest == claim.subject.digest && Some(payload.reference) == claim.identity
    })
}

impl Vouch for TestKey {
    fn key(&self) -> &KeyId {
        &self.id
    }

    fn form(&self) -> SignatureForm {
        self.form
    }

    fn sign(&self, claim: &Claim) -> Result<Signature, SignError> {
        if self.id.as_str() == "broken" {
            return Err(SignError::CannotSign(self.id.clone(), "it is broken".to_owned()));
        }
        Ok(match self.form {
            SignatureForm::Cosign => {
                let payload = payload(claim, PayloadType::Cosign);
                let annotation = ("dev.cosignproject.cosign/signature".to_owned(), self.over(&payload));
                Signature::Cosign { payload: payload.into(), annotations: BTreeMap::from([annotation]) }
            }
            SignatureForm::Bundle => {
                let digest = claim.subject.digest.to_string();
                let bundle = json!({ "digest": digest, "sig": self.over(digest.as_bytes()) });
                let of = ("dev.sigstore.bundle.predicateType".to_owned(), PREDICATE_SIGN.to_owned());
                Signature::Bundle { bundle: bundle.to_string().into(), annotations: BTreeMap::from([of]) }
            }
            _ => {
                let payload = payload(claim, PayloadType::Atomic);
                let message = json!({ "payload": String::from_utf8(payload.clone()).unwrap(), "sig": self.over(&payload) });
                Signature::Simple(message.to_string().into())
            }
        })
    }

    fn has(&self, found: &Signature, claim: &Claim) -> bool {
        match found {
            Signature::Cosign { payload, annotations } => {
                annotations.get("dev.cosignproject.cosign/signature") == Some(&self.over(payload))
                    && says(payload, PayloadType::Cosign, claim)
            }
            Signature::Bundle { bundle, .. } => {
                let bundle: Value = serde_json::from_slice(bundle).unwrap_or_default();
                let digest = claim.subject.digest.to_string();
                bundle["digest"] == digest && bundle["sig"] == self.over(digest.as_bytes())
            }
            Signature::Simple(message) => {
                let message: Value = serde_json::from_slice(message).unwrap_or_default();
                let payload = message["payload"].as_str().unwrap_or_default().as_bytes().to_vec();
                message["sig"] == self.over(&payload) && says(&payload, PayloadType::Atomic, claim)
            }
            _ => false,
        }
    }
}

/// Simple signatures in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory(pub(crate) Mutex<BTreeMap<(String, Digest), Vec<Bytes>>>);

impl SimpleStore for Memory {
    fn ready<'a>(&'a self, _: &'a Place) -> BoxFuture<'a, Result<(), SimpleStoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn read<'a>(
        &'a self,
        place: &'a Place,
        digest: &'a Digest,
    ) -> BoxFuture<'a, Result<Vec<Bytes>, SimpleStoreError>> {
        let found = self.0.lock().unwrap().get(&(place.to_string(), *digest)).cloned();
        Box::pin(async { Ok(found.unwrap_or_default()) })
    }

    fn add<'a>(
        &'a self,
        place: &'a Place,
        digest: &'a Digest,
        signature: Bytes,
    ) -> BoxFuture<'a, Result<(), SimpleStoreError>> {
        self.0.lock().unwrap().entry((place.to_string(), *digest)).or_default().push(signature);
        Box::pin(async { Ok(()) })
    }

    fn remove<'a>(
        &'a self,
        place: &'a Place,
        digest: &'a Digest,
    ) -> BoxFuture<'a, Result<usize, SimpleStoreError>> {
        let removed = self.0.lock().unwrap().remove(&(place.to_string(), *digest));
        Box::pin(async move { Ok(removed.map_or(0, |removed| removed.len())) })
    }
}

/// Who is told, and notes it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) signed: Mutex<Vec<Digest>>,
    pub(crate) not_compared: Mutex<usize>,
    pub(crate) on_signed: Option<Arc<tokio::sync::Semaphore>>,
}

impl Progress for Told {
    fn step(&self, _: &Place, step: Step<'_>) {
        if let Step::Signed(subject, ..) = step {
            self.signed.lock().unwrap().push(subject.digest);
            if let Some(on_signed) = &self.on_signed {
                on_signed.add_permits(1);
            }
        }
    }

    fn signatures_not_compared(&self, _: &Place) {
        *self.not_compared.lock().unwrap() += 1;
    }
}

/// A list of two images in a source registry, and a target registry.
pub(crate) struct Scene {
    pub(crate) source: FakeRegistry,
    pub(crate) target: FakeRegistry,
    pub(crate) client: Client,
    pub(crate) list: Encoded,
    pub(crate) entries: Vec<Descriptor>,
    pub(crate) sources: Sources,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let source = FakeRegistry::start();
        let index = Index::of(&[&Image::new("linux/amd64"), &Image::new("linux/arm64")]);
        index.push_to(&source, "app", "1");
        Self::of(source, &index.manifest())
    }

    /// A list that lies in the source with everything in it.
    pub(crate) fn of(source: FakeRegistry, list: &[u8]) -> Self {
        let (model, format) = List::decode(list).unwrap();
        let list = Encoded::kept(list.to_vec(), Digest::sha256(list), format);
        let entries = model.entries().to_vec();
        let mut sources = Sources::default();
        let place = format!("docker://{}/app", source.address());
        sources.add(source_of(&place, &list, &entries));
        Self { source, target: FakeRegistry::start(), client: Client::default(), list, entries, sources }
    }

    pub(crate) fn content(&self) -> Content<'_> {
        Content { list: &self.list, entries: &self.entries, sources: &self.sources, here: None }
    }

    pub(crate) fn place(&self) -> Place {
        self.client.repository(&self.target.address(), "app")
    }

    pub(crate) fn to(&self, names: &[&str]) -> Target {
        target(self.place(), names)
    }

    /// The list and its entries.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        self.entries.iter().map(|entry| entry.digest).chain([self.list.digest]).collect()
    }

    pub(crate) async fn push(
        &self,
        targets: &[Target],
        options: &PushOptions,
        progress: &Told,
        journal: Option<&Journal>,
    ) -> Result<Pushed, PublishError> {
        push(&self.client.transport, self.content(), targets, options, progress, journal).await
    }

    /// The record of the list in a store.
    pub(crate) async fn record(&self, store: &Store) -> Record {
        let new = NewRecord::kept(self.list.bytes.clone(), None, Origin::Created).unwrap();
        let new = self.sources.iter().fold(new, |new, source| new.with_source(source.clone()));
        store.create(&"app".parse().unwrap(), new, IfTaken::Replace).await.unwrap()
    }

    /// The manifests that the target was asked to write, in their order.
    pub(crate) fn written(&self) -> Vec<String> {
        let put = self.target.requests().into_iter().filter(|request| request.method.as_str() == "PUT");
        put.filter_map(|request| Some(request.path().rsplit_once("/manifests/")?.1.to_owned())).collect()
    }

    /// The requests to the target since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let requests = self.target.requests();
        self.target.clear_requests();
        requests
    }
}

pub(crate) fn target(place: Place, names: &[&str]) -> Target {
    Target {
        place,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        effort: manifest_publish::Effort::Required,
    }
}

fn source_of(place: &str, list: &Encoded, entries: &[Descriptor]) -> Source {
    Source {
        from: place.to_owned(),
        place: place.to_owned(),
        digest: list.digest,
        resolved: Timestamp::UNIX_EPOCH,
        entries: entries.iter().map(|entry| entry.digest).collect(),
        record: None,
    }
}

/// An index of these manifests in a registry, under its digest.
pub(crate) fn nested(registry: &FakeRegistry, entries: &[(Digest, &str, usize)]) -> Vec<u8> {
    let entries = entries
        .iter()
        .map(|(digest, media_type, size)| json!({ "mediaType": media_type, "digest": digest, "size": size }));
    let media_type = Format::Oci.media_type();
    let index =
        json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries.collect::<Vec<_>>() });
    let bytes = index.to_string().into_bytes();
    assert!(matches!(Document::decode(&bytes, None), Ok(Document::List(..))));
    registry.put_manifest("app", &Digest::sha256(&bytes).to_string(), media_type.as_str(), bytes.clone());
    bytes
}

pub(crate) fn signing(by: Vec<SignBy>) -> PushOptions {
    let signing = Signing {
        by,
        creator: Some("manifest test".to_owned()),
        timestamp: Some(1_700_000_000),
        ..Signing::default()
    };
    PushOptions { signing, ..PushOptions::default() }
}

pub(crate) fn store_in(directory: &std::path::Path) -> Store {
    Store::open(directory, StoreOptions::default())
}

pub(crate) fn sig(digest: &Digest) -> String {
    format!("sha256-{}.sig", digest.hex())
}
