//! Why a registry may have refused a list, and what helps.

use jiff::Timestamp;
use manifest_core::Encoded;
use manifest_publish::{Probe, PublishError, Suspect, suspects};
use manifest_store::Store;
use manifest_transport::TransportError;

use crate::error::CliError;
use crate::probed;
use crate::words::ago;

/// Where a list was refused.
struct Refusal<'a> {
    host: &'a str,
    repository: &'a str,
}

/// Adds to the error of a list that was refused what in it may be the reason, as far as that is known.
pub(super) async fn explain(error: PublishError, list: &Encoded, store: &Store) -> CliError {
    let Some(Refusal { host, repository }) = refusal(&error, list) else { return error.into() };
    // What cannot be read helps nobody here.
    let known = probed::find(store, host).await.ok().flatten();
    let suspects = suspects(list, known.as_ref());
    let mut hint = match (&known, suspects.iter().any(|suspect| suspect.is_known)) {
        (Some(Probe { probed, .. }), true) => {
            let ago = ago(*probed, Timestamp::now());
            format!("{host} does not take it, as it showed when it was probed {ago}: {}", told(&suspects))
        }
        _ if suspects.is_empty() => "nothing in the list is known to be refused elsewhere".to_owned(),
        _ => format!("the reason may be: {}", told(&suspects)),
    };
    if !suspects.iter().any(|suspect| suspect.is_known) {
        hint.push_str(&format!("; manifest registry probe {host}/{repository} finds out what it takes"));
    }
    CliError::Advised(Box::new(error.into()), hint)
}

fn told(suspects: &[Suspect]) -> String {
    let one = |Suspect { what, advice, .. }: &Suspect| format!("{what} ({advice})");
    suspects.iter().map(one).collect::<Vec<_>>().join(", or ")
}

/// Where the list was refused for what it is, if it was.
fn refusal<'a>(error: &'a PublishError, list: &Encoded) -> Option<Refusal<'a>> {
    let (request, status, code) = match error {
        PublishError::TagStuck { source, .. } => return refusal(source, list),
        PublishError::Transport(TransportError::Refused { request, status, code, .. }) => {
            (request, status, code)
        }
        _ => return None,
    };
    let is_about_kind = matches!(status, 400 | 405 | 415 | 422)
        && !code.ends_with("_UNKNOWN")
        && !matches!(code.as_str(), "TAG_INVALID" | "NAME_INVALID" | "SIZE_INVALID" | "DIGEST_INVALID");
    let (host, path) = request.strip_prefix("PUT ")?.split_once("://")?.1.split_once("/v2/")?;
    let (repository, reference) = path.split_once("/manifests/")?;
    let is_list = !reference.contains(':') || reference == list.digest.to_string();
    let host = if host == "registry-1.docker.io" { "docker.io" } else { host };
    (is_about_kind && is_list).then_some(Refusal { host, repository })
}
