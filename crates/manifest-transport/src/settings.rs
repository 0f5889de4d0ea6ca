//! What the user decides about transports.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::auth::{CredentialSearch, Environment};
use crate::http::{DEFAULT_JOBS, Tls};
use crate::retry::RetryPolicy;

/// What the user decides about transports.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct Settings {
    /// Where logins are looked for.
    pub credentials: Arc<CredentialSearch>,
    /// How single hosts (`host[:port]`) are spoken to.
    pub hosts: BTreeMap<String, Tls>,
    /// Pairs of registry and token server (`host` or `host:port`) where the login may go to the latter.
    pub auth_hosts: Vec<(String, String)>,
    /// How often and how patiently requests are repeated.
    pub retry: RetryPolicy,
    /// Requests to one host that are under way at most.
    pub jobs: usize,
    /// Hosts (`host[:port]`) that take blobs only in pieces, and the bytes of a piece. Other hosts get a blob in one
    /// piece, unless they say that it is too large.
    pub chunk: BTreeMap<String, u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            credentials: Arc::new(CredentialSearch::new(&Environment::default())),
            hosts: BTreeMap::new(),
            auth_hosts: Vec::new(),
            retry: RetryPolicy::default(),
            jobs: DEFAULT_JOBS,
            chunk: BTreeMap::new(),
        }
    }
}
