//! Tags of a registry: what they mean, and how that changes without undoing what somebody else did.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use manifest_core::{Digest, MediaType, Tag};

use super::Registry;
use super::manifest::{announced, told_digest};
use crate::auth::token::{Access, scope};
use crate::error::TransportError;
use crate::http::{Attempt, Request, Response, Setback};
use crate::manifest::At;
use crate::retry::Hint;

/// What a tag means now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagState {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The type of its manifest.
    pub media_type: MediaType,
    /// The bytes of its manifest, where the place tells.
    pub size: Option<u64>,
    /// The entity tag, for [`Expect::ETag`], where the place gives one.
    pub etag: Option<String>,
}

/// What a tag has to mean for it to be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect {
    /// Anything or nothing.
    #[default]
    Any,
    /// Nothing: the tag is new.
    Absent,
    /// What it meant when this entity tag was read.
    ETag(String),
}

impl Expect {
    /// Whether a tag that means this is as expected, where digests are the entity tags.
    pub(crate) fn allows(&self, found: Option<Digest>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => found.is_none(),
            Self::ETag(etag) => found.is_some_and(|found| digest_etag(&found) == *etag),
        }
    }
}

/// The entity tag of content that has no other one.
pub(crate) fn digest_etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// What keeps a tag from being taken from somebody else; by default nothing does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct Guard {
    /// What the tag has to mean. A registry that knows no preconditions sets it all the same.
    pub expect: Expect,
    /// What the tag meant when it was last read, if it was: with it, an attempt of which nobody knows what came is
    /// repeated only when the tag has not moved. Looked at for registries only.
    pub before: Option<Option<Digest>>,
}

/// What came of deleting a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deleted {
    /// The tag is gone, or was not there.
    Done,
    /// The place deletes no tags.
    Unsupported,
}

/// Tags that one request sets at most: as many as every registry takes that takes several.
///
/// Spec: OCI distribution-spec, draft of 1.2, "Pushing Manifests".
const TAGS_AT_ONCE: usize = 10;

