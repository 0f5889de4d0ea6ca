//! Reading blobs from a registry.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderValue, Method, StatusCode, header};
use manifest_core::{Descriptor, Digest};

use super::Registry;
use super::manifest::is_page;
use crate::auth::token::{Access, scope};
use crate::error::TransportError;
use crate::http::{Http, Request, Response, same_origin};
use crate::retry::Hint;
use crate::start::Start;
use crate::stream::{Blob, verified};

impl Registry {
    fn blob_name(&self, path: &str, digest: &Digest) -> String {
        format!("blob {digest} of docker://{}/{path}", self.host)
    }

    /// Whether the repository has a blob; a hint, since servers may be wrong about it.
    pub(crate) async fn has_blob(&self, path: &str, digest: &Digest) -> Result<bool, TransportError> {
        let request = self.request(Method::HEAD, path, &format!("blobs/{digest}")).await?;
        let response = self.send(request, &scope(path, Access::Pull)).await?;
        match response.status().as_u16() {
            200 => Ok(!is_page(&response)),
            404 => Ok(false),
            // A registry that refuses HEAD makes us send the blob; that is right, if slow.
            400 | 403 | 405 => Ok(false),
            _ => Err(self.error(response, || self.blob_name(path, digest)).await),
        }
    }

    /// Reads a blob; digest and size are checked on the way, and a broken connection is taken up where it broke.
    pub(crate) async fn blob(
        self: &Arc<Self>,
        path: &str,
        wanted: &Descriptor,
        start: &Start,
    ) -> Result<Blob, TransportError> {
        let what = self.blob_name(path, &wanted.digest);
        let request = self.request(Method::GET, path, &format!("blobs/{}", wanted.digest)).await?;
        read(Server::Registry(Arc::clone(self), path.to_owned()), request, what, (wanted, start)).await
    }
}

/// Who is asked for a blob.
pub(crate) enum Server {
    /// The repository of a registry, with the login that it wants.
    Registry(Arc<Registry>, String),
    /// Whoever has it, without any login.
    Anybody(Http),
}

impl Server {
    fn http(&self) -> &Http {
        match self {
            Self::Registry(registry, _) => &registry.http,
            Self::Anybody(http) => http,
        }
    }

    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        match self {
            Self::Registry(registry, path) => registry.send(request, &scope(path, Access::Pull)).await,
            Self::Anybody(http) => http.send(request).await,
        }
    }

    async fn error(&self, response: Response, what: &str) -> TransportError {
        match self {
            Self::Registry(registry, _) => registry.error(response, || what.to_owned()).await,
            Self::Anybody(_) if response.status() == StatusCode::NOT_FOUND => {
                TransportError::NotFound(what.to_owned())
            }
            Self::Anybody(_) => response.refusal().await,
        }
    }
}

/// Reads a blob with this request; digest and size are checked on the way, and a broken connection is taken up where it broke.
pub(crate) async fn read(
    server: Server,
    request: Request,
    what: String,
    (wanted, start): (&Descriptor, &Start),
) -> Result<Blob, TransportError> {
    let (way, shown) = (start.near(wanted), what.clone());
    let mut reader = Reader { server, request, what, response: None, received: way.at(), skip: 0, retry: 0 };
    // The first answer is awaited here, so that "not found" is told before anything is sent elsewhere.
    reader.open().await?;
    let pieces = stream::try_unfold(reader, Reader::next).boxed();
    Ok(verified(pieces, way, wanted.clone(), shown))
}

/// A blob that is being read; knows how far it came.
struct Reader {
    server: Server,
    request: Request,
    what: String,
    response: Option<Response>,
    /// How far the blob is known: what came, and what was not asked for.
    received: u64,
    /// Bytes that come again because the server does not resume.
    skip: u64,
    retry: u32,
}

impl Reader {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, TransportError> {
        loop {
            if self.response.is_none() {
                self.open().await?;
            }
            let Some(response) = &mut self.response else { return Ok(None) };
            match response.chunk().await {
                Ok(Some(mut piece)) => {
                    let again = usize::try_from(self.skip).unwrap_or(usize::MAX).min(piece.len());
                    self.skip -= again as u64;
                    let new = piece.split_off(again);
                    if !new.is_empty() {
                        self.received += new.len() as u64;
                        return Ok(Some((new, self)));
                    }
                }
                Ok(None) => return Ok(None),
                Err(cause) => {
                    self.response = None;
                    let (label, url) = (self.request.label(), self.request.url.clone());
                    self.server.http().pause(&label, &url, self.retry, Hint::None, cause).await?;
                    self.retry += 1;
                }
            }
        }
    }

    /// Asks for what has not come yet.
    async fn open(&mut self) -> Result<(), TransportError> {
        let mut request = self.request.clone();
        if self.received > 0 {
            let range = HeaderValue::from_str(&format!("bytes={}-", self.received));
            let range = range.map_err(|error| TransportError::Protocol {
                request: request.label(),
                what: error.to_string(),
            })?;
            request.headers.insert(header::RANGE, range);
        }
        let mut response = self.server.send(request.clone()).await?;
        if response.status() == StatusCode::FORBIDDEN && !same_origin(response.url(), &request.url) {
            // The address in the storage behind the registry has expired; the registry gives a new one.
            drop(response);
            response = self.server.send(request).await?;
        }
        let resumes = format!("bytes {}-", self.received);
        let partial = response.status() == StatusCode::PARTIAL_CONTENT;
        let wanted =
            || response.header(header::CONTENT_RANGE).is_some_and(|range| range.starts_with(&resumes));
        if partial && wanted() {
            self.skip = 0;
            self.response = Some(response);
            return Ok(());
        }
        if self.received > 0 && (partial || response.status() == StatusCode::RANGE_NOT_SATISFIABLE) {
            // The server does not resume where we want it to: all of it again, without what we have.
            drop(response);
            response = self.server.send(self.request.clone()).await?;
        }
        if response.status() != StatusCode::OK {
            return Err(self.server.error(response, &self.what).await);
        }
        self.skip = self.received;
        self.response = Some(response);
        Ok(())
    }
}
