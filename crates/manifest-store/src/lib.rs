//! Saves and loads image lists as records under file locks.
//!
//! A [`Store`] is a directory of [`Record`]s. A record is what is kept of one list: its names, the exact
//! bytes of its document, where its entries came from, and its [`History`]. A change is one replacement of
//! one file, durable before the call returns; edits of one list are serialised by a lock of its own, and
//! readers never wait. The layout on disk is described to the byte in `docs/record-format.md`.
//!
//! This crate opens no sockets, reads no environment and prints nothing. It never follows a link inside a
//! store, never repairs damage silently, and leaves what it does not know as it is.
//!
//! Calls are async and need a tokio runtime with its clock enabled; a `current_thread` runtime serves. Work
//! on files is done on tokio's blocking threads, the edit itself on the caller's.

mod backend;
mod blobs;
mod cache;
mod catalog;
#[cfg(test)]
mod crash;
mod draft;
mod error;
mod files;
mod fsck;
mod gc;
mod held;
mod history;
mod hold;
mod id;
mod lease;
mod lock;
mod place;
mod publications;
mod record;
mod selector;
mod source;
mod store;
mod text;
mod usage;

pub use blobs::{BlobReader, BlobWriter, Blobs, Intake, Variant};
pub use cache::{Cache, Cached, CachedDocument};
pub use draft::{Base, Draft};
pub use error::{StoreError, UpdateError};
pub use fsck::{CheckReport, Finding, Repair, Severity};
pub use gc::{Collect, Collected, Tally, Writers};
pub use history::{Beside, Change, History, Revert};
pub use hold::{HeldBy, Hold};
pub use id::{InvalidRecordId, RecordId};
pub use lease::Lease;
pub use lock::Holder;
pub use publications::{InvalidPublicationId, PublicationId, Publications};
pub use record::{Content, NewRecord, Origin, Pushed, Record};
pub use selector::Selector;
pub use source::{Source, Sources};
pub use store::{Clock, Force, IfTaken, Removed, Store, StoreOptions, Undone, Updated, Waiting};
pub use usage::Usage;

#[cfg(feature = "shared")]
pub use object_store;
