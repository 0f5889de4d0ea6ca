//! The client of one registry.
//!
//! Spec: OCI distribution-spec v1.1.1; the token handshake is Docker's "Token Authentication".

use std::sync::{Arc, OnceLock};

use http::{Method, StatusCode};
use tokio::sync::OnceCell;
use url::Url;

use crate::Settings;
use crate::auth::token::{Authorizer, Scopes};
use crate::clock::Clock;
use crate::config::Blocked;
use crate::error::TransportError;
use crate::http::{Attempt, Http, Request, Response, Setback, Tls, is_loopback};
use crate::manifest::At;

pub(crate) mod answer;
pub(crate) mod blob;
mod check;
mod known;
mod look;
mod manifest;
mod mount;
mod referrers;
mod signatures;
mod tag;
mod upload;

pub use check::Check;
pub(crate) use manifest::refuse_page;
pub use mount::Mounted;
pub(crate) use tag::digest_etag;
pub use tag::{Deleted, Expect, Guard, TagState};
use upload::Pieces;
pub use upload::{Opener, Pieced};

/// Attempts that logging in may take: without, with a token, with a fresh token.
const PROOFS: usize = 3;

/// One registry: its address and the login that it wants.
#[derive(Debug)]
pub(crate) struct Registry {
    http: Http,
    host: String,
    tls: Tls,
    settings: Arc<Settings>,
    /// Why it is not to be spoken to.
    blocked: Option<Blocked>,
    /// What is known of the pieces in which it takes blobs.
    pieces: Pieces,
    /// Whether it sets several tags at once, as soon as that is known.
    multi_tag: OnceLock<bool>,
    /// Whether it refuses to write where a precondition does not hold, once that is known.
    compares: OnceLock<bool>,
    /// Whether it keeps simple signatures, once that is known.
    signatures: OnceCell<bool>,
    /// Made with the first request, since the scheme may have to be found out.
    door: OnceCell<Door>,
}

#[derive(Debug)]
struct Door {
    base: Url,
    authorizer: Authorizer,
}

impl Registry {
    pub(crate) fn new(http: Http, host: &str, settings: Arc<Settings>) -> Self {
        let tls = settings.tls(host);
        let pieces = Pieces::new(settings.chunk.get(host).copied());
        let (multi_tag, compares) = (OnceLock::new(), OnceLock::new());
        let (signatures, door) = (OnceCell::new(), OnceCell::new());
        let host = host.to_owned();
        Self { http, host, tls, settings, blocked: None, pieces, multi_tag, compares, signatures, door }
    }

    /// The same, without checks of certificates and over plain HTTP if need be, unless the user said otherwise.
    pub(crate) fn insecure(mut self) -> Self {
        self.tls.verify = self.tls.verify.or(Some(false));
        self
    }

    /// The same, which answers no question.
    pub(crate) fn blocked(mut self, blocked: Blocked) -> Self {
        self.blocked = Some(blocked);
        self
    }

    pub(crate) const fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Time and chance, as its requests have them.
    pub(crate) fn clock(&self) -> &dyn Clock {
        self.http.clock()
    }

    /// The address of the registry itself.
    pub(crate) async fn address(&self) -> Result<Url, TransportError> {
        Ok(self.door().await?.base.clone())
    }

    async fn door(&self) -> Result<&Door, TransportError> {
        self.door
            .get_or_try_init(|| async {
                if let Some(Blocked { prefix, file }) = self.blocked.clone() {
                    return Err(TransportError::Blocked { host: self.host.clone(), prefix, file });
                }
                let base = self.base().await?;
                let authorizer = Authorizer::new(
                    self.http.clone(),
                    base.clone(),
                    &self.host,
                    self.tls.clone(),
                    Arc::clone(&self.settings.credentials),
                    self.settings.auth_hosts.clone(),
                );
                Ok(Door { base, authorizer })
            })
            .await
    }

