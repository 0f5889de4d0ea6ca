//! Sigstore with keys: key files, and both forms of signatures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "sigstore/attachments.rs"]
mod attachments;
#[path = "sigstore/bundles.rs"]
mod bundles;
#[path = "sigstore/fixture.rs"]
mod fixture;
#[path = "sigstore/keys.rs"]
mod keys;
#[path = "sigstore/openssl.rs"]
mod openssl;
#[path = "sigstore/signatures.rs"]
mod signatures;
