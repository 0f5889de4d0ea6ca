//! Manifests of a registry, by digest or tag.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use manifest_core::{Digest, MAX_MANIFEST_SIZE, MediaType};

use super::Registry;
use super::tag::strong_etag;
use crate::auth::token::{Access, scope};
use crate::error::TransportError;
use crate::http::{Body, Request, Response};
use crate::manifest::{At, Fetched};
use crate::observe::Event;
use crate::retry::Hint;

/// Manifest types that are understood, as an Accept header.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// How long the first pause between two looks at what a registry has taken is; it doubles.
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// The longest such pause.
const LAST_LOOK: Duration = Duration::from_secs(3);

impl Registry {
    pub(super) async fn manifest_request(
        &self,
        method: Method,
        path: &str,
        at: &At,
    ) -> Result<Request, TransportError> {
        let mut request = self.request(method, path, &format!("manifests/{}", at.text())).await?;
        request.headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        Ok(request)
    }

    /// Reads a manifest and checks it against what asked for it.
    pub(crate) async fn manifest(&self, path: &str, at: &At) -> Result<Fetched, TransportError> {
        Ok(self.tagged_manifest(path, at).await?.0)
    }

    /// Reads a manifest, and the entity tag that came with it.
    pub(crate) async fn tagged_manifest(
        &self,
        path: &str,
        at: &At,
    ) -> Result<(Fetched, Option<String>), TransportError> {
        let request = self.manifest_request(Method::GET, path, at).await?;
        let mut retry = 0;
        loop {
            let mut response = self.send(request.clone(), &scope(path, Access::Pull)).await?;
            if !response.status().is_success() {
                return Err(self.error(response, || self.name(path, at)).await);
            }
            let announced = announced(&response)?;
            let (told, etag) = (told_digest(&response), strong_etag(&response));
            match response.bytes(MAX_MANIFEST_SIZE).await {
                Ok(Some(bytes)) => {
                    let fetched = Fetched::check(self.name(path, at), at, bytes, announced.as_ref(), told)?;
                    return Ok((fetched, etag));
                }
                Ok(None) => {
                    let (what, limit) = (self.name(path, at), MAX_MANIFEST_SIZE as u64);
                    return Err(TransportError::TooLarge { what, limit });
                }
                Err(cause) => {
                    drop(response);
                    self.http.pause(&request.label(), &request.url, retry, Hint::None, cause).await?;
                    retry += 1;
                }
            }
        }
    }

