//! Blobs that a registry takes over from a neighbouring repository.

use http::{HeaderValue, Method, header};
use manifest_core::Digest;
use url::Url;

use super::Registry;
use crate::auth::token::{Access, scope};
use crate::error::TransportError;

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
        let mut need = scope(path, Access::Push);
        need.entry(from.to_owned()).or_insert(Access::Pull);
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
            202 => Ok(Mounted::Session(self.opened(&request, &response).await?)),
            400..=499 => Ok(Mounted::Refused),
            _ => Err(self.error(response, || format!("docker://{}/{path}", self.host)).await),
        }
    }
}
