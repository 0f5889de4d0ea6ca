//! The client of one registry.
//!
//! Spec: OCI distribution-spec v1.1.1; the token handshake is Docker's "Token Authentication".

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use manifest_core::{Algorithm, Digest, MAX_MANIFEST_SIZE, MediaType, Tag};
use tokio::sync::OnceCell;
use url::Url;

use crate::Settings;
use crate::auth::token::{Authorizer, Scopes, scope};
use crate::error::TransportError;
use crate::http::{Body, Http, Request, Response, Tls, is_loopback};
use crate::manifest::{At, Fetched};

pub(crate) mod answer;
mod blob;
mod upload;

pub use upload::{Mounted, Opener};

/// Manifest types that are understood, as an Accept header.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Attempts that logging in may take: without, with a token, with a fresh token.
const PROOFS: usize = 3;

/// One registry: its address and the login that it wants.
#[derive(Debug)]
pub(crate) struct Registry {
    http: Http,
    host: String,
    tls: Tls,
    settings: Arc<Settings>,
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
        let tls = settings.hosts.get(host).cloned().unwrap_or_default();
        Self { http, host: host.to_owned(), tls, settings, door: OnceCell::new() }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    async fn door(&self) -> Result<&Door, TransportError> {
        self.door
            .get_or_try_init(|| async {
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
            None if local && self.tls.cert_dir.is_none() => Ok(plain),
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

    /// Sends a request, logging in when the registry asks for it.
    async fn send(&self, mut request: Request, need: &Scopes) -> Result<Response, TransportError> {
        let authorizer = &self.door().await?.authorizer;
        for attempt in 1..=PROOFS {
            let proof = authorizer.prove(&mut request, need).await?;
            let response = self.http.send(request.clone()).await?;
            if response.status() != StatusCode::UNAUTHORIZED {
                return Ok(response);
            }
            authorizer.challenged(response, &proof, need, attempt == PROOFS).await?;
        }
        Err(self.denied(&request, String::new()))
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

    /// Reads a manifest and checks it against what asked for it.
    pub(crate) async fn manifest(&self, path: &str, at: &At) -> Result<Fetched, TransportError> {
        let mut request = self.request(Method::GET, path, &format!("manifests/{}", at.text())).await?;
        request.headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        let mut retry = 0;
        loop {
            let mut response = self.send(request.clone(), &scope(path, false)).await?;
            if !response.status().is_success() {
                return Err(self.error(response, || self.name(path, at)).await);
            }
            let announced = announced(&response)?;
            let told = told_digest(&response);
            match response.bytes(MAX_MANIFEST_SIZE).await {
                Ok(Some(bytes)) => {
                    return Fetched::check(self.name(path, at), at, bytes, announced.as_ref(), told);
                }
                Ok(None) => {
                    let (what, limit) = (self.name(path, at), MAX_MANIFEST_SIZE as u64);
                    return Err(TransportError::TooLarge { what, limit });
                }
                Err(cause) => {
                    drop(response);
                    self.http
                        .pause(&request.label(), &request.url, retry, crate::retry::Hint::None, cause)
                        .await?;
                    retry += 1;
                }
            }
        }
    }

    /// The digest that a tag has now, as the registry tells it; `None` when there is no such tag.
    pub(crate) async fn tag_digest(&self, path: &str, tag: &Tag) -> Result<Option<Digest>, TransportError> {
        let at = At::Tag(tag.clone());
        let mut request = self.request(Method::HEAD, path, &format!("manifests/{tag}")).await?;
        request.headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        let response = self.send(request, &scope(path, false)).await?;
        match (response.status().as_u16(), told_digest(&response)) {
            (404, _) => Ok(None),
            (200, Some(digest)) => Ok(Some(digest)),
            _ => match self.manifest(path, &at).await {
                Ok(fetched) => Ok(Some(fetched.digest)),
                Err(TransportError::NotFound(_)) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// Whether the repository has a manifest; a registry that refuses HEAD is asked with GET.
    pub(crate) async fn has_manifest(&self, path: &str, digest: &Digest) -> Result<bool, TransportError> {
        let mut request = self.request(Method::HEAD, path, &format!("manifests/{digest}")).await?;
        request.headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        let response = self.send(request, &scope(path, false)).await?;
        match response.status().as_u16() {
            200 => Ok(true),
            404 => Ok(false),
            400 | 403 | 405 => match self.manifest(path, &At::Digest(*digest)).await {
                Ok(_) => Ok(true),
                Err(TransportError::NotFound(_)) => Ok(false),
                Err(error) => Err(error),
            },
            _ => Err(self.error(response, || self.name(path, &At::Digest(*digest))).await),
        }
    }

    /// Writes a manifest under its digest or a tag.
    pub(crate) async fn put_manifest(
        &self,
        path: &str,
        at: &At,
        media_type: &MediaType,
        bytes: bytes::Bytes,
    ) -> Result<(), TransportError> {
        let digest = Digest::sha256(&bytes);
        let mut request = self.request(Method::PUT, path, &format!("manifests/{}", at.text())).await?;
        let content_type = HeaderValue::from_str(media_type.as_str()).map_err(|error| {
            TransportError::Protocol { request: request.label(), what: error.to_string() }
        })?;
        request.headers.insert(header::CONTENT_TYPE, content_type);
        request.body = Body::Bytes(bytes);
        let response = self.send(request, &scope(path, true)).await?;
        if !response.status().is_success() {
            return Err(self.error(response, || self.name(path, at)).await);
        }
        match told_digest(&response).filter(|told| told.algorithm() == Algorithm::Sha256) {
            Some(found) if found != digest => {
                Err(TransportError::DigestMismatch { what: self.name(path, at), expected: digest, found })
            }
            _ => Ok(()),
        }
    }
}

/// Refuses content that something on the way has packed, although nobody asked for that.
fn refuse_encoding(response: &Response) -> Result<(), TransportError> {
    match response.header(header::CONTENT_ENCODING).filter(|encoding| encoding != "identity") {
        Some(encoding) => Err(TransportError::Protocol {
            request: response.label().to_owned(),
            what: format!("the answer is encoded as {encoding}, which was not asked for; is there a proxy?"),
        }),
        None => Ok(()),
    }
}

/// The media type of an answer; types that say nothing count as none.
fn announced(response: &Response) -> Result<Option<MediaType>, TransportError> {
    refuse_encoding(response)?;
    let Some(text) = response.header(header::CONTENT_TYPE) else { return Ok(None) };
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "" | "application/json" | "application/octet-stream" | "text/plain" => Ok(None),
        "text/html" => Err(TransportError::Protocol {
            request: response.label().to_owned(),
            what: "the answer is a web page, not a manifest; is this the address of a registry?".to_owned(),
        }),
        _ => Ok(Some(MediaType::from(essence.as_str()))),
    }
}

/// The digest that the server says the content has; only ever compared, never believed.
fn told_digest(response: &Response) -> Option<Digest> {
    response.headers().get("docker-content-digest")?.to_str().ok()?.parse().ok()
}
