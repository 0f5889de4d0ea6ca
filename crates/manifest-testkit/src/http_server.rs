//! The HTTP/1.1 server behind the fake registry and the token server.

mod delivery;
mod log;
mod wire;

use std::fmt;
use std::future::{pending, ready};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::{HeaderValue, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use self::delivery::{Delivered, Delivery};
use self::log::{Id, Log};
use self::wire::{Fate, Wire};
use crate::request::Request;
use crate::script::{Action, Decision, Script, Stage};

/// What a server does with requests; the rest (connections, log, faults) is the same for all.
pub(crate) trait Handler: Send + Sync + 'static {
    /// The answer to a request whose login is not good enough; its body has not been read yet.
    fn refuse(&self, request: &Request) -> Option<Response<Bytes>>;
    /// Carries a request out.
    fn handle(&self, request: &Request) -> Response<Bytes>;
    /// As [`handle`](Self::handle), for what takes its time.
    fn carry_out<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Response<Bytes>> {
        Box::pin(ready(self.handle(request)))
    }
    /// Keeps what came of a body that will not come to its end.
    fn partial(&self, _request: &Request) {}
    /// Drops what the request builds upon, and says so.
    fn forget(&self, request: &Request) -> Response<Bytes>;
}

/// A running server; it ends when this is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    handler: Arc<dyn Handler>,
    script: Script,
    log: Log,
}

