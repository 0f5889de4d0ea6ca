//! Commands are killed at random moments.

use std::collections::BTreeMap;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::facts::{LABEL, Reader, listed};
use super::health::Health;
use super::material::Material;
use super::writer::{Edit, Writer, difference};
use super::{Proved, Subject, Violation, ensure};

/// How many images a writer has to work with.
const IMAGES: usize = 24;
/// How long a command takes as long as nothing is known of it.
const UNKNOWN: Duration = Duration::from_millis(20);
/// How much longer than usual a command may be left alone before it is killed.
const SLACK: f64 = 1.25;
/// One of so many commands is left alone, to know what is usual.
const LEFT_ALONE: usize = 4;

/// How many kills, and among how many.
#[derive(Clone, Copy, Debug)]
pub struct Kills {
    /// How many commands are started in all.
    pub rounds: usize,
    /// How many writers work at once.
    pub writers: usize,
    /// Where chance begins.
    pub seed: u64,
}

/// Proves that a command that is killed leaves what was or what it was to make, and that nothing of what was
/// acknowledged goes away (DUR-1, DUR-2).
///
/// # Errors
/// The first broken promise.
pub fn kill(subject: &Subject, size: &Kills) -> Proved {
    subject.done(["create", "--annotation", &format!("{LABEL}=shared"), "shared"])?;
    let health = Health::of(subject);
    let (writers, begun) = (size.writers.max(1), Instant::now());
    let worked = std::thread::scope(|scope| {
        let work = |at: usize| {
            let name = format!("w{at}");
            let material = Material::write(subject.scratch(), &name, IMAGES);
            let chance = Chance::new(size.seed).split(at);
            let writer = Writer::new(&name, "shared", material, chance, subject.verbs()).with_lists();
            let health = (writers == 1).then_some(&health);
            Killer { subject, writer, health, reader: Reader::default(), usual: BTreeMap::new() }
                .go_on(size.rounds / writers)
        };
        let working: Vec<_> = (0..writers).map(|at| scope.spawn(move || work(at))).collect();
        let join = |handle: std::thread::ScopedJoinHandle<'_, Result<(Writer, Tally), Violation>>| {
            handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        working.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    let took = begun.elapsed();
    let left = health.leftovers(subject)?;
    health.check(subject)?;
    health.clean(subject)?;
    let (lines, mut reader, mut tally) = (listed(subject)?, Reader::default(), Tally::default());
    for (writer, part) in &worked {
        compare(writer, &writer.observe_in(&lines, subject, &mut reader)?, "after all")?;
        tally.add(part);
    }
    Ok(format!(
        "{} commands by {writers} writers (seed {}): {} acknowledged and there; {} killed, of which {} were done, \
         {} not done, 0 half done; {left}; {:.1} s",
        tally.done + tally.killed_after + tally.killed_before,
        size.seed,
        tally.done,
        tally.killed_after + tally.killed_before,
        tally.killed_after,
        tally.killed_before,
        took.as_secs_f64()
    ))
}

/// What became of the commands.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    done: usize,
    killed_after: usize,
    killed_before: usize,
}

impl Tally {
    const fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.killed_after += other.killed_after;
        self.killed_before += other.killed_before;
    }
}

/// A writer whose commands are killed.
struct Killer<'a> {
    subject: &'a Subject,
    writer: Writer,
    /// Looks at the whole store after each command; not when others work on it.
    health: Option<&'a Health>,
    reader: Reader,
    /// How long each verb takes.
    usual: BTreeMap<&'static str, Duration>,
}

impl Killer<'_> {
    fn go_on(mut self, rounds: usize) -> Result<(Writer, Tally), Violation> {
        let mut tally = Tally::default();
        for round in 0..rounds {
            let edit = self.writer.next();
            let told = |violation: Violation| {
                Violation::new(format!("round {round}: {}\n{violation}", edit.words.join(" ")))
            };
            self.round(&edit, &mut tally).map_err(told)?;
        }
        Ok((self.writer, tally))
    }

    fn round(&mut self, edit: &Edit, tally: &mut Tally) -> Result<(), Violation> {
        let usual = self.usual.get(edit.verb).copied().unwrap_or(UNKNOWN);
        let alone = self.writer.chance().below(LEFT_ALONE) == 0;
        let moment = (!alone).then(|| self.writer.chance().within(usual.mul_f64(SLACK)));
        let (output, took) = run(self.subject, edit, moment);
        let found = self.writer.observe(self.subject, &mut self.reader)?;
        if output.status.success() {
            self.writer.ledger.clone_from(&edit.after);
            compare(&self.writer, &found, "it was acknowledged")?;
            tally.done += 1;
            // What ended before it was to be killed is on the short side, so only the others count.
            if alone {
                self.usual.insert(edit.verb, (usual * 3 + took) / 4);
            }
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            ensure(output.status.code().is_none(), || {
                format!("it was refused without need: {}\n{said}", output.status)
            })?;
            if found == edit.after && found != self.writer.ledger {
                tally.killed_after += 1;
            } else {
                compare(&self.writer, &found, &format!("it was killed after {moment:?}, and is half done"))?;
                tally.killed_before += 1;
            }
            self.writer.ledger = found;
        }
        self.writer.check_names(self.subject, &edit.names)?;
        self.health.map_or(Ok(()), |health| health.check(self.subject))
    }
}

fn compare(writer: &Writer, found: &super::writer::Ledger, why: &str) -> Result<(), Violation> {
    ensure(*found == writer.ledger, || {
        format!(
            "{}: {why}, but the store is not what the ledger says\n{}",
            writer.name(),
            difference(&writer.ledger, found)
        )
    })
}

/// Runs a command, to its end or to its violent one.
fn run(subject: &Subject, edit: &Edit, moment: Option<Duration>) -> (Output, Duration) {
    let mut command = subject.command(["--lock-timeout", "5m"]);
    command.args(&edit.words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child: Child = command.spawn().unwrap_or_else(|error| panic!("cannot start it: {error}"));
    if let Some(moment) = moment {
        std::thread::sleep(moment.saturating_sub(begun.elapsed()));
        child.kill().expect("a child can be killed");
    }
    let output = child.wait_with_output().expect("the output of a child");
    (output, begun.elapsed())
}
