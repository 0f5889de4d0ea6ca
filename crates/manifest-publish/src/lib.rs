//! Publications: what goes into a list is resolved, and what is in a list is brought to where it should be.
//!
//! [`resolve`] turns a reference into entries. [`judge_truth`] compares a list with its entries before it goes anywhere.
//! [`push`] asks what the target has, plans what is missing (a pure step, see [`Plan`]), brings it there by digest, and
//! moves the name last; a [`Journal`] tells how far that is, so that [`resume`] goes on with it and [`abort`] takes it
//! back; [`With`] says what goes along, [`Signing`] who signs. [`attest()`] attaches statements to what they describe. [`verify`]
//! tells whether what is there is signed. [`export`] does that with a layout or an archive of its own, and [`take`] brings
//! images from there into a store. [`probe()`] finds out what a registry can do. Nothing here edits lists, keeps records
//! or prints.

mod adder;
mod attached;
mod attest;
mod cached;
pub mod check;
mod choice;
mod conflict;
mod course;
mod deliver;
pub mod diff;
mod documents;
mod door;
mod error;
mod export;
mod gate;
mod import;
mod journal;
mod lot;
mod merge;
mod parcel;
mod plan;
mod pool;
mod probe;
mod progress;
mod push;
mod refresh;
mod resolve;
mod resume;
mod signing;
mod subject;
mod survey;
mod tags;
mod together;
mod truth;
pub mod verify;

pub use attached::{
    AttachedAction, AttachedOutcome, AttachedStep, Brought, LeftOut, MAX_REFERRER_DEPTH, MAX_REFERRERS, With,
};
pub use attest::{
    AttestBy, AttestationForm, Attested, Attesting, FoundAttestation, MAX_PREDICATE_SIZE, MAX_PREDICATE_TYPE,
    Predicate, PredicateError, attest, attestations_of,
};
pub use cached::{Fresh, Known, resolve_known};
pub use choice::{Choice, Offered, Shadowed, choose_images, shadowed};
pub use conflict::{Conflict, Pushed};
pub use documents::Documents;
pub use error::{ImportError, MAX_NESTING, PublishError, ResolveError};
pub use export::{ExportTo, Exported, IfThere, export};
pub use gate::{Gates, Refusal};
pub use import::{Taken, take};
pub use journal::{Journal, Phase, Publication, PublishedTag, PublishedTarget, Was};
pub use merge::Merged;
pub use plan::{Action, BlobStep, ManifestStep, Plan};
pub use pool::pool;
pub use probe::{Ability, Answer, Probe, ProbeDepth, Probed, Suspect, Verdict, probe, suspects};
pub use progress::{Progress, Step};
pub use push::{
    Content, Effort, Expectations, Outcome, Planned, Published, PushOptions, TagMoved, Target, dry_run,
    entries_of, push,
};
pub use refresh::{Became, became, renew};
pub use resolve::{Attestations, Resolved, Selection, choose, describe, resolve};
pub use resume::{abort, resume};
pub use signing::{
    Claim, FoundSignature, NotedSigner, NotedSigning, Open, RemovedSignatures, SignBy, SignStep, Signature,
    SignatureForm, Signed, Signing, SigstoreVouch, SimpleVouch, UnknownSignatureForm, Vouch,
    remove_signatures, sign, signatures_of, subjects_of,
};
pub use subject::Subject;
pub use tags::{Expected, Undone};
pub use truth::{CheckConfig, Truth, TruthOptions, judge_truth};

/// The README's example is compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
