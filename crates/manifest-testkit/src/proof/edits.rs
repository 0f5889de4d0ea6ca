//! Many processes edit at once, and others read meanwhile.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use manifest_core::Digest;
use serde_json::Value;

use super::chance::Chance;
use super::facts::{LABEL, Reader, inspected};
use super::material::Material;
use super::writer::{Writer, difference};
use super::{Proved, Subject, Violation, ensure};
use crate::Ran;

/// How long a process may wait for its turn; the proof is about what is lost, not about how long it takes.
const PATIENCE: [&str; 2] = ["--lock-timeout", "10m"];

/// How many edits, and of what.
#[derive(Clone, Copy, Debug)]
pub struct Edits {
    /// How many processes edit at any moment.
    pub processes: usize,
    /// How many edits each of them makes, one process after the other.
    pub edits: usize,
    /// How many processes read meanwhile, again and again.
    pub readers: usize,
    /// Whose lists are edited.
    pub spread: Spread,
    /// Where chance begins.
    pub seed: u64,
}

/// Whose lists are edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// All edit one list.
    One,
    /// Each edits a list of its own.
    Each,
}

/// Proves that every acknowledged edit is there at the end and nothing else, and that readers never saw an error
/// or a torn list (DUR-8).
///
/// # Errors
/// The first broken promise.
pub fn edits(subject: &Subject, size: &Edits) -> Proved {
    let lists = match size.spread {
        Spread::One => vec!["shared".to_owned()],
        Spread::Each => (0..size.processes).map(|at| format!("w{at}-own")).collect(),
    };
    for list in &lists {
        subject.done(["create", "--annotation", &format!("{LABEL}={list}"), list])?;
    }
    let writers = (0..size.processes).map(|at| {
        let (name, list) = (format!("w{at}"), &lists[at % lists.len()]);
        let material = Material::write(subject.scratch(), &name, size.edits);
        Writer::new(&name, list, material, Chance::new(size.seed).split(at), subject.verbs())
    });
    let mut writers: Vec<Writer> = writers.collect();
    let reading = Reading { lists: &lists, over: AtomicBool::new(false), reads: AtomicUsize::new(0) };
    let begun = Instant::now();
    let counts = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..size.readers).map(|_| scope.spawn(|| reading.go_on(subject))).collect();
        let working: Vec<_> =
            writers.iter_mut().map(|writer| scope.spawn(|| work(subject, writer, size.edits))).collect();
        let mut worked: Vec<_> = working.into_iter().map(joined).collect();
        reading.over.store(true, Ordering::Relaxed);
        worked.extend(readers.into_iter().map(|reader| joined(reader).map(|()| Count::default())));
        worked.into_iter().collect::<Result<Vec<_>, _>>()
    })?;
    let took = begun.elapsed();
    check(subject, &writers, &lists)?;
    let acknowledged: usize = counts.iter().map(|count| count.acknowledged).sum();
    let refused: usize = counts.iter().map(|count| count.refused).sum();
    let mut text = format!(
        "{} processes × {} edits of {}: {acknowledged} acknowledged, 0 lost",
        size.processes,
        size.edits,
        if size.spread == Spread::One { "one list".to_owned() } else { format!("{} lists", lists.len()) },
    );
    if refused > 0 {
        write!(text, ", {refused} refused").ok();
    }
    write!(
        text,
        "; {} reads meanwhile, 0 errors, 0 torn; {:.1} s, {:.0} edits/s (seed {})",
        reading.reads.into_inner(),
        took.as_secs_f64(),
        acknowledged as f64 / took.as_secs_f64(),
        size.seed
    )
    .ok();
    Ok(text)
}

fn joined<T>(handle: std::thread::ScopedJoinHandle<'_, Result<T, Violation>>) -> Result<T, Violation> {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What became of edits.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    acknowledged: usize,
    refused: usize,
}

