//! Uploads: sessions, chunks and mounts.

use bytes::Bytes;
use http::Response;
use manifest_core::Digest;

use super::super::state::State;
use super::{error, respond, upload_unknown};
use crate::request::{Method, Request};

/// `POST /v2/NAME/blobs/uploads/`: mounts, stores in one go, or opens a session.
pub(super) fn start(state: &mut State, request: &Request, name: &str) -> Response<Bytes> {
    if request.method != Method::Post {
        return error(405, "UNSUPPORTED", "the operation is unsupported", "");
    }
    if let (Some(digest), Some(from)) = (request.query("mount"), request.query("from")) {
        let digest = Some(digest).filter(|_| !state.never_mount).unwrap_or_default();
        let mounted = digest.parse::<Digest>().ok().and_then(|d| Some((d, state.blob(&from, &d)?)));
        if let Some((digest, bytes)) = mounted {
            state.put_blob_as(name, digest, bytes);
            return created(name, &digest);
        }
    } else if let Some(digest) = request.query("digest") {
        return store(state, name, &digest, request.body.clone());
    }
    let id = state.open_upload(name);
    let mut answer = session(202, name, &id, 0);
    if let Some(least) = state.chunk_min_length {
        answer.headers_mut().insert("oci-chunk-min-length", least.into());
    }
    answer
}

/// A request to a session: `PATCH`, `PUT`, `GET`, `DELETE`.
pub(super) fn go_on(state: &mut State, request: &Request, name: &str, id: &str) -> Response<Bytes> {
    if state.body_limit.is_some_and(|limit| request.body_bytes > limit) {
        return error(413, "SIZE_INVALID", "that is too much at once", "");
    }
    let Some(upload) = state.upload(name, id) else { return upload_unknown() };
    let at = upload.bytes.len();
    let claimed = request.query("_state").and_then(|text| text.parse::<usize>().ok());
    match request.method {
        Method::Get => session(204, name, id, at),
        Method::Delete => {
            drop(state.close_upload(id));
            respond(204, &[], "")
        }
        Method::Patch | Method::Put if claimed.is_none() => {
            error(400, "BLOB_UPLOAD_INVALID", "blob upload invalid", "the query of Location is missing")
        }
        Method::Patch | Method::Put if claimed != Some(at) || starts_elsewhere(request, at) => {
            session(416, name, id, at)
        }
        Method::Patch => {
            upload.bytes.extend_from_slice(&request.body);
            session(202, name, id, at + request.body.len())
        }
        Method::Put => {
            upload.bytes.extend_from_slice(&request.body);
            let bytes = state.close_upload(id).map(|upload| upload.bytes.freeze()).unwrap_or_default();
            store(state, name, &request.query("digest").unwrap_or_default(), bytes)
        }
        _ => error(405, "UNSUPPORTED", "the operation is unsupported", ""),
    }
}

/// Adds bytes to a session, if it exists.
pub(super) fn append(state: &mut State, name: &str, id: &str, bytes: &[u8]) {
    if let Some(upload) = state.upload(name, id) {
        upload.bytes.extend_from_slice(bytes);
    }
}

/// Whether the request says that its first byte belongs to another place than `at`.
fn starts_elsewhere(request: &Request, at: usize) -> bool {
    let range = request.header("content-range").and_then(|range| range.split_once('-'));
    range.is_some_and(|(first, _)| first.parse() != Ok(at))
}

fn store(state: &mut State, name: &str, digest: &str, bytes: Bytes) -> Response<Bytes> {
    match digest.parse::<Digest>() {
        Ok(parsed) if parsed.verifies(&bytes) => {
            state.put_blob_as(name, parsed, bytes);
            created(name, &parsed)
        }
        _ => error(400, "DIGEST_INVALID", "provided digest did not match uploaded content", digest),
    }
}

fn created(name: &str, digest: &Digest) -> Response<Bytes> {
    let location = format!("/v2/{name}/blobs/{digest}");
    respond(201, &[("location", &location), ("docker-content-digest", &digest.to_string())], "")
}

/// Where a session stands. An empty one says `0-0`, as real registries do.
fn session(status: u16, name: &str, id: &str, bytes: usize) -> Response<Bytes> {
    let location = format!("/v2/{name}/blobs/uploads/{id}?_state={bytes}");
    let range = format!("0-{}", bytes.saturating_sub(1));
    respond(status, &[("location", &location), ("range", &range), ("docker-upload-uuid", id)], "")
}
