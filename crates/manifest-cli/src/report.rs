//! The objects of `--output json`.
//!
//! Every object has a member `schema`, the name and version of its shape. Within a version members are only added.

use manifest_core::{Annotations, Descriptor, Encoded, List, Platform};
use manifest_store::{Origin, Record};
use serde::Serialize;

/// A list or image of the store, in short.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListReport {
    pub(crate) id: String,
    pub(crate) names: Vec<String>,
    pub(crate) kind: &'static str,
    pub(crate) origin: Origin,
    pub(crate) digest: String,
    pub(crate) media_type: String,
    pub(crate) size: usize,
    pub(crate) entries: usize,
    pub(crate) created: String,
    pub(crate) updated: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pushed: Option<PushedReport>,
}

/// The last time that it was pushed.
#[derive(Debug, Serialize)]
pub(crate) struct PushedReport {
    when: String,
    target: String,
    digest: String,
}

/// Where an entry of a list, or an image, came from.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SourceReport {
    pub(crate) entry: String,
    pub(crate) from: String,
    pub(crate) place: String,
    pub(crate) digest: String,
    pub(crate) resolved: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record: Option<String>,
}

/// Where the entries of a record came from, in their order; those of which nothing is known are left out.
pub(crate) fn sources(record: &Record) -> Vec<SourceReport> {
    let image = record.image().map(|_| record.encoded().digest);
    let digests = record.entries().iter().map(|entry| entry.digest).chain(image);
    let known = digests.filter_map(|entry| Some((entry, record.sources().place_of(&entry)?)));
    known
        .map(|(entry, source)| SourceReport {
            entry: entry.to_string(),
            from: source.from.clone(),
            place: source.place.clone(),
            digest: source.digest.to_string(),
            resolved: source.resolved.to_string(),
            record: source.record.map(|id| id.to_string()),
        })
        .collect()
}

/// What a record is of, in a word.
pub(crate) fn kind(record: &Record) -> &'static str {
    if record.image().is_some() { "image" } else { "list" }
}

impl From<&Record> for ListReport {
    fn from(record: &Record) -> Self {
        let encoded = record.encoded();
        Self {
            id: record.id().to_string(),
            names: record.names().iter().map(ToString::to_string).collect(),
            kind: kind(record),
            origin: record.origin(),
            digest: encoded.digest.to_string(),
            media_type: encoded.media_type.to_string(),
            size: encoded.bytes.len(),
            entries: record.entries().len(),
            created: record.created().to_string(),
            updated: record.updated().to_string(),
            pushed: record.pushed().map(|pushed| PushedReport {
                when: pushed.when.to_string(),
                target: pushed.target.clone(),
                digest: pushed.digest.to_string(),
            }),
        }
    }
}

/// A document with its entries.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DocumentReport {
    pub(crate) digest: String,
    pub(crate) media_type: String,
    pub(crate) size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<EntryReport>,
    pub(crate) annotations: Annotations,
    pub(crate) manifests: Vec<EntryReport>,
}

impl DocumentReport {
    pub(crate) fn new(
        encoded: &Encoded,
        list: &List,
        source: impl Fn(&Descriptor) -> Option<String>,
    ) -> Self {
        let entry = |entry: &Descriptor| EntryReport::new(entry, source(entry));
        Self {
            digest: encoded.digest.to_string(),
            media_type: encoded.media_type.to_string(),
            size: encoded.bytes.len(),
            artifact_type: list.artifact_type().map(ToString::to_string),
            subject: list.subject().map(|subject| EntryReport::new(subject, None)),
            annotations: list.annotations().clone(),
            manifests: list.entries().iter().map(entry).collect(),
        }
    }
}

/// An entry of a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntryReport {
    pub(crate) digest: String,
    pub(crate) media_type: String,
    pub(crate) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<PlatformReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) urls: Vec<String>,
    pub(crate) annotations: Annotations,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
}

impl EntryReport {
    pub(crate) fn new(entry: &Descriptor, source: Option<String>) -> Self {
        Self {
            digest: entry.digest.to_string(),
            media_type: entry.media_type.to_string(),
            size: entry.size,
            platform: entry.platform.as_ref().map(PlatformReport::from),
            artifact_type: entry.artifact_type.as_ref().map(ToString::to_string),
            urls: entry.urls.clone(),
            annotations: entry.annotations.clone(),
            source,
        }
    }
}

/// A platform, with the names that its members have in a manifest.
#[derive(Debug, Serialize)]
pub(crate) struct PlatformReport {
    architecture: String,
    os: String,
    #[serde(rename = "os.version", skip_serializing_if = "Option::is_none")]
    os_version: Option<String>,
    #[serde(rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    os_features: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    features: Vec<String>,
}

impl From<&Platform> for PlatformReport {
    fn from(platform: &Platform) -> Self {
        Self {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            os_version: platform.os_version.clone(),
            os_features: platform.os_features.clone(),
            variant: platform.variant.clone(),
            features: platform.features.clone(),
        }
    }
}
