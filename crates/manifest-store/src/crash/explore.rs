//! All orders in which writers can go on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::disk::Disk;
use super::files::Handle;
use super::gate::{Gate, Labels, Machine, hash};
use super::image::Image;
use super::promise::Inspector;
use super::scenario::Scenario;
use super::world::{Done, Op, World, during};
use super::writer::{Answer, perform, runtime, store};
use crate::files::Files;

/// What stands between a store and its disk.
pub(super) type Wrap = fn(Handle) -> Box<dyn Files>;

/// Goes through the states that writers and their disk can be in, and checks what a crash would leave in each.
///
/// An interleaving is a list of choices, which is made from the start each time. A state of the whole system (the disk,
/// the locks, and all that each writer was told so far) that was seen before is not gone on from again: what can
/// happen from there was seen, so that nothing is missed when no choices remain.
pub(super) struct Explorer<'a> {
    scenario: &'a Scenario,
    wrap: Wrap,
    disk: Disk,
    labels: Labels,
    inspector: Inspector,
    /// Beginnings of interleavings that were not looked into.
    open: Vec<Vec<Choice>>,
    chance: u64,
    seen: BTreeSet<u64>,
    /// How many disks may be found at each moment that was looked at.
    moments: BTreeMap<u64, usize>,
    images: BTreeSet<u64>,
    expected: BTreeMap<u64, Rc<BTreeSet<World>>>,
    tally: Tally,
}

/// Who goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Go(usize),
    Kill(usize),
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Interleavings that were run.
    pub(super) runs: usize,
    /// States of the whole system.
    pub(super) states: usize,
    /// Pairs of a state of the system that a call or an answer has just changed, and a disk found after a crash there.
    pub(super) crashes: usize,
    /// Those crashes that differ in what was acknowledged or in the disks that may be found.
    pub(super) moments: usize,
    /// Disks that differ.
    pub(super) images: usize,
    /// Disks, each with each set of promises that it was checked against.
    pub(super) checks: usize,
    /// Whether there is nothing left to look at.
    pub(super) is_complete: bool,
}

/// A promise that was broken, and how that came about.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) what: String,
    log: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nafter\n  {}", self.what, self.log.join("\n  "))
    }
}

/// What writers were told so far, and what follows from it.
struct Ledger {
    /// What may be there, as far as answers tell.
    worlds: Rc<BTreeSet<World>>,
    /// How many changes of each writer were answered; none when it was killed.
    answered: Vec<Option<usize>>,
    read: usize,
    /// Whether somebody else was acknowledged what rests on the change that each writer is making: it is made, then.
    made: Vec<bool>,
    /// Whether the change that each writer is making could have been refused at some moment since it began.
    refusable: Vec<bool>,
}

