//! The requests of the distribution API.

mod upload;

use bytes::Bytes;
use http::{Response, StatusCode};
use manifest_core::Digest;
use serde_json::json;

use super::state::State;
use crate::request::{Method, Request, all_parameters};

/// What a path of the API names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Base,
    Catalog,
    Manifest(&'a str, &'a str),
    Blob(&'a str, &'a str),
    Uploads(&'a str),
    Upload(&'a str, &'a str),
    Tags(&'a str),
    Referrers(&'a str, &'a str),
    /// Of the extension for simple signatures.
    Signatures(&'a str, &'a str),
    Unknown,
}

impl<'a> Route<'a> {
    pub(super) fn of(path: &'a str) -> Self {
        if let Some(signed) = path.strip_prefix("/extensions/v2/") {
            let split = signed.split_once("/signatures/");
            return split.map_or(Self::Unknown, |(name, digest)| Self::Signatures(name, digest));
        }
        let Some(rest) = path.strip_prefix("/v2") else { return Self::Unknown };
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        match rest {
            "" => return Self::Base,
            "_catalog" => return Self::Catalog,
            _ => {}
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Self::Tags(name);
        }
        if let Some((name, id)) = rest.rsplit_once("/blobs/uploads/") {
            return if id.is_empty() { Self::Uploads(name) } else { Self::Upload(name, id) };
        }
        if let Some(name) = rest.strip_suffix("/blobs/uploads") {
            return Self::Uploads(name);
        }
        let split =
            |middle| rest.rsplit_once(middle).filter(|(name, last)| !name.is_empty() && !last.contains('/'));
        match (split("/manifests/"), split("/blobs/"), split("/referrers/")) {
            (Some((name, reference)), ..) => Self::Manifest(name, reference),
            (_, Some((name, digest)), _) => Self::Blob(name, digest),
            (.., Some((name, digest))) => Self::Referrers(name, digest),
            _ => Self::Unknown,
        }
    }

    pub(super) fn repository(&self) -> Option<&'a str> {
        match *self {
            Self::Base | Self::Catalog | Self::Unknown => None,
            Self::Manifest(name, _) | Self::Blob(name, _) | Self::Uploads(name) => Some(name),
            Self::Upload(name, _) | Self::Tags(name) => Some(name),
            Self::Referrers(name, _) | Self::Signatures(name, _) => Some(name),
        }
    }
}

/// Carries a request out.
pub(super) fn answer(state: &mut State, request: &Request) -> Response<Bytes> {
    let mut answer = match Route::of(request.path()) {
        Route::Base if state.signatures.is_some() => {
            let headers = [("content-type", "application/json"), ("x-registry-supports-signatures", "1")];
            respond(200, &headers, "{}")
        }
        Route::Base => respond(200, &[("content-type", "application/json")], "{}"),
        Route::Catalog => listing(request, "repositories", json!({}), state.names().into_iter().cloned()),
        Route::Tags(name) if !state.knows(name) => {
            error(404, "NAME_UNKNOWN", "repository name not known", name)
        }
        Route::Tags(name) => listing(request, "tags", json!({ "name": name }), state.tags(name).into_iter()),
        Route::Manifest(name, reference) => manifest(state, request, name, reference),
        Route::Blob(name, digest) => blob(state, request, name, digest),
        Route::Uploads(name) => upload::start(state, request, name),
        Route::Upload(name, id) => upload::go_on(state, request, name, id),
        Route::Referrers(name, digest) if state.serve_referrers => referrers(state, request, name, digest),
        Route::Signatures(name, digest) if state.signatures.is_some() => {
            signatures(state, request, (name, digest))
        }
        Route::Referrers(..) | Route::Signatures(..) | Route::Unknown => {
            respond(404, &[("content-type", "text/plain")], "404 page not found\n")
        }
    };
    let version = http::HeaderValue::from_static("registry/2.0");
    answer.headers_mut().insert("docker-distribution-api-version", version);
    answer
}

/// Adds what came of a body to its upload, as registries do when a connection breaks.
pub(super) fn keep_partial(state: &mut State, request: &Request) {
    if let (Method::Patch | Method::Put, Route::Upload(name, id)) =
        (request.method, Route::of(request.path()))
    {
        upload::append(state, name, id, &request.body);
    }
}

/// Drops the upload of a request.
pub(super) fn forget(state: &mut State, request: &Request) -> Response<Bytes> {
    if let Route::Upload(_, id) = Route::of(request.path()) {
        drop(state.close_upload(id));
    }
    upload_unknown()
}

