//! What is printed where, and what programs may rely on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a failed expectation ends a test by a panic; files of a test need not survive a crash"
)]
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of what they share")]

mod in_process;

#[path = "output/checks.rs"]
mod checks;
#[path = "output/json.rs"]
mod json;
#[path = "output/streams.rs"]
mod streams;
