//! A publication as it is written down.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use manifest_core::{Descriptor, Digest, Document, Encoded, Format, ListName, MediaType};
use manifest_store::{PublicationId, RecordId, Sources, StoreError};
use serde::{Deserialize, Serialize};

use crate::attached::With;
use crate::push::Effort;
use crate::signing::NotedSigning;

/// A publication as it is written down: what was to be done, how far that is, and what is needed to go on or back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Publication {
    /// Its id.
    #[serde(with = "text")]
    pub id: PublicationId,
    /// The names of the list when it began.
    pub names: Vec<ListName>,
    /// The record of the list.
    pub record: RecordId,
    /// When it began.
    #[serde(with = "text")]
    pub begun: Timestamp,
    /// When this was written down.
    #[serde(with = "text")]
    pub changed: Timestamp,
    /// How far it is.
    pub phase: Phase,
    /// The digest of what is published.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the entries are brought along.
    pub entries: bool,
    /// Whether layers are that their licence keeps elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign_layers: bool,
    /// What goes along with the list and its entries.
    #[serde(default, skip_serializing_if = "With::is_nothing")]
    pub with: With,
    /// Who signs what is brought, if anybody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<NotedSigning>,
    /// Where they can be read; nothing once it has ended.
    pub(crate) sources: Sources,
    /// The targets, in their order.
    pub targets: Vec<PublishedTarget>,
    /// The list, and the manifests that its tags meant before; none once it has ended.
    pub(crate) documents: BTreeMap<Digest, String>,
}

/// How far a publication is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Phase {
    /// Content is brought to the targets. Of several targets no tag has moved; the only one may have got its tags with the list.
    Content,
    /// All content is there, and tags move.
    Tags,
    /// All is done.
    Done,
    /// It failed, and every tag is what it was before.
    Failed,
    /// It was taken back, as far as the registries allow.
    Aborted,
    /// It was cut off, and a newer one has set its tags. It is found out, not written down.
    Superseded,
}

impl Phase {
    /// Whether it can be resumed or taken back.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Content | Self::Tags)
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Tags => "tags",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
            Self::Superseded => "superseded",
        }
    }
}

/// A target of a publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PublishedTarget {
    /// As it can be given again, with its tags.
    pub target: String,
    /// Whether the publication fails when this target does.
    pub effort: Effort,
    /// Why it was left out, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Its tags, in the order in which they were given.
    pub tags: Vec<PublishedTag>,
}

/// A tag of a publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PublishedTag {
    /// The tag.
    pub name: String,
    /// What it meant before; `None` when it could not be asked, and so was not to be moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Was>,
}

/// What a tag meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::exhaustive_enums, reason = "a tag is there or not")]
pub enum Was {
    /// There was no such tag.
    Absent,
    /// A manifest.
    #[serde(rename_all = "camelCase")]
    Manifest {
        /// Its digest.
        digest: Digest,
        /// Its media type.
        media_type: MediaType,
    },
}

impl Publication {
    /// Reads what [`encode`](Self::encode) wrote.
    pub(crate) fn parse(id: PublicationId, bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged =
            |what: String| StoreError::Damaged { path: PathBuf::from(format!("publications/{id}")), what };
        let publication: Self = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if publication.id != id {
            return Err(damaged(format!("it is of the publication {}", publication.id)));
        }
        let is_right = |(digest, text): (&Digest, &String)| digest.verifies(text.as_bytes());
        if !publication.documents.iter().all(is_right) {
            return Err(damaged("a document in it is not what its digest says".to_owned()));
        }
        Ok(publication)
    }

    /// How many tags are to be set.
    pub(crate) fn tags(&self) -> usize {
        self.targets.iter().map(|target| target.tags.len()).sum()
    }

    /// Whether it says something else of what is to be done.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        (self.digest, &self.targets) != (other.digest, &other.targets)
    }

    /// As one line of JSON.
    pub(crate) fn encode(&self) -> Vec<u8> {
        // Nothing in it has a form that JSON lacks.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The first name of the list, or else the beginning of the id of its record.
    pub fn title(&self) -> String {
        self.names.first().map_or_else(|| self.record.short(), ToString::to_string)
    }

    /// What is published, with its entries; `None` once it has ended.
    pub fn content(&self) -> Option<(Encoded, Vec<Descriptor>)> {
        let bytes = self.documents.get(&self.digest)?.clone().into_bytes();
        let (digest, media_type) = (self.digest, self.media_type.clone());
        match Document::decode(&bytes, Some(&media_type)).ok()? {
            Document::List(list, _) => {
                let encoded = Encoded::kept(bytes, digest, Format::of_list(&media_type)?);
                Some((encoded, list.entries().to_vec()))
            }
            Document::Image(_) => {
                let entry = Descriptor::new(media_type.clone(), digest, bytes.len() as u64);
                Some((Encoded::kept_image(bytes, digest, media_type), vec![entry]))
            }
        }
    }

    /// Keeps a document that will be needed; one that is no text is not, and the tag that meant it cannot go back.
    pub(crate) fn keep(&mut self, digest: Digest, bytes: &[u8]) {
        if let Ok(text) = std::str::from_utf8(bytes) {
            self.documents.entry(digest).or_insert_with(|| text.to_owned());
        }
    }

    pub(crate) fn forget_content(&mut self) {
        (self.sources, self.documents) = (Sources::default(), BTreeMap::new());
    }

    /// Whether this one has set all tags of another one: to take that back would undo this one.
    pub(crate) fn supersedes(&self, other: &Self) -> bool {
        let has = |place: &str, name: Option<&str>| {
            let mut at =
                self.targets.iter().filter(|target| target.failed.is_none() && target.place() == place);
            at.any(|target| match name {
                Some(name) => target.tags.iter().any(|tag| tag.name == name),
                None => self.digest == other.digest,
            })
        };
        let covers = |target: &PublishedTarget| match &target.tags[..] {
            [] => has(target.place(), None),
            tags => tags.iter().all(|tag| has(target.place(), Some(&tag.name))),
        };
        self.phase == Phase::Done && other.targets.iter().all(covers)
    }
}

