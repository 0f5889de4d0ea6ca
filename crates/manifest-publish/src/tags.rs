//! Tags: what they mean before a publication, how they move, and how they go back.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use manifest_core::{Descriptor, Digest, DigestError, Document, Encoded, MediaType, Tag};
use manifest_transport::{At, Deleted, Expect, Fetched, Guard, Pick, Place, TagState, TransportError, Which};

use crate::error::PublishError;

/// What a tag must mean for a publication to move it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// Anything or nothing.
    #[default]
    Any,
    /// Nothing: the tag is new.
    Absent,
    /// This manifest.
    Digest(Digest),
}

/// `any`, `absent` or a digest.
impl FromStr for Expected {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text {
            "any" => Ok(Self::Any),
            "absent" => Ok(Self::Absent),
            digest => digest.parse().map(Self::Digest),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::Absent => f.write_str("no such tag"),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// A tag before it moves.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    pub(crate) name: String,
    pub(crate) expected: Expected,
    /// What it meant, if it was read; it goes back to that.
    pub(crate) found: Option<Option<Found>>,
    /// What it meant when it was read last.
    pub(crate) seen: Option<Option<Digest>>,
    /// Whether it holds what may have to be taken over.
    pub(crate) is_contested: bool,
}

/// What a tag meant.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) digest: Digest,
    pub(crate) media_type: MediaType,
    /// The manifest, by which the tag goes back; none where it cannot be read here.
    pub(crate) bytes: Option<Bytes>,
    /// The entries, if it is a list.
    pub(crate) entries: Vec<Descriptor>,
    pub(crate) is_list: bool,
}

impl Before {
    /// The digest that the tag meant, if it was read and was there.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.found.as_ref()?.as_ref().map(|found| found.digest)
    }

    /// Whether the tag was read and is not there.
    pub(crate) const fn is_absent(&self) -> bool {
        matches!(self.found, Some(None))
    }

    /// Refuses a tag that is not what is expected; what it is to become is fine, too.
    pub(crate) fn check(
        &self,
        place: &Place,
        now: Option<Digest>,
        wanted: Digest,
    ) -> Result<(), PublishError> {
        let is_expected = match self.expected {
            Expected::Any => true,
            Expected::Absent => now.is_none(),
            Expected::Digest(digest) => now == Some(digest),
        };
        if is_expected || now == Some(wanted) {
            return Ok(());
        }
        Err(PublishError::Unexpected { tag: written(place, &self.name), expected: self.expected, found: now })
    }
}

/// A tag of a place, as messages show it.
pub(crate) fn written(place: &Place, name: &str) -> String {
    format!("{place}:{name}")
}

/// Reads what a name means at a target, of which a mirror may know less; what cannot be read as a manifest has a digest all the same.
pub(crate) async fn read(place: &Place, name: &str) -> Result<Option<Found>, TransportError> {
    let which = match (place, name.parse::<Tag>()) {
        (Place::Repository(_), Ok(tag)) => Which::Remote(At::Tag(tag)),
        (Place::Repository(_), Err(_)) => return Ok(None),
        _ => Which::Local(Pick::Name(name.to_owned())),
    };
    match place.without_mirrors().manifest(&which).await {
        Ok(Fetched { digest, media_type, bytes, document, .. }) => {
            let (entries, is_list) = match document {
                Document::List(list, _) => (list.entries().to_vec(), true),
                Document::Image(_) => (Vec::new(), false),
            };
            Ok(Some(Found { digest, media_type, bytes: Some(bytes), entries, is_list }))
        }
        Err(TransportError::NotFound(_) | TransportError::NotALayout(..)) => Ok(None),
        // There, but of a kind that is not known here.
        Err(
            error @ (TransportError::Decode { .. }
            | TransportError::TooLarge { .. }
            | TransportError::Protocol { .. }),
        ) => match place.tag_state(name).await {
            Ok(state) => Ok(state.map(|state| Found {
                digest: state.digest,
                media_type: state.media_type,
                bytes: None,
                entries: Vec::new(),
                is_list: false,
            })),
            Err(_) => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Lets a name mean the list, where what it means `now` is known only as long as it means that; whether that was asked of the
/// place, which need not honour it.
pub(crate) async fn set(
    place: &Place,
    before: &Before,
    now: Option<Option<&TagState>>,
    list: &Encoded,
) -> Result<bool, PublishError> {
    let mut guard = Guard { before: before.seen, ..Guard::default() };
    if let Some(now) = now {
        guard.before = Some(now.map(|now| now.digest));
        guard.expect = match now {
            None => Expect::Absent,
            Some(now) => now.etag.clone().map_or(Expect::Any, Expect::ETag),
        };
    }
    let bytes = Bytes::from(list.bytes.clone());
    place.put_named(Some(&before.name), &list.media_type, bytes, &guard).await?;
    Ok(guard.expect != Expect::Any)
}

/// What became of a tag that was to go back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undone {
    /// The tag, with its place.
    pub tag: String,
    /// Why it stays as it is, unless it is what it was before.
    pub stays: Option<String>,
}

/// Makes a tag what it was before it came to mean `ours`.
pub(crate) async fn put_back(place: &Place, before: &Before, ours: Digest) -> Undone {
    undone(written(place, &before.name), try_back(place, before, ours).await)
}

/// What became of a tag, whatever that was.
pub(crate) fn undone(tag: String, back: Result<Option<&'static str>, TransportError>) -> Undone {
    let stays = match back {
        Ok(stays) => stays.map(str::to_owned),
        Err(error) => Some(error.to_string()),
    };
    Undone { tag, stays }
}

/// The same; why it stays as it is, unless it went back.
pub(crate) async fn try_back(
    place: &Place,
    before: &Before,
    ours: Digest,
) -> Result<Option<&'static str>, TransportError> {
    let now = place.tag_state(&before.name).await?;
    match now.as_ref().map(|now| now.digest) {
        digest if before.found.is_some() && digest == before.digest() => return Ok(None),
        Some(digest) if digest == ours => {}
        _ if before.found.is_none() => return Ok(None),
        _ => return Ok(Some("somebody else has moved it since")),
    }
    let etag = now.and_then(|now| now.etag);
    let guard = Guard { expect: etag.map_or(Expect::Any, Expect::ETag), before: Some(Some(ours)) };
    match &before.found {
        Some(Some(Found { bytes: Some(bytes), media_type, .. })) => {
            place.put_named(Some(&before.name), media_type, bytes.clone(), &guard).await?;
            Ok(None)
        }
        Some(None) => match place.delete_tag(&before.name).await? {
            Deleted::Done => Ok(None),
            _ => Ok(Some("it is new, and the registry deletes no tags")),
        },
        _ => Ok(Some("what it meant before could not be read")),
    }
}
