//! What is told of keys.

use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use manifest_sign::openpgp::Certificate;
use manifest_sign::sigstore::PublicKey;
use serde::Serialize;

use crate::words::time;

/// The object of each of the verbs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    schema: &'static str,
    keys: Vec<KeyReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_file: Option<String>,
    public: String,
}

/// What is public of one key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyReport {
    kind: &'static str,
    pub(super) id: String,
    pub(super) algorithm: String,
    user_ids: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unusable: Option<String>,
}

impl Report {
    /// Tells of keys, with their public halves as text.
    pub(super) fn new(keys: Vec<KeyReport>, public: &[u8]) -> Self {
        let public = String::from_utf8_lossy(public).into_owned();
        Self { schema: "key/1", keys, secret_file: None, public_file: None, public }
    }

    /// Tells of files that were made, too.
    pub(super) fn with_files(self, secret: &Path, public: &Path) -> Self {
        let text = |path: &Path| Some(path.display().to_string());
        Self { secret_file: text(secret), public_file: text(public), ..self }
    }
}

impl From<&PublicKey> for KeyReport {
    fn from(key: &PublicKey) -> Self {
        Self {
            kind: "sigstore",
            id: key.id().to_string(),
            algorithm: key.kind().as_str().to_owned(),
            user_ids: Vec::new(),
            created: None,
            expires: None,
            unusable: None,
        }
    }
}

impl KeyReport {
    /// Tells of an OpenPGP key as of `now`.
    pub(super) fn of_certificate(certificate: &Certificate, now: Timestamp) -> Self {
        let when = |when: SystemTime| Timestamp::try_from(when).ok();
        let expires = certificate.expires.and_then(when);
        let unusable = match &certificate.unusable {
            _ if certificate.revoked => Some("it was revoked".to_owned()),
            _ if expires.is_some_and(|expires| expires <= now) => Some("it has expired".to_owned()),
            why => why.clone(),
        };
        Self {
            kind: "openpgp",
            id: certificate.key.to_string(),
            algorithm: certificate.algorithm.clone(),
            user_ids: certificate.user_ids.clone(),
            created: when(certificate.created).map(time),
            expires: expires.map(time),
            unusable,
        }
    }
}
