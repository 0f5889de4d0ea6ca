//! What the user decides about transports.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::auth::{CredentialSearch, Environment};
use crate::config::{Registries, SignatureStores};
use crate::http::{DEFAULT_JOBS, Names, SystemNames, Tls};
use crate::retry::RetryPolicy;

/// What the user decides about transports.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct Settings {
    /// Where logins are looked for.
    pub credentials: Arc<CredentialSearch>,
    /// How single hosts (`host[:port]`) are spoken to.
    pub hosts: BTreeMap<String, Tls>,
    /// Directories with certificate directories of single hosts, named `host[:port]`; the first that has one of a host
    /// counts, where `hosts` says nothing of its certificates.
    pub certs_dirs: Vec<PathBuf>,
    /// Where the addresses of hosts come from.
    pub names: Arc<dyn Names>,
    /// Where registries are really found.
    pub registries: Registries,
    /// Where simple signatures are kept.
    pub signatures: SignatureStores,
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
            certs_dirs: Vec::new(),
            names: Arc::new(SystemNames),
            registries: Registries::default(),
            signatures: SignatureStores::default(),
            auth_hosts: Vec::new(),
            retry: RetryPolicy::default(),
            jobs: DEFAULT_JOBS,
            chunk: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// How a host is spoken to.
    pub(crate) fn tls(&self, host: &str) -> Tls {
        let mut tls = self.hosts.get(host).cloned().unwrap_or_default();
        if !tls.is_wanted() {
            tls.cert_dir =
                self.certs_dirs.iter().map(|directory| directory.join(host)).find(|found| found.is_dir());
        }
        tls
    }
}
