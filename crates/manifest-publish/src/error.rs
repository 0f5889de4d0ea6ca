//! Why something cannot go into a list, or a list not to where it should go.

use std::time::Duration;

use manifest_core::{Digest, EncodeError, JsonError};
use manifest_sign::SignError;
use manifest_store::{PublicationId, StoreError};
use manifest_transport::{LocationError, TransportError};

use crate::attached::{MAX_REFERRER_DEPTH, MAX_REFERRERS};
use crate::attest::PredicateError;
use crate::gate::Refusal;
use crate::signing::{NotedSigner, SignatureForm};
use crate::tags::{Expected, Undone};

/// Why a source gave no entries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The place could not be read.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The record could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The place of an entry, as a record keeps it, cannot be understood.
    #[error("the source {0:?} of an entry cannot be understood")]
    Place(String, #[source] LocationError),
    /// The list holds several platforms and none was chosen.
    #[error("{what} is a list of {} platforms: {}", .platforms.len(), listed(.platforms))]
    SeveralPlatforms {
        /// The source.
        what: String,
        /// The platforms in it.
        platforms: Vec<String>,
    },
    /// The list does not hold the platform.
    #[error("{what} has no image for {wanted}; it has {}", listed(.platforms))]
    NoSuchPlatform {
        /// The source.
        what: String,
        /// The platform asked for.
        wanted: String,
        /// The platforms in it.
        platforms: Vec<String>,
    },
    /// Lists are nested too deeply.
    #[error("{0} holds lists in lists, more than {MAX_NESTING} levels deep")]
    TooDeep(String),
    /// Lists in lists come to more entries than any list can hold.
    #[error("{0} holds lists in lists with more entries than a list can have")]
    TooMany(String),
    /// A child is not what the list says of it.
    #[error(transparent)]
    Untrue(Box<PublishError>),
    /// The configuration of an image tells no platform that can be read.
    #[error("the configuration {digest} of {what} cannot be read")]
    Config {
        /// The image.
        what: String,
        /// The configuration.
        digest: Digest,
        /// Why not.
        source: JsonError,
    },
}

/// The deepest nesting of lists in lists that is followed.
pub const MAX_NESTING: usize = 8;

/// The first of them; there can be thousands.
fn listed(all: &[String]) -> String {
    const SHOWN: usize = 20;
    let shown = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match all.len().checked_sub(SHOWN) {
        _ if all.is_empty() => "none".to_owned(),
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ => shown,
    }
}

