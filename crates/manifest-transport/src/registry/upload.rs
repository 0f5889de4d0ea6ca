//! Sending blobs to a registry.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::StreamExt as _;
use http::{HeaderValue, Method, StatusCode, header};
use manifest_core::{Descriptor, Digest};
use url::Url;

use super::{PROOFS, Registry};
use crate::auth::realm::{Realm, judge};
use crate::auth::token::{Proof, scope};
use crate::error::TransportError;
use crate::http::{Chosen, Failure, Progress, Request, Response, Streamed, authority, same_origin, target};
use crate::observe::Event;
use crate::retry::{Hint, hint, may_pass};
use crate::stream::Blob;

/// Opens the content of a blob from its beginning; called again for every attempt.
pub type Opener<'a> =
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<Blob, TransportError>> + Send + 'a>> + Send + Sync + 'a;

/// What came of asking for a blob of a neighbouring repository.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mounted {
    /// It is there now.
    Done,
    /// The registry opened an upload instead.
    Session(Url),
    /// The registry does not mount.
    Refused,
}

/// How long giving up a session may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// An upload session that the registry opened.
#[derive(Debug)]
struct Session(Url);

/// What came of sending the whole blob once.
enum Sent {
    Done,
    /// The session is gone, or the registry stumbled: what it said, and what it asks for.
    Again(String, Hint),
    /// The registry received something else than was sent: its answer.
    Spoilt(TransportError),
    /// The login ran out.
    Unproven(Response, Proof),
}

impl Registry {
    /// Takes a blob over from another repository of the same registry.
    ///
    /// Spec: OCI distribution-spec v1.1.1, "Mounting a blob from another repository".
    pub(crate) async fn mount(
        &self,
        path: &str,
        digest: &Digest,
        from: &str,
    ) -> Result<Mounted, TransportError> {
        let mut request = self.request(Method::POST, path, "blobs/uploads/").await?;
        request.url.set_query(Some(&format!("mount={digest}&from={from}")));
        request.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let mut need = scope(path, true);
        need.entry(from.to_owned()).or_insert(false);
        let response = match self.send(request.clone(), &need).await {
            // Who may not read there can still send the blob here; later tokens need not ask for it again.
            Err(TransportError::NotAuthorised { .. }) => {
                self.door().await?.authorizer.forget(from).await;
                return Ok(Mounted::Refused);
            }
            sent => sent?,
        };
        match response.status().as_u16() {
            201 => Ok(Mounted::Done),
            202 => Ok(Mounted::Session(self.location(&request, &response)?)),
            400..=499 => Ok(Mounted::Refused),
            _ => Err(self.error(response, || format!("docker://{}/{path}", self.host)).await),
        }
    }

    /// Sends a blob: opens a session, unless a mount left one, and puts the whole content in one request.
    ///
    /// After a failure the registry is asked whether the blob arrived all the same; only then is it sent again,
    /// in a new session. What has arrived is never sent twice.
    ///
    /// Spec: OCI distribution-spec v1.1.1, "Pushing a blob monolithically", "POST then PUT".
    pub(crate) async fn upload(
        &self,
        path: &str,
        blob: &Descriptor,
        mounted: Option<Url>,
        open: &Opener<'_>,
    ) -> Result<(), TransportError> {
        let mut session = mounted.map(Session);
        let (mut retry, mut proofs, mut spoilt) = (0, 1, false);
        loop {
            let Session(url) = match session.take() {
                Some(session) => session,
                None => self.start(path).await?,
            };
            let request = finish(Request::new(Method::PUT, url.clone(), &self.tls), &blob.digest);
            let label = request.label();
            let sent = match self.put(path, &request, blob, open).await {
                Ok(sent) => sent,
                Err(error) => {
                    self.cancel(path, url).await;
                    return Err(error);
                }
            };
            let (cause, hint) = match sent {
                Sent::Done => return Ok(()),
                Sent::Again(cause, hint) => (cause, hint),
                Sent::Spoilt(error) if spoilt => return Err(error),
                Sent::Spoilt(error) => {
                    spoilt = true;
                    (error.to_string(), Hint::None)
                }
                Sent::Unproven(response, proof) => {
                    let authorizer = &self.door().await?.authorizer;
                    let last = proofs >= PROOFS;
                    authorizer.challenged(response, &proof, &scope(path, true), last).await?;
                    proofs += 1;
                    // Who is not let in has not touched the session.
                    session = Some(Session(url));
                    continue;
                }
            };
            self.http.pause(&label, &request.url, retry, hint, cause).await?;
            retry += 1;
            if self.has_blob(path, &blob.digest).await? {
                return Ok(());
            }
        }
    }

    async fn start(&self, path: &str) -> Result<Session, TransportError> {
        let mut request = self.request(Method::POST, path, "blobs/uploads/").await?;
        request.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let response = self.send(request.clone(), &scope(path, true)).await?;
        match response.status() {
            StatusCode::ACCEPTED => Ok(Session(self.location(&request, &response)?)),
            _ => Err(self.error(response, || format!("docker://{}/{path}", self.host)).await),
        }
    }

