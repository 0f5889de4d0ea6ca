//! A push through every fault of a network, at every request, to a real registry: it ends well, or it fails as the
//! table says and no tag has moved.

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

#[path = "fault_matrix/docs.rs"]
mod docs;
#[path = "fault_matrix/scene.rs"]
mod scene;
#[path = "fault_matrix/table.rs"]
mod table;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use manifest_testkit::{Ran, Request};

use self::scene::{Bench, Scene};
use self::table::{End, Kind, Often, ROWS, Row};

/// Pushes at the same time. Most of a push is waiting: for a disk, and for pauses that a registry asks for.
const AT_ONCE: usize = 20;

/// One push: a row of the table, the request that it hits, and how often.
#[derive(Clone, Copy, Debug)]
struct Case {
    row: &'static Row,
    kind: Kind,
    /// Requests of the kind that pass before.
    skip: u64,
    often: Often,
}

/// Which requests of a kind are hit.
#[derive(Clone, Copy)]
enum Extent {
    FirstMiddleLast,
    Each,
}

impl Extent {
    /// The requests that pass before, and how often the fault happens then.
    fn of(self, count: u64, turn: usize) -> Vec<(u64, Often)> {
        match self {
            // Each position and each frequency once; which come together changes from row to row.
            Self::FirstMiddleLast => {
                let often = Often::ALL.into_iter().cycle().skip(turn);
                [0, count / 2, count - 1].into_iter().zip(often).collect()
            }
            Self::Each => {
                (0..count).flat_map(|skip| Often::ALL.into_iter().map(move |often| (skip, often))).collect()
            }
        }
    }
}

fn cases(extent: Extent, counts: impl Fn(Kind) -> u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for (turn, row) in ROWS.iter().enumerate() {
        for kind in row.at.iter().copied() {
            let count = counts(kind);
            assert!(count > 0, "a push in peace has no {kind:?}");
            for (skip, often) in extent.of(count, turn) {
                cases.push(Case { row, kind, skip, often });
            }
        }
    }
    cases
}

/// Runs all cases, and tells of every one that does not end as the table says.
fn run(extent: Extent) {
    let bench = Bench::start();
    let drafts = bench.drafts();
    let peace = Scene::new(&bench, &drafts, "peace");
    let counters = Kind::ALL.map(|kind| {
        let (method, pattern) = kind.pattern();
        (kind, peace.proxy.on(method, pattern).always().apply())
    });
    peace.push().ok();
    peace.published().unwrap();
    let cases = cases(extent, |kind| counters.iter().find(|(of, _)| *of == kind).unwrap().1.hits());
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let drafts = bench.drafts();
                while let Some((number, case)) = take(&next, &cases) {
                    if let Err(account) = case.run(&bench, &drafts, number) {
                        wrong.lock().unwrap().push((number, account));
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    let accounts: Vec<_> = wrong.iter().map(|(_, account)| account.as_str()).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), accounts.join("\n"));
}

/// The next case that nobody has taken, with its number.
fn take(next: &AtomicUsize, cases: &[Case]) -> Option<(usize, Case)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    cases.get(number).map(|case| (number, *case))
}

impl Case {
    fn run(self, bench: &Bench, drafts: &in_process::Cli, number: usize) -> Result<(), String> {
        let scene = Scene::new(bench, drafts, &format!("case-{number}"));
        let (method, pattern) = self.kind.pattern();
        let rule = (self.row.act)(scene.proxy.on(method, pattern).skip(self.skip));
        let rule = match self.often {
            Often::Once => rule.times(1),
            Often::Thrice => rule.times(3),
            Often::Ever => rule.always(),
        };
        let pushed = scene.push();
        let judged = if rule.hits() == 0 {
            Err("the fault did not happen".to_owned())
        } else {
            self.judge(&scene, &pushed)
        };
        judged.map_err(|problem| {
            let Self { row, kind, skip, often } = self;
            let log: Vec<_> = scene.proxy.requests().iter().map(Request::line).collect();
            let log = log.join("\n  ");
            format!("{} at {kind:?} {skip}, {often:?}: {problem}\n  {pushed:?}  {log}", row.fault)
        })
    }

    fn judge(self, scene: &Scene<'_>, pushed: &Ran) -> Result<(), String> {
        let expected = self.row.end(self.often);
        let (End::Fails(kind) | End::Late(kind)) = expected else {
            return if pushed.code == Some(0) {
                scene.published()
            } else {
                Err("it should end well".to_owned())
            };
        };
        let error = pushed.stderr.lines().find(|line| line.starts_with(r#"{"error""#)).unwrap_or_default();
        if !error.contains(&format!(r#""kind":"{kind}""#)) || pushed.code != Some(docs::exit_code(kind)) {
            return Err(format!("it should fail with {kind}"));
        }
        // A pause or a login is a matter of the host, the rest of a request or of content.
        let of_the_host = matches!(kind, "rate_limited" | "not_authorised");
        let names = |part: &str| error.contains(part);
        if !names(&scene.proxy.address())
            || !(of_the_host || ["/v2/", "docker://", "sha256:"].into_iter().any(names))
        {
            return Err("the message does not name the host and the request".to_owned());
        }
        if matches!(expected, End::Late(_)) { scene.published() } else { scene.unmoved() }
    }
}

#[test]
fn every_fault_at_the_first_the_middle_and_the_last_request_ends_as_the_table_says() {
    run(Extent::FirstMiddleLast);
}

#[test]
#[ignore = "takes minutes; `cargo xtask prove faults` runs it"]
fn every_fault_at_every_request_ends_as_the_table_says() {
    run(Extent::Each);
}

#[test]
fn the_table_is_what_the_documentation_shows() {
    docs::check();
}
