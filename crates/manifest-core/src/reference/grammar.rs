//! The grammar of references.

use super::{HUB, LOCAL, Reference, ReferenceError, Repository, shown};
use crate::Digest;

/// The longest name inside a registry, in characters, which are all ASCII.
pub(super) const PATH_LIMIT: usize = 255;

/// An alias of the hub from the time when it had an index.
const LEGACY_HUB: &str = "index.docker.io";

/// Reads `[DOMAIN/]PATH[:TAG][@DIGEST]`; `home` is the domain of a text that gives none.
pub(super) fn parse(text: &str, home: &str) -> Result<Reference, ReferenceError> {
    if text.is_empty() {
        return Err(ReferenceError::Empty);
    }
    if text.contains("://") {
        return Err(ReferenceError::Scheme(shown(text)));
    }
    if is_id(text) || text.parse::<Digest>().is_ok() {
        return Err(ReferenceError::Identifier(shown(text)));
    }
    let (domain, rest) = split_domain(text, home);
    if !is_domain(domain) {
        return Err(ReferenceError::Domain { reference: shown(text), domain: shown(domain) });
    }
    let (name, digest) = split_off(rest, '@');
    let (path, tag) = split_off(name, ':');
    let path = check_path(domain, path, text)?;
    let tag = tag.map(|tag| tag.parse().map_err(|error| ReferenceError::Tag(shown(text), error)));
    let digest =
        digest.map(|digest| digest.parse().map_err(|error| ReferenceError::Digest(shown(text), error)));
    Ok(Reference {
        repository: Repository { domain: domain.to_owned(), path },
        tag: tag.transpose()?,
        digest: digest.transpose()?,
    })
}

/// Whether this is how Docker writes the id of an image or container.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// Takes the registry from the front; what remains is path, tag and digest.
fn split_domain<'a>(text: &'a str, home: &'a str) -> (&'a str, &'a str) {
    match text.split_once('/') {
        Some((LEGACY_HUB, rest)) => (HUB, rest),
        Some((first, rest))
            if first == LOCAL || first.contains(|c: char| matches!(c, '.' | ':') || c.is_uppercase()) =>
        {
            (first, rest)
        }
        _ => (home, text),
    }
}

fn split_off(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(head, tail)| (head, Some(tail)))
}

/// Checks the path and completes it: a single component on the hub is an official image.
fn check_path(domain: &str, path: &str, text: &str) -> Result<String, ReferenceError> {
    if path.contains(char::is_uppercase) {
        return Err(ReferenceError::UpperCase(shown(text)));
    }
    if !path.split('/').all(is_component) {
        return Err(ReferenceError::Path(shown(text)));
    }
    let official = domain == HUB && !path.contains('/');
    let path = if official { format!("library/{path}") } else { path.to_owned() };
    if path.len() > PATH_LIMIT {
        return Err(ReferenceError::TooLong { reference: shown(text), found: path.len() });
    }
    Ok(path)
}

/// Whether this is runs of lower-case letters and digits, joined by `.`, `_`, `__` or hyphens.
fn is_component(text: &str) -> bool {
    let in_run = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(in_run)
        && text.ends_with(in_run)
        && text
            .split(in_run)
            .all(|joint| matches!(joint, "." | "_" | "__") || joint.chars().all(|c| c == '-'))
}

/// Whether this is a host name or a bracketed IPv6 address, with an optional port.
fn is_domain(text: &str) -> bool {
    let (is_host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']').unwrap_or_default();
            let is_address =
                !address.is_empty() && address.bytes().all(|c| c.is_ascii_hexdigit() || c == b':');
            (is_address, port)
        }
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (host.split('.').all(is_label), port)
        }
    };
    is_host && (port.is_empty() || port.strip_prefix(':').is_some_and(is_number))
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())
}
