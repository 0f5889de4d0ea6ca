//! A list that lies in one registry and is signed on its way to another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use manifest_core::{Descriptor, Digest, Document, Encoded, Format, List};
use manifest_publish::{
    Content, Journal, Progress, PublishError, PushOptions, Pushed, SignBy, SignatureForm, Signing,
    SigstoreVouch, SimpleVouch, Step, Target, Vouch, push,
};
use manifest_sign::sigstore::{KeyKind, SigstoreSigner};
use manifest_sign::{KeyId, SignError, Signer};
use manifest_store::{IfTaken, NewRecord, Origin, Record, Source, Sources, Store, StoreOptions};
use manifest_testkit::{Client, FakeRegistry, Image, Index, Request};
use manifest_transport::config::{ConfigFile, SignatureStores};
use manifest_transport::{Place, Settings};
use serde_json::json;

/// A key that is the same for the same name.
pub(crate) fn by(name: &str, form: SignatureForm) -> SignBy {
    static KEYS: Mutex<BTreeMap<String, Arc<SigstoreSigner>>> = Mutex::new(BTreeMap::new());
    let new = || Arc::new(SigstoreSigner::generate(KeyKind::Ed25519).unwrap());
    let key = Arc::clone(KEYS.lock().unwrap().entry(name.to_owned()).or_insert_with(new));
    let verifier = key.verifier();
    let vouch: Arc<dyn Vouch> = match form {
        SignatureForm::Cosign => Arc::new(SigstoreVouch::cosign(key, verifier)),
        SignatureForm::Bundle => Arc::new(SigstoreVouch::bundle(key, verifier)),
        _ => Arc::new(SimpleVouch::new(Arc::new(Reversed(KeyId::new(name))), Arc::new(reversed))),
    };
    SignBy { vouch, given: format!("--sign-key {name}.key") }
}

/// A key that signs by writing backwards.
#[derive(Debug)]
struct Reversed(KeyId);

impl Signer for Reversed {
    fn key(&self) -> &KeyId {
        &self.0
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if self.0.as_str() == "broken" {
            return Err(SignError::CannotSign(self.0.clone(), "it is broken".to_owned()));
        }
        Ok(reversed(message).unwrap())
    }
}

#[allow(clippy::unnecessary_wraps, reason = "it opens a signature")]
fn reversed(message: &[u8]) -> Option<Vec<u8>> {
    Some(message.iter().rev().copied().collect())
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

    /// The same with a lookaside store in a directory.
    pub(crate) fn with_lookaside(mut self, directory: &std::path::Path) -> Self {
        let text = format!("default-docker: {{lookaside: 'file://{}'}}", directory.display());
        let mut signatures = SignatureStores::default();
        signatures.read(ConfigFile { path: std::path::Path::new("a.yaml"), text: &text }).unwrap();
        self.client = Client::new(Settings { signatures, ..Settings::default() });
        self
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