impl Registry {
    /// What a tag means now; `None` when there is no such tag. A registry that refuses HEAD, or leaves something out
    /// of the answer, is asked with GET.
    pub(crate) async fn tag_state(&self, path: &str, tag: &Tag) -> Result<Option<TagState>, TransportError> {
        let at = At::Tag(tag.clone());
        let request = self.manifest_request(Method::HEAD, path, &at).await?;
        let response = self.send(request, &scope(path, Access::Pull)).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if let (StatusCode::OK, Some(digest), Ok(Some(media_type))) =
            (response.status(), told_digest(&response), announced(&response))
        {
            let size = response.header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
            return Ok(Some(TagState { digest, media_type, size, etag: strong_etag(&response) }));
        }
        drop(response);
        match self.tagged_manifest(path, &at).await {
            Ok((manifest, etag)) => {
                let size = Some(manifest.bytes.len() as u64);
                let (digest, media_type) = (manifest.digest, manifest.media_type);
                Ok(Some(TagState { digest, media_type, size, etag }))
            }
            Err(TransportError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a manifest and lets a tag mean it.
    ///
    /// With a guard, an attempt of which nobody knows what came is repeated only after a look at the tag. An answer that
    /// names no digest is good only when the tag shows it.
    pub(crate) async fn put_tag(
        &self,
        path: &str,
        tag: &Tag,
        (media_type, bytes): (&MediaType, Bytes),
        guard: &Guard,
    ) -> Result<(), TransportError> {
        let at = At::Tag(tag.clone());
        let mut request = self.put_request(path, &at, media_type, bytes.clone()).await?;
        add_precondition(&mut request, &guard.expect)?;
        let ours = Digest::sha256(&bytes);
        let mut retry = 0;
        loop {
            let response = match self.send_once(request.clone(), &scope(path, Access::Push)).await? {
                Attempt::Answer(response) => response,
                Attempt::Setback(setback) => {
                    let look = setback.carried_out && *guard != Guard::default();
                    let paused = self.pause(&request, retry, setback).await;
                    retry += 1;
                    // The last attempt may be the one that was carried out.
                    let set = if look { self.is_set(path, tag, ours, guard).await } else { Ok(false) };
                    match (paused, set) {
                        (_, Ok(true)) => return Ok(()),
                        (Err(error), _) | (Ok(()), Err(error)) => return Err(error),
                        (Ok(()), Ok(false)) => continue,
                    }
                }
            };
            if response.status() != StatusCode::PRECONDITION_FAILED {
                let taken = self.check_put(response, path, &at, &bytes).await?;
                // Who says what it took is believed; who does not is asked, if we may.
                let told = told_digest(&taken).is_some();
                drop(taken);
                match if told { Ok(true) } else { self.is_set(path, tag, ours, guard).await } {
                    Ok(false) => {}
                    Err(error @ TransportError::Moved { .. }) => return Err(error),
                    Ok(true) | Err(_) => return Ok(()),
                }
                let (cause, hint) = ("the tag does not mean what was taken".to_owned(), Hint::None);
                self.pause(&request, retry, Setback { cause, hint, carried_out: true }).await?;
                retry += 1;
                continue;
            }
            drop(response);
            self.compares.get_or_init(|| true);
            // What is said below is an error in any case; this only makes it a better one.
            let found = self.tag_state(path, tag).await.ok().flatten().map(|state| state.digest);
            return match found {
                Some(found) if found == ours && retry > 0 => Ok(()),
                _ => Err(TransportError::Moved { name: self.name(path, &at), found }),
            };
        }
    }

    /// Whether a tag has become ours by an attempt that seemed to fail; an error when it has become something else.
    async fn is_set(
        &self,
        path: &str,
        tag: &Tag,
        ours: Digest,
        guard: &Guard,
    ) -> Result<bool, TransportError> {
        let found = self.tag_state(path, tag).await?.map(|state| state.digest);
        if found == Some(ours) {
            return Ok(true);
        }
        let before = match guard.expect {
            Expect::Absent => Some(None),
            Expect::Any | Expect::ETag(_) => guard.before,
        };
        if before.is_some_and(|before| before != found) {
            return Err(TransportError::Moved { name: self.name(path, &At::Tag(tag.clone())), found });
        }
        Ok(false)
    }

    /// Writes a manifest under its digest and lets several tags mean it; which of them the registry confirms.
    ///
    /// Spec: OCI distribution-spec, draft of 1.2, "Pushing Manifests": `?tag=`, `OCI-Tag`.
    pub(crate) async fn put_tags(
        &self,
        path: &str,
        digest: &Digest,
        (media_type, bytes): (&MediaType, Bytes),
        tags: &[Tag],
    ) -> Result<Vec<Tag>, TransportError> {
        let at = At::Digest(*digest);
        let mut confirmed = Vec::new();
        for some in tags.chunks(TAGS_AT_ONCE) {
            let mut request = self.put_request(path, &at, media_type, bytes.clone()).await?;
            let query: Vec<String> = some.iter().map(|tag| format!("tag={tag}")).collect();
            request.url.set_query(Some(&query.join("&")));
            let response = self.send(request, &scope(path, Access::Push)).await?;
            let response = self.check_put(response, path, &at, &bytes).await?;
            let values = response.headers().get_all("oci-tag").iter().filter_map(|value| value.to_str().ok());
            let told: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
            let before = confirmed.len();
            confirmed.extend(some.iter().filter(|tag| told.contains(&tag.as_str())).cloned());
            if !*self.multi_tag.get_or_init(|| confirmed.len() > before) {
                break;
            }
        }
        Ok(confirmed)
    }

    /// Whether the registry refuses to write where a precondition does not hold. A manifest that is there is written once
    /// more under its digest, which changes nothing, under a condition that cannot hold.
    pub(crate) async fn compares(
        &self,
        path: &str,
        digest: &Digest,
        (media_type, bytes): (&MediaType, Bytes),
    ) -> bool {
        if let Some(known) = self.compares.get() {
            return *known;
        }
        let answer = async {
            let mut request = self.put_request(path, &At::Digest(*digest), media_type, bytes).await?;
            let nothing = Digest::sha256(b"no manifest is empty");
            add_precondition(&mut request, &Expect::ETag(digest_etag(&nothing)))?;
            self.send(request, &scope(path, Access::Push)).await
        };
        match answer.await.map(|response| response.status()) {
            Ok(status) => *self.compares.get_or_init(|| status == StatusCode::PRECONDITION_FAILED),
            Err(_) => false,
        }
    }

    /// Whether it is known that it does.
    pub(crate) fn is_known_to_compare(&self) -> bool {
        self.compares.get().copied().unwrap_or(false)
    }

    /// Whether the registry sets several tags at once; `None` while that is not known.
    pub(crate) fn supports_multi_tag(&self) -> Option<bool> {
        self.multi_tag.get().copied()
    }

    /// Deletes a tag, never what it means.
    ///
    /// Spec: OCI distribution-spec v1.1.1, "Deleting tags".
    pub(crate) async fn delete_tag(&self, path: &str, tag: &Tag) -> Result<Deleted, TransportError> {
        self.delete(path, &format!("manifests/{tag}")).await
    }

    /// Deletes what stands below a repository: a tag, a manifest or a blob.
    pub(crate) async fn delete(&self, path: &str, what: &str) -> Result<Deleted, TransportError> {
        let request = self.request(Method::DELETE, path, what).await?;
        let response = self.send(request, &scope(path, Access::Delete)).await?;
        match response.status().as_u16() {
            200..=204 | 404 => Ok(Deleted::Done),
            400 | 405 | 501 => Ok(Deleted::Unsupported),
            _ => match self.error(response, || format!("{what} of docker://{}/{path}", self.host)).await {
                TransportError::Refused { code, .. } if code == "UNSUPPORTED" => Ok(Deleted::Unsupported),
                error => Err(error),
            },
        }
    }
}

/// The entity tag of an answer. A weak one is of no use: no precondition ever holds with it.
///
/// Spec: RFC 9110, 8.8.3 and 13.1.1.
pub(super) fn strong_etag(response: &Response) -> Option<String> {
    response.header(header::ETAG).filter(|etag| !etag.starts_with("W/"))
}

/// Spec: RFC 9110, 13.1.1 and 13.1.2.
fn add_precondition(request: &mut Request, expect: &Expect) -> Result<(), TransportError> {
    let (name, value) = match expect {
        Expect::Any => return Ok(()),
        Expect::Absent => (header::IF_NONE_MATCH, HeaderValue::from_static("*")),
        Expect::ETag(etag) => {
            let value = HeaderValue::from_str(etag).map_err(|error| TransportError::Protocol {
                request: request.label(),
                what: format!("the entity tag is none: {error}"),
            })?;
            (header::IF_MATCH, value)
        }
    };
    request.headers.insert(name, value);
    Ok(())
}
