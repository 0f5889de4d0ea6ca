//! Asking a registry for a blob without reading it.

use std::sync::Arc;

use http::{Method, header};
use manifest_core::Descriptor;

use super::Registry;
use crate::auth::token::{Access, scope};
use crate::error::TransportError;
use crate::start::Start;

impl Registry {
    /// Asks for a blob: whether the registry has it, and as long as its descriptor says if it tells how long it is.
    pub(crate) async fn look_at_blob(
        self: &Arc<Self>,
        path: &str,
        blob: &Descriptor,
    ) -> Result<(), TransportError> {
        let request = self.request(Method::HEAD, path, &format!("blobs/{}", blob.digest)).await?;
        let response = self.send(request, &scope(path, Access::Pull)).await?;
        let what = || format!("blob {} of docker://{}/{path}", blob.digest, self.host);
        match response.status().as_u16() {
            200 => {
                let length =
                    response.header(header::CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
                match length.filter(|found| *found != blob.size) {
                    Some(found) => {
                        Err(TransportError::SizeMismatch { what: what(), expected: blob.size, found })
                    }
                    None => Ok(()),
                }
            }
            // Some refuse HEAD; the answer to GET comes before its body, which is not read.
            400 | 403 | 405 => self.blob(path, blob, &Start::default()).await.map(drop),
            _ => Err(self.error(response, what).await),
        }
    }
}
