//! JSON web tokens that the real registry accepts.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{Certificate, CertificateParams, KeyPair, PKCS_RSA_SHA256, SigningKey as _};
use serde_json::json;

use super::SERVICE;
use super::issued::Scope;

/// Who issues the tokens.
pub(crate) const ISSUER: &str = "testkit-issuer";

const KEY: &str = include_str!("../../fixtures/token-signing-key.pem");

/// A key with its certificate.
pub(super) struct Signer {
    key: KeyPair,
    certificate: Certificate,
}

impl Signer {
    pub(super) fn new() -> Self {
        let key = KeyPair::from_pem_and_sign_algo(KEY, &PKCS_RSA_SHA256).expect("the key of the fixture");
        let params = CertificateParams::new(vec!["testkit".to_owned()]).expect("a host name");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { key, certificate }
    }

    pub(super) fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// A token for these scopes.
    ///
    /// Spec: RFC 7519 with RFC 7515 `x5c`; claims as in Docker's "Token Authentication Implementation".
    pub(super) fn token(&self, serial: u64, subject: &str, scopes: &[Scope], seconds: u64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
        let header =
            json!({ "typ": "JWT", "alg": "RS256", "x5c": [STANDARD.encode(self.certificate.der())] });
        let access = scopes
            .iter()
            .map(|scope| json!({ "type": scope.kind, "name": scope.name, "actions": scope.actions }));
        let claims = json!({
            "iss": ISSUER, "sub": subject, "aud": SERVICE, "jti": serial.to_string(),
            "iat": now, "nbf": now.saturating_sub(5), "exp": now + seconds,
            "access": access.collect::<Vec<_>>(),
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.key.sign(signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}
