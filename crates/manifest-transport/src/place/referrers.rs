//! What refers to a manifest by its `subject`: signatures, attestations and whatever else people attach.
//!
//! Spec: OCI image-spec v1.1.1 `manifest.md`, `image-index.md`: `subject`; OCI distribution-spec v1.1.1, "Listing Referrers",
//! "Pushing Manifests with Subject".

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Digest, Document, Format, Kind, List, MediaType, Tag};

use super::{Added, Addition, LookBack, Onto, Place, Stays};
use crate::error::TransportError;
use crate::layout::is_no_layout_yet;
use crate::manifest::Fetched;
use crate::offer::is_name;

/// Who keeps track of a referrer that was written, so that it is found by its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Noted {
    /// The registry: it has the referrers API.
    ByRegistry,
    /// The index under this tag, which is kept up to date here.
    ByTag(Tag),
    /// The `index.json` of a layout, which names the referrer; or a directory, in which all manifests are looked at.
    ByLayout,
}

/// Where it is looked for what refers to a manifest of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReferrersAt {
    /// In the API, and under the tag that stands in for it.
    Anywhere,
    /// In the API, where it is known that there is one.
    Registry,
    /// Under the tag, where it is known that there is no API.
    Tag,
}

impl Fetched {
    /// The subject of a manifest that has one, and the descriptor under which it is listed there: with its artifact
    /// type (that of the configuration where it names none) and its annotations.
    pub fn as_referrer(&self) -> Option<(Digest, Descriptor)> {
        let (subject, artifact_type, annotations) = match &self.document {
            Document::Image(image) => {
                let config = Some(&image.config.media_type);
                (image.subject.as_ref()?, image.artifact_type.as_ref().or(config), &image.annotations)
            }
            Document::List(list, _) => (list.subject()?, list.artifact_type(), list.annotations()),
        };
        let mut descriptor = Descriptor::new(self.media_type.clone(), self.digest, self.bytes.len() as u64);
        descriptor.artifact_type = artifact_type.cloned();
        descriptor.annotations = annotations.clone();
        Some((subject.digest, descriptor))
    }
}