    /// The address of the registry: plain HTTP on this machine, else TLS, unless the user says otherwise.
    ///
    /// Where checking certificates is switched off, the registry may speak either; it is asked.
    async fn base(&self) -> Result<Url, TransportError> {
        let host = if self.host == "docker.io" { "registry-1.docker.io" } else { &self.host };
        let url = |scheme: &str| {
            Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|error| TransportError::Unreachable {
                host: self.host.clone(),
                message: error.to_string(),
            })
        };
        let (plain, secure) = (url("http")?, url("https")?);
        // Names below localhost mean this machine to some resolvers only, so they get no login without TLS.
        let local = is_loopback(&plain) && plain.domain().is_none_or(|name| name == "localhost");
        match self.tls.verify {
            Some(false) if local => Ok(if self.speaks_plain(&plain).await { plain } else { secure }),
            Some(false) => Ok(if self.speaks(&secure).await { secure } else { plain }),
            None if local && !self.tls.is_wanted() => Ok(plain),
            None | Some(true) => Ok(secure),
        }
    }

    async fn speaks(&self, url: &Url) -> bool {
        self.http.probe(Request::new(Method::GET, url.clone(), &self.tls)).await.is_ok()
    }

    /// Whether the answer to a plain request is not that of a TLS server.
    async fn speaks_plain(&self, url: &Url) -> bool {
        let answer = self.http.probe(Request::new(Method::GET, url.clone(), &self.tls)).await;
        answer.is_ok_and(|response| response.status() != StatusCode::BAD_REQUEST)
    }

    async fn request(&self, method: Method, path: &str, rest: &str) -> Result<Request, TransportError> {
        let door = self.door().await?;
        // Repository paths and references consist of characters that need no escaping in a URL.
        let url = door.base.join(&format!("{path}/{rest}")).map_err(|error| TransportError::Protocol {
            request: format!("{method} {path}"),
            what: error.to_string(),
        })?;
        Ok(Request::new(method, url, &self.tls))
    }

    /// Announces what will be done, so that one token is enough.
    pub(crate) async fn expect(&self, scopes: &Scopes) -> Result<(), TransportError> {
        self.door().await?.authorizer.expect(scopes).await;
        Ok(())
    }

    /// Sends a request until it is answered, logging in when the registry asks for it.
    async fn send(&self, request: Request, need: &Scopes) -> Result<Response, TransportError> {
        let mut retry = 0;
        loop {
            match self.send_once(request.clone(), need).await? {
                Attempt::Answer(response) => return Ok(response),
                Attempt::Setback(setback) => self.pause(&request, retry, setback).await?,
            }
            retry += 1;
        }
    }

    /// Sends a request once, logging in when the registry asks for it.
    async fn send_once(&self, mut request: Request, need: &Scopes) -> Result<Attempt, TransportError> {
        let authorizer = &self.door().await?.authorizer;
        for attempt in 1..=PROOFS {
            let proof = authorizer.prove(&mut request, need).await?;
            match self.http.send_once(&request).await? {
                Attempt::Answer(response) if response.status() == StatusCode::UNAUTHORIZED => {
                    authorizer.challenged(response, &proof, need, attempt == PROOFS).await?;
                }
                other => return Ok(other),
            }
        }
        Err(self.denied(&request, String::new()))
    }

    /// Waits before a request is made again, or says why it is not.
    async fn pause(&self, request: &Request, retry: u32, setback: Setback) -> Result<(), TransportError> {
        self.http.pause(&request.label(), &request.url, retry, setback.hint, setback.cause).await
    }

    fn denied(&self, request: &Request, message: String) -> TransportError {
        TransportError::Denied { host: self.host.clone(), request: request.label(), message }
    }

    /// The error that a status stands for when it is not one that the caller expects.
    async fn error(&self, mut response: Response, what: impl FnOnce() -> String) -> TransportError {
        match response.status().as_u16() {
            403 => {
                let request = response.label().to_owned();
                let (code, message) = response.error().await;
                let message = if message.is_empty() { code } else { message };
                TransportError::Denied { host: self.host.clone(), request, message }
            }
            404 => TransportError::NotFound(what()),
            _ => response.refusal().await,
        }
    }

    fn name(&self, path: &str, at: &At) -> String {
        format!("docker://{}/{path}{at}", self.host)
    }
}
