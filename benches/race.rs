//! Contestants that run in turns, so that what else the machine does hits all of them alike.

use manifest_testkit::{DockerRegistry, Http};

use crate::figures::Sample;
use crate::job::{Failed, Job};

/// A way to do the work.
pub(crate) struct Contestant<'a> {
    pub(crate) name: &'static str,
    /// The row that it is compared with, by wall time.
    rival: Option<&'static str>,
    /// The rounds that it takes part in; all without a limit.
    at_most: Option<usize>,
    /// Makes everything ready for this round, and says what is to be measured. Round 0 does not count.
    prepare: Box<dyn FnMut(usize) -> Job + 'a>,
}

impl<'a> Contestant<'a> {
    pub(crate) fn new(name: &'static str, prepare: impl FnMut(usize) -> Job + 'a) -> Self {
        Self { name, rival: None, at_most: None, prepare: Box::new(prepare) }
    }

    /// Shows how long `ours` takes in proportion to it.
    pub(crate) fn against(self, ours: &'static str) -> Self {
        Self { rival: Some(ours), ..self }
    }

    /// Lets it take part in the first rounds only.
    pub(crate) fn at_most(self, rounds: usize) -> Self {
        Self { at_most: Some(rounds), ..self }
    }
}

/// How a contestant did.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) rival: Option<&'static str>,
    /// What each round cost, round by round from the first that counts.
    pub(crate) samples: Vec<Sample>,
    pub(crate) failed: Option<Failed>,
}

/// Runs every contestant once a round, in the same order in each, after a first round that does not count.
///
/// One that fails is out, and its row says why.
pub(crate) fn run(
    mut contestants: Vec<Contestant<'_>>,
    registries: &[&DockerRegistry],
    rounds: usize,
) -> Vec<Row> {
    let row = |one: &Contestant<'_>| Row { name: one.name, rival: one.rival, samples: vec![], failed: None };
    let mut rows: Vec<Row> = contestants.iter().map(row).collect();
    for round in 0..=rounds {
        for (contestant, row) in contestants.iter_mut().zip(&mut rows) {
            if row.failed.is_some() || contestant.at_most.is_some_and(|most| round > most) {
                continue;
            }
            eprintln!("round {round} of {rounds}: {}", contestant.name);
            let job = (contestant.prepare)(round);
            let before = requests(registries);
            match job.measure() {
                Ok(_) if round == 0 => {}
                Ok(cost) => row.samples.push(Sample { cost, requests: requests(registries) - before }),
                Err(failed) => row.failed = Some(failed),
            }
        }
    }
    rows
}

/// The requests so far, without those of this function.
fn requests(registries: &[&DockerRegistry]) -> usize {
    registries.iter().map(|registry| requests_of(registry)).sum()
}

/// Lines of the access log before the one of a request that is made here: the registry writes a line after
/// it has answered, so the last ones may come a moment after the client has ended.
fn requests_of(registry: &DockerRegistry) -> usize {
    const MARK: &str = "/v2/?mark";
    let marks = || registry.requests().iter().filter(|line| line.target == MARK).count();
    let before = marks();
    Http::to(&registry.address()).get(MARK, &[]);
    while marks() == before {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    registry.requests().iter().filter(|line| line.target != MARK).count()
}