/// Makes one edit after the other and keeps the ledger.
fn work(subject: &Subject, writer: &mut Writer, edits: usize) -> Result<Count, Violation> {
    let (mut count, mut reader) = (Count::default(), Reader::default());
    for _ in 0..edits {
        let edit = writer.next();
        let ran = subject.run(PATIENCE.into_iter().map(str::to_owned).chain(edit.words.iter().cloned()));
        match ran.code {
            Some(0) => {
                writer.ledger = edit.after;
                count.acknowledged += 1;
            }
            // A bucket may be out of reach for longer than the program tries; then nothing has changed.
            Some(5 | 9 | 12) if subject.directory().is_none() => {
                let found = writer.observe(subject, &mut reader)?;
                ensure(found == writer.ledger, || {
                    format!(
                        "a refused edit changed something\n{}\n{ran:?}",
                        difference(&writer.ledger, &found)
                    )
                })?;
                count.refused += 1;
            }
            _ => return Err(Violation::new(format!("{} was refused without need\n{ran:?}", edit.verb))),
        }
    }
    Ok(count)
}

/// Compares the store with all ledgers.
fn check(subject: &Subject, writers: &[Writer], lists: &[String]) -> Result<(), Violation> {
    let lines = super::facts::listed(subject)?;
    let mut reader = Reader::default();
    for writer in writers {
        let found = writer.observe_in(&lines, subject, &mut reader)?;
        ensure(found == writer.ledger, || {
            format!(
                "{}: the store is not what was acknowledged\n{}",
                writer.name(),
                difference(&writer.ledger, &found)
            )
        })?;
        let names: Vec<_> = writer.ledger.values().flat_map(|list| list.names.iter().cloned()).collect();
        writer.check_names(subject, &names)?;
    }
    for list in lists {
        let found: BTreeSet<_> = inspected(subject, list)?.entries.into_keys().collect();
        let said = writers.iter().filter_map(|writer| writer.ledger.get(list));
        let said: BTreeSet<_> = said.flat_map(|part| part.entries.keys().cloned()).collect();
        ensure(found == said, || format!("{list} holds {found:#?}, but was told to hold {said:#?}"))?;
    }
    Ok(())
}

/// Somebody who reads as long as others write.
struct Reading<'a> {
    lists: &'a [String],
    over: AtomicBool,
    reads: AtomicUsize,
}

impl Reading<'_> {
    fn go_on(&self, subject: &Subject) -> Result<(), Violation> {
        for list in self.lists.iter().cycle() {
            if self.over.load(Ordering::Relaxed) {
                return Ok(());
            }
            let before = document(subject, list)?;
            let raw = whole(&subject.run(["inspect", "--raw", list]))?;
            let after = document(subject, list)?;
            let digest = Digest::sha256(raw.as_bytes()).to_string();
            // When nobody wrote meanwhile, all three show the same list. An edit and its opposite bring the same list
            // back; then what was read between is one that the list was.
            let is_known = digest == before || digest == after || {
                // Of a long history it would be told that its oldest changes are numbers only.
                whole(&subject.run(["history", "--quiet", "--output", "json", list]))?.contains(&digest)
            };
            ensure(is_known, || {
                format!(
                    "inspect shows {before}, then {after}, --raw in between {digest}, which it never was:\n{raw}"
                )
            })?;
            let torn = serde_json::from_str::<Value>(&raw).map_or(true, |list| !list["manifests"].is_array());
            ensure(!torn, || format!("--raw prints no whole list:\n{raw}"))?;
            let lines = whole(&subject.run(["ls", "--output", "json"]))?;
            ensure(lines.contains(&format!("\"localhost/{list}:latest\"")), || {
                format!("ls does not show {list}:\n{lines}")
            })?;
            self.reads.fetch_add(4, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn whole(ran: &Ran) -> Result<String, Violation> {
    ensure(ran.code == Some(0) && ran.stderr.is_empty(), || format!("a reader failed\n{ran:?}"))?;
    Ok(ran.stdout.clone())
}

/// The digest that a list has now.
fn document(subject: &Subject, list: &str) -> Result<String, Violation> {
    let shown = whole(&subject.run(["inspect", "--output", "json", list]))?;
    let shown: Value = serde_json::from_str(&shown)
        .map_err(|error| Violation::new(format!("inspect printed no JSON: {error}\n{shown}")))?;
    Ok(shown["document"]["digest"].as_str().unwrap_or_default().to_owned())
}