/// Lists the signatures of a manifest, or adds one under a name that is not taken.
fn signatures(state: &mut State, request: &Request, (name, digest): (&str, &str)) -> Response<Bytes> {
    let all = state.signatures.get_or_insert_default();
    let those = all.entry(format!("{name}@{digest}")).or_default();
    match request.method {
        Method::Put => {
            let Ok(new) = serde_json::from_slice::<serde_json::Value>(&request.body) else {
                return error(400, "INVALID", "not JSON", name);
            };
            if those.iter().any(|one| one["name"] == new["name"]) {
                return error(409, "CONFLICT", "the name is taken", name);
            }
            those.push(new);
            respond(201, &[], "")
        }
        _ => {
            let body = json!({ "signatures": those }).to_string();
            respond(200, &[("content-type", "application/json")], body)
        }
    }
}

/// A page of what refers to a manifest; `artifactType` is filtered by, as the answer says.
fn referrers(state: &State, request: &Request, name: &str, digest: &str) -> Response<Bytes> {
    let wanted = request.query("artifactType");
    let mut all = state.referrers(name, digest);
    all.retain(|one| wanted.as_ref().is_none_or(|wanted| one["artifactType"] == **wanted));
    let from = request.query("from").and_then(|from| from.parse().ok()).unwrap_or(0);
    let end = state.referrers_per_page.map_or(all.len(), |count| all.len().min(from + count));
    let kind = manifest_core::MediaType::OCI_INDEX.to_string();
    let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": all[from.min(end)..end] });
    let mut headers = vec![("content-type", kind.as_str())];
    if wanted.is_some() {
        headers.push(("oci-filters-applied", "artifactType"));
    }
    let link = format!("<{}?from={end}>; rel=\"next\"", request.path());
    if end < all.len() {
        headers.push(("link", &link));
    }
    respond(200, &headers, index.to_string())
}

fn manifest(state: &mut State, request: &Request, name: &str, reference: &str) -> Response<Bytes> {
    match request.method {
        Method::Get | Method::Head => match state.manifest(name, reference) {
            None => error(404, "MANIFEST_UNKNOWN", "manifest unknown", reference),
            Some((digest, manifest)) => {
                let digest = digest.to_string();
                let etag = format!("\"{digest}\"");
                let mut headers = vec![("docker-content-digest", digest.as_str()), ("etag", etag.as_str())];
                if !manifest.media_type.is_empty() {
                    headers.push(("content-type", &manifest.media_type));
                }
                respond(200, &headers, manifest.bytes.clone())
            }
        },
        Method::Put => put_manifest(state, request, name, reference),
        Method::Delete
            if (state.keep_tags && !reference.contains(':'))
                || (state.keep_manifests && reference.contains(':')) =>
        {
            error(405, "UNSUPPORTED", "the operation is unsupported", reference)
        }
        Method::Delete if state.remove_manifest(name, reference) => respond(202, &[], ""),
        Method::Delete => error(404, "MANIFEST_UNKNOWN", "manifest unknown", reference),
        _ => error(405, "UNSUPPORTED", "the operation is unsupported", reference),
    }
}

fn put_manifest(state: &mut State, request: &Request, name: &str, reference: &str) -> Response<Bytes> {
    let bytes = &request.body;
    if reference.contains(':') && !reference.parse::<Digest>().is_ok_and(|digest| digest.verifies(bytes)) {
        return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content", reference);
    }
    if !state.ignore_preconditions && !precondition_holds(state, request, name, reference) {
        return error(412, "", "the manifest is another one now", reference);
    }
    let media_type = request.header("content-type").unwrap_or_default();
    if state.refused.is_some_and(|refused| refused(&serde_json::from_slice(bytes).unwrap_or_default())) {
        return error(400, "MANIFEST_INVALID", "manifest invalid", "not of a kind that is taken here");
    }
    let means_other = state.manifest(name, reference).is_some_and(|(digest, _)| !digest.verifies(bytes));
    if state.freeze_tags && means_other {
        return error(400, "TAG_INVALID", "the tag is immutable", reference);
    }
    match state.missing_children(name, media_type, bytes) {
        None => return error(400, "MANIFEST_INVALID", "manifest invalid", "not JSON"),
        Some(missing) if !missing.is_empty() && !state.allow_missing_children => {
            return error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", &missing.join(" "));
        }
        Some(_) => {}
    }
    let digest = state.put_manifest(name, reference, media_type, bytes.clone()).to_string();
    let location = format!("/v2/{name}/manifests/{digest}");
    let mut headers = vec![("docker-content-digest", digest.as_str()), ("location", location.as_str())];
    let value: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    if let (true, Some(subject)) =
        (state.serve_referrers && !state.hide_subjects, value["subject"]["digest"].as_str())
    {
        headers.push(("oci-subject", subject));
    }
    let tags: Vec<String> = match request.target.split_once('?') {
        Some((_, query)) if state.set_many_tags => all_parameters(query, "tag").collect(),
        _ => Vec::new(),
    };
    for tag in &tags {
        state.put_manifest(name, tag, media_type, bytes.clone());
    }
    let set = tags.join(", ");
    if !set.is_empty() {
        headers.push(("oci-tag", &set));
    }
    respond(201, &headers, "")
}

