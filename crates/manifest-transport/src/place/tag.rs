//! The names of a place: read, set and deleted.

use std::time::Duration;

use bytes::Bytes;
use manifest_core::{Descriptor, Digest, MediaType, Tag};

use super::{Place, Which};
use crate::error::TransportError;
use crate::layout::is_no_layout_yet;
use crate::location::Pick;
use crate::manifest::Fetched;
use crate::registry::{Deleted, Guard, TagState, digest_etag};

impl Place {
    /// Writes a manifest and lets a name mean it, as far as `guard` allows; in a layout `None` lists it without a name,
    /// and it is the only way that a directory knows.
    ///
    /// # Errors
    /// [`TransportError::Moved`] when the name is not as expected; [`TransportError::Refused`] with the registry's code
    /// when it does not take the manifest; [`TransportError::ReadOnly`]; [`TransportError::Nameless`].
    pub async fn put_named(
        &self,
        name: Option<&str>,
        media_type: &MediaType,
        bytes: Bytes,
        guard: &Guard,
    ) -> Result<(), TransportError> {
        match self {
            Self::Repository(remote) => {
                let tag = name.unwrap_or("latest").parse().map_err(|error| TransportError::Protocol {
                    request: format!("PUT {self}"),
                    what: format!("{error}"),
                })?;
                remote.registry.put_tag(&remote.path, &tag, (media_type, bytes), guard).await
            }
            Self::Layout(layout) => {
                let digest = Digest::sha256(&bytes);
                layout.put_manifest(&digest, &bytes).await?;
                let descriptor = Descriptor::new(media_type.clone(), digest, bytes.len() as u64);
                layout.set_name_if(name, descriptor, &guard.expect).await
            }
            Self::Directory(directory) => match name {
                None => directory.publish(&Digest::sha256(&bytes), &bytes).await.map(drop),
                Some(_) => Err(TransportError::Nameless(self.to_string())),
            },
            Self::Archive(_) | Self::Reader(_) => self.read_only(),
        }
    }

    /// Writes a manifest under its digest and lets several tags mean it, in one request for ten of them; the tags that
    /// the registry confirms. The others are to be set one by one; in a layout these are all.
    ///
    /// # Errors
    /// As [`put_manifest`](Self::put_manifest).
    pub async fn put_tags(
        &self,
        digest: &Digest,
        media_type: &MediaType,
        bytes: Bytes,
        tags: &[Tag],
    ) -> Result<Vec<Tag>, TransportError> {
        match self {
            Self::Repository(remote) if !tags.is_empty() => {
                remote.registry.put_tags(&remote.path, digest, (media_type, bytes), tags).await
            }
            _ => self.put_manifest(digest, media_type, bytes).await.map(|()| Vec::new()),
        }
    }

    /// Whether one request sets several tags here; `None` until the first [`put_tags`](Self::put_tags) has told.
    pub fn supports_multi_tag(&self) -> Option<bool> {
        match self {
            Self::Repository(remote) => remote.registry.supports_multi_tag(),
            Self::Layout(_) | Self::Directory(_) | Self::Archive(_) | Self::Reader(_) => Some(false),
        }
    }

    /// Whether names are set here only where their [`Guard`] allows it: told by the answer to a write that must be refused, of
    /// a manifest that is there already. It is asked once per registry; who does not answer as he should does not compare.
    pub async fn compares(&self, digest: &Digest, media_type: &MediaType, bytes: Bytes) -> bool {
        match self {
            Self::Repository(remote) => {
                remote.registry.compares(&remote.path, digest, (media_type, bytes)).await
            }
            Self::Layout(_) | Self::Directory(_) | Self::Archive(_) | Self::Reader(_) => true,
        }
    }

    /// Deletes a tag, never the manifest that it means.
    ///
    /// # Errors
    /// When the place cannot be asked, or does not allow it; [`TransportError::ReadOnly`].
    pub async fn delete_tag(&self, name: &str) -> Result<Deleted, TransportError> {
        match self {
            Self::Repository(remote) => match name.parse() {
                Ok(tag) => remote.registry.delete_tag(&remote.path, &tag).await,
                Err(_) => Ok(Deleted::Done),
            },
            Self::Layout(layout) => layout.remove_name(name).await,
            Self::Directory(_) => Ok(Deleted::Done),
            Self::Archive(_) | Self::Reader(_) => self.read_only(),
        }
    }

    /// Whether the place shows a manifest that it has taken, byte for byte: a registry may need a while for that, `limit` at
    /// most.
    ///
    /// # Errors
    /// [`TransportError::DigestMismatch`] when it shows something else; when the place cannot be asked.
    pub async fn shows(&self, digest: &Digest, limit: Duration) -> Result<bool, TransportError> {
        match self {
            Self::Repository(remote) => remote.registry.shows(&remote.path, digest, limit).await,
            _ => self.has_manifest(digest).await,
        }
    }

    /// What a tag means now; `None` when there is no such tag.
    ///
    /// # Errors
    /// When the place cannot be asked.
    pub async fn tag_state(&self, name: &str) -> Result<Option<TagState>, TransportError> {
        if let Self::Repository(remote) = self {
            return match name.parse() {
                Ok(tag) => remote.registry.tag_state(&remote.path, &tag).await,
                Err(_) => Ok(None),
            };
        }
        match self.manifest(&Which::Local(Pick::Name(name.to_owned()))).await {
            Ok(Fetched { bytes, digest, media_type, .. }) => {
                let etag = matches!(self, Self::Layout(_)).then(|| digest_etag(&digest));
                Ok(Some(TagState { digest, media_type, size: Some(bytes.len() as u64), etag }))
            }
            Err(TransportError::NotFound(_)) => Ok(None),
            Err(error) if is_no_layout_yet(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The digest that a tag has now; `None` when there is no such tag.
    ///
    /// # Errors
    /// When the place cannot be asked.
    pub async fn named_digest(&self, name: &str) -> Result<Option<Digest>, TransportError> {
        Ok(self.tag_state(name).await?.map(|state| state.digest))
    }
}
