//! Damage: a bit that flipped, a file that was cut off, emptied, filled with zeros or written twice, and things
//! that are no files at all.
//!
//! Every file of a store is damaged, one at a time and in every way. After that each command either says exactly what it said before,
//! or exits with 7 and the path of the file: nothing else is ever served, no other list is affected, and
//! the damaged file stays as it is. What is damaged is found by the first command that needs it, and by `fsck`.
//!
//! Two kinds of files have rules of their own. The note in a lock file is a hint for messages, so that another note harms
//! nobody; only something that is no file cannot be locked. Of the file `version` only the first line counts; when that
//! is not what it was, all commands refuse.

mod damage;
mod sample;

use std::sync::Mutex;

use self::damage::Damage;
use self::sample::{Concern, Kept, Probe, Sample};
use super::chance::Chance;
use super::{Proved, Subject, Violation, ensure, fingerprint};
use crate::{Ran, Running};

/// How much is asked for.
#[derive(Clone, Debug)]
pub struct Bits {
    /// How many bits of each file are flipped besides its first and its last one.
    pub positions: usize,
    /// Of how many cases one is looked at; 1 for all.
    pub one_in: usize,
    /// Where chance begins.
    pub seed: u64,
}

impl Default for Bits {
    fn default() -> Self {
        Self { positions: 10, one_in: 1, seed: 1 }
    }
}

/// One case: which file, and how.
#[derive(Clone, Debug)]
struct Case {
    kept: Kept,
    damage: Damage,
}

/// What was seen.
#[derive(Debug, Default)]
struct Tally {
    commands: usize,
    told: usize,
}

/// Damages each file of a store in every way.
///
/// # Errors
/// The first command that served something else than before, or did not tell what is wrong.
pub fn bits(subject: &Subject, asked: &Bits) -> Proved {
    let sample = Sample::make(subject)?;
    let mut chance = Chance::new(asked.seed);
    let mut cases = Vec::new();
    for kept in &sample.files {
        let flips = damage::flips(kept.size, asked.positions, &mut chance);
        cases.extend(
            flips.into_iter().chain(damage::OTHERS).map(|damage| Case { kept: kept.clone(), damage }),
        );
    }
    // The kinds of damage come in the same order for each file, so that a stride takes other ones of the next file.
    let cases: Vec<Case> = cases.into_iter().step_by(asked.one_in.max(1)).collect();
    let (next, tally, flips) = (Mutex::new(cases.iter()), Mutex::new(Tally::default()), count_flips(&cases));
    std::thread::scope(|threads| {
        let work = |at: usize| {
            let (next, tally, sample) = (&next, &tally, &sample);
            move || -> Result<(), Violation> {
                let take = || next.lock().expect("a lock that nobody poisons").next();
                while let Some(case) = take() {
                    let seen = sample.with_copy(at, |copy| look(copy, sample, case)).inspect_err(|_| {
                        // The others need not go on.
                        next.lock().expect("a lock that nobody poisons").by_ref().for_each(drop);
                    })?;
                    let mut tally = tally.lock().expect("a lock that nobody poisons");
                    tally.commands += seen.commands;
                    tally.told += seen.told;
                }
                Ok(())
            }
        };
        let workers: Vec<_> = (0..2).map(|at| threads.spawn(work(at))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker that panicked"))
    })?;
    let Tally { commands, told } = tally.into_inner().expect("a lock that nobody poisons");
    Ok(format!(
        "bits: {} files of a store, {flips} bits flipped one at a time, {} other kinds of damage; {commands} commands: {told} \
         exited with 7 and the path, the others said what they had said before",
        sample.files.len(),
        cases.len() - flips,
    ))
}

fn count_flips(cases: &[Case]) -> usize {
    cases.iter().filter(|case| matches!(case.damage, Damage::Flip(_))).count()
}

/// Damages a copy of the store and looks at what the commands make of it.
fn look(copy: &Subject, sample: &Sample, case: &Case) -> Result<Tally, Violation> {
    let mut tally = Tally::default();
    let store = copy.directory().expect("a store in a directory");
    let path = store.join(&case.kept.file);
    case.damage.inflict(&path);
    let left = fingerprint::of(&path);
    for (probe, before) in &sample.probes {
        let ran = run(copy, &probe.words);
        let told = ran.code == Some(7) && ran.stderr.contains(&path.display().to_string());
        tally.commands += 1;
        tally.told += usize::from(told);
        let same = ran.code == Some(0) && (probe.changes() || ran.stdout == *before);
        judge(case, probe, (told, same), &ran, before)?;
        let now = fingerprint::of(&path);
        let may_change = same && probe.changes();
        ensure(now == left || may_change, || format!("{case:?} was changed by a command\n{ran:?}"))?;
    }
    if sample.fsck && case.kept.concern.is_content() {
        let ran = run(copy, &["fsck".to_owned()]);
        let told = ran.code == Some(7) && format!("{}{}", ran.stdout, ran.stderr).contains(&case.kept.file);
        ensure(told || case.is_harmless(), || format!("{case:?}: fsck did not find it\n{ran:?}"))?;
        ensure(fingerprint::of(&path) == left, || format!("{case:?}: fsck changed it\n{ran:?}"))?;
    }
    Ok(tally)
}

/// Whether a command did what it may do.
fn judge(
    case: &Case,
    probe: &Probe,
    (told, same): (bool, bool),
    ran: &Ran,
    before: &str,
) -> Result<(), Violation> {
    let others = |printed| probe.others(printed, &case.kept.concern);
    let shows_the_others = !probe.is_of_all() || others(&ran.stdout) == others(before);
    let expected = match case.expected(probe) {
        Expected::Told if told && shows_the_others => return Ok(()),
        Expected::Same if same => return Ok(()),
        Expected::Either if told || same => return Ok(()),
        expected => expected,
    };
    Err(Violation::new(format!(
        "{case:?}\nexpected of this command: {expected:?}\n{ran:?}\nit said before: {before}"
    )))
}

/// What a command must do about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Exit with 7 and name the file.
    Told,
    /// Say what it said before.
    Same,
    /// One of the two.
    Either,
}

impl Case {
    /// Damage that leaves everything that counts.
    fn is_harmless(&self) -> bool {
        match (&self.kept.concern, &self.damage) {
            // Only its first line counts.
            (Concern::Version, Damage::CutByte | Damage::Glued) => true,
            (Concern::LockOfRecord(_) | Concern::LockOfName(_), damage) => damage.is_content(),
            _ => false,
        }
    }

    fn expected(&self, probe: &Probe) -> Expected {
        match &self.kept.concern {
            _ if self.is_harmless() => Expected::Same,
            Concern::Version => Expected::Told,
            concern if probe.needs(concern) => Expected::Told,
            // A list of all lists tells of what it met, and shows the others; what is shown of an image may be in a blob.
            _ if probe.is_of_all() => Expected::Either,
            Concern::Blob(_) if !probe.changes() => Expected::Either,
            _ => Expected::Same,
        }
    }
}

fn run(subject: &Subject, words: &[String]) -> Ran {
    // Not simply run: it must not wait at a pipe for ever.
    Running::start(&mut subject.command(words)).wait()
}
