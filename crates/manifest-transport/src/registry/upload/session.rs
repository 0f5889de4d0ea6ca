//! Upload sessions: opened, asked, given up.

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use manifest_core::Algorithm;
use url::Url;

use crate::auth::realm::{Realm, is_listed, judge};
use crate::auth::token::{Access, scope};
use crate::error::TransportError;
use crate::http::{Chosen, Request, Response, Stands, authority, is_loopback, same_origin, target};
use crate::registry::Registry;

/// How long giving up a session may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// An upload session that the registry opened.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) url: Url,
    /// How much of the blob has arrived, in bytes.
    pub(super) offset: u64,
    /// The most that had ever arrived.
    best: u64,
    /// How often there was no more than that.
    pub(super) stuck: u32,
}

/// What a registry says of a session.
pub(super) enum Asked {
    /// Where it is now, if that has changed, and how much of the blob it holds, in bytes.
    Holds(Option<Url>, u64),
    /// It does not answer that.
    Unknown,
    /// There is no such session.
    Gone,
}

impl Session {
    pub(super) const fn new(url: Url) -> Self {
        Self { url, offset: 0, best: 0, stuck: 0 }
    }

    /// Notes how much has arrived; whether that is progress.
    pub(super) const fn has(&mut self, offset: u64) -> bool {
        self.offset = offset;
        let progress = offset > self.best;
        if progress {
            self.best = offset;
            self.stuck = 0;
        } else {
            self.stuck += 1;
        }
        progress
    }
}

impl Registry {
    /// Opens a session for a blob whose digest is one of `algorithm`.
    ///
    /// Spec: OCI distribution-spec v1.1.1, "Pushing blobs"; the parameter is that of its successor, and older registries
    /// do not look at it.
    pub(super) async fn start(&self, path: &str, algorithm: Algorithm) -> Result<Session, TransportError> {
        let mut request = self.request(Method::POST, path, "blobs/uploads/").await?;
        if algorithm != Algorithm::Sha256 {
            request.url.query_pairs_mut().append_pair("digest-algorithm", algorithm.as_str());
        }
        request.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let response = self.send(request.clone(), &scope(path, Access::Push)).await?;
        match response.status() {
            StatusCode::ACCEPTED => Ok(Session::new(self.opened(&request, &response).await?)),
            _ => {
                let error = self.error(response, || format!("docker://{}/{path}", self.host)).await;
                Err(error.of_algorithm(algorithm))
            }
        }
    }

    /// Where the registry wants the content; notes how it wants it.
    pub(in crate::registry) async fn opened(
        &self,
        request: &Request,
        response: &Response,
    ) -> Result<Url, TransportError> {
        let least = response.headers().get("oci-chunk-min-length");
        self.pieces.want(least.and_then(|least| least.to_str().ok()?.trim().parse().ok()));
        self.location(request, response).await?.ok_or_else(|| TransportError::Protocol {
            request: request.label(),
            what: "the registry opened an upload without saying where".to_owned(),
        })
    }

    /// Where the registry wants what comes next, if it says so and we may go there.
    pub(super) async fn location(
        &self,
        request: &Request,
        response: &Response,
    ) -> Result<Option<Url>, TransportError> {
        let Some(location) = response.header(header::LOCATION) else { return Ok(None) };
        let url = target(request, &location)?;
        if same_origin(&request.url, &url) {
            return Ok(Some(url));
        }
        // It is the registry that is trusted, not whoever it has sent us to before.
        match judge(&self.door().await?.base, &url, &self.settings.auth_hosts) {
            Realm::Trusted => Ok(Some(url)),
            Realm::AnonymousOnly { why } | Realm::Refused { why } => Err(TransportError::Untrusted {
                request: request.label(),
                to: format!("{}://{}", url.scheme(), authority(&url)),
                why: why.to_string(),
            }),
        }
    }

    /// A request to a session, wherever the registry keeps it.
    pub(super) async fn session_request(
        &self,
        method: Method,
        session: &Session,
    ) -> Result<Request, TransportError> {
        let mut request = Request::new(method, session.url.clone(), &self.tls);
        let base = &self.door().await?.base;
        if !same_origin(&request.url, base) && !is_loopback(&request.url) {
            let listed = is_listed(base, &request.url, &self.settings.auth_hosts);
            request.chosen = Chosen::ByServer(if listed { Stands::Inside } else { self.http.stands(base) });
        }
        Ok(request)
    }

    /// Asks where a session is now and how much of the blob it holds.
    pub(super) async fn ask(&self, path: &str, session: &Session) -> Result<Asked, TransportError> {
        let request = self.session_request(Method::GET, session).await?;
        let response = match self.send(request.clone(), &scope(path, Access::Push)).await {
            Err(TransportError::NotAuthorised { .. }) => return Ok(Asked::Unknown),
            sent => sent?,
        };
        match response.status().as_u16() {
            200..=204 => {
                let url = self.location(&request, &response).await?;
                Ok(Asked::Holds(url, held(&response).unwrap_or(0)))
            }
            404 => Ok(Asked::Gone),
            _ => Ok(Asked::Unknown),
        }
    }

    /// Gives a session up that will not be finished; whether the registry cares changes nothing for us.
    pub(super) async fn cancel(&self, path: &str, session: &Session) {
        let Ok(door) = self.door().await else { return };
        let mut request = Request::new(Method::DELETE, session.url.clone(), &self.tls);
        if !same_origin(&request.url, &door.base) {
            return;
        }
        let cancel = async {
            if door.authorizer.prove(&mut request, &scope(path, Access::Push)).await.is_ok() {
                drop(self.http.probe(request).await);
            }
        };
        drop(tokio::time::timeout(CANCEL_TIMEOUT, cancel).await);
    }
}

/// How much of a blob a session holds, in bytes, as its registry tells it.
pub(super) fn held(response: &Response) -> Option<u64> {
    read_range(&response.header(header::RANGE)?)
}

/// The bytes that `0-N` stands for. An empty session says `0-0`; one with a single byte does, too, and is taken for
/// empty.
///
/// Spec: OCI distribution-spec v1.1.1, "Pushing a blob in chunks"; some registries put `bytes=` before it.
fn read_range(text: &str) -> Option<u64> {
    let (first, last) = text.trim().trim_start_matches("bytes=").split_once('-')?;
    let last: u64 = last.parse().ok()?;
    if first != "0" {
        return None;
    }
    Some(if last == 0 { 0 } else { last.saturating_add(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_a_session_holds() {
        for (text, held) in [
            ("0-0", Some(0)),
            ("0-1", Some(2)),
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            (" 0-99 ", Some(100)),
            ("0-18446744073709551615", Some(u64::MAX)),
            ("0-18446744073709551616", None),
            ("5-99", None),
            ("0--1", None),
            ("0-", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(read_range(text), held, "{text}");
        }
    }

    #[test]
    fn only_more_than_ever_before_is_progress() {
        let mut session = Session::new("http://r.example/".parse().unwrap());
        let steps = [(5, true, 0), (3, false, 1), (4, false, 2), (6, true, 0), (6, false, 1)];
        for (offset, progress, stuck) in steps {
            assert_eq!((session.has(offset), session.offset, session.stuck), (progress, offset, stuck));
        }
    }
}
