//! Simple signatures that a registry keeps itself.
//!
//! Spec: containers/image `docs/signature-protocols.md`, "X-Registry-Supports-Signatures".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, header};
use manifest_core::{Digest, check_json};
use serde::Deserialize;
use serde_json::json;

use super::Registry;
use super::manifest::refuse_page;
use crate::auth::token::{Access, scope};
use crate::error::TransportError;
use crate::http::{Body, Request, same_origin};
use crate::retry::Hint;
use crate::signatures::{Kept, MAX_SIGNATURE, MAX_SIGNATURES};

/// The header that says that there is such an interface.
const HEADER: &str = "x-registry-supports-signatures";
/// The version and the type of signatures that we know.
const VERSION: u64 = 2;
const TYPE: &str = "atomic";
/// Bytes that are read of the list of signatures: room for the largest one, as base64, and for many of the usual size.
const MAX_LIST: usize = 8 << 20;
/// How many names are tried for a signature; none is taken but by a miracle or a lost answer.
const NAMES: usize = 4;

#[derive(Deserialize)]
struct Listed {
    signatures: Option<Vec<One>>,
}

#[derive(Deserialize)]
struct One {
    #[serde(default, rename = "schemaVersion")]
    version: u64,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    content: String,
}

impl Registry {
    /// Whether the registry says that it keeps signatures.
    pub(crate) async fn keeps_signatures(&self) -> Result<bool, TransportError> {
        let look = || async {
            let door = self.door().await?;
            // It says so to everybody, also along with the wish for a login.
            let response = self.http.send(Request::new(Method::GET, door.base.clone(), &self.tls)).await?;
            let says = response.headers().get(HEADER).is_some_and(|value| value == "1");
            Ok(says && same_origin(response.url(), &door.base))
        };
        self.signatures.get_or_try_init(look).await.copied()
    }

    /// The signatures of a manifest.
    pub(crate) async fn signatures(
        &self,
        path: &str,
        digest: &Digest,
        room: usize,
    ) -> Result<Vec<Bytes>, TransportError> {
        let limit = room.min(MAX_LIST);
        let request = self.signatures_request(Method::GET, path, digest).await?;
        let mut retry = 0;
        loop {
            let mut response = self.send(request.clone(), &scope(path, Access::Pull)).await?;
            match response.status().as_u16() {
                404 => return Ok(Vec::new()),
                200 => refuse_page(&response)?,
                _ => return Err(self.error(response, || request.label()).await),
            }
            match response.bytes(limit).await {
                Ok(Some(body)) => return parse(&request.label(), &body),
                Ok(None) => {
                    return Err(TransportError::TooLarge { what: request.label(), limit: limit as u64 });
                }
                Err(cause) => {
                    drop(response);
                    self.http.pause(&request.label(), &request.url, retry, Hint::None, cause).await?;
                    retry += 1;
                }
            }
        }
    }

    /// Adds a signature of a manifest, unless it is there already.
    pub(crate) async fn add_signature(
        &self,
        path: &str,
        digest: &Digest,
        signature: &[u8],
    ) -> Result<Kept, TransportError> {
        let mut request = self.signatures_request(Method::PUT, path, digest).await?;
        let place = format!("the registry {}", self.host);
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for round in 0..NAMES {
            let there = self.signatures(path, digest, MAX_LIST).await?;
            if there.iter().any(|one| one == signature) {
                // Behind a name that was taken it is ours, of which only the answer was lost.
                return Ok(if round == 0 { Kept::Already(place) } else { Kept::Added(place) });
            }
            if there.len() >= MAX_SIGNATURES {
                return Err(TransportError::TooManySignatures(request.label(), MAX_SIGNATURES));
            }
            let document = json!({
                "schemaVersion": VERSION,
                "name": format!("{digest}@{}", chance(&request)?),
                "type": TYPE,
                "content": STANDARD.encode(signature),
            });
            request.body = Body::Bytes(document.to_string().into());
            let response = self.send(request.clone(), &scope(path, Access::Push)).await?;
            match response.status() {
                status if status.is_success() => {
                    refuse_page(&response)?;
                    return Ok(Kept::Added(place));
                }
                http::StatusCode::CONFLICT => {}
                _ => return Err(self.error(response, || request.label()).await),
            }
        }
        Err(TransportError::Contended {
            name: request.label(),
            rounds: u32::try_from(NAMES).unwrap_or(u32::MAX),
        })
    }

    async fn signatures_request(
        &self,
        method: Method,
        path: &str,
        digest: &Digest,
    ) -> Result<Request, TransportError> {
        let door = self.door().await?;
        let place = format!("/extensions/v2/{path}/signatures/{digest}");
        let url = door.base.join(&place).map_err(|error| TransportError::Protocol {
            request: format!("{method} {place}"),
            what: error.to_string(),
        })?;
        Ok(Request::new(method, url, &self.tls))
    }
}

/// What is unique in the name of a signature: 32 hexadecimal digits.
fn chance(request: &Request) -> Result<String, TransportError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| TransportError::Protocol {
        request: request.label(),
        what: format!("there is no randomness for a name: {error}"),
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Signatures of other types and versions are passed over.
fn parse(what: &str, body: &[u8]) -> Result<Vec<Bytes>, TransportError> {
    let wrong = |why: String| TransportError::Protocol { request: what.to_owned(), what: why };
    check_json(body).map_err(|error| wrong(format!("the list of signatures is {error}")))?;
    let listed: Listed = serde_json::from_slice(body)
        .map_err(|error| wrong(format!("the answer is not a list of signatures: {error}")))?;
    let known = listed.signatures.unwrap_or_default().into_iter();
    let known: Vec<_> = known.filter(|one| one.version == VERSION && one.kind == TYPE).collect();
    if known.len() > MAX_SIGNATURES {
        return Err(TransportError::TooManySignatures(what.to_owned(), MAX_SIGNATURES));
    }
    let decode = |one: One| {
        let decoded = STANDARD.decode(one.content);
        let signature = decoded.map_err(|error| wrong(format!("a signature is not base64: {error}")))?;
        if signature.len() > MAX_SIGNATURE {
            let (what, limit) = (format!("a signature of {what}"), MAX_SIGNATURE as u64);
            return Err(TransportError::TooLarge { what, limit });
        }
        Ok(signature.into())
    };
    known.into_iter().map(decode).collect()
}
