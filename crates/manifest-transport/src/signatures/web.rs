//! A lookaside store at a web server, which is only read from.

use http::{Method, StatusCode};
use url::Url;

use super::{Found, MAX_SIGNATURE, MAX_SIGNATURES, check_room};
use crate::error::TransportError;
use crate::http::{Http, Request, authority};
use crate::registry::refuse_page;
use crate::settings::Settings;

/// Reads the signatures below `base`, one after another until one is not there.
pub(super) async fn read(
    (http, settings): (&Http, &Settings),
    base: &Url,
    name: &str,
    room: usize,
) -> Result<Found, TransportError> {
    let (mut found, limit) = (Found::default(), MAX_SIGNATURE.min(room));
    for number in 1..=MAX_SIGNATURES + 1 {
        let request = request(settings, base, (name, number), Method::GET)?;
        let label = request.label();
        let (response, body) = http.send_and_read(request, limit).await?;
        match (response.status(), body) {
            (StatusCode::NOT_FOUND, _) => break,
            (status, _) if !status.is_success() => return Err(response.refusal().await),
            (_, None) => return Err(TransportError::TooLarge { what: label, limit: limit as u64 }),
            (_, Some(signature)) => {
                refuse_page(&response)?;
                check_room(base.as_str(), &found.signatures, &signature, room)?;
                found.signatures.push(signature);
            }
        }
    }
    if found.signatures.is_empty() {
        let second = request(settings, base, (name, 2), Method::HEAD)?;
        // It is only for a hint, so that failing to look is no failure.
        found.gap = http.probe(second).await.is_ok_and(|response| response.status() == StatusCode::OK);
    }
    Ok(found)
}

fn request(
    settings: &Settings,
    base: &Url,
    (name, number): (&str, usize),
    method: Method,
) -> Result<Request, TransportError> {
    let text = format!("{}/{name}/signature-{number}", base.as_str().trim_end_matches('/'));
    let url = Url::parse(&text).map_err(|error| TransportError::Protocol {
        request: format!("{method} {text}"),
        what: error.to_string(),
    })?;
    let tls = settings.tls(&authority(&url));
    Ok(Request::new(method, url, &tls))
}
