//! Whether a registry takes blobs in pieces.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use manifest_core::Descriptor;

use super::piece::Piece;
use super::session::Session;
use crate::auth::token::{Access, scope};
use crate::error::TransportError;
use crate::http::Body;
use crate::registry::Registry;

/// What came of sending a blob in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pieced {
    /// Whether the blob is there.
    pub taken: bool,
    /// The bytes that a piece should have at least, if the registry says so.
    pub least: Option<u64>,
}

impl Registry {
    /// Sends a blob in two pieces, each once.
    pub(crate) async fn try_pieces(
        &self,
        path: &str,
        blob: &Descriptor,
        bytes: &Bytes,
    ) -> Result<Pieced, TransportError> {
        let mut request = self.request(Method::POST, path, "blobs/uploads/").await?;
        request.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let response = self.send(request.clone(), &scope(path, Access::Push)).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.error(response, || format!("docker://{}/{path}", self.host)).await);
        }
        let least = response.headers().get("oci-chunk-min-length");
        let least = least.and_then(|least| least.to_str().ok()?.trim().parse().ok());
        let mut session = Session::new(self.opened(&request, &response).await?);
        drop(response);
        let taken = self.in_two(path, &mut session, blob, bytes).await.unwrap_or(false);
        if !taken {
            self.cancel(path, &session).await;
        }
        Ok(Pieced { taken, least })
    }

    async fn in_two(
        &self,
        path: &str,
        session: &mut Session,
        blob: &Descriptor,
        bytes: &Bytes,
    ) -> Result<bool, TransportError> {
        let (size, half) = (blob.size, blob.size / 2);
        for (from, end, finishes) in [(0, half, false), (half, size, false), (size, size, true)] {
            let piece = Piece { from, length: end - from, finishes };
            let mut request = self.piece_request(session, piece, &blob.digest).await?;
            let span = usize::try_from(from).ok().zip(usize::try_from(end).ok());
            let content = span.and_then(|(from, end)| bytes.get(from..end)).unwrap_or_default();
            request.body = Body::Bytes(bytes.slice_ref(content));
            let response = self.send(request.clone(), &scope(path, Access::Push)).await?;
            if !response.status().is_success() {
                return Ok(false);
            }
            if let (false, Some(url)) = (finishes, self.location(&request, &response).await?) {
                session.url = url;
            }
        }
        Ok(true)
    }
}
