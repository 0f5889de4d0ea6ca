//! What a registry can do, found out by asking it and by trying with tiny content that is taken away again.

mod suspect;
mod trial;

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use manifest_transport::{Place, RemoteRepository, TransportError};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use self::trial::Trial;
use crate::error::PublishError;

pub use suspect::{Suspect, suspects};

/// Something that a registry may be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Ability {
    /// Takes an OCI image index.
    OciIndex,
    /// Takes a Docker manifest list.
    DockerList,
    /// Takes Docker images in an OCI index.
    DockerInOci,
    /// Takes an index in an index.
    NestedIndex,
    /// Takes an index that names what is not there.
    SparseIndex,
    /// Takes an index without entries.
    EmptyIndex,
    /// Takes a manifest with an artifact type.
    ArtifactType,
    /// Takes an index with an artifact type.
    IndexArtifactType,
    /// Takes a blob over from a repository of its own.
    Mount,
    /// Lists referrers by the API.
    Referrers,
    /// Sets several tags with one request.
    ManyTags,
    /// Keeps `If-None-Match`, so that a tag is made only when it is new.
    IfNoneMatch,
    /// Keeps `If-Match`, so that a tag is set only when it is what it was.
    IfMatch,
    /// Lets a tag mean something else.
    MoveTags,
    /// Takes a blob in pieces.
    Pieces,
    /// Deletes tags.
    DeleteTags,
    /// Deletes manifests.
    DeleteManifests,
    /// Deletes blobs.
    DeleteBlobs,
}

impl Ability {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::OciIndex,
        Self::DockerList,
        Self::DockerInOci,
        Self::NestedIndex,
        Self::SparseIndex,
        Self::EmptyIndex,
        Self::ArtifactType,
        Self::IndexArtifactType,
        Self::Mount,
        Self::Referrers,
        Self::ManyTags,
        Self::IfNoneMatch,
        Self::IfMatch,
        Self::MoveTags,
        Self::Pieces,
        Self::DeleteTags,
        Self::DeleteManifests,
        Self::DeleteBlobs,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OciIndex => "oci-index",
            Self::DockerList => "docker-list",
            Self::DockerInOci => "docker-in-oci",
            Self::NestedIndex => "nested-index",
            Self::SparseIndex => "sparse-index",
            Self::EmptyIndex => "empty-index",
            Self::ArtifactType => "artifact-type",
            Self::IndexArtifactType => "index-artifact-type",
            Self::Mount => "mount",
            Self::Referrers => "referrers",
            Self::ManyTags => "many-tags",
            Self::IfNoneMatch => "if-none-match",
            Self::IfMatch => "if-match",
            Self::MoveTags => "move-tags",
            Self::Pieces => "pieces",
            Self::DeleteTags => "delete-tags",
            Self::DeleteManifests => "delete-manifests",
            Self::DeleteBlobs => "delete-blobs",
        }
    }

    /// What it is, in words.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::OciIndex => "takes an OCI image index",
            Self::DockerList => "takes a Docker manifest list",
            Self::DockerInOci => "takes Docker images in an OCI index",
            Self::NestedIndex => "takes an index in an index",
            Self::SparseIndex => "takes an index that names what is not there",
            Self::EmptyIndex => "takes an index without entries",
            Self::ArtifactType => "takes a manifest with an artifact type",
            Self::IndexArtifactType => "takes an index with an artifact type",
            Self::Mount => "takes a blob over from a repository of its own",
            Self::Referrers => "lists referrers by the API",
            Self::ManyTags => "sets several tags with one request",
            Self::IfNoneMatch => "makes a tag only when it is new, if asked to",
            Self::IfMatch => "sets a tag only when it is what it was, if asked to",
            Self::MoveTags => "lets a tag mean something else: tags are not immutable",
            Self::Pieces => "takes a blob in pieces",
            Self::DeleteTags => "deletes tags",
            Self::DeleteManifests => "deletes manifests",
            Self::DeleteBlobs => "deletes blobs",
        }
    }
}

impl fmt::Display for Ability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether a registry can do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// It can.
    Yes,
    /// It cannot, or does not allow it.
    No,
    /// It was not tried, or the answer does not tell.
    Unknown,
}

