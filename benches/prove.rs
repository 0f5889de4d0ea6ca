//! Runs a proof of the program at length: `cargo xtask prove NAME`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a proof reports by printing"
)]

use std::ffi::OsStr;
use std::process::ExitCode;

use manifest_testkit::proof::{
    Edits, Faults, Kills, Locks, Machine, Proved, Spread, Subject, Syscalls, edits, kill, locks, machine,
    syscalls,
};

const USAGE: &str = "cargo xtask prove edits|kill|syscalls|locks|machine
  [--program FILE] [--store DIR|URL] [--seed N]
  edits:    [--processes N] [--edits N] [--readers N] [--spread one|each]
  kill:     [--rounds N] [--writers N]
  syscalls: [--only COMMAND,…] [--jobs N]
  locks:    [--rounds N] [--crowd N]
  machine:  [--only PART,…]";

/// The words of the command line: the proof and its options, each with a value.
struct Asked {
    proof: String,
    options: Vec<(String, String)>,
}

impl Asked {
    fn parse(words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        // cargo starts every benchmark with it.
        let mut words = words.filter(|word| word != "--bench");
        let Some(proof) = words.next() else { return Ok(None) };
        let mut options = Vec::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("{word:?} is no option"))?;
            let value = words.next().ok_or_else(|| format!("{word} has no value"))?;
            options.push((name.to_owned(), value));
        }
        Ok(Some(Self { proof, options }))
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let at = self.options.iter().position(|(option, _)| option == name)?;
        Some(self.options.remove(at).1)
    }

    fn number(&mut self, name: &str, usual: usize) -> Result<usize, String> {
        self.text(name).map_or(Ok(usual), |text| text.parse().map_err(|_| format!("--{name} {text:?} is no number")))
    }

    fn words(&mut self, name: &str) -> Vec<String> {
        self.text(name).map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default()
    }

    /// Nothing may be left over.
    fn finish(self) -> Result<(), String> {
        match self.options.first() {
            Some((name, _)) => Err(format!("{} has no option --{name}", self.proof)),
            None => Ok(()),
        }
    }
}

fn main() -> ExitCode {
    let asked = match Asked::parse(std::env::args().skip(1)) {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            println!("nothing is proved without a name; run `cargo xtask prove`");
            return ExitCode::SUCCESS;
        }
        Err(problem) => return misuse(&problem),
    };
    match prepared(asked) {
        Err(problem) => misuse(&problem),
        Ok(proof) => match proof() {
            Ok(figures) => {
                println!("{figures}");
                ExitCode::SUCCESS
            }
            Err(violation) => {
                eprintln!("error: a promise is broken\n{violation}");
                ExitCode::FAILURE
            }
        },
    }
}

fn misuse(problem: &str) -> ExitCode {
    eprintln!("error: {problem}\nusage: {USAGE}");
    ExitCode::from(2)
}

/// Understands all of the command line before anything is run.
fn prepared(mut asked: Asked) -> Result<Box<dyn FnOnce() -> Proved>, String> {
    let program = asked.text("program").unwrap_or_else(|| env!("CARGO_BIN_EXE_manifest").to_owned());
    let store = asked.text("store");
    let seed = asked.number("seed", 1)? as u64;
    let subject = move || {
        let subject = Subject::new(&program);
        store.iter().fold(subject, |subject, store| subject.at(OsStr::new(store)))
    };
    let run: Box<dyn FnOnce() -> Proved> = match asked.proof.as_str() {
        "edits" => {
            let (processes, each) = (asked.number("processes", 64)?, asked.number("edits", 50)?);
            let readers = asked.number("readers", 2)?;
            let spreads = match asked.text("spread").as_deref() {
                None => vec![Spread::One, Spread::Each],
                Some("one") => vec![Spread::One],
                Some("each") => vec![Spread::Each],
                Some(other) => return Err(format!("--spread is one or each, not {other:?}")),
            };
            let size = move |spread| Edits { processes, edits: each, readers, spread, seed };
            Box::new(move || {
                let lines = spreads.into_iter().map(|spread| edits(&subject(), &size(spread)));
                Ok(lines.collect::<Result<Vec<_>, _>>()?.join("\n"))
            })
        }
        "kill" => {
            let (rounds, writers) = (asked.number("rounds", 2000)?, asked.number("writers", 1)?);
            Box::new(move || kill(&subject(), &Kills { rounds, writers, seed }))
        }
        "syscalls" => {
            let (commands, jobs) = (asked.words("only"), asked.number("jobs", 2)?);
            Box::new(move || syscalls(&subject(), &Syscalls { commands, faults: Faults::All, jobs }))
        }
        "locks" => {
            let (rounds, crowd) = (asked.number("rounds", 24)?, asked.number("crowd", 100)?);
            Box::new(move || locks(&subject(), &Locks { rounds, crowd }))
        }
        "machine" => {
            let parts = asked.words("only");
            Box::new(move || machine(&subject(), &Machine { parts, step: 4096, room: 1 << 20 }))
        }
        other => return Err(format!("there is no proof {other:?}")),
    };
    asked.finish()?;
    Ok(run)
}