    /// Gives a session up that will not be finished; whether the registry cares changes nothing for us.
    async fn cancel(&self, path: &str, session: Url) {
        let Ok(door) = self.door().await else { return };
        let mut request = Request::new(Method::DELETE, session, &self.tls);
        if !same_origin(&request.url, &door.base) {
            return;
        }
        let cancel = async {
            if door.authorizer.prove(&mut request, &scope(path, true)).await.is_ok() {
                drop(self.http.probe(request).await);
            }
        };
        drop(tokio::time::timeout(CANCEL_TIMEOUT, cancel).await);
    }

    /// Where the registry wants the content, if we may go there.
    fn location(&self, request: &Request, response: &Response) -> Result<Url, TransportError> {
        let location = response.header(header::LOCATION).ok_or_else(|| TransportError::Protocol {
            request: request.label(),
            what: "the registry opened an upload without saying where".to_owned(),
        })?;
        let url = target(request, &location)?;
        match judge(&request.url, &url, &self.settings.auth_hosts) {
            Realm::Trusted => Ok(url),
            Realm::AnonymousOnly { why } | Realm::Refused { why } => Err(TransportError::Untrusted {
                request: request.label(),
                to: format!("{}://{}", url.scheme(), authority(&url)),
                why: why.to_string(),
            }),
        }
    }

    async fn put(
        &self,
        path: &str,
        request: &Request,
        blob: &Descriptor,
        open: &Opener<'_>,
    ) -> Result<Sent, TransportError> {
        let mut request = request.clone();
        let door = self.door().await?;
        if !same_origin(&request.url, &door.base) && !crate::http::is_loopback(&request.url) {
            request.chosen = Chosen::ByServer;
        }
        let octets = HeaderValue::from_static("application/octet-stream");
        request.headers.insert(header::CONTENT_TYPE, octets);
        let proof = door.authorizer.prove(&mut request, &scope(path, true)).await?;
        let fault = Arc::new(Mutex::new(None));
        let body = self.body(blob, open().await?, Arc::clone(&fault));
        let outcome = self.http.send_stream(&request, body).await;
        // What went wrong where the content comes from matters more than that the sending broke off.
        if let Some(error) = fault.lock().ok().and_then(|mut fault| fault.take()) {
            return Err(error);
        }
        let response = match outcome {
            Ok(response) => response,
            Err(Failure::MayPass(cause)) => return Ok(Sent::Again(cause, Hint::None)),
            Err(Failure::Final(error)) => return Err(error),
        };
        let status = response.status();
        match status.as_u16() {
            200..=299 => Ok(Sent::Done),
            401 => Ok(Sent::Unproven(response, proof)),
            // The session is gone: expired, or on another server behind a load balancer.
            404 | 416 => Ok(Sent::Again(response.complaint().await, Hint::None)),
            _ if may_pass(status) => {
                let hint = hint(status, response.headers());
                Ok(Sent::Again(response.complaint().await, hint))
            }
            _ => match self.error(response, || format!("docker://{}/{path}", self.host)).await {
                // What was sent had the right digest, so it was spoilt on the way.
                spoilt @ TransportError::Refused { .. } if has_code(&spoilt, "DIGEST_INVALID") => {
                    Ok(Sent::Spoilt(spoilt))
                }
                error => Err(error),
            },
        }
    }

    /// The content as a body that is sent while it comes; an error of the source is kept in `fault`.
    fn body(&self, blob: &Descriptor, content: Blob, fault: Arc<Mutex<Option<TransportError>>>) -> Streamed {
        let (progress, digest, http) = (Progress::default(), blob.digest, self.http.clone());
        let counter = progress.clone();
        let pieces = content.map(move |piece| match piece {
            Ok(piece) => {
                let count = piece.len() as u64;
                counter.add(count);
                http.observe(Event::Bytes { digest, count });
                Ok(piece)
            }
            Err(error) => {
                let text = error.to_string();
                if let Ok(mut fault) = fault.lock() {
                    *fault = Some(error);
                }
                Err(std::io::Error::other(text))
            }
        });
        Streamed { length: blob.size, body: reqwest::Body::wrap_stream(pieces), progress }
    }
}

fn has_code(error: &TransportError, wanted: &str) -> bool {
    matches!(error, TransportError::Refused { code, .. } if code == wanted)
}

/// Adds the digest to an upload's URL and leaves everything else in it as the registry wrote it.
fn finish(mut request: Request, digest: &Digest) -> Request {
    let query = match request.url.query() {
        Some(query) if !query.is_empty() => format!("{query}&digest={digest}"),
        _ => format!("digest={digest}"),
    };
    request.url.set_query(Some(&query));
    request
}