/// Spec: RFC 9110, 13.1.1 and 13.1.2.
fn precondition_holds(state: &State, request: &Request, name: &str, reference: &str) -> bool {
    let etag = state.manifest(name, reference).map(|(digest, _)| format!("\"{digest}\""));
    match (request.header("if-match"), request.header("if-none-match")) {
        (Some(wanted), _) => etag.is_some_and(|etag| wanted == "*" || wanted == etag),
        (None, Some(refused)) => etag.is_none_or(|etag| refused != "*" && refused != etag),
        (None, None) => true,
    }
}

fn blob(state: &mut State, request: &Request, name: &str, text: &str) -> Response<Bytes> {
    let Ok(digest) = text.parse::<Digest>() else {
        return error(400, "DIGEST_INVALID", "provided digest is no digest", text);
    };
    let Some(bytes) = state.blob(name, &digest) else {
        return error(404, "BLOB_UNKNOWN", "blob unknown to registry", text);
    };
    let mut headers = vec![("content-type", "application/octet-stream"), ("docker-content-digest", text)];
    headers.push(("accept-ranges", "bytes"));
    match (request.method, request.header("range")) {
        (Method::Get, Some(range)) => match span(range, bytes.len()) {
            Some((first, end)) => {
                let content_range = format!("bytes {first}-{}/{}", end - 1, bytes.len());
                headers.push(("content-range", &content_range));
                respond(206, &headers, bytes.slice(first..end))
            }
            None => {
                let content_range = format!("bytes */{}", bytes.len());
                respond(416, &[("content-range", &content_range)], "")
            }
        },
        (Method::Get | Method::Head, _) => respond(200, &headers, bytes),
        (Method::Delete, _) => {
            state.remove_blob(name, &digest);
            respond(202, &[], "")
        }
        _ => error(405, "UNSUPPORTED", "the operation is unsupported", text),
    }
}

/// First and end of a range such as `bytes=5-9` or `bytes=5-`.
fn span(range: &str, len: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let end = if last.is_empty() { len } else { last.parse::<usize>().ok()?.saturating_add(1).min(len) };
    (first < end).then_some((first, end))
}

/// A page of names, with a `Link` to the next one when there is more.
fn listing(
    request: &Request,
    key: &str,
    mut object: serde_json::Value,
    names: impl Iterator<Item = String>,
) -> Response<Bytes> {
    let last = request.query("last").unwrap_or_default();
    let limit = request.query("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let rest: Vec<String> = names.filter(|name| *name > last).collect();
    let page = &rest[..limit.min(rest.len())];
    object[key] = json!(page);
    let link = page.last().map(|name| format!("<{}?n={limit}&last={name}>; rel=\"next\"", request.path()));
    match link.filter(|_| page.len() < rest.len()) {
        Some(link) => {
            respond(200, &[("content-type", "application/json"), ("link", &link)], object.to_string())
        }
        None => respond(200, &[("content-type", "application/json")], object.to_string()),
    }
}

fn upload_unknown() -> Response<Bytes> {
    error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", "")
}

/// An answer with these headers.
pub(super) fn respond(
    status: u16,
    headers: &[(&'static str, &str)],
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    for (name, value) in headers {
        let value = http::HeaderValue::from_bytes(value.as_bytes()).expect("the value of a header");
        answer.headers_mut().insert(*name, value);
    }
    answer
}

/// An error in the form of the distribution-spec.
pub(super) fn error(status: u16, code: &str, message: &str, detail: &str) -> Response<Bytes> {
    let body = json!({ "errors": [{ "code": code, "message": message, "detail": detail }] });
    respond(status, &[("content-type", "application/json; charset=utf-8")], body.to_string())
}

#[cfg(test)]
mod tests {
    use super::Route;

    #[test]
    fn paths_name_repositories_of_any_depth() {
        for (path, route) in [
            ("/v2/", Route::Base),
            ("/v2", Route::Base),
            ("/v2/_catalog", Route::Catalog),
            ("/v2/a/b/c/manifests/v1", Route::Manifest("a/b/c", "v1")),
            ("/v2/manifests/blobs/sha256:00", Route::Blob("manifests", "sha256:00")),
            ("/v2/a/blobs/uploads/", Route::Uploads("a")),
            ("/v2/a/blobs/uploads/x", Route::Upload("a", "x")),
            ("/v2/a/tags/list", Route::Tags("a")),
            ("/v2/a/referrers/sha256:00", Route::Referrers("a", "sha256:00")),
            ("/v1/a", Route::Unknown),
            ("/v2/a/manifests/v1/x", Route::Unknown),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
