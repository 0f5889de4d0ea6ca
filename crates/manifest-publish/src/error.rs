//! Why something cannot go into a list, or a list not to where it should go.

use manifest_core::{Digest, EncodeError, JsonError};
use manifest_store::StoreError;
use manifest_transport::{LocationError, TransportError};

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
