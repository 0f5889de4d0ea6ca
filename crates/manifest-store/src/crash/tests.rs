//! The promises of the store, over every disk that a crash may leave.

use super::explore::{Explorer, Tally};
use super::promise::NAMES;
use super::scenario::{SCENARIOS, Scenario};

/// How many crashes are looked at in the tests of every change, in each scenario.
const SHORT: usize = 460;

/// How many are at most when there is time.
const LONG: usize = 30_000;

fn explore_all(crashes: usize, changes: usize) -> Vec<Tally> {
    let explore = |scenario: &Scenario| match Explorer::new(scenario, |files| Box::new(files), changes)
        .explore(crashes)
    {
        Ok(tally) => tally,
        Err(violation) => panic!("{}: {violation}", scenario.about),
    };
    std::thread::scope(|threads| {
        let started: Vec<_> =
            SCENARIOS.iter().map(|scenario| threads.spawn(move || explore(scenario))).collect();
        started.into_iter().map(|started| started.join().unwrap()).collect()
    })
}

/// DUR-4, DUR-9, DUR-20.
#[test]
fn no_crash_loses_what_was_acknowledged() {
    let tallies = explore_all(SHORT, 1);
    let crashes: usize = tallies.iter().map(|tally| tally.crashes).sum();
    assert!(crashes >= 5000, "{crashes}");
}

/// The same at length.
#[test]
#[ignore = "takes minutes; `cargo xtask prove crash` runs it"]
#[allow(clippy::print_stdout, reason = "figures for who asked for them")]
fn crash_at_length() {
    let start = std::time::Instant::now();
    let tallies = explore_all(LONG, NAMES.len());
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let complete = tallies.iter().filter(|tally| tally.is_complete).count();
    println!(
        "{} crashes ({} that differ in more than the order of calls) of 3 writers in {} scenarios, {complete} of them complete",
        sum(|tally| tally.crashes),
        sum(|tally| tally.moments),
        tallies.len(),
    );
    println!(
        "{} disks, {} checks, {} interleavings, {} states of the system, in {:.0} s: nothing acknowledged was lost",
        sum(|tally| tally.images),
        sum(|tally| tally.checks),
        sum(|tally| tally.runs),
        sum(|tally| tally.states),
        start.elapsed().as_secs_f64(),
    );
    assert!(sum(|tally| tally.crashes) >= 100_000);
}
