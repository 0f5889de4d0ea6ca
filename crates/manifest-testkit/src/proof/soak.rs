//! Hours of work on a disk that fails now and then: nothing is lost, and nothing grows.

mod fault;
mod size;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::fault::Fault;
use self::size::Size;
use super::chance::Chance;
use super::facts::{LABEL, Reader, listed};
use super::health::Health;
use super::material::Material;
use super::writer::{Edit, Ledger, Writer, difference};
use super::{Proved, Subject, Violation, ensure, tree};
use crate::Ran;

/// How many images a writer has to work with.
const IMAGES: usize = 24;
/// One of so many commands meets a disk that fails.
const FAILING: usize = 10;
/// How many parts the time has, of which the size of the store is told after each.
const PARTS: u32 = 4;
/// How often the store is looked after and measured in all, at least.
const ROUNDS: u32 = 8;
/// The longest pause between two looks after the store.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a process may wait for its turn.
const PATIENCE: [&str; 2] = ["--lock-timeout", "10m"];
/// How those look after a store who do so while others write.
const CARE: [&[&str]; 3] = [&["gc", "--grace", "0"], &["prune", "--older-than", "0"], &["fsck"]];

/// How long, and how many at once.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    /// How long they write.
    pub time: Duration,
    /// How many writers work at once.
    pub writers: usize,
    /// Where chance begins.
    pub seed: u64,
}

/// Proves that a store stays whole and small, however long it is worked on: writers edit, make and remove lists, some on
/// a disk that fails, while others collect, prune and check (DUR-21).
///
/// At the end every acknowledged edit is there, and after a collection no file is left that is not explained by a list,
/// a name or a blob.
///
/// # Errors
/// The first broken promise.
///
/// # Panics
/// Where strace is not installed, or the store is in a bucket.
pub fn soak(subject: &Subject, asked: &Soak) -> Proved {
    subject.done(["create", "--annotation", &format!("{LABEL}=shared"), "shared"])?;
    let (health, over) = (Health::of(subject), AtomicBool::new(false));
    let sizes = Mutex::new(Vec::new());
    let worked = std::thread::scope(|scope| {
        let work = |at: usize| {
            let name = format!("w{at}");
            let material = Material::write(subject.scratch(), &name, IMAGES);
            let chance = Chance::new(asked.seed).split(at);
            let writer = Writer::new(&name, "shared", material, chance, subject.verbs()).with_lists();
            let worker = Worker { subject, writer, reader: Reader::default(), tally: Tally::default() };
            worker.go_on(&over)
        };
        let working: Vec<_> = (0..asked.writers).map(|at| scope.spawn(move || work(at))).collect();
        let kept = keep(subject, &health, asked.time, &over, &sizes);
        over.store(true, Ordering::Relaxed);
        let joined = working
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        let worked = joined.collect::<Result<Vec<_>, _>>()?;
        kept.map(|rounds| (worked, rounds))
    });
    let (worked, rounds) = worked?;
    let left = health.leftovers(subject)?;
    health.check(subject)?;
    subject.done(["prune", "--older-than", "0"])?;
    subject.done(["fsck", "--repair"])?;
    health.clean(subject)?;
    let (lines, mut reader, mut tally) = (listed(subject)?, Reader::default(), Tally::default());
    for (writer, part) in &worked {
        same(writer, &writer.observe_in(&lines, subject, &mut reader)?, "after all")?;
        tally.add(part);
    }
    let last = Size::of(subject);
    last.explained(&lines)?;
    let sizes: Vec<String> =
        sizes.into_inner().expect("nobody panics with it").iter().map(Size::told).collect();
    Ok(format!(
        "{} writers, {:.0} s (seed {}): {tally}; gc, prune and fsck {rounds} times meanwhile, no damage\n\
         after each quarter: {}; {left}\nafter gc, prune and fsck: {}, 0 temporary files, fsck clean",
        asked.writers,
        asked.time.as_secs_f64(),
        asked.seed,
        sizes.join("; "),
        last.told(),
    ))
}