    /// Whether the repository shows a manifest that it has taken, `limit` later at most. It is read, so that what is shown
    /// is what was sent.
    pub(crate) async fn shows(
        &self,
        path: &str,
        digest: &Digest,
        limit: Duration,
    ) -> Result<bool, TransportError> {
        let (at, clock) = (At::Digest(*digest), self.http.clock());
        let (begun, mut pause) = (clock.elapsed(), FIRST_LOOK);
        loop {
            match self.manifest(path, &at).await {
                Ok(_) => return Ok(true),
                Err(TransportError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
            let left = limit.saturating_sub(clock.elapsed().saturating_sub(begun));
            if left.is_zero() {
                return Ok(false);
            }
            let what = self.name(path, &at);
            self.http.observe(Event::Unseen { what, host: self.host.clone(), pause: pause.min(left) });
            clock.pause(pause.min(left)).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    /// Waits before content is sent again that the registry has taken and now says it lacks; gives the error back when
    /// there is nothing left to wait for.
    pub(crate) async fn pause_for_lost(
        &self,
        path: &str,
        round: u32,
        lost: TransportError,
    ) -> Result<(), TransportError> {
        let (label, base) = (format!("the push to docker://{}/{path}", self.host), &self.door().await?.base);
        let paused = self.http.pause(&label, base, round, Hint::None, lost.to_string()).await;
        paused.map_err(|_no_more| lost)
    }

    /// Whether the repository has a manifest; a registry that refuses HEAD, or answers with a web page, is asked with
    /// GET.
    pub(crate) async fn has_manifest(&self, path: &str, digest: &Digest) -> Result<bool, TransportError> {
        let at = At::Digest(*digest);
        let request = self.manifest_request(Method::HEAD, path, &at).await?;
        let response = self.send(request, &scope(path, Access::Pull)).await?;
        match response.status().as_u16() {
            200 if !is_page(&response) => Ok(true),
            404 => Ok(false),
            200 | 400 | 403 | 405 => {
                // With one request at a time the next one waits for the end of this.
                drop(response);
                match self.manifest(path, &at).await {
                    Ok(_) => Ok(true),
                    Err(TransportError::NotFound(_)) => Ok(false),
                    Err(error) => Err(error),
                }
            }
            _ => Err(self.error(response, || self.name(path, &at)).await),
        }
    }

    /// Writes a manifest under its digest.
    pub(crate) async fn put_manifest(
        &self,
        path: &str,
        digest: &Digest,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<(), TransportError> {
        self.put_by_digest(path, digest, media_type, bytes).await.map(|_| ())
    }

    /// The same; what the registry answered.
    pub(super) async fn put_by_digest(
        &self,
        path: &str,
        digest: &Digest,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<Response, TransportError> {
        let at = At::Digest(*digest);
        let request = self.put_request(path, &at, media_type, bytes.clone()).await?;
        let response = self.send(request, &scope(path, Access::Push)).await?;
        let checked = self.check_put(response, path, &at, &bytes).await;
        checked.map_err(|error| error.of_algorithm(digest.algorithm()))
    }

    pub(super) async fn put_request(
        &self,
        path: &str,
        at: &At,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<Request, TransportError> {
        let mut request = self.request(Method::PUT, path, &format!("manifests/{}", at.text())).await?;
        let content_type = HeaderValue::from_str(media_type.as_str()).map_err(|error| {
            TransportError::Protocol { request: request.label(), what: error.to_string() }
        })?;
        request.headers.insert(header::CONTENT_TYPE, content_type);
        request.body = Body::Bytes(bytes);
        Ok(request)
    }

    /// The answer to a manifest that was written, if it was and as these bytes.
    pub(super) async fn check_put(
        &self,
        response: Response,
        path: &str,
        at: &At,
        bytes: &[u8],
    ) -> Result<Response, TransportError> {
        if !response.status().is_success() {
            return Err(self.error(response, || self.name(path, at)).await);
        }
        refuse_page(&response)?;
        match told_digest(&response) {
            Some(found) if !found.verifies(bytes) => {
                let expected = found.algorithm().digest(bytes);
                Err(TransportError::DigestMismatch { what: self.name(path, at), expected, found })
            }
            _ => Ok(response),
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
pub(super) fn announced(response: &Response) -> Result<Option<MediaType>, TransportError> {
    refuse_encoding(response)?;
    refuse_page(response)?;
    Ok(match essence(response).as_str() {
        "" | "application/json" | "application/octet-stream" | "text/plain" => None,
        essence => Some(MediaType::from(essence)),
    })
}

/// The `Content-Type` of an answer without its parameters; empty when there is none.
fn essence(response: &Response) -> String {
    let text = response.header(header::CONTENT_TYPE).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether an answer is a page for people, such as one to log in, which no registry sends.
pub(super) fn is_page(response: &Response) -> bool {
    essence(response) == "text/html"
}

/// Refuses such a page, whatever its status says.
pub(crate) fn refuse_page(response: &Response) -> Result<(), TransportError> {
    if !is_page(response) {
        return Ok(());
    }
    Err(TransportError::Protocol {
        request: response.label().to_owned(),
        what: "the answer is a web page; is this the address of a registry?".to_owned(),
    })
}

/// The digest that the server says the content has; only ever compared, never believed.
pub(super) fn told_digest(response: &Response) -> Option<Digest> {
    response.headers().get("docker-content-digest")?.to_str().ok()?.parse().ok()
}