/// Why a publication failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Something could not be read or written.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The list cannot be written in the format asked for.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The place of an entry, as the record keeps it, cannot be understood.
    #[error("the source {0:?} of an entry cannot be understood")]
    Place(String, #[source] LocationError),
    /// What the store holds could not be read or relied on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody knows where the bytes of an entry are.
    #[error("nothing is known of where {0} comes from")]
    NoSource(Digest),
    /// An entry, or a blob that it needs, could not be brought to the target.
    #[error("{digest} could not be copied from {from}")]
    Copy {
        /// The entry or blob.
        digest: Digest,
        /// Its source.
        from: String,
        /// Why not.
        source: TransportError,
    },
    /// An entry's content is not what the list says of it.
    #[error("the list says that {digest} {says}, but it {is}")]
    Untrue {
        /// The entry.
        digest: Digest,
        /// What the list says.
        says: String,
        /// What is so.
        is: String,
    },
    /// Lists are nested too deeply.
    #[error("{0} holds lists in lists, more than {MAX_NESTING} levels deep")]
    TooDeep(Digest),
    /// What refers to the list is referred to in turn, further than is followed.
    #[error("{0} refers to what refers to the list, more than {MAX_REFERRER_DEPTH} steps away")]
    ReferrersTooDeep(Digest),
    /// More refers to the list and its entries than is taken along.
    #[error("more than {MAX_REFERRERS} manifests refer to the list, its entries, or one another")]
    TooManyReferrers,
    /// The list is not what it must be.
    #[error("the list is not what it must be: {}", joined(.0))]
    Refused(Vec<Refusal>),
    /// A tag does not mean what it was expected to mean.
    #[error("{tag} means {}, and {expected} was expected", .found.map_or_else(|| "nothing".to_owned(), |found| found.to_string()))]
    Unexpected {
        /// The tag, with its place.
        tag: String,
        /// What it should mean.
        expected: Expected,
        /// What it means.
        found: Option<Digest>,
    },
    /// Somebody else has moved a tag while the publication was under way.
    #[error("{tag} has been moved meanwhile, and means {} now", .found.map_or_else(|| "nothing".to_owned(), |found| found.to_string()))]
    Overtaken {
        /// The tag, with its place.
        tag: String,
        /// What it means.
        found: Option<Digest>,
    },
    /// What a tag means cannot be merged with what is published: one of them is no list.
    #[error("what {0} means cannot be merged, since only lists can")]
    NotMergeable(String),
    /// A registry does not show what it has taken.
    #[error("{target} took {digest} and does not show it after {} s", .waited.as_secs())]
    Unsettled {
        /// The target.
        target: String,
        /// The list.
        digest: Digest,
        /// How long it was asked for.
        waited: Duration,
    },
    /// A key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Something cannot be attached as a predicate.
    #[error(transparent)]
    Predicate(#[from] PredicateError),
    /// A target cannot hold the signatures that it should get.
    #[error("{target} cannot hold {form} signatures: {why}")]
    CannotHold {
        /// The target.
        target: String,
        /// The form of the signatures.
        form: SignatureForm,
        /// Why not.
        why: String,
    },
    /// A tag that should hold signatures is something else.
    #[error("{tag} is something else, so no signature can be added to it")]
    CannotAddTo {
        /// The tag, with its place.
        tag: String,
    },
    /// A publication that was cut off signs with other keys than were given for going on with it.
    #[error("the publication {id} {}, and has to go on so", signs(.by))]
    SignsOtherwise {
        /// The publication.
        id: PublicationId,
        /// How it signs.
        by: Vec<NotedSigner>,
    },
    /// The publication has ended, and cannot be resumed.
    #[error("the publication {0} has ended")]
    Ended(PublicationId),
    /// A tag could not be moved, and those that had moved were to go back.
    #[error("{tag} could not be set; {}", told(.undone))]
    TagStuck {
        /// The tag, with its place.
        tag: String,
        /// Why not.
        source: Box<Self>,
        /// What became of the tags that may have moved.
        undone: Vec<Undone>,
    },
}

/// How a publication signs, in words.
fn signs(by: &[NotedSigner]) -> String {
    if by.is_empty() { "signs nothing".to_owned() } else { format!("signs: {}", joined(by)) }
}

fn joined<T: ToString>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What became of tags that were to go back, in words.
fn told(undone: &[Undone]) -> String {
    let stays: Vec<_> = undone
        .iter()
        .filter_map(|undone| Some(format!("{} stays as it is: {}", undone.tag, undone.stays.as_ref()?)))
        .collect();
    if stays.is_empty() { "every tag is what it was before".to_owned() } else { joined(&stays) }
}

/// Why images of a layout or an archive were not taken into a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The layout or archive could not be read, or its content is not what it says.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are no images in it.
    #[error("{0} has no images")]
    Empty(String),
    /// There are several images in it and none was chosen.
    #[error("{what} has {} images: {}", .images.len(), listed(.images))]
    Several {
        /// The layout or archive.
        what: String,
        /// The names of the images, or where they stand.
        images: Vec<String>,
    },
    /// The image that was chosen is not there.
    #[error("{what} does not exist; there are {}", listed(.images))]
    NoSuchImage {
        /// The image, with its layout or archive.
        what: String,
        /// The names of the images that are there.
        images: Vec<String>,
    },
}
