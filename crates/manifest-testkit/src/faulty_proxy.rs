//! A proxy that does to requests what a script says.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::http_client::{Http, HttpAnswer};
use crate::http_server::{Handler, Server};
use crate::request::{Method, Request};
use crate::script::Rule;

/// A server that passes requests on to another one, with the same log and the same scripted faults as the
/// [`FakeRegistry`](crate::FakeRegistry): the faults of a network in front of a registry that is real.
///
/// Nothing is rewritten: the `Host` of the client goes along, from which registries make the addresses that they
/// name. Bodies are passed on when they are complete; of one that a rule breaks off, the part that came is passed on
/// and broken off there, too.
///
/// ```no_run
/// # use manifest_testkit::{DockerRegistry, FaultyProxy, Method};
/// let registry = DockerRegistry::plain();
/// let proxy = FaultyProxy::to(&registry.address());
/// proxy.on(Method::Put, "/v2/app/manifests/v1").apply_then_reset();
/// ```
#[derive(Debug)]
pub struct FaultyProxy {
    server: Server,
}

#[derive(Clone, Debug)]
struct Upstream(Http);

impl FaultyProxy {
    /// Starts a proxy to the plain HTTP server at `address`, host and port.
    pub fn to(address: &str) -> Self {
        Self { server: Server::start("faulty-proxy", Arc::new(Upstream(Http::to(address)))) }
    }

    /// Host and port, `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.server.address()
    }

    /// Begins a rule for requests with this method and path, as [`FakeRegistry::on`](crate::FakeRegistry::on).
    pub fn on(&self, method: Method, pattern: &str) -> Rule {
        self.server.script().on(Some(method), pattern)
    }

    /// All requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.server.log().requests()
    }
}

impl Upstream {
    fn pass_on(&self, method: &str, request: &Request) -> Response<Bytes> {
        let headers = passed_on(&request.headers);
        match self.0.try_send(method, &request.target, &headers, &request.body) {
            Ok(answer) => response(answer, request.method),
            Err(_) => status(StatusCode::BAD_GATEWAY, ""),
        }
    }
}

impl Handler for Upstream {
    fn refuse(&self, _request: &Request) -> Option<Response<Bytes>> {
        None
    }

    fn handle(&self, request: &Request) -> Response<Bytes> {
        self.pass_on(request.method.as_str(), request)
    }

    /// The client is a blocking one, and other requests go on meanwhile.
    fn carry_out<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Response<Bytes>> {
        let (upstream, request) = (self.clone(), request.clone());
        Box::pin(async move {
            let passed = tokio::task::spawn_blocking(move || upstream.handle(&request));
            passed.await.expect("a request that was passed on")
        })
    }

    fn partial(&self, request: &Request) {
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let (line, headers) =
            ((request.method.as_str(), request.target.as_str()), passed_on(&request.headers));
        // What the server says to half a request is nothing that anybody hears.
        let _answered = self.0.break_off(line, &headers, &request.body, length).is_ok();
    }

    fn forget(&self, request: &Request) -> Response<Bytes> {
        let _gone = self.pass_on("DELETE", &Request { body: Bytes::new(), ..request.clone() });
        let body =
            r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to registry"}]}"#;
        status(StatusCode::NOT_FOUND, body)
    }
}

fn status(status: StatusCode, body: &'static str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(body.as_bytes()));
    *answer.status_mut() = status;
    answer
}

/// Headers that are about one connection only, or that whoever sends the body writes.
fn is_of_one_hop(name: &str) -> bool {
    matches!(
        name,
        "connection" | "keep-alive" | "transfer-encoding" | "content-length" | "expect" | "upgrade"
    )
}

fn passed_on(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let text = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    text.filter(|(name, _)| !is_of_one_hop(name)).collect()
}

fn response(answer: HttpAnswer, to: Method) -> Response<Bytes> {
    let mut passed = Response::new(Bytes::from(answer.body));
    *passed.status_mut() = StatusCode::from_u16(answer.status).expect("a status");
    for (name, value) in &answer.headers {
        // The length of a body that is not sent is known to the server only.
        if !is_of_one_hop(name) || (to == Method::Head && name == "content-length") {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("the name of a header");
            passed.headers_mut().append(name, HeaderValue::from_str(value).expect("the value of a header"));
        }
    }
    passed
}
