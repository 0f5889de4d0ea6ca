//! Whether a registry has ever heard of a repository.

use http::{Method, StatusCode};

use super::Registry;
use crate::auth::token::{Access, scope};
use crate::error::TransportError;

impl Registry {
    /// Asks for one tag of a repository: whether the registry knows the name at all. One that answers anything else than that
    /// it does not is taken to know it.
    ///
    /// Spec: OCI distribution-spec v1.1.1, "Listing Tags"; "Error Codes", `NAME_UNKNOWN`.
    pub(crate) async fn knows(&self, path: &str) -> Result<bool, TransportError> {
        let request = self.request(Method::GET, path, "tags/list?n=1").await?;
        let mut response = self.send(request, &scope(path, Access::Pull)).await?;
        Ok(response.status() != StatusCode::NOT_FOUND || response.error().await.0 != "NAME_UNKNOWN")
    }
}