impl Place {
    /// Lists the manifests whose `subject` is `subject`, of this artifact type if one is given; each digest once.
    ///
    /// A registry is asked by the referrers API, page by page, and for the tag that stands in for the API where there is
    /// none (and is read beside it where there is one, since it may be older). It is taken at its word: what is listed
    /// may be gone, or refer to something else. Of a layout or an archive the manifests in `index.json` are read, of
    /// a directory all. A
    /// [`Reader`](crate::Reader) cannot be searched and has none. Mirrors are not asked.
    ///
    /// # Errors
    /// [`TransportError::TooManyReferrers`] above 10,000; [`TransportError::NotReferrers`] when the tag is something else;
    /// [`TransportError::Untrusted`] when the next page is at another server; what reading brings. That nothing refers to
    /// the manifest, or that there is no such manifest, is no error.
    pub async fn referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&MediaType>,
    ) -> Result<Vec<Descriptor>, TransportError> {
        self.referrers_at(subject, artifact_type, ReferrersAt::Anywhere).await
    }

    /// The same, where it is known who keeps track of referrers, which saves a request.
    ///
    /// # Errors
    /// As [`referrers`](Self::referrers).
    pub async fn referrers_at(
        &self,
        subject: &Digest,
        artifact_type: Option<&MediaType>,
        at: ReferrersAt,
    ) -> Result<Vec<Descriptor>, TransportError> {
        let mut found = match self {
            Self::Repository(remote) => {
                remote.registry.referrers(&remote.path, subject, artifact_type, at).await?
            }
            _ => self
                .referrers_in_files(&BTreeSet::from([*subject]))
                .await?
                .remove(subject)
                .unwrap_or_default(),
        };
        // Not every registry filters, and none has to.
        found.retain(|found| artifact_type.is_none_or(|wanted| found.artifact_type.as_ref() == Some(wanted)));
        Ok(found)
    }

    /// The same for many subjects, `jobs` at once; those without referrers are left out.
    ///
    /// # Errors
    /// As [`referrers`](Self::referrers).
    pub async fn referrers_of_all(
        &self,
        subjects: &BTreeSet<Digest>,
        jobs: usize,
    ) -> Result<BTreeMap<Digest, Vec<Descriptor>>, TransportError> {
        if !matches!(self, Self::Repository(_)) {
            return self.referrers_in_files(subjects).await;
        }
        let asked = stream::iter(subjects)
            .map(|subject| async move { Ok((*subject, self.referrers(subject, None).await?)) })
            .buffer_unordered(jobs);
        asked.try_filter(|(_, found)| std::future::ready(!found.is_empty())).try_collect().await
    }

    /// Reads every manifest that `index.json` names, once for all subjects.
    async fn referrers_in_files(
        &self,
        subjects: &BTreeSet<Digest>,
    ) -> Result<BTreeMap<Digest, Vec<Descriptor>>, TransportError> {
        let mut found: BTreeMap<Digest, Vec<Descriptor>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for digest in self.listed_in_files().await? {
            if !seen.insert(digest) {
                continue;
            }
            let fetched = match self.manifest(&digest.into()).await {
                // An index may name what lies elsewhere.
                Err(TransportError::NotFound(_)) => continue,
                fetched => fetched?,
            };
            if let Some((subject, referrer)) = fetched.as_referrer().filter(|(of, _)| subjects.contains(of)) {
                found.entry(subject).or_default().push(referrer);
            }
        }
        Ok(found)
    }

    /// The manifests that `index.json` names, or that lie in a directory; a layout that is not there names nothing.
    async fn listed_in_files(&self) -> Result<Vec<Digest>, TransportError> {
        let offers = match self {
            Self::Layout(layout) => layout.offers().await,
            Self::Archive(archive) => archive.offers().await,
            Self::Directory(directory) => return directory.manifests().await,
            Self::Repository(_) | Self::Reader(_) => return Ok(Vec::new()),
        };
        let offers = match offers {
            Err(error) if is_no_layout_yet(&error) => Vec::new(),
            offers => offers?,
        };
        let descriptors = offers.into_iter().map(|offer| offer.descriptor);
        let manifests = descriptors.filter(|descriptor| descriptor.media_type.kind() != Kind::Other);
        Ok(manifests.map(|descriptor| descriptor.digest).collect())
    }

    /// Writes a manifest that has a `subject`, under its digest, so that it is found by its subject; its blobs are
    /// there already. It may be there itself, too: then only what is missing is done.
    ///
    /// A registry that says `OCI-Subject` keeps track of it. With another one its descriptor is added to the index under
    /// the tag that stands in for the referrers API. What others add at the same time stays: with `If-Match` where the
    /// registry keeps that; elsewhere what was written is read back, and one writer at a time is safer.
    ///
    /// # Errors
    /// [`TransportError::Protocol`] when it has no subject; [`TransportError::NotReferrers`] when the tag is something else;
    /// as [`add_to`](Self::add_to) and [`put_manifest`](Self::put_manifest).
    pub async fn put_referrer(&self, referrer: &Fetched) -> Result<Noted, TransportError> {
        Ok(self.put_referrer_unseen(referrer, LookBack::AtOnce).await?.0)
    }

    /// The same, where it may be looked later whether it has stayed; whether it has stayed.
    ///
    /// # Errors
    /// As [`put_referrer`](Self::put_referrer).
    pub async fn put_referrer_unseen(
        &self,
        referrer: &Fetched,
        look_back: LookBack,
    ) -> Result<(Noted, Stays), TransportError> {
        let (_, descriptor) = self.subject_of(referrer)?;
        let Fetched { digest, media_type, bytes, .. } = referrer;
        match self {
            Self::Repository(remote) => {
                let manifest = (media_type, bytes.clone());
                if remote.registry.put_referrer(&remote.path, digest, manifest).await? {
                    return Ok((Noted::ByRegistry, Stays::Surely));
                }
                let (tag, _, stays) = self.note_referrer(referrer, look_back).await?;
                Ok((Noted::ByTag(tag), stays))
            }
            Self::Layout(layout) => {
                layout.put_manifest(digest, bytes).await?;
                // Annotations of the manifest must not become its name there.
                let mut descriptor = descriptor;
                descriptor.annotations.retain(|key, _| !is_name(key));
                layout.list_unless_listed(descriptor).await.map(|()| (Noted::ByLayout, Stays::Surely))
            }
            Self::Directory(directory) => {
                directory.put_manifest(digest, bytes).await.map(|()| (Noted::ByLayout, Stays::Surely))
            }
            Self::Archive(_) | Self::Reader(_) => self.read_only(),
        }
    }

    /// Adds a manifest that is there to the index under the tag that stands in for the referrers API, unless it is in it: the
    /// tag, what it came to, and whether it has stayed.
    ///
    /// # Errors
    /// As [`put_referrer`](Self::put_referrer).
    pub async fn note_referrer(
        &self,
        referrer: &Fetched,
        look_back: LookBack,
    ) -> Result<(Tag, Added, Stays), TransportError> {
        let (subject, descriptor) = self.subject_of(referrer)?;
        let tag = Tag::of_referrers(&subject);
        let noted = NotedReferrer { name: format!("{self}:{tag}"), descriptor };
        let (added, stays) = self.add_to(tag.as_str(), &noted, look_back).await?;
        Ok((tag, added, stays))
    }

    /// Takes a manifest out of the index under the tag that stands in for the referrers API, if it is there; that of a
    /// registry with the API does so itself.
    ///
    /// # Errors
    /// As [`add_to`](Self::add_to).
    pub async fn forget_referrer(&self, tag: &Tag, referrer: &Digest) -> Result<(), TransportError> {
        let forgotten = Forgotten { name: format!("{self}:{tag}"), referrer: *referrer };
        self.add_to(tag.as_str(), &forgotten, LookBack::AtOnce).await.map(drop)
    }

    fn subject_of(&self, referrer: &Fetched) -> Result<(Digest, Descriptor), TransportError> {
        referrer.as_referrer().ok_or_else(|| {
            let request = format!("write {} to {self}", referrer.digest);
            TransportError::Protocol { request, what: "it has no subject".to_owned() }
        })
    }
}

