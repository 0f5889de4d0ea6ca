//! The program among servers and files that mean it harm.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a broken promise ends a test by a panic; files of tests need not survive a crash"
)]

#[path = "security/documents.rs"]
mod documents;
#[path = "security/memory.rs"]
mod memory;
#[path = "security/modes.rs"]
mod modes;
#[path = "security/proxies.rs"]
mod proxies;
#[path = "security/secrets.rs"]
mod secrets;
#[path = "security/signatures.rs"]
mod signatures;

use std::process::Command;

use manifest_testkit::{Ran, Workspace};

const MANIFEST: &str = env!("CARGO_BIN_EXE_manifest");

fn manifest(workspace: &Workspace, words: &str) -> Ran {
    Ran::of(&mut command(workspace, words))
}

fn command(workspace: &Workspace, words: &str) -> Command {
    let mut command = workspace.command(MANIFEST);
    command.args(words.split_whitespace());
    command
}
