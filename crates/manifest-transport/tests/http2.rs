//! HTTP/2, which registries behind TLS speak: streams that are refused, connections that say farewell or break.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::{Connection, SendResponse};
use manifest_core::Digest;
use manifest_testkit::{Client, FakeRegistry, Image, put_blob, put_image};
use manifest_transport::{At, Place, Settings, Tls, TransportError, Which};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, pki_types};
use tokio_rustls::server::TlsStream;

/// What a request meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// The stream is reset before anything is done.
    Reset(Reason),
    /// The stream is reset when so many bytes of the body have come.
    ResetInBody(usize),
    /// The connection says that it takes no more, after this request.
    Farewell,
    /// The connection says that it takes no more, and nothing that is under way either.
    GoAway(Reason),
    /// The connection ends without a word.
    Break,
    /// The answer never ends and holds nothing.
    EmptyFrames,
}

/// A front that speaks HTTP/2 over TLS, before a registry.
struct Front {
    address: String,
    registry: FakeRegistry,
    acts: Arc<Mutex<VecDeque<(&'static str, Act)>>>,
    /// Requests and connections.
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    /// Empty frames that went out.
    frames: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Shared {
    upstream: String,
    acts: Arc<Mutex<VecDeque<(&'static str, Act)>>>,
    requests: Arc<AtomicUsize>,
    frames: Arc<AtomicUsize>,
}

fn acceptor() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key);
    let mut config = config.unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

impl Front {
    async fn start() -> Self {
        let (registry, listener) = (FakeRegistry::start(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap().to_string();
        let acts = Arc::<Mutex<VecDeque<_>>>::default();
        let [requests, connections, frames] = std::array::from_fn(|_| Arc::<AtomicUsize>::default());
        let shared = Shared {
            upstream: registry.address(),
            acts: Arc::clone(&acts),
            requests: Arc::clone(&requests),
            frames: Arc::clone(&frames),
        };
        let (accepted, acceptor) = (Arc::clone(&connections), acceptor());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shared, accepted) = (acceptor.clone(), shared.clone(), Arc::clone(&accepted));
                tokio::spawn(async move {
                    // Who asks without TLS finds out that there is nobody.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    accepted.fetch_add(1, Ordering::SeqCst);
                    shared.serve(h2::server::handshake(stream).await.unwrap()).await;
                });
            }
        });
        Self { address, registry, acts, requests, connections, frames }
    }

    /// The next request with this method meets this.
    fn on(&self, method: &'static str, act: Act) {
        self.acts.lock().unwrap().push_back((method, act));
    }

    fn client(&self) -> (Client, Place) {
        let unchecked = Tls { verify: Some(false), ..Tls::default() };
        let hosts = [(self.address.clone(), unchecked)].into();
        let client = Client::new(Settings { hosts, ..Settings::default() });
        let app = client.repository(&self.address, "app");
        (client, app)
    }
}

type H2 = Connection<TlsStream<TcpStream>, Bytes>;

impl Shared {
    async fn serve(self, mut connection: H2) {
        while let Some(Ok((request, respond))) = connection.accept().await {
            self.requests.fetch_add(1, Ordering::SeqCst);
            let act = {
                let mut acts = self.acts.lock().unwrap();
                let meets = acts.front().is_some_and(|(method, _)| *method == request.method().as_str());
                if meets { acts.pop_front().map(|(_, act)| act) } else { None }
            };
            match act {
                Some(Act::Break) => return,
                Some(Act::GoAway(reason)) => connection.abrupt_shutdown(reason),
                Some(Act::Farewell) => connection.graceful_shutdown(),
                _ => {}
            }
            if matches!(
                act,
                None | Some(Act::Farewell | Act::Reset(_) | Act::ResetInBody(_) | Act::EmptyFrames)
            ) {
                let shared = self.clone();
                tokio::spawn(async move { shared.answer(request, respond, act).await });
            }
        }
    }

    async fn answer(
        &self,
        request: http::Request<h2::RecvStream>,
        mut respond: SendResponse<Bytes>,
        act: Option<Act>,
    ) {
        let (head, mut body) = request.into_parts();
        let limit = match act {
            Some(Act::Reset(reason)) => return respond.send_reset(reason),
            Some(Act::ResetInBody(limit)) => limit,
            _ => usize::MAX,
        };
        let mut bytes = Vec::new();
        while let Some(Ok(piece)) = body.data().await {
            let _room = body.flow_control().release_capacity(piece.len());
            bytes.extend_from_slice(&piece);
            if bytes.len() >= limit {
                return respond.send_reset(Reason::INTERNAL_ERROR);
            }
        }
        if act == Some(Act::EmptyFrames) {
            let head = http::Response::builder().header("content-type", "application/json").body(()).unwrap();
            let mut stream = respond.send_response(head, false).unwrap();
            while stream.send_data(Bytes::new(), false).is_ok() {
                self.frames.fetch_add(1, Ordering::SeqCst);
                for _ in 0..8 {
                    tokio::task::yield_now().await;
                }
            }
            return;
        }
        let url = format!("http://{}{}", self.upstream, head.uri.path_and_query().unwrap());
        let mut headers = head.headers;
        headers.remove("content-length");
        let sent = reqwest::Client::new().request(head.method, url).headers(headers).body(bytes).send().await;
        let answer = sent.unwrap();
        let mut passed = http::Response::new(());
        *passed.status_mut() = answer.status();
        passed.headers_mut().extend(answer.headers().clone());
        passed.headers_mut().remove("connection");
        let Ok(mut stream) = respond.send_response(passed, false) else { return };
        let _sent = stream.send_data(answer.bytes().await.unwrap(), true);
    }
}

