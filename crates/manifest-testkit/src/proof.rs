//! Proofs: the program as a whole, run against everything that may go wrong around its store.
//!
//! A proof starts the real binary, many times, and never looks into its crates. Each takes a size, so that the
//! ordinary tests run a short form of what `cargo xtask prove` runs at length, and ends with figures or with the
//! first [`Violation`]:
//!
//! - [`edits`]: many processes edit one list, or one list each, while others read;
//! - [`kill`]: commands are killed at random moments;
//! - [`syscalls`]: each file-system call of a command fails, or is the last thing that it does;
//! - [`locks`]: the holder of a lock stands still or dies; a record is held and removed by many at once;
//! - [`machine`]: the disk is full, read-only or somebody else's;
//! - [`power`]: the power fails, on three file systems;
//! - [`bits`]: each file of a store is damaged in each way;
//! - [`planted`]: links planted by others, odd paths and names, a clock that jumps;
//! - [`scale`]: many lists, a long list, a long history;
//! - [`collect`]: garbage is collected in a store of many blobs while others write;
//! - [`soak`]: hours of edits on a disk that fails now and then;
//! - [`publish`]: pushes are killed at random moments, and then resumed or taken back;
//! - [`conflict`]: two pushes to one tag at once;
//! - [`signing`]: pushes that sign are killed while somebody looks at the tag;
//! - [`signers`]: many sign one image at once.

mod bits;
mod chance;
mod collect;
mod conflict;
mod disk;
mod edits;
mod facts;
mod fingerprint;
mod health;
mod kill;
mod locks;
mod machine;
mod material;
mod planted;
mod power;
mod publish;
mod scale;
mod signers;
mod signing;
mod soak;
mod subject;
mod syscalls;
mod tree;
mod writer;

use std::fmt;

pub use bits::{Bits, bits};
pub use collect::{Collect, collect};
pub use conflict::{Conflict, Setting, conflict};
pub use disk::FileSystem;
pub use edits::{Edits, Spread, edits};
pub use kill::{Kills, kill};
pub use locks::{Locks, locks};
pub use machine::{Machine, machine};
pub use planted::{Planted, planted};
pub use power::{Power, power};
pub use publish::{Publish, publish};
pub use scale::{Scale, scale};
pub use signers::{Signers, signers};
pub use signing::{Signing, signing};
pub use soak::{Soak, soak};
pub use subject::Subject;
pub use syscalls::{Faults, Syscalls, syscalls};

/// A promise that was broken, with what is needed to see it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(String);

impl Violation {
    fn new(account: impl Into<String>) -> Self {
        Self(account.into())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

/// What a proof gives: lines of figures.
pub type Proved = Result<String, Violation>;

/// Fails with an account unless a promise was kept.
fn ensure(kept: bool, account: impl FnOnce() -> String) -> Result<(), Violation> {
    if kept { Ok(()) } else { Err(Violation::new(account())) }
}