impl<'a> Explorer<'a> {
    pub(super) fn new(scenario: &'a Scenario, wrap: Wrap, changes: usize) -> Self {
        let (disk, labels) = scenario.disk();
        Self {
            scenario,
            wrap,
            disk,
            labels,
            inspector: Inspector::new(changes),
            open: vec![Vec::new()],
            chance: 0x9e37_79b9_7f4a_7c15,
            seen: BTreeSet::new(),
            moments: BTreeMap::new(),
            images: BTreeSet::new(),
            expected: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    /// Looks until nothing is left or so many crashes were seen.
    pub(super) fn explore(mut self, crashes: usize) -> Result<Tally, Violation> {
        while self.tally.crashes < crashes
            && let Some(choices) = self.pick()
        {
            self.run(&choices)?;
            self.tally.runs += 1;
        }
        let (states, moments, images) = (self.seen.len(), self.moments.len(), self.images.len());
        let (checks, is_complete) = (self.inspector.checks(), self.open.is_empty());
        Ok(Tally { states, moments, images, checks, is_complete, ..self.tally })
    }

    /// Any of those that are open, but rather a short one: more that is new lies behind it.
    fn pick(&mut self) -> Option<Vec<Choice>> {
        let some: Vec<usize> = (0..8).filter_map(|_| self.any(self.open.len())).collect();
        let at = some.into_iter().min_by_key(|at| self.open[*at].len())?;
        Some(self.open.swap_remove(at))
    }

    /// A number below this one, the same in every run of the test.
    fn any(&mut self, below: usize) -> Option<usize> {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let any = self.chance.checked_rem(u64::try_from(below).unwrap())?;
        Some(usize::try_from(any).unwrap())
    }

    fn run(&mut self, choices: &[Choice]) -> Result<(), Violation> {
        let gate = Arc::new(Gate::new(self.disk.clone(), self.labels.clone(), self.scenario.writers.len()));
        std::thread::scope(|threads| {
            for (writer, ops) in self.scenario.writers.iter().enumerate() {
                let files = (self.wrap)(Handle::new(&gate, writer));
                let gate = gate.clone();
                threads.spawn(move || write(&gate, writer, ops, files));
            }
            let steered = self.steer(&gate, choices);
            gate.end();
            steered
        })
    }

    fn steer(&mut self, gate: &Gate, choices: &[Choice]) -> Result<(), Violation> {
        let mut ledger = Ledger::new(self.scenario);
        let (mut last, mut kills) = (0, 0);
        let mut made: Vec<Choice> = Vec::new();
        loop {
            let machine = gate.settled();
            let stopped = |what: String| Violation { what, log: machine.log.clone() };
            ledger.read(self.scenario, &machine).map_err(stopped)?;
            self.look_for_refusals(&mut ledger);
            // What comes before the last choice was looked at in another run.
            let moment =
                if made.len() + 1 < choices.len() { 0 } else { ledger.moment(self.scenario, &machine) };
            if made.len() >= choices.len() {
                if !self.seen.insert(hash(&(machine.mark(), &ledger.worlds))) {
                    return Ok(());
                }
                if moment != last {
                    self.tally.crashes += self.crash(&machine, &ledger, moment).map_err(stopped)?;
                }
            }
            last = moment;
            let choice = match choices.get(made.len()) {
                Some(choice) => *choice,
                None if machine.is_done() => return Ok(()),
                None => self
                    .choose(&made, &machine.ready(), kills)
                    .ok_or("nobody can go on".to_owned())
                    .map_err(stopped)?,
            };
            made.push(choice);
            match choice {
                Choice::Go(writer) => gate.grant(machine, writer),
                Choice::Kill(writer) => {
                    kills += 1;
                    ledger.kill(self.scenario, writer);
                    gate.kill(machine, writer);
                }
            }
        }
    }

    /// One of the choices that there are now; the others stay open.
    fn choose(&mut self, made: &[Choice], ready: &[usize], kills: usize) -> Option<Choice> {
        let mut choices: Vec<_> = ready.iter().copied().map(Choice::Go).collect();
        if kills < self.scenario.kills {
            choices.extend(ready.iter().copied().map(Choice::Kill));
        }
        let chosen = self.any(choices.len())?;
        let chosen = choices.swap_remove(chosen);
        self.open.extend(choices.into_iter().map(|other| [made, &[other]].concat()));
        Some(chosen)
    }

    /// Checks all that may be found when the power fails now; tells how many disks that are.
    fn crash(&mut self, machine: &Machine, ledger: &Ledger, moment: u64) -> Result<usize, String> {
        if let Some(count) = self.moments.get(&moment) {
            return Ok(*count);
        }
        let worlds = self.expect(&ledger.worlds, &ledger.in_flight(self.scenario));
        let images = Image::after_crash(&machine.disk, &machine.labels);
        for (mark, image) in &images {
            self.images.insert(*mark);
            self.inspector.check(*mark, image, &worlds)?;
        }
        self.moments.insert(moment, images.len());
        Ok(images.len())
    }

    /// All that may be there when these changes were cut off.
    fn expect(&mut self, worlds: &Rc<BTreeSet<World>>, in_flight: &[Op]) -> Rc<BTreeSet<World>> {
        let known = self.expected.entry(hash(&(worlds, in_flight)));
        known.or_insert_with(|| Rc::new(during(worlds, in_flight))).clone()
    }

    fn look_for_refusals(&mut self, ledger: &mut Ledger) {
        for writer in 0..ledger.answered.len() {
            let Some(op) = ledger.op(self.scenario, writer).filter(|_| !ledger.refusable[writer]) else {
                continue;
            };
            let others: Vec<Op> = (0..ledger.answered.len())
                .filter(|other| *other != writer)
                .filter_map(|other| ledger.op(self.scenario, other))
                .collect();
            let refuses = |world: &World| world.after(op, Done::Made).is_none();
            ledger.refusable[writer] = self.expect(&ledger.worlds, &others).iter().any(refuses);
        }
    }
}

impl Ledger {
    fn new(scenario: &Scenario) -> Self {
        let writers = scenario.writers.len();
        Self {
            worlds: Rc::new(BTreeSet::from([scenario.world()])),
            answered: vec![Some(0); writers],
            read: 0,
            made: vec![false; writers],
            refusable: vec![false; writers],
        }
    }

    /// The change that a writer is making.
    fn op(&self, scenario: &Scenario, writer: usize) -> Option<Op> {
        scenario.writers[writer].get(self.answered[writer]?).copied()
    }

    /// Equal where the same may be found after a crash, and the same is expected.
    fn moment(&self, scenario: &Scenario, machine: &Machine) -> u64 {
        hash(&(machine.disk_mark(), &self.worlds, self.in_flight(scenario)))
    }

    fn in_flight(&self, scenario: &Scenario) -> Vec<Op> {
        let open = (0..self.answered.len()).filter(|writer| !self.made[*writer]);
        open.filter_map(|writer| self.op(scenario, writer)).collect()
    }

    /// Takes note of what writers were told. Locks are free before that, and nobody else went on since, so that the
    /// order of the answers is the order of those changes that exclude each other.
    fn read(&mut self, scenario: &Scenario, machine: &Machine) -> Result<(), String> {
        for (writer, answer) in machine.answers.iter().skip(self.read) {
            self.read += 1;
            let op = self.op(scenario, *writer).unwrap();
            match answer {
                Answer::Done(_) if self.made[*writer] => {}
                Answer::Done(done) => {
                    let worlds = self.after(scenario, *writer, op, *done);
                    self.worlds = Rc::new(worlds.ok_or_else(|| {
                        format!("{op:?} was acknowledged, but cannot be made in {:?}", self.worlds)
                    })?);
                }
                Answer::Refused(_) if self.refusable[*writer] => {}
                Answer::Refused(why) => return Err(format!("{op:?} was refused without a reason: {why}")),
                Answer::Failed(why) => return Err(format!("{op:?} failed: {why}")),
            }
            self.answered[*writer] = self.answered[*writer].map(|count| count + 1);
            (self.refusable[*writer], self.made[*writer]) = (false, false);
        }
        Ok(())
    }

    /// What there is after a change that was acknowledged, which may rest on one that was not yet.
    fn after(&mut self, scenario: &Scenario, writer: usize, op: Op, done: Done) -> Option<BTreeSet<World>> {
        let all = |worlds: &BTreeSet<World>, op, done| -> BTreeSet<World> {
            worlds.iter().filter_map(|world| world.after(op, done)).collect()
        };
        let after = all(&self.worlds, op, done);
        if !after.is_empty() {
            return Some(after);
        }
        (0..self.answered.len())
            .filter(|other| *other != writer && !self.made[*other])
            .find_map(|other| {
                let first = all(&self.worlds, self.op(scenario, other)?, Done::Made);
                Some((other, all(&first, op, done))).filter(|(_, after)| !after.is_empty())
            })
            .map(|(other, after)| {
                self.made[other] = true;
                after
            })
    }

    /// The change of this writer is made, or not, or half, for as long as nobody goes on with it.
    fn kill(&mut self, scenario: &Scenario, writer: usize) {
        if let Some(op) = self.op(scenario, writer) {
            self.worlds = Rc::new(during(&self.worlds, &[op]));
        }
        self.answered[writer] = None;
    }
}

/// Makes changes one after the other.
fn write(gate: &Gate, writer: usize, ops: &[Op], files: Box<dyn Files>) {
    let store = store(files);
    runtime().block_on(async {
        for op in ops {
            gate.answer(writer, perform(&store, *op).await.into());
        }
    });
    gate.finish(writer);
}