fn v1() -> Which {
    Which::Remote(At::Tag("v1".parse().unwrap()))
}

#[tokio::test]
async fn many_requests_go_over_one_connection() {
    let front = Front::start().await;
    let (_client, app) = front.client();
    put_image(&app, &Image::new("linux/amd64").layers(3, 300_000, 1), "v1").await.unwrap();
    let which = v1();
    let reads = (0..30).map(|_| app.manifest(&which));
    assert!(futures_util::future::join_all(reads).await.iter().all(Result::is_ok));
    assert_eq!(front.connections.load(Ordering::SeqCst), 1);
}

/// NET-28.
#[tokio::test]
async fn a_read_that_a_connection_drops_is_made_again() {
    for act in [
        Act::Reset(Reason::REFUSED_STREAM),
        Act::Reset(Reason::INTERNAL_ERROR),
        Act::Reset(Reason::ENHANCE_YOUR_CALM),
        Act::Farewell,
        Act::GoAway(Reason::NO_ERROR),
        Act::GoAway(Reason::ENHANCE_YOUR_CALM),
        Act::Break,
    ] {
        let front = Front::start().await;
        let digest = Image::new("linux/amd64").push_to(&front.registry, "app", "v1");
        let (client, app) = front.client();
        front.on("GET", act);
        for _ in 0..2 {
            let read = app.manifest(&v1()).await;
            assert_eq!(read.unwrap_or_else(|error| panic!("{act:?}: {error}")).digest, digest);
        }
        assert!(front.acts.lock().unwrap().is_empty(), "{act:?} did not happen");
        assert!(client.retries().len() <= 1, "{act:?}: {:?}", client.retries());
    }
}

/// NET-28: a body under way is not simply sent twice; the registry is asked what came of it.
#[tokio::test]
async fn a_write_that_a_connection_drops_is_made_again() {
    let blob = vec![7; 3 << 20];
    for act in [
        Act::Reset(Reason::REFUSED_STREAM),
        Act::ResetInBody(1 << 20),
        Act::Farewell,
        Act::GoAway(Reason::NO_ERROR),
        Act::GoAway(Reason::INTERNAL_ERROR),
        Act::Break,
    ] {
        for method in ["POST", "PUT"] {
            let front = Front::start().await;
            let (client, app) = front.client();
            front.on(method, act);
            let put = put_blob(&app, blob.clone()).await;
            assert!(put.is_ok(), "{method} {act:?}: {put:?}");
            assert_eq!(front.registry.blob("app", &Digest::sha256(&blob)).unwrap(), blob);
            assert!(client.retries().len() <= 1, "{method} {act:?}: {:?}", client.retries());
        }
    }
}

/// SEC-56.
#[tokio::test]
async fn an_answer_of_empty_frames_ends_at_the_limit_of_silence() {
    let front = Front::start().await;
    let digest = Image::new("linux/amd64").push_to(&front.registry, "app", "v1");
    let (client, app) = front.client();
    app.manifest(&v1()).await.unwrap();
    front.on("GET", Act::EmptyFrames);
    let read = tokio::spawn(async move { app.manifest(&v1()).await });
    let mut seconds = 0;
    while client.retries().is_empty() {
        let frames = front.frames.load(Ordering::SeqCst);
        while front.frames.load(Ordering::SeqCst) < frames + 20 && client.retries().is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::time::resume();
        seconds += 1;
        assert!(seconds < 100, "it goes on for ever");
    }
    assert_eq!(read.await.unwrap().unwrap().digest, digest);
    assert!(front.frames.load(Ordering::SeqCst) > 20);
}

/// NET-28: a server that refuses every stream is given up.
#[tokio::test]
async fn a_connection_that_refuses_everything_is_given_up() {
    let front = Front::start().await;
    let (client, app) = front.client();
    for _ in 0..100 {
        front.on("GET", Act::Reset(Reason::REFUSED_STREAM));
    }
    let error = app.manifest(&v1()).await.unwrap_err();
    assert!(matches!(error, TransportError::Exhausted { .. }), "{error:?}");
    assert!(client.retries().len() <= 5 && front.requests.load(Ordering::SeqCst) <= 40);
}
