//! Every committed input of the fuzzers keeps the promises that the fuzzers check.

#![allow(
    clippy::unwrap_used,
    clippy::type_complexity,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise ends a test by a panic"
)]

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the fuzzers' programs call it from outside")]
mod promises;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The inputs for one fuzz target, in the order of their names.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

/// Runs `promise` on every input, and on every beginning of it, as a broken connection would leave it.
fn replay(target: &str, promise: fn(&[u8])) {
    let inputs = corpus(target);
    assert!(inputs.len() >= 12, "{target}: the corpus lies elsewhere");
    for (file, input) in inputs {
        for end in 0..=input.len() {
            let kept = catch_unwind(AssertUnwindSafe(|| promise(&input[..end])));
            assert!(kept.is_ok(), "{}, its first {end} bytes", file.display());
        }
    }
}

/// SEC-55.
#[test]
fn lists_keep_their_promises() {
    replay("list", promises::list);
}

#[test]
fn references_keep_their_promises() {
    replay("reference", promises::reference);
}

#[test]
fn platforms_keep_their_promises() {
    replay("platform", promises::platform);
}

#[test]
fn challenges_keep_their_promises() {
    replay("challenge", promises::challenge);
}

/// The name of a seed says whether it is good: `ok-…` is read, `bad-…` is refused.
#[test]
fn each_seed_is_read_or_refused_as_its_name_says() {
    let text = |input: &[u8]| String::from_utf8(input.to_vec()).ok();
    let read: [(&str, &dyn Fn(&[u8]) -> bool); 3] = [
        ("list", &|input| manifest_core::List::decode(input).is_ok()),
        ("reference", &|input| {
            text(input).is_some_and(|text| text.parse::<manifest_core::Reference>().is_ok())
        }),
        ("platform", &|input| {
            text(input).is_some_and(|text| text.parse::<manifest_core::Platform>().is_ok())
        }),
    ];
    for (target, is_read) in read {
        for (file, input) in corpus(target) {
            let name = file.file_name().unwrap().to_str().unwrap();
            let expected = name.starts_with("ok-");
            assert!(expected || name.starts_with("bad-"), "{target}/{name}: name it ok-… or bad-…");
            assert_eq!(is_read(&input), expected, "{target}/{name}");
        }
    }
}
