//! What refers to a manifest of a registry: by the referrers API, or by the tag that stands in for it.
//!
//! Spec: OCI distribution-spec v1.1.1, "Listing Referrers", "Referrers Tag Schema".

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use manifest_core::{Descriptor, Digest, Document, Format, List, MAX_MANIFEST_SIZE, MediaType, Tag};

use super::Registry;
use super::manifest::{announced, is_page};
use crate::auth::token::{Access, scope};
use crate::error::TransportError;
use crate::http::{Request, Response, authority, same_origin, target};
use crate::manifest::At;
use crate::place::ReferrersAt;
use crate::retry::Hint;

/// Referrers of one manifest that are listed.
const MAX_REFERRERS: usize = 10_000;
/// Pages in which a registry may list them.
const MAX_PAGES: usize = 1_000;

/// A page of the API's answer, and where the next one is.
type Page = (Vec<Descriptor>, Option<Request>);

impl Registry {
    /// Lists the manifests whose subject is `subject`.
    ///
    /// A registry that has the API now may have got referrers before it had: so the fallback tag is read in any case.
    pub(crate) async fn referrers(
        &self,
        path: &str,
        subject: &Digest,
        artifact_type: Option<&MediaType>,
        at: ReferrersAt,
    ) -> Result<Vec<Descriptor>, TransportError> {
        if at == ReferrersAt::Tag {
            return self.noted(path, subject).await;
        }
        let listed = self.listed(path, subject, artifact_type).await?;
        if let (ReferrersAt::Registry, Some(listed)) = (at, &listed) {
            return Ok(listed.clone());
        }
        let noted = self.noted(path, subject);
        let noted = match noted.await {
            Err(TransportError::NotReferrers { .. } | TransportError::Decode { .. }) if listed.is_some() => {
                Vec::new()
            }
            noted => noted?,
        };
        let mut seen = BTreeSet::new();
        let all = listed.into_iter().flatten().chain(noted);
        Ok(all.filter(|entry| seen.insert(entry.digest)).collect())
    }

    /// Whether there is an API that lists referrers.
    pub(crate) async fn serves_referrers(&self, path: &str) -> Result<bool, TransportError> {
        let none = Digest::sha256(b"nothing has this digest");
        Ok(self.listed(path, &none, None).await?.is_some())
    }

    /// What the API lists, page by page; `None` where there is no API.
    async fn listed(
        &self,
        path: &str,
        subject: &Digest,
        artifact_type: Option<&MediaType>,
    ) -> Result<Option<Vec<Descriptor>>, TransportError> {
        let mut request = self.request(Method::GET, path, &format!("referrers/{subject}")).await?;
        let accept = header::HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
        request.headers.insert(header::ACCEPT, accept);
        if let Some(artifact_type) = artifact_type {
            request.url.query_pairs_mut().append_pair("artifactType", artifact_type.as_str());
        }
        let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
        // A page that leads back to one that was read ends the list: there is nothing else to be had.
        while seen.insert(request.url.clone()) {
            let label = request.label();
            let Some((entries, next)) = self.page(path, request).await? else {
                if seen.len() == 1 {
                    return Ok(None);
                }
                let what = "a page of referrers that the server names is not there".to_owned();
                return Err(TransportError::Protocol { request: label, what });
            };
            all.extend(entries);
            if all.len() > MAX_REFERRERS || seen.len() > MAX_PAGES {
                return Err(TransportError::TooManyReferrers(*subject, MAX_REFERRERS));
            }
            let Some(next) = next else { break };
            request = next;
        }
        Ok(Some(all))
    }

