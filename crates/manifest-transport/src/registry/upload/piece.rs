//! One request that carries a blob, or a part of it.

use http::{HeaderValue, Method, header};
use manifest_core::Digest;
use url::Url;

use super::Upload;
use super::session::{Session, held};
use crate::auth::token::{Access, Proof, scope};
use crate::error::TransportError;
use crate::http::{Failure, Progress, Request, Response, Streamed};
use crate::registry::Registry;
use crate::registry::manifest::refuse_page;
use crate::retry::{Hint, hint, may_pass};

/// What one request carries, in bytes of the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) from: u64,
    pub(super) length: u64,
    /// Whether the blob is complete with it: a PUT; else a PATCH.
    pub(super) finishes: bool,
}

impl Piece {
    /// What is sent next of a blob of which so much has arrived.
    ///
    /// The last request of a blob in pieces carries nothing, since not every registry takes something there; what is
    /// left of a blob that was meant to go in one goes with the last request.
    pub(super) const fn next(size: u64, from: u64, chunk: Option<u64>) -> Self {
        let left = size.saturating_sub(from);
        match chunk {
            Some(chunk) if left > 0 && (from > 0 || left > chunk) => {
                Self { from, length: if left < chunk { left } else { chunk }, finishes: false }
            }
            _ => Self { from, length: left, finishes: true },
        }
    }

    /// Where it ends.
    pub(super) const fn end(self) -> u64 {
        self.from.saturating_add(self.length)
    }

    /// Whether it is only a part of the blob, which not every registry takes.
    const fn is_part(self) -> bool {
        !self.finishes || self.from > 0
    }
}

/// What came of one request.
pub(super) enum Sent {
    /// The blob is there.
    Done,
    /// The registry took the piece: where it wants the next one, and the bytes that it says it has.
    Taken { url: Option<Url>, held: Option<u64> },
    /// Nobody knows what arrived.
    Lost(Loss, String, Hint),
    /// The session is gone: expired, or on another server behind a load balancer.
    Gone(String),
    /// It was more than the registry takes at once.
    TooLarge(TransportError),
    /// The registry does not take parts of a blob.
    Declined(TransportError),
    /// The registry received something else than was sent.
    Spoilt(TransportError),
    /// The login ran out.
    Unproven(Response, Proof),
}

/// Why nobody knows what arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It was sent, at least in part, and there was no answer.
    Silence,
    /// The registry has a fault that may pass, or is out of reach.
    Fault,
    /// The session is not where we thought that it is.
    WrongPlace,
}

impl Upload<'_, '_> {
    /// Sends a piece once.
    pub(super) async fn send(&mut self, session: &Session, piece: Piece) -> Result<Sent, TransportError> {
        let registry = self.registry;
        let mut request = registry.piece_request(session, piece, &self.blob.digest).await?;
        let authorizer = &registry.door().await?.authorizer;
        let proof = authorizer.prove(&mut request, &scope(self.path, Access::Push)).await?;
        let body = if piece.length == 0 && piece.from > 0 {
            Streamed { length: 0, body: reqwest::Body::default(), progress: Progress::default() }
        } else {
            self.source.body((piece.from, piece.length), self.blob.digest, &registry.http).await?
        };
        let outcome = registry.http.send_stream(&request, body).await;
        // What went wrong where the content comes from matters more than that the sending broke off.
        if let Some(error) = self.source.fault() {
            return Err(error);
        }
        match outcome {
            Ok(response) if response.status().as_u16() == 401 => Ok(Sent::Unproven(response, proof)),
            Ok(response) => registry.outcome(self.path, &request, piece, response).await,
            Err(Failure::Unsent(cause)) => Ok(Sent::Lost(Loss::Fault, cause, Hint::None)),
            Err(Failure::MayPass(cause)) => Ok(Sent::Lost(Loss::Silence, cause, Hint::None)),
            Err(Failure::Final(error)) => Err(error),
        }
    }
}

impl Registry {
    /// The request of a piece, still without the piece.
    pub(super) async fn piece_request(
        &self,
        session: &Session,
        piece: Piece,
        digest: &Digest,
    ) -> Result<Request, TransportError> {
        let method = if piece.finishes { Method::PUT } else { Method::PATCH };
        let mut request = self.session_request(method, session).await?;
        if piece.finishes {
            finish(&mut request, digest);
        }
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        if piece.is_part() && piece.length > 0 {
            // Inclusive, and without a unit.
            let range = format!("{}-{}", piece.from, piece.end() - 1);
            let range = HeaderValue::from_str(&range).map_err(|error| TransportError::Protocol {
                request: request.label(),
                what: error.to_string(),
            })?;
            request.headers.insert(header::CONTENT_RANGE, range);
        }
        Ok(request)
    }

    /// What an answer to a piece means.
    async fn outcome(
        &self,
        path: &str,
        request: &Request,
        piece: Piece,
        response: Response,
    ) -> Result<Sent, TransportError> {
        let status = response.status();
        match status.as_u16() {
            200..=299 if piece.finishes => return refuse_page(&response).map(|()| Sent::Done),
            200..=204 => {
                let url = self.location(request, &response).await?;
                return Ok(Sent::Taken { url, held: held(&response) });
            }
            404 => return Ok(Sent::Gone(response.complaint().await)),
            416 => return Ok(Sent::Lost(Loss::WrongPlace, response.complaint().await, Hint::None)),
            _ if may_pass(status) => {
                let hint = hint(status, response.headers());
                return Ok(Sent::Lost(Loss::Fault, response.complaint().await, hint));
            }
            _ => {}
        }
        Ok(match self.error(response, || format!("docker://{}/{path}", self.host)).await {
            error @ TransportError::Refused { status: 413, .. } => Sent::TooLarge(error),
            // What was sent had the right digest, so it was spoilt on the way.
            error if piece.finishes && has_code(&error, "DIGEST_INVALID") => Sent::Spoilt(error),
            error @ TransportError::Refused { .. } if piece.is_part() => Sent::Declined(error),
            error => return Err(error),
        })
    }
}

fn has_code(error: &TransportError, wanted: &str) -> bool {
    matches!(error, TransportError::Refused { code, .. } if code == wanted)
}

/// Adds the digest to an upload's URL and leaves everything else in it as the registry wrote it.
fn finish(request: &mut Request, digest: &Digest) {
    let query = match request.url.query() {
        Some(query) if !query.is_empty() => format!("{query}&digest={digest}"),
        _ => format!("digest={digest}"),
    };
    request.url.set_query(Some(&query));
}

#[cfg(test)]
mod tests {
    use super::Piece;

    #[test]
    fn a_blob_goes_in_one_piece_unless_pieces_are_wanted() {
        for (size, from, chunk, expected) in [
            (10, 0, None, (0, 10, true)),
            (10, 4, None, (4, 6, true)),
            (10, 10, None, (10, 0, true)),
            (10, 0, Some(10), (0, 10, true)),
            (10, 0, Some(4), (0, 4, false)),
            (10, 8, Some(4), (8, 2, false)),
            (10, 10, Some(4), (10, 0, true)),
            (0, 0, Some(4), (0, 0, true)),
        ] {
            let piece = Piece::next(size, from, chunk);
            assert_eq!((piece.from, piece.length, piece.finishes), expected, "{size} {from} {chunk:?}");
        }
    }
}
