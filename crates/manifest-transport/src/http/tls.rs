//! Whom TLS trusts, and who we are to it, where the user has a certificate directory for a host.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::error::TransportError;

/// How a host that the user named is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct Tls {
    /// `--tls-verify`: whether its certificate is checked; `None` when the user did not say.
    pub verify: Option<bool>,
    /// A directory with `*.crt` (authorities) and pairs of `*.cert` and `*.key` (our own certificate).
    pub cert_dir: Option<PathBuf>,
    /// A file with authorities.
    pub ca: Option<PathBuf>,
}

impl Tls {
    /// Whether the user has said anything that only TLS can keep.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.cert_dir.is_some() || self.ca.is_some()
    }
}

/// What a certificate directory holds.
#[derive(Debug, Default)]
struct Certificates {
    authorities: Vec<CertificateDer<'static>>,
    /// Our own certificate with what signed it, and its key.
    own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// The settings of connections to a host, where `tls` asks for more than the usual ones; `Err` is what is wrong, or a
/// file that cannot be read.
pub(super) fn config(tls: &Tls) -> Result<ClientConfig, Fault> {
    let certificates = certificates(tls)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Verifier::new(tls, certificates.authorities, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match certificates.own {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Why there are no settings.
#[derive(Debug)]
pub(super) enum Fault {
    Files(TransportError),
    Tls(String),
}

impl From<TransportError> for Fault {
    fn from(error: TransportError) -> Self {
        Self::Files(error)
    }
}

impl From<rustls::Error> for Fault {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error.to_string())
    }
}

fn certificates(tls: &Tls) -> Result<Certificates, Fault> {
    let mut found = Certificates::default();
    if let Some(ca) = &tls.ca {
        found.authorities.extend(read_certificates(ca)?);
    }
    let Some(directory) = &tls.cert_dir else { return Ok(found) };
    let (mut certs, mut keys) = (Vec::new(), Vec::new());
    for path in files_in(directory)? {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.authorities.extend(read_certificates(&path)?),
            Some("cert") => certs.push(path),
            Some("key") => keys.push(path),
            _ => {}
        }
    }
    for certificate in &certs {
        let key = certificate.with_extension("key");
        if !keys.contains(&key) {
            return Err(alone(certificate, &key));
        }
        // Where there are several, the last by name counts.
        let fault = |error| Fault::Tls(format!("{}: {error}", key.display()));
        let private = PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(fault)?;
        found.own = Some((read_certificates(certificate)?, private));
    }
    match keys.iter().find(|key| !certs.contains(&key.with_extension("cert"))) {
        Some(key) => Err(alone(key, &key.with_extension("cert"))),
        None => Ok(found),
    }
}

fn alone(there: &Path, missing: &Path) -> Fault {
    Fault::Tls(format!("{} has no {} beside it", there.display(), missing.display()))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let fault = |what: String| Fault::Tls(format!("{}: {what}", path.display()));
    let text = read(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| fault(error.to_string()))?;
    if certificates.is_empty() {
        return Err(fault("it holds no certificate in PEM form".to_owned()));
    }
    Ok(certificates)
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

/// Checks the certificate of a server against the authorities of the system and those of the user.
///
/// A certificate that the user has given is also taken from the server itself: many people make one that signs itself,
/// and put it where authorities are expected. Host name and dates are checked of it as of any other.
#[derive(Debug)]
struct Verifier {
    inner: rustls_platform_verifier::Verifier,
    given: Vec<CertificateDer<'static>>,
    /// Whether certificates are checked at all.
    checks: bool,
}

impl Verifier {
    fn new(
        tls: &Tls,
        given: Vec<CertificateDer<'static>>,
        provider: &Arc<rustls::crypto::CryptoProvider>,
    ) -> Result<Self, Fault> {
        let inner = if given.is_empty() {
            rustls_platform_verifier::Verifier::new(Arc::clone(provider))?
        } else {
            let authorities = given.iter().cloned();
            rustls_platform_verifier::Verifier::new_with_extra_roots(authorities, Arc::clone(provider))?
        };
        Ok(Self { inner, given, checks: tls.verify != Some(false) })
    }
}

/// Whether nothing is wrong with a certificate but who signed it. The chain is looked into only when the
/// certificate itself, with its dates, was found in order.
fn only_the_chain_is_wrong(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        // What the TLS library says of an authority that is a server has no name of its own.
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.to_string().contains("CaUsedAsEndEntity")
        }
        _ => false,
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.checks {
            return Ok(ServerCertVerified::assertion());
        }
        let verified =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(error) if only_the_chain_is_wrong(&error) && self.given.contains(end_entity) => {
                let certificate = rustls::server::ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&certificate, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