    /// Reads one page; `None` when the answer is none of the API.
    async fn page(&self, path: &str, request: Request) -> Result<Option<Page>, TransportError> {
        let mut retry = 0;
        loop {
            let mut response = self.send(request.clone(), &scope(path, Access::Pull)).await?;
            match response.status().as_u16() {
                200 => {}
                400 | 404 | 405 | 501 => return Ok(None),
                _ => return Err(self.error(response, || request.label()).await),
            }
            if is_page(&response)
                || announced(&response)?.is_some_and(|announced| announced != MediaType::OCI_INDEX)
            {
                return Ok(None);
            }
            let next = next_page(&request, &response)?;
            match response.bytes(MAX_MANIFEST_SIZE).await {
                Ok(Some(body)) => {
                    let what = request.label();
                    let list =
                        List::decode(&body).map_err(|source| TransportError::Decode { what, source })?.0;
                    return Ok(Some((list.entries().to_vec(), next)));
                }
                Ok(None) => {
                    let limit = MAX_MANIFEST_SIZE as u64;
                    return Err(TransportError::TooLarge { what: request.label(), limit });
                }
                Err(cause) => {
                    drop(response);
                    self.http.pause(&request.label(), &request.url, retry, Hint::None, cause).await?;
                    retry += 1;
                }
            }
        }
    }

    /// What the fallback tag lists; nothing when there is no such tag.
    async fn noted(&self, path: &str, subject: &Digest) -> Result<Vec<Descriptor>, TransportError> {
        let at = At::Tag(Tag::of_referrers(subject));
        match self.tagged_manifest(path, &at).await {
            Ok((fetched, _)) => match fetched.document {
                Document::List(list, Format::Oci) => Ok(list.entries().to_vec()),
                _ => Err(TransportError::NotReferrers {
                    name: self.name(path, &at),
                    media_type: fetched.media_type,
                }),
            },
            Err(TransportError::NotFound(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Writes a manifest that has a subject, under its digest; whether the registry says that it keeps track of it.
    pub(crate) async fn put_referrer(
        &self,
        path: &str,
        digest: &Digest,
        (media_type, bytes): (&MediaType, Bytes),
    ) -> Result<bool, TransportError> {
        let response = self.put_by_digest(path, digest, media_type, bytes).await?;
        Ok(response.headers().contains_key("oci-subject"))
    }
}

/// The request for the next page, if there is one. It is of the same server: the login goes with it.
fn next_page(request: &Request, response: &Response) -> Result<Option<Request>, TransportError> {
    let Some(link) = next_link(response.headers()) else { return Ok(None) };
    let url = target(request, &link)?;
    if !same_origin(&request.url, &url) {
        return Err(TransportError::Untrusted {
            request: request.label(),
            to: format!("{}://{}", url.scheme(), authority(&url)),
            why: "is another server, for the next page".to_owned(),
        });
    }
    Ok(Some(Request { url, ..request.clone() }))
}

/// The target of the link to the next page.
///
/// Spec: RFC 8288, 3.
fn next_link(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
    // Behind each `<` stand a URL, which holds no `>`, and its parameters up to the next `<`.
    values.flat_map(|value| value.split('<').skip(1)).find_map(|link| {
        let (url, parameters) = link.split_once('>')?;
        let mut parameters = parameters.split([';', ',']).filter_map(|parameter| parameter.split_once('='));
        let is_next = parameters.any(|(name, value)| {
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|one| one.eq_ignore_ascii_case("next"))
        });
        is_next.then(|| url.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::next_link;

    #[test]
    fn the_next_page_is_found_among_all_links() {
        for (values, next) in [
            (&[r#"</v2/a/referrers/b?last=1>; rel="next""#][..], Some("/v2/a/referrers/b?last=1")),
            (&[r#"<?n=1>;rel=next"#], Some("?n=1")),
            (&[r#"</first>; rel="first", </a,b>; title="x"; rel="prev next""#], Some("/a,b")),
            (&[r#"</first>; rel="first""#, r#"<http://h/2>; REL=NEXT"#], Some("http://h/2")),
            (&[r#"</first>; rel="first""#], None),
            (&["/v2/x; rel=next", "<", ">", ""], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::LINK, HeaderValue::from_static(value));
            }
            assert_eq!(next_link(&headers).as_deref(), next, "{values:?}");
        }
    }
}
