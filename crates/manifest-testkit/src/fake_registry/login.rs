//! Who may do what at the fake registry.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Response;

use super::route::{Route, error};
use crate::request::Request;
use crate::token_server::{Issued, SERVICE, TokenServer, Verdict};

/// How clients prove who they are.
#[derive(Debug, Default)]
pub(super) enum Login {
    #[default]
    Anonymous,
    /// The value of the header that is expected.
    Basic(String),
    /// The tokens that were issued, and where they are to be had.
    Bearer(Arc<Issued>, String),
}

impl Login {
    pub(super) fn basic(user: &str, password: &str) -> Self {
        Self::Basic(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    pub(super) fn bearer(tokens: &TokenServer) -> Self {
        Self::Bearer(tokens.issued(), tokens.realm())
    }

    /// The answer to a request that lacks the login.
    pub(super) fn refuse(&self, request: &Request) -> Option<Response<Bytes>> {
        match self {
            Self::Anonymous => None,
            Self::Basic(expected) if request.authorization() == Some(expected) => None,
            Self::Basic(_) => Some(challenge("Basic realm=\"fake registry\"".to_owned())),
            Self::Bearer(issued, realm) => {
                let scopes = scopes(request);
                let token = request.authorization().and_then(|value| value.strip_prefix("Bearer "));
                let why = match token.map(|token| issued.check(token, &scopes)) {
                    Some(Verdict::Good) => return None,
                    Some(Verdict::TooNarrow) => ",error=\"insufficient_scope\"",
                    Some(Verdict::Unknown) => ",error=\"invalid_token\"",
                    None => "",
                };
                let scope = match scopes.join(" ") {
                    none if none.is_empty() => none,
                    some => format!(",scope=\"{some}\""),
                };
                Some(challenge(format!("Bearer realm=\"{realm}\",service=\"{SERVICE}\"{scope}{why}")))
            }
        }
    }
}

/// The scopes a request needs.
fn scopes(request: &Request) -> Vec<String> {
    let Some(repository) = Route::of(request.path()).repository() else { return Vec::new() };
    let actions = match request.method {
        method if method.reads() => "pull",
        crate::Method::Delete if !request.path().contains("/uploads/") => "delete",
        _ => "pull,push",
    };
    let mut scopes = vec![format!("repository:{repository}:{actions}")];
    if let (Some(from), Some(_)) = (request.query("from"), request.query("mount")) {
        scopes.push(format!("repository:{from}:pull"));
    }
    scopes
}

fn challenge(value: String) -> Response<Bytes> {
    let mut answer = error(401, "UNAUTHORIZED", "authentication required", "");
    let value = http::HeaderValue::from_str(&value).expect("a challenge without line ends");
    answer.headers_mut().insert("www-authenticate", value);
    answer
}