impl Server {
    /// Listens on a free port of the loopback address.
    pub(crate) fn start(name: &str, handler: Arc<dyn Handler>) -> Self {
        let shared = Arc::new(Shared { handler, script: Script::default(), log: Log::default() });
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("the address of a socket that was bound");
        let (stop, stopped) = oneshot::channel();
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listening socket");
                tokio::select! { () = accept(listener, for_thread) => {}, _ = stopped => {} }
            });
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread.expect("a thread")) }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn script(&self) -> &Script {
        &self.shared.script
    }

    pub(crate) fn log(&self) -> &Log {
        &self.shared.log
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server has already been printed; a second one here would abort the test.
            let _ended = thread.join().is_ok();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        shared.log.connected();
        tokio::spawn(serve(stream, Arc::clone(&shared)));
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Without this an answer in two segments waits for the client's delayed acknowledgement.
    stream.set_nodelay(true).expect("a socket without delay");
    let fate = Fate::default();
    let wire = Wire::new(stream, fate.clone());
    let service = service_fn(move |request| {
        let (shared, fate) = (Arc::clone(&shared), fate.clone());
        async move { shared.answer(request, &fate).await }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(wire), service);
    // Scripted faults and clients that hang up end here; both are what the test wants.
    let _ended = connection.await.is_ok();
}

/// The body of a request, as far as it came.
enum Arrival {
    Whole,
    Broken,
}

impl Shared {
    async fn answer(
        &self,
        incoming: http::Request<Incoming>,
        fate: &Fate,
    ) -> Result<Response<Delivered>, io::Error> {
        let (head, body) = incoming.into_parts();
        let mut request = Request {
            method: (&head.method).into(),
            target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            headers: head.headers,
            body: Bytes::new(),
            body_bytes: 0,
            status: None,
        };
        let (id, _under_way) = self.log.begin(&request);
        let early = self.script.decide(&request, Stage::BeforeLogin);
        let refused = if early.is_some() { None } else { self.handler.refuse(&request) };
        let decision = match (early, &refused) {
            (Some(decision), _) => Some(decision),
            (None, Some(_)) => None,
            (None, None) => self.script.decide(&request, Stage::AfterLogin),
        };
        let decision = decision.unwrap_or_else(|| Decision { action: Action::Apply, ..Decision::default() });
        if matches!(decision.action, Action::ReplyEarly) {
            return Ok(self.finish(id, reply(&decision, &request)));
        }
        let limit = match decision.action {
            Action::ResetAfterBody(bytes) => bytes,
            _ => u64::MAX,
        };
        let arrival = read(body, limit, &mut request).await;
        self.log.received(id, &request);
        if matches!(decision.action, Action::ResetAfterBody(_)) || matches!(arrival, Arrival::Broken) {
            self.handler.partial(&request);
            fate.reset();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if let Some(gate) = &decision.gate {
            gate.pass().await;
        }
        let answer = match refused {
            Some(refused) => refused,
            None => self.act(&decision, &request, fate).await?,
        };
        Ok(self.finish(id, answer))
    }

    async fn act(
        &self,
        decision: &Decision,
        request: &Request,
        fate: &Fate,
    ) -> Result<Response<Bytes>, io::Error> {
        let applied = async || {
            let mut answer = self.handler.carry_out(request).await;
            decision.dress(&mut answer);
            answer
        };
        match &decision.action {
            Action::Unset | Action::Apply => Ok(applied().await),
            Action::Reply | Action::ReplyEarly => Ok(reply(decision, request)),
            Action::Reset | Action::ResetAfterBody(_) => {
                fate.reset();
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Action::ApplyThenReset => {
                drop(applied().await);
                fate.reset();
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Action::TakeOnly(bytes) => {
                let mut request = request.clone();
                request.body.truncate(usize::try_from(*bytes).unwrap_or(usize::MAX));
                let mut answer = self.handler.carry_out(&request).await;
                decision.dress(&mut answer);
                Ok(answer)
            }
            Action::CutResponse(bytes) => {
                fate.cut_after(*bytes);
                Ok(applied().await)
            }
            Action::StallResponse(bytes) => {
                fate.stall_after(*bytes);
                Ok(applied().await)
            }
            Action::Endless(bytes) => {
                let mut answer = reply(decision, request);
                *answer.body_mut() = bytes.clone();
                answer.extensions_mut().insert(Delivery::Endless);
                Ok(answer)
            }
            Action::Drip(permits) => {
                let mut answer = applied().await;
                answer.extensions_mut().insert(Delivery::Drip(Arc::clone(permits)));
                Ok(answer)
            }
            Action::WrongBytes => {
                let mut answer = applied().await;
                let mut bytes = answer.body().to_vec();
                if let Some(last) = bytes.last_mut() {
                    *last ^= 1;
                }
                *answer.body_mut() = bytes.into();
                Ok(answer)
            }
            Action::Substitute(bytes) => {
                let mut answer = applied().await;
                *answer.body_mut() = bytes.clone();
                Ok(answer)
            }
            Action::ForgetUpload => {
                let mut answer = self.handler.forget(request);
                decision.dress(&mut answer);
                Ok(answer)
            }
            Action::Stall => pending().await,
        }
    }

    fn finish(&self, id: Id, answer: Response<Bytes>) -> Response<Delivered> {
        self.log.answered(id, answer.status().as_u16());
        delivery::deliver(answer)
    }
}

fn reply(decision: &Decision, request: &Request) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    decision.dress(&mut answer);
    for value in answer.headers_mut().values_mut() {
        let text = value.to_str().unwrap_or_default();
        if text.contains("{target}") {
            let filled = text.replace("{target}", &request.target);
            *value = HeaderValue::from_str(&filled).expect("the target of a request is the text of a header");
        }
    }
    answer
}

/// Reads a body into the request, `limit` bytes of it at most.
async fn read(mut body: Incoming, limit: u64, request: &mut Request) -> Arrival {
    let mut bytes = BytesMut::new();
    let mut arrival = Arrival::Whole;
    while (bytes.len() as u64) < limit {
        match body.frame().await {
            None => break,
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    bytes.extend_from_slice(&data);
                }
            }
            Some(Err(_)) => {
                arrival = Arrival::Broken;
                break;
            }
        }
    }
    bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    request.body_bytes = bytes.len() as u64;
    request.body = bytes.freeze();
    arrival
}
