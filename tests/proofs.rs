//! The short form of the proofs of the store; `cargo xtask prove` runs them at length.

#![allow(clippy::panic, reason = "a broken promise ends a test by a panic")]

use manifest_testkit::proof::{
    Conflict, Edits, Faults, Kills, Locks, Machine, Proved, Publish, Setting, Signers, Signing, Spread,
    Subject, Syscalls, conflict, edits, kill, locks, machine, publish, signers, signing, syscalls,
};

fn subject() -> Subject {
    Subject::new(env!("CARGO_BIN_EXE_manifest"))
}

fn holds(proved: Proved) {
    if let Err(violation) = proved {
        panic!("{violation}");
    }
}

fn crowd(spread: Spread) -> Edits {
    Edits { processes: 8, edits: 6, readers: 1, spread, seed: 1 }
}

#[test]
fn of_many_edits_of_one_list_none_is_lost_and_readers_see_whole_lists() {
    holds(edits(&subject(), &crowd(Spread::One)));
}

#[test]
fn of_many_edits_of_as_many_lists_none_is_lost() {
    holds(edits(&subject(), &crowd(Spread::Each)));
}

#[test]
fn of_many_edits_of_one_list_in_a_bucket_none_is_lost() {
    let few = Edits { processes: 4, edits: 4, ..crowd(Spread::One) };
    for subject in [subject().in_amazon(), subject().in_azure()] {
        holds(edits(&subject, &few));
    }
}

#[test]
fn a_command_that_is_killed_leaves_the_old_state_or_the_new_one() {
    holds(kill(&subject(), &Kills { rounds: 60, writers: 1, seed: 1 }));
}

#[test]
fn of_several_writers_that_are_killed_each_loses_its_last_edit_at_most() {
    holds(kill(&subject(), &Kills { rounds: 48, writers: 4, seed: 2 }));
}

#[test]
fn an_addition_whose_calls_fail_or_are_its_last_is_done_or_not_done() {
    let size = Syscalls { commands: vec!["add".to_owned()], faults: Faults::Few, jobs: 2 };
    holds(syscalls(&subject(), &size));
}

#[test]
fn a_stopped_holder_of_a_lock_is_named_and_a_killed_one_hinders_nobody() {
    holds(locks(&subject(), &Locks { rounds: 4, crowd: 10 }));
}

#[test]
fn a_push_that_is_killed_is_resumed_to_the_end_or_taken_back() {
    holds(publish(&subject(), &Publish { rounds: 20, seed: 1 }));
}

#[test]
fn of_two_pushes_to_one_tag_both_are_kept_or_one_is_told() {
    holds(conflict(&subject(), &Conflict { rounds: 3, settings: Setting::ALL.to_vec() }));
}

#[test]
fn a_push_that_is_killed_leaves_no_tag_with_a_list_that_is_not_signed() {
    holds(signing(&subject(), &Signing { runs: 5, seed: 1 }));
}

#[test]
fn of_many_signatures_that_are_made_at_once_none_is_lost() {
    let settings = vec![Setting::Compares, Setting::Directory];
    holds(signers(&subject(), &Signers { signers: 16, rounds: 1, settings }));
}

#[test]
fn a_file_that_may_not_grow_and_a_missing_home_are_told_and_lose_nothing() {
    let parts = ["filesize", "home"].map(str::to_owned).to_vec();
    holds(machine(&subject(), &Machine { parts, step: 16 << 10, room: 24 << 10 }));
}