impl PublishedTarget {
    /// The target without its tags.
    fn place(&self) -> &str {
        let tags: Vec<&str> = self.tags.iter().map(|tag| &*tag.name).collect();
        let tags = self.target.strip_suffix(&tags.join(",")).filter(|_| !tags.is_empty());
        tags.and_then(|place| place.strip_suffix(':')).unwrap_or(&self.target)
    }
}

/// Values that are written as their text.
pub(crate) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(phase: Phase, targets: &[&str]) -> Publication {
        let list =
            br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        let digest = Digest::sha256(list);
        let was = Was::Manifest { digest: Digest::sha256(b"{}"), media_type: MediaType::OCI_MANIFEST };
        let tags = vec![
            PublishedTag { name: "1".to_owned(), before: Some(was) },
            PublishedTag { name: "2".to_owned(), before: Some(Was::Absent) },
            PublishedTag { name: "3".to_owned(), before: None },
        ];
        let target = |target: &&str| PublishedTarget {
            target: (*target).to_owned(),
            effort: Effort::Required,
            failed: None,
            tags: tags.clone(),
        };
        let mut publication = Publication {
            id: "0123456789abcdef".parse().unwrap(),
            names: vec!["app".parse().unwrap()],
            record: "a".repeat(64).parse().unwrap(),
            begun: Timestamp::UNIX_EPOCH,
            changed: Timestamp::UNIX_EPOCH,
            phase,
            digest,
            media_type: MediaType::OCI_INDEX,
            size: list.len() as u64,
            entries: true,
            foreign_layers: false,
            with: With::default(),
            signing: None,
            sources: Sources::default(),
            targets: targets.iter().map(target).collect(),
            documents: BTreeMap::new(),
        };
        publication.keep(digest, list);
        publication.keep(Digest::sha256(b"{}"), b"{}");
        publication.keep(Digest::sha256(b"\xff"), b"\xff");
        publication
    }

    #[test]
    fn what_is_written_is_read_back() {
        let publication = publication(Phase::Tags, &["docker://r.io/app:1,2,3"]);
        let (id, bytes) = (publication.id, publication.encode());
        assert_eq!(Publication::parse(id, &bytes).unwrap(), publication);
        let (list, entries) = publication.content().unwrap();
        assert_eq!((list.digest, entries.len()), (publication.digest, 0));
        assert_eq!(publication.documents.len(), 2, "what is no text is not kept");
        let other = Publication::parse("0123456789abcde0".parse().unwrap(), &bytes);
        assert!(other.unwrap_err().to_string().contains("of the publication 0123456789abcdef"));
        let wrong = String::from_utf8(bytes).unwrap().replace(r#"\"manifests\":[]"#, r#"\"manifests\":[ ]"#);
        assert!(Publication::parse(id, wrong.as_bytes()).is_err());
    }

    #[test]
    fn one_that_is_done_supersedes_those_whose_tags_it_has_set() {
        let named = |phase: Phase, targets: &[&str]| {
            let mut publication = publication(phase, targets);
            for target in &mut publication.targets {
                let tags =
                    target.target.split_once(':').map(|(_, tags)| tags.split(',')).into_iter().flatten();
                let tag = |name: &str| PublishedTag { name: name.to_owned(), before: None };
                target.tags = tags.map(tag).collect();
            }
            publication
        };
        for (phase, newer, older, is_over) in [
            (Phase::Done, &["a:1"][..], &["a:1"][..], true),
            (Phase::Done, &["b:1", "a:2,1,3"], &["a:1,2"], true),
            (Phase::Done, &["a:1", "a:2"], &["a:1,2"], true),
            (Phase::Done, &["a:1"], &["a:1,2"], false),
            (Phase::Done, &["b:1"], &["a:1"], false),
            (Phase::Done, &["a:1"], &["a:1", "b:1"], false),
            (Phase::Done, &["a"], &["a"], true),
            (Phase::Failed, &["a:1"], &["a:1"], false),
        ] {
            let older = named(Phase::Content, older);
            assert_eq!(named(phase, newer).supersedes(&older), is_over, "{newer:?} {:?}", older.targets);
        }
        let mut other = named(Phase::Done, &["a"]);
        other.digest = Digest::sha256(b"another list");
        assert!(!other.supersedes(&named(Phase::Content, &["a"])), "without tags it is another publication");
        let mut failed = named(Phase::Done, &["a:1"]);
        failed.targets[0].failed = Some("it was left out".to_owned());
        assert!(!failed.supersedes(&named(Phase::Content, &["a:1"])));
    }
}
