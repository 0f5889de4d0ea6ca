//! Where images live: repositories of registries, OCI image layouts, directories, and archives.
//!
//! A [`Transport`] opens a [`Place`]; a place gives and takes manifests and blobs; an archive only gives. Whatever is read is checked
//! against the digest and the size that asked for it before anybody gets to see it. All requests to the network go
//! through one seam, which keeps credentials with the origin they are for, follows redirects with care, repeats
//! what may be repeated and never waits for ever.
//!
//! This crate knows nothing of lists that are being edited, prints nothing and reads no environment variables
//! but those of proxies.

pub mod archive;
pub mod auth;
mod carriers;
mod clock;
pub mod config;
mod directory;
mod error;
mod feed;
mod foreign;
mod graph;
mod hashing;
mod http;
mod layout;
mod location;
mod lock;
mod manifest;
mod observe;
mod offer;
mod pace;
mod place;
mod reader;
mod registry;
mod retry;
mod secret;
mod settings;
mod signatures;
mod start;
mod stream;

pub use archive::{Archive, ArchiveError, ArchiveKind};
pub use carriers::{Carrier, Carriers};
pub use clock::{Clock, Pause, SystemClock};
pub use directory::Directory;
pub use error::TransportError;
pub use feed::{Feed, Source, Tap};
pub use graph::{Graph, Node};
pub use http::{DEFAULT_JOBS, LookUp, Names, SystemNames, Tls};
pub use layout::Layout;
pub use location::{Location, LocationError, Pick};
pub use manifest::{At, Fetched, Origin};
pub use observe::{Event, Observer, Silent};
pub use offer::Offer;
pub use place::{
    Added, Addition, LookBack, Noted, Onto, Place, ReferrersAt, RemoteRepository, Stays, Tagged, Transport,
    Which,
};
pub use reader::Reader;
pub use registry::{Check, Deleted, Expect, Guard, Mounted, Opener, Pieced, TagState};
pub use retry::RetryPolicy;
pub use secret::Secret;
pub use settings::Settings;
pub use signatures::{Kept, MAX_SIGNATURE, MAX_SIGNATURES, SignatureEnvironment, Signatures};
pub use start::Start;
pub use stream::Blob;
