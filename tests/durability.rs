//! The short form of the proofs of what lies on the disk; `cargo xtask prove` runs them at length.

#![allow(clippy::panic, reason = "a broken promise ends a test by a panic")]

use std::time::Duration;

use manifest_testkit::proof::{
    Bits, Collect, FileSystem, Machine, Planted, Power, Proved, Scale, Soak, Subject, bits, collect, machine,
    planted, power, scale, soak,
};

fn subject() -> Subject {
    Subject::new(env!("CARGO_BIN_EXE_manifest"))
}

fn holds(proved: Proved) {
    if let Err(violation) = proved {
        panic!("{violation}");
    }
}

/// DUR-3.
#[test]
fn what_was_acknowledged_is_there_after_a_power_failure() {
    holds(power(&subject(), &Power { images: 3, systems: vec![FileSystem::Ext4], seed: 1 }));
}

/// DUR-12.
#[test]
fn a_store_of_several_file_systems_loses_nothing() {
    let parts = ["overlay", "bind", "directories", "aside"].map(str::to_owned).to_vec();
    holds(machine(&subject(), &Machine { parts, step: 1, room: 0 }));
}

/// DUR-14.
#[test]
fn damage_is_told_and_never_served() {
    holds(bits(&subject(), &Bits { positions: 1, one_in: 6, seed: 1 }));
}

/// DUR-15, DUR-16, DUR-18.
#[test]
fn nothing_outside_a_store_is_written_and_names_and_clocks_may_be_odd() {
    holds(planted(&subject(), &Planted { one_in: 4, stride: 90 }));
}

#[test]
fn many_lists_and_long_lists_lose_nothing() {
    holds(scale(&subject(), &Scale { lists: 60, entries: 60, runs: 3 }));
}

/// A4-8, A4-10.
#[test]
fn a_collection_takes_what_nobody_needs_and_nothing_of_those_who_write() {
    holds(collect(&subject(), &Collect { blobs: 5000, writers: 4 }));
}

/// DUR-21.
#[test]
fn work_on_a_disk_that_fails_now_and_then_loses_nothing_and_leaves_nothing() {
    holds(soak(&subject(), &Soak { time: Duration::from_secs(3), writers: 4, seed: 1 }));
}