impl Verdict {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// What is known of one ability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Answer {
    /// The ability.
    pub ability: Ability,
    /// Whether the registry has it.
    pub verdict: Verdict,
    /// What it said, unless it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How much is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "something is written or not")]
pub enum ProbeDepth {
    /// Only what reading requests tell.
    ReadOnly,
    /// Tiny content is written and deleted again.
    #[default]
    Whole,
}

/// What a registry can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Probe {
    /// The registry.
    pub host: String,
    /// The repository in which it was tried.
    pub repository: String,
    /// When.
    #[serde(with = "crate::journal::text")]
    pub probed: Timestamp,
    /// How much was tried.
    pub depth: ProbeDepth,
    /// What is known of each ability, in the order of [`Ability::ALL`].
    pub answers: Vec<Answer>,
    /// The bytes that a piece of a blob should have at least, if the registry says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_piece: Option<u64>,
    /// What was written and could not be deleted: `tag …`, `manifest …` and `blob …`.
    pub left: Vec<String>,
}

impl Probe {
    /// Whether the registry is known to have an ability, or not to have it.
    pub fn verdict(&self, ability: Ability) -> Verdict {
        let answer = self.answers.iter().find(|answer| answer.ability == ability);
        answer.map_or(Verdict::Unknown, |answer| answer.verdict)
    }

    /// Reads what was kept; what another version wrote may be none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// As one line of JSON, to be kept.
    pub fn encode(&self) -> Vec<u8> {
        // Nothing in it has a form that JSON lacks.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// How a probe ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "it was stopped or not")]
pub enum Probed {
    /// Everything was tried.
    Done(Probe),
    /// Somebody stopped it. What was written and may still be there: `tag …`, `manifest …` and `blob …`.
    Stopped(Vec<String>),
}

/// How long a request that is under way when the probe is stopped may take: it may be carried out all the same, and what it
/// brings is to be deleted, too.
const LAST_REQUEST: Duration = Duration::from_secs(2);

/// How long a probe that is stopped may clean up.
const CLEAN_UP: Duration = Duration::from_secs(5);

/// Finds out what the registry of a repository can do.
///
/// `prefix` is random and begins all tags that are set; tags that are there are not touched. What is written has the
/// prefix in it, so that nobody else has the same content, and is deleted in the end, also after an error; what cannot
/// be deleted is told ([`Probe::left`]).
///
/// When `stop` is ready nothing more is tried, and what was written is deleted within a few seconds; when it is ready a
/// second time that ends at once.
///
/// # Errors
/// [`TransportError::ReadOnly`] for what is no repository; when the registry cannot be reached, or the first things that
/// are needed cannot be written there.
pub async fn probe(
    place: &Place,
    depth: ProbeDepth,
    prefix: &str,
    now: Timestamp,
    mut stop: impl AsyncFnMut(),
) -> Result<Probed, PublishError> {
    let Place::Repository(remote) = place else {
        return Err(TransportError::ReadOnly(place.to_string()).into());
    };
    let host = place.registry_host().unwrap_or_default().to_owned();
    let is_stopped = AtomicBool::new(false);
    let mut trial = Trial::new(place, remote, prefix, &is_stopped);
    let (mut tried, mut stops) = (None, 0);
    {
        let mut trying = pin!(async {
            match depth {
                ProbeDepth::ReadOnly => trial.read().await,
                ProbeDepth::Whole => trial.write().await,
            }
        });
        tokio::select! {
            done = &mut trying => tried = Some(done),
            () = stop() => stops = 1,
        }
        if stops == 1 {
            is_stopped.store(true, Ordering::Relaxed);
            tokio::select! {
                _ = timeout(LAST_REQUEST, trying) => {}
                () = stop() => stops = 2,
            }
        }
    }
    {
        let mut cleaning = pin!(trial.clean_up());
        if stops == 0 {
            tokio::select! {
                () = &mut cleaning => {}
                () = stop() => stops = 1,
            }
        }
        if stops == 1 {
            tokio::select! {
                _ = timeout(CLEAN_UP, cleaning) => {}
                () = stop() => {}
            }
        }
    }
    match tried {
        Some(tried) if stops == 0 => tried?,
        _ => return Ok(Probed::Stopped(trial.not_deleted())),
    }
    let (repository, probed) = (place.to_string(), now);
    let (answers, least_piece, left) = trial.finish();
    Ok(Probed::Done(Probe { host, repository, probed, depth, answers, least_piece, left }))
}

/// What a repository is asked by.
type Remote = RemoteRepository;
