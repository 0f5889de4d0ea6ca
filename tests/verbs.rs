//! Each verb with each of its flags, in process and without a network.

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

#[path = "verbs/add.rs"]
mod add;
#[path = "verbs/add_lists.rs"]
mod add_lists;
#[path = "verbs/annotate.rs"]
mod annotate;
#[path = "verbs/annotate_index.rs"]
mod annotate_index;
#[path = "verbs/archive_targets.rs"]
mod archive_targets;
#[path = "verbs/attached.rs"]
mod attached;
#[path = "verbs/attest.rs"]
mod attest;
#[path = "verbs/attestations.rs"]
mod attestations;
#[path = "verbs/cache.rs"]
mod cache;
#[path = "verbs/check.rs"]
mod check;
#[path = "verbs/ci.rs"]
mod ci;
#[path = "verbs/conflict.rs"]
mod conflict;
#[path = "verbs/create.rs"]
mod create;
#[path = "verbs/create_from.rs"]
mod create_from;
#[path = "verbs/diff.rs"]
mod diff;
#[path = "verbs/directories.rs"]
mod directories;
#[path = "verbs/documents.rs"]
mod documents;
#[path = "verbs/export.rs"]
mod export;
#[path = "verbs/foreign_layers.rs"]
mod foreign_layers;
#[path = "verbs/help.rs"]
mod help;
#[path = "verbs/history.rs"]
mod history;
#[path = "verbs/holds.rs"]
mod holds;
#[path = "verbs/ids.rs"]
mod ids;
#[path = "verbs/import.rs"]
mod import;
#[path = "verbs/inspect.rs"]
mod inspect;
#[path = "verbs/inspect_image.rs"]
mod inspect_image;
#[path = "verbs/key.rs"]
mod key;
#[path = "verbs/ls.rs"]
mod ls;
#[path = "verbs/names.rs"]
mod names;
#[path = "verbs/origins.rs"]
mod origins;
#[path = "verbs/pool.rs"]
mod pool;
#[path = "verbs/probes.rs"]
mod probes;
#[path = "verbs/progress.rs"]
mod progress;
#[path = "verbs/prune.rs"]
mod prune;
#[path = "verbs/publications.rs"]
mod publications;
#[path = "verbs/publish.rs"]
mod publish;
#[path = "verbs/push.rs"]
mod push;
#[path = "verbs/remove.rs"]
mod remove;
#[path = "verbs/root.rs"]
mod root;
#[path = "verbs/sign.rs"]
mod sign;
#[path = "verbs/signatures.rs"]
mod signatures;
#[path = "verbs/targets.rs"]
mod targets;
#[path = "verbs/truth.rs"]
mod truth;
#[path = "verbs/verify.rs"]
mod verify;
