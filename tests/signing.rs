//! What we sign, read by other people's programs and by readers written from the specifications alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a failed expectation ends a test by a panic; files of a test need not survive a crash"
)]
#![allow(unreachable_pub, reason = "the parts of one test program")]

#[path = "signing/attached.rs"]
mod attached;
#[path = "signing/directories.rs"]
mod directories;
#[path = "signing/gnupg.rs"]
mod gnupg;
#[path = "signing/others.rs"]
mod others;
#[path = "signing/referrers.rs"]
mod referrers;
#[path = "signing/scene.rs"]
mod scene;
#[path = "signing/simple.rs"]
mod simple;