/// An entry of the index under the fallback tag.
struct NotedReferrer {
    /// The tag, as messages show it.
    name: String,
    descriptor: Descriptor,
}

impl Addition for NotedReferrer {
    type Error = TransportError;

    async fn onto(&self, now: Option<&Fetched>) -> Result<Onto, TransportError> {
        let mut list = match now.map(|now| (&now.document, &now.media_type)) {
            None => List::new(),
            Some((Document::List(list, Format::Oci), _)) => list.clone(),
            Some((_, media_type)) => {
                let (name, media_type) = (self.name.clone(), media_type.clone());
                return Err(TransportError::NotReferrers { name, media_type });
            }
        };
        if list.entry(&self.descriptor.digest).is_some() {
            return Ok(Onto::Within);
        }
        list.append(self.descriptor.clone());
        encoded(&list, &self.name)
    }
}

/// An entry that is not to be in that index.
struct Forgotten {
    /// The tag, as messages show it.
    name: String,
    referrer: Digest,
}

impl Addition for Forgotten {
    type Error = TransportError;

    async fn onto(&self, now: Option<&Fetched>) -> Result<Onto, TransportError> {
        let Some(Document::List(list, Format::Oci)) = now.map(|now| &now.document) else {
            return Ok(Onto::Within);
        };
        if list.entry(&self.referrer).is_none() {
            return Ok(Onto::Within);
        }
        let mut list = list.clone();
        list.retain(|entry| entry.digest != self.referrer);
        encoded(&list, &self.name)
    }
}

fn encoded(list: &List, name: &str) -> Result<Onto, TransportError> {
    let index = list.encode(Format::Oci).map_err(|error| TransportError::Protocol {
        request: format!("PUT {name}"),
        what: error.to_string(),
    })?;
    Ok(Onto::Document(index.media_type, index.bytes.into()))
}

/// A manifest that has a subject; `None` for others, most of which are not even parsed for that.
pub(super) fn with_subject(digest: &Digest, media_type: &MediaType, bytes: &Bytes) -> Option<Fetched> {
    std::str::from_utf8(bytes).ok().filter(|text| text.contains("\"subject\""))?;
    let fetched = Fetched::kept("a manifest", digest, bytes.clone(), media_type).ok()?;
    fetched.as_referrer().is_some().then_some(fetched)
}
