//! The HTTP clients beneath, one for each way of connecting, made when first needed.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use super::{Failure, authority};
use crate::auth::realm::server_chosen_address_is_forbidden;
use crate::error::TransportError;

/// How a host that the user named is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct Tls {
    /// `--tls-verify`: whether its certificate is checked; `None` when the user did not say.
    pub verify: Option<bool>,
    /// A directory with `*.crt` (authorities) and pairs of `*.cert` and `*.key` (our own certificate).
    pub cert_dir: Option<PathBuf>,
}

/// Who named the host of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Chosen {
    /// The user.
    ByUser,
    /// A server, by a redirect, a realm or an upload location; it may not send us to just any address.
    ByServer,
}

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    https: bool,
    loopback: bool,
    tls: Tls,
    chosen: Chosen,
}

#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<BTreeMap<Key, reqwest::Client>>);

impl Clients {
    pub(super) fn client(
        &self,
        url: &Url,
        tls: &Tls,
        chosen: Chosen,
    ) -> Result<reqwest::Client, TransportError> {
        let https = url.scheme() == "https";
        let tls = if https { tls.clone() } else { Tls::default() };
        let key = Key { https, loopback: is_loopback(url), tls, chosen };
        let poisoned = |_| failed(url, "a client is being made by a thread that died");
        let mut clients = self.0.lock().map_err(poisoned)?;
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = build(url, &key)?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

fn failed(url: &Url, message: impl Into<String>) -> TransportError {
    TransportError::Tls { host: authority(url), message: message.into() }
}

fn build(url: &Url, key: &Key) -> Result<reqwest::Client, TransportError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("manifest/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_nodelay(true);
    if key.loopback {
        // A proxy would look for the service on its own machine.
        builder = builder.no_proxy();
    }
    if key.chosen == Chosen::ByServer {
        builder = builder.dns_resolver(Arc::new(Guarded));
    }
    builder = if key.https { with_tls(builder, url, &key.tls)? } else { without_tls(builder, url)? };
    builder.build().map_err(|error| failed(url, causes(&error)))
}

/// Plain HTTP needs no trust store; loading one would take longer than the whole request.
fn without_tls(builder: reqwest::ClientBuilder, url: &Url) -> Result<reqwest::ClientBuilder, TransportError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(url, error.to_string()))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(builder.tls_backend_preconfigured(config))
}

fn with_tls(
    mut builder: reqwest::ClientBuilder,
    url: &Url,
    tls: &Tls,
) -> Result<reqwest::ClientBuilder, TransportError> {
    if tls.verify == Some(false) {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    let Some(directory) = &tls.cert_dir else { return Ok(builder) };
    let mut authorities = Vec::new();
    for path in files_in(directory)? {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => {
                let certificates = reqwest::Certificate::from_pem_bundle(&read(&path)?)
                    .map_err(|error| failed(url, format!("{}: {}", path.display(), causes(&error))))?;
                authorities.extend(certificates);
            }
            Some("cert") => builder = builder.identity(identity(url, &path)?),
            _ => {}
        }
    }
    Ok(builder.tls_certs_merge(authorities))
}

/// Our own certificate: `NAME.cert` and the key beside it, `NAME.key`.
fn identity(url: &Url, certificate: &Path) -> Result<reqwest::Identity, TransportError> {
    let key = certificate.with_extension("key");
    if !key.exists() {
        return Err(failed(url, format!("{} has no {} beside it", certificate.display(), key.display())));
    }
    let mut pem = read(certificate)?;
    pem.push(b'\n');
    pem.extend(read(&key)?);
    reqwest::Identity::from_pem(&pem)
        .map_err(|error| failed(url, format!("{}: {}", certificate.display(), causes(&error))))
}

fn files_in(directory: &Path) -> Result<Vec<PathBuf>, TransportError> {
    let error = |error| TransportError::Io("read the certificate directory", directory.to_owned(), error);
    let entries = std::fs::read_dir(directory).map_err(error)?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(error)?;
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>, TransportError> {
    std::fs::read(path).map_err(|error| TransportError::Io("read", path.to_owned(), error))
}

/// Resolves names that a server chose, and leaves out addresses that it may not choose.
#[derive(Debug)]
struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = |address: &SocketAddr| !server_chosen_address_is_forbidden(address.ip());
            let allowed: Vec<SocketAddr> = found.into_iter().filter(allowed).collect();
            if allowed.is_empty() {
                let refusal = format!("{} has no address that a server may send us to", name.as_str());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, refusal).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether the URL names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    crate::auth::realm::host_is_loopback(url)
}

/// What an error of the HTTP library means: certificates and names do not get better, all else may.
pub(super) fn failure(url: &Url, error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let message = causes(&error);
    // What the TLS library says of a first record that is none.
    if message.contains("InvalidContentType") {
        let message = "the server does not speak TLS".to_owned();
        return Failure::Final(TransportError::Unreachable { host: authority(url), message });
    }
    let hopeless = error.is_builder()
        || message.contains("certificate")
        || message.contains("no address that a server")
        || message.contains("Name or service not known")
        || message.contains("No address associated with hostname")
        || message.contains("nodename nor servname");
    if hopeless {
        return Failure::Final(TransportError::Unreachable { host: authority(url), message });
    }
    if error.is_connect() { Failure::Unsent(message) } else { Failure::MayPass(message) }
}

/// The causes of an error, from the innermost that says something new; outer layers only repeat.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    let mut texts = vec![error.to_string()];
    while let Some(next) = inner.source() {
        texts.push(next.to_string());
        inner = next;
    }
    let last = texts.pop().unwrap_or_default();
    match texts.into_iter().next_back().filter(|text| !text.contains(&last)) {
        Some(outer) if outer != "client error (Connect)" => format!("{outer}: {last}"),
        _ => last,
    }
}
