//! The HTTP clients beneath, one for each way of connecting, made when first needed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use url::Url;

use super::names::{Resolver, Stands};
use super::tls::{self, Tls};
use super::{Failure, authority};
use crate::error::TransportError;

/// Who named the host of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Chosen {
    /// The user.
    ByUser,
    /// A server that stands there, by a redirect, a realm or an upload location; it may not send us to just any address.
    ByServer(Stands),
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

#[derive(Debug)]
pub(super) struct Clients {
    pub(super) resolver: Resolver,
    made: Mutex<BTreeMap<Key, reqwest::Client>>,
}

impl Clients {
    pub(super) fn new(resolver: Resolver) -> Self {
        Self { resolver, made: Mutex::default() }
    }

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
        let mut clients = self.made.lock().map_err(poisoned)?;
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = build(url, &key, &self.resolver)?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

fn failed(url: &Url, message: impl Into<String>) -> TransportError {
    TransportError::Tls { host: authority(url), message: message.into() }
}

fn build(url: &Url, key: &Key, resolver: &Resolver) -> Result<reqwest::Client, TransportError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("manifest/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_nodelay(true)
        .dns_resolver(Arc::new(resolver.judging(key.chosen)));
    if key.loopback {
        // A proxy would look for the service on its own machine.
        builder = builder.no_proxy();
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
    builder: reqwest::ClientBuilder,
    url: &Url,
    tls: &Tls,
) -> Result<reqwest::ClientBuilder, TransportError> {
    if !tls.is_wanted() {
        return Ok(if tls.verify == Some(false) {
            builder.tls_danger_accept_invalid_certs(true)
        } else {
            builder
        });
    }
    match tls::config(tls) {
        Ok(config) => Ok(builder.tls_backend_preconfigured(config)),
        Err(tls::Fault::Files(error)) => Err(error),
        Err(tls::Fault::Tls(message)) => Err(failed(url, message)),
    }
}

/// Whether the URL names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    crate::auth::realm::host_is_loopback(url)
}

/// What the HTTP library says first of a proxy that did not let us through to a server behind TLS.
const TUNNEL: &str = "tunnel error: ";

/// What an error of the HTTP library means: certificates and names do not get better, all else may.
pub(super) fn failure(url: &Url, error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let mut message = causes(&error);
    if texts(&error).iter().any(|text| text.starts_with(TUNNEL)) {
        message = format!("no way through the proxy: {}", message.replace(TUNNEL, ""));
    }
    // What the TLS library says of a first record that is none.
    if message.contains("InvalidContentType") {
        let message = "the server does not speak TLS".to_owned();
        return Failure::Final(TransportError::Unreachable { host: authority(url), message });
    }
    let hopeless = error.is_builder()
        || message.contains("certificate")
        // What the server thinks of ours, such as that it is missing.
        || (message.contains("fatal alert") && message.contains("Certificate"))
        || message.contains("proxy authorization required")
        || message.contains("no address that a server")
        || message.contains("Name or service not known")
        || message.contains("No address associated with hostname")
        || message.contains("nodename nor servname");
    if hopeless {
        return Failure::Final(TransportError::Unreachable { host: authority(url), message });
    }
    if error.is_connect() { Failure::Unsent(message) } else { Failure::MayPass(message) }
}

/// What an error and its causes say, the innermost last.
fn texts(error: &reqwest::Error) -> Vec<String> {
    let mut inner: &dyn std::error::Error = error;
    let mut texts = vec![error.to_string()];
    while let Some(next) = inner.source() {
        texts.push(next.to_string());
        inner = next;
    }
    texts
}

/// The causes of an error, from the innermost that says something new; outer layers only repeat.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut texts = texts(error);
    let last = texts.pop().unwrap_or_default();
    match texts.into_iter().next_back().filter(|text| !text.contains(&last)) {
        Some(outer) if outer != "client error (Connect)" => format!("{outer}: {last}"),
        _ => last,
    }
}