/// Looks after the store until the time is over, and measures it after each part; how often.
fn keep(
    subject: &Subject,
    health: &Health,
    time: Duration,
    over: &AtomicBool,
    sizes: &Mutex<Vec<Size>>,
) -> Result<usize, Violation> {
    let (begun, pause) = (Instant::now(), PAUSE.min(time / ROUNDS));
    let mut rounds = 0;
    for part in 1..=PARTS {
        while begun.elapsed() < time * part / PARTS && !over.load(Ordering::Relaxed) {
            std::thread::sleep(pause.min((time * part / PARTS).saturating_sub(begun.elapsed())));
            for words in CARE {
                match words {
                    ["fsck"] => health.check(subject)?,
                    words => subject.done(PATIENCE.iter().chain(words.iter())).map(drop)?,
                }
            }
            rounds += 1;
        }
        sizes.lock().expect("nobody panics with it").push(Size::of(subject));
    }
    Ok(rounds)
}

/// What became of the commands.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    done: usize,
    failing: usize,
    failing_done: usize,
    uncertain: usize,
    refused: usize,
}

impl Tally {
    const fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.failing += other.failing;
        self.failing_done += other.failing_done;
        self.uncertain += other.uncertain;
        self.refused += other.refused;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { done, failing, failing_done, uncertain, refused } = self;
        write!(
            f,
            "{} commands, {} acknowledged and there; {failing} on a disk that fails in 1 % of the calls, of which \
             {failing_done} done, {uncertain} done but not certain to last, {refused} refused, 0 half done",
            done + failing,
            done + failing_done,
        )
    }
}

/// A writer whose disk fails at times.
struct Worker<'a> {
    subject: &'a Subject,
    writer: Writer,
    reader: Reader,
    tally: Tally,
}

impl Worker<'_> {
    /// Works until it is over, or until a promise is broken, which ends the others too.
    fn go_on(mut self, over: &AtomicBool) -> Result<(Writer, Tally), Violation> {
        while !over.load(Ordering::Relaxed) {
            let edit = self.writer.next();
            let words: Vec<_> =
                PATIENCE.iter().map(|&word| word.to_owned()).chain(edit.words.clone()).collect();
            let one = if self.writer.chance().below(FAILING) == 0 {
                let fault = Fault::by(self.writer.chance());
                let ran = fault.run(self.subject, &words);
                self.failing(edit, &ran)
            } else {
                let ran = self.subject.run(&words);
                self.tally.done += 1;
                ensure(ran.code == Some(0), || format!("it was refused without need\n{ran:?}"))
                    .map(|()| self.writer.ledger = edit.after)
            };
            one.inspect_err(|_| over.store(true, Ordering::Relaxed))?;
        }
        Ok((self.writer, self.tally))
    }

    /// Compares the store with what a command said that met a disk that fails.
    fn failing(&mut self, edit: Edit, ran: &Ran) -> Result<(), Violation> {
        self.tally.failing += 1;
        let told = |violation| Violation::new(format!("{violation}\n{ran:?}"));
        match ran.code {
            Some(0) => {
                self.writer.ledger = edit.after;
                self.tally.failing_done += 1;
                return Ok(());
            }
            Some(11) => {
                self.tally.uncertain += 1;
                let found = self.writer.observe(self.subject, &mut self.reader)?;
                if found != self.writer.ledger {
                    self.writer.ledger = edit.after;
                }
                same(&self.writer, &found, "it is done, perhaps").map_err(told)
            }
            _ => {
                let bug = ran.code == Some(70) || ran.stderr.contains("panicked");
                ensure(ran.code.is_some() && !bug, || format!("a bug of ours\n{ran:?}"))?;
                self.tally.refused += 1;
                let found = self.writer.observe(self.subject, &mut self.reader)?;
                same(&self.writer, &found, "it was refused").map_err(told)
            }
        }?;
        self.writer.check_names(self.subject, &edit.names).map_err(told)
    }
}

fn same(writer: &Writer, found: &Ledger, why: &str) -> Result<(), Violation> {
    ensure(*found == writer.ledger, || {
        format!(
            "{}: {why}, but the store is not what the ledger says\n{}",
            writer.name(),
            difference(&writer.ledger, found)
        )
    })
}
