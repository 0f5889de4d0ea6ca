//! What is told while a publication goes on.

use manifest_core::Descriptor;
use manifest_sign::KeyId;
use manifest_store::StoreError;
use manifest_transport::Place;

use crate::attached::LeftOut;
use crate::error::PublishError;
use crate::plan::{Action, Plan};
use crate::signing::SignatureForm;

/// Who is told how a publication goes on.
pub trait Progress: Send + Sync {
    /// Something is known, or was done, at a target. Must not block.
    fn step(&self, target: &Place, step: Step<'_>);
    /// How far the publication is could not be written down: if it is cut off, it may not be resumed from here.
    fn not_written_down(&self, _error: &StoreError) {}
    /// The store could not keep its other publications away from the tags.
    fn not_alone(&self, _error: &StoreError) {}
    /// A place sets a tag also where somebody else has moved it meanwhile, so that only publications that share a store are
    /// sure to see each other.
    fn not_compared(&self, _place: &Place) {}
    /// A place lets signatures and attestations be added to others also where somebody else has added some meanwhile, so that
    /// only those that share a store are sure to see each other.
    fn signatures_not_compared(&self, _place: &Place) {}
    /// Somebody else has moved a tag, and the publication begins again from what is there now.
    fn begins_again(&self, _why: &PublishError) {}
    /// Something that is attached to the list or an entry is not taken along.
    fn left_out(&self, _what: &LeftOut) {}
}

/// What is known, or was done, at a target.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Step<'a> {
    /// The work is known; again when a registry has lost something.
    Planned(&'a Plan),
    /// The bytes of a blob begin to be carried.
    Carries(&'a Descriptor),
    /// A blob has arrived, or was there; the action is what it took in the end.
    Blob(&'a Descriptor, Action),
    /// A manifest was written under its digest, the list itself last.
    Manifest(&'a Descriptor),
    /// A manifest was signed by a key; the signature is about to be written.
    Signed(&'a Descriptor, &'a KeyId, SignatureForm),
    /// A tag means the list now.
    Tag(&'a str),
    /// Everything that was to be done at the target is.
    Done,
    /// The target failed; what was done there may be taken back.
    Failed(&'a PublishError),
}
