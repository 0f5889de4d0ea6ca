//! Whether a registry takes a login.

use http::Method;

use super::Registry;
use crate::auth::token::Scopes;
use crate::error::TransportError;
use crate::http::Request;

/// What came of showing a login to a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// It takes it.
    Accepted,
    /// It lets everybody in and asked for none.
    NotAsked,
}

impl Registry {
    /// Shows the login for the whole registry to it.
    ///
    /// Spec: OCI distribution-spec v1.1.1, "Determining Support".
    pub(crate) async fn check_login(&self) -> Result<Check, TransportError> {
        let door = self.door().await?;
        let request = Request::new(Method::GET, door.base.clone(), &self.tls);
        let response = self.send(request, &Scopes::new()).await?;
        if !response.status().is_success() {
            return Err(self.error(response, || format!("a registry at {}", self.host)).await);
        }
        Ok(if door.authorizer.asked().await? { Check::Accepted } else { Check::NotAsked })
    }
}
