//! Layers that lie elsewhere: where their descriptors say that they can be had.
//!
//! Spec: OCI image-spec v1.1.1 `descriptor.md`, "urls"; `layer.md`, "Non-Distributable Layers".

use http::Method;
use manifest_core::Descriptor;
use url::Url;

use crate::error::TransportError;
use crate::http::{Chosen, Request, Stands, Tls, authority, is_loopback, target};
use crate::place::{Place, Transport};
use crate::registry::blob::{Server, read};
use crate::start::Start;
use crate::stream::Blob;

/// Addresses of one blob that are tried at most.
const MAX_ADDRESSES: usize = 8;

impl Transport {
    /// Opens a blob of a place, and where the place lacks a layer that its licence keeps elsewhere, that layer there.
    ///
    /// Whoever wrote the manifest chose the addresses, so they get no login and must be https; as with a redirect, none leads
    /// to this machine or the like, unless the registry is on this machine itself. Digest and size decide what is taken.
    ///
    /// # Errors
    /// As [`Place::blob_from`]; else what the last address brought.
    pub async fn blob_or_elsewhere(
        &self,
        place: &Place,
        blob: &Descriptor,
        start: &Start,
    ) -> Result<Blob, TransportError> {
        let lacking = match place.blob_from(blob, start).await {
            Err(error @ (TransportError::NotFound(_) | TransportError::Reader(..)))
                if blob.media_type.is_foreign() =>
            {
                error
            }
            opened => return opened,
        };
        let mut last = lacking;
        for address in blob.urls.iter().take(MAX_ADDRESSES) {
            match self.elsewhere(place, address, blob, start).await {
                Ok(opened) => return Ok(opened),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn elsewhere(
        &self,
        place: &Place,
        address: &str,
        blob: &Descriptor,
        start: &Start,
    ) -> Result<Blob, TransportError> {
        let base = place.base().await?;
        let sender = base.as_ref().map_or(Stands::Outside, |base| self.http().stands(base));
        let request = request(base, sender, address, blob)?;
        let what = format!("layer {} at {}", blob.digest, authority(&request.url));
        read(Server::Anybody(self.http().clone()), request, what, (blob, start)).await
    }
}

/// A request to an address that a manifest names, if we may go there; `base` is the registry that the manifest came from, and `sender`
/// where that stands.
fn request(
    base: Option<Url>,
    sender: Stands,
    address: &str,
    blob: &Descriptor,
) -> Result<Request, TransportError> {
    let protocol = |what: &str| TransportError::Protocol {
        request: format!("GET layer {}", blob.digest),
        what: what.to_owned(),
    };
    let url: Url =
        address.parse().map_err(|error| protocol(&format!("its manifest names an address: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(protocol("its manifest names an address with a user name in it"));
    }
    // Files are judged as an outside host is.
    let from = match base {
        Some(base) => base,
        None => Url::parse("https://image.invalid/").map_err(|error| protocol(&error.to_string()))?,
    };
    let mut request = Request::new(Method::GET, from, &Tls::default());
    request.url = target(&request, url.as_str())?;
    if request.url.scheme() != "https" && !is_loopback(&request.url) {
        return Err(protocol("its manifest names an address that is not https"));
    }
    if !is_loopback(&request.url) {
        request.chosen = Chosen::ByServer(sender);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use manifest_core::{Digest, MediaType};

    use super::*;

    /// SEC-1.
    #[test]
    fn an_address_in_a_manifest_leads_nowhere_that_a_redirect_may_not() {
        let layer = MediaType::from("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
        let blob = Descriptor::new(layer, Digest::sha256(b""), 0);
        for (from, address, is_allowed) in [
            (None, "https://cdn.example/layer", true),
            (None, "https://10.0.0.7/layer", true),
            (None, "http://cdn.example/layer", false),
            (None, "https://127.0.0.1/layer", false),
            (None, "https://localhost/layer", false),
            (None, "https://169.254.169.254/latest", false),
            (None, "https://ann:pw@cdn.example/layer", false),
            (None, "file:///etc/passwd", false),
            (None, "layer", false),
            (Some("https://r.example/v2/"), "https://cdn.example/layer", true),
            (Some("https://r.example/v2/"), "http://r.example/layer", false),
            (Some("http://r.example/v2/"), "http://cdn.example/layer", false),
            (Some("http://r.example/v2/"), "http://127.0.0.1/layer", false),
            (Some("http://127.0.0.1:5000/v2/"), "http://127.0.0.1:9000/layer", true),
            (Some("http://127.0.0.1:5000/v2/"), "http://169.254.169.254/layer", false),
        ] {
            let found = request(from.map(|from| from.parse().unwrap()), Stands::Outside, address, &blob);
            assert_eq!(found.is_ok(), is_allowed, "{from:?} {address}");
            let Ok(request) = found else { continue };
            assert!(request.headers.is_empty());
            assert_eq!(request.chosen != Chosen::ByUser, !address.contains("127.0.0.1"), "{address}");
        }
    }
}
