//! What may come of a fault.

use std::fmt;

use super::case::{Bench, Case, Found, State};
use super::fault::{Fault, RESTARTED, SYNCS};
use super::trace::Call;
use crate::Ran;
use crate::proof::{Violation, ensure};

/// What came of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The command said no, and nothing has changed.
    Refused,
    /// The command went on, and all is done.
    Done,
    /// All is done, and the command said that it may not last.
    Uncertain,
    /// The command was killed before anybody saw the change.
    KilledBefore,
    /// The command was killed when the change was made.
    KilledAfter,
    /// Another thing failed too, so that nothing can be said but that the store is in order.
    Elsewhere,
}

/// Counts of outcomes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    refused: usize,
    done: usize,
    uncertain: usize,
    killed_before: usize,
    killed_after: usize,
}

impl Tally {
    pub(super) const fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Refused => self.refused += 1,
            Outcome::Done => self.done += 1,
            Outcome::Uncertain => self.uncertain += 1,
            Outcome::KilledBefore => self.killed_before += 1,
            Outcome::KilledAfter => self.killed_after += 1,
            Outcome::Elsewhere => {}
        }
    }

    pub(super) const fn add(&mut self, other: &Self) {
        self.refused += other.refused;
        self.done += other.done;
        self.uncertain += other.uncertain;
        self.killed_before += other.killed_before;
        self.killed_after += other.killed_after;
    }

    pub(super) const fn runs(&self) -> usize {
        self.refused + self.done + self.uncertain + self.killed_before + self.killed_after
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { refused, done, uncertain, killed_before, killed_after } = self;
        write!(f, "{} | {refused} | {done} | {uncertain} | {killed_before} | {killed_after}", self.runs())
    }
}

/// Says what came of a fault, or which promise it broke.
pub(super) fn judge(
    bench: &Bench,
    case: &Case,
    (before, after): (&State, &State),
    fault: Fault,
    hit: &[&Call],
    ran: &Ran,
) -> Result<Outcome, Violation> {
    let elsewhere = fault != Fault::Kill && hit.iter().any(|call| call.paths.is_empty());
    let bug = ran.code == Some(70) || ran.stderr.contains("panicked");
    ensure(elsewhere || !bug, || "a bug of ours".to_owned())?;
    let (state, nameless) = bench.state()?;
    ensure(state == *before || state == *after, || {
        format!("a third state: {state:#?}\nbefore: {before:#?}\nafter: {after:#?}")
    })?;
    let (same, old) = (before == after, state == *before);
    let outcome = match verdict(fault, ran, old, state == *after, same) {
        // Who fails because of something else too may say anything. When all went well nevertheless, it went well.
        verdict if elsewhere && verdict != Ok(Outcome::Done) => Outcome::Elsewhere,
        verdict => verdict?,
    };
    if !elsewhere && ran.code.is_some() {
        words(bench, case, fault, hit, outcome, ran)?;
        ensure(nameless == 0, || format!("{nameless} lists without a name are left"))?;
    }
    again(bench, case, old && !same, after)?;
    Ok(outcome)
}

/// What the exit code says, if that is so.
fn verdict(fault: Fault, ran: &Ran, old: bool, new: bool, same: bool) -> Result<Outcome, Violation> {
    match (fault, ran.code) {
        (Fault::Kill, None) if new && !same => Ok(Outcome::KilledAfter),
        (Fault::Kill, None) => Ok(Outcome::KilledBefore),
        (_, None) => Err(Violation::new("a signal ended it")),
        (_, Some(0)) => {
            ensure(new, || "it said that all is done, but it is not".to_owned()).map(|()| Outcome::Done)
        }
        (_, Some(11)) => {
            ensure(new, || "it said that the change is made, but it is not".to_owned())?;
            ensure(ran.stderr.contains("may be lost"), || "it does not say what may be lost".to_owned())
                .map(|()| Outcome::Uncertain)
        }
        (_, Some(7 | 9 | 12)) => {
            ensure(old, || "it said no, but the change is made".to_owned()).map(|()| Outcome::Refused)
        }
        (_, Some(code)) => Err(Violation::new(format!("exit code {code} says something else"))),
    }
}

/// What a command that was not killed must have said.
fn words(
    bench: &Bench,
    case: &Case,
    fault: Fault,
    hit: &[&Call],
    outcome: Outcome,
    ran: &Ran,
) -> Result<(), Violation> {
    if outcome != Outcome::Done {
        let path = bench.root.to_string_lossy();
        ensure(ran.stderr.contains(&*path), || format!("the message names no path below {path}"))?;
    }
    let named = |names: &[&str]| hit.iter().any(|call| names.contains(&call.name.as_str()));
    if fault == Fault::Error("EINTR") {
        let restarted = named(&RESTARTED);
        ensure(!restarted || outcome == Outcome::Done, || "an interruption is no failure".to_owned())?;
    } else if named(&SYNCS) {
        let tidying = hit.iter().all(|call| tidies_up(bench, case, call));
        ensure(outcome != Outcome::Done || tidying, || {
            "a sync failed, and it was acknowledged all the same".to_owned()
        })?;
    }
    Ok(())
}

/// Whether a call is part of what comes after the change and may be lost: the name files of a list that lost them,
/// and the record that a name was taken from, which does not have it any more whatever it says.
fn tidies_up(bench: &Bench, case: &Case, call: &Call) -> bool {
    let below = |dir: &str| call.paths.iter().any(|path| path.starts_with(dir));
    match case.name {
        "rm" | "untag" => below("store/names"),
        // The name has moved when it leads to the record; the second record says it in fewer words.
        "rename" => {
            below("store/names")
                || (call.nth > 1 && call.paths.iter().any(|path| path.starts_with("store/records")))
        }
        "replace" => {
            let old = bench.old_records();
            call.paths.iter().any(|path| {
                old.iter().any(|id| path.contains(id.as_str())) || (path == "store/records" && call.nth > 1)
            })
        }
        _ => false,
    }
}

/// The next command works: the same when it was not done, else another one.
fn again(bench: &Bench, case: &Case, same: bool, after: &State) -> Result<(), Violation> {
    let subject = &bench.subject;
    let patience = ["--lock-timeout", "5s"];
    if same {
        subject.done(patience.iter().copied().chain(case.words.iter().map(String::as_str)))?;
        let state = bench.shown()?;
        return ensure(state == *after, || format!("done again, it gives {state:#?} and not {after:#?}"));
    }
    let list = if case.found == Found::Nothing { "new" } else { "app" };
    let another = ["annotate", "--index", list, "--annotation", "next=1"];
    subject.done(patience.into_iter().chain(another)).map(drop)
}
