//! Bad input and bad circumstances: what is said, the exit code, and that nothing is changed by it.

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

#[path = "errors/content.rs"]
mod content;
#[path = "errors/kinds.rs"]
mod kinds;
#[path = "errors/machine.rs"]
mod machine;
#[path = "errors/store.rs"]
mod store;
#[path = "errors/words.rs"]
mod words;
