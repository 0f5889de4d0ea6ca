//! Runs a proof of the program at length: `cargo xtask prove NAME`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a proof reports by printing")]

use std::ffi::OsStr;
use std::process::ExitCode;
use std::time::Duration;

use manifest_testkit::proof::{
    Bits, Collect, Conflict, Edits, Faults, FileSystem, Kills, Locks, Machine, Planted, Power, Proved,
    Publish, Scale, Setting, Signers, Signing, Soak, Spread, Subject, Syscalls, bits, collect, conflict,
    edits, kill, locks, machine, planted, power, publish, scale, signers, signing, soak, syscalls,
};

const USAGE: &str =
    "cargo xtask prove edits|kill|syscalls|locks|machine|power|bits|planted|scale|collect|soak|publish|conflict|
    signing|signers
  [--program FILE] [--store DIR|URL|moto|azurite] [--seed N]
  edits:    [--processes N] [--edits N] [--readers N] [--spread one|each]
  kill:     [--rounds N] [--writers N]
  syscalls: [--only COMMAND,…] [--jobs N]
  locks:    [--rounds N] [--crowd N]
  machine:  [--only PART,…]
  power:    [--images N] [--only ext4,xfs,btrfs]
  bits:     [--positions N]
  planted:  [--stride N]
  scale:    [--lists N] [--entries N] [--runs N]
  collect:  [--blobs N] [--writers N]
  soak:     [--minutes N] [--writers N]
  publish:  [--rounds N]
  conflict: [--rounds N] [--only compares,directory,bucket,apart]
  signing:  [--runs N]
  signers:  [--signers N] [--rounds N] [--only compares,directory,bucket,apart]";

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
        self.text(name).map_or(Ok(usual), |text| {
            text.parse().map_err(|_not_a_number| format!("--{name} {text:?} is no number"))
        })
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
        match store.as_deref() {
            None => subject,
            // An emulator of a cloud, which ends with the subject.
            Some("moto") => subject.in_amazon(),
            Some("azurite") => subject.in_azure(),
            Some(store) => subject.at(OsStr::new(store)),
        }
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
        "power" => {
            let (images, systems) = (asked.number("images", 60)?.div_ceil(3), systems(&asked.words("only"))?);
            Box::new(move || power(&subject(), &Power { images, systems, seed }))
        }
        "bits" => {
            let positions = asked.number("positions", 10)?;
            Box::new(move || bits(&subject(), &Bits { positions, one_in: 1, seed }))
        }
        "planted" => {
            let stride = asked.number("stride", 1)?;
            Box::new(move || planted(&subject(), &Planted { one_in: 1, stride }))
        }
        "scale" => {
            let (lists, entries) = (asked.number("lists", 10_000)?, asked.number("entries", 10_000)?);
            let runs = asked.number("runs", 21)?;
            Box::new(move || scale(&subject(), &Scale { lists, entries, runs }))
        }
        "collect" => {
            let (blobs, writers) = (asked.number("blobs", 100_000)?, asked.number("writers", 8)?);
            Box::new(move || collect(&subject(), &Collect { blobs, writers }))
        }
        "soak" => {
            let (minutes, writers) = (asked.number("minutes", 3)?, asked.number("writers", 16)?);
            let time = Duration::from_secs(minutes as u64 * 60);
            Box::new(move || soak(&subject(), &Soak { time, writers, seed }))
        }
        "publish" => {
            let rounds = asked.number("rounds", 200)?;
            Box::new(move || publish(&subject(), &Publish { rounds, seed }))
        }
        "conflict" => {
            let (rounds, settings) = (asked.number("rounds", 100)?, settings(&asked.words("only"))?);
            Box::new(move || conflict(&subject(), &Conflict { rounds, settings }))
        }
        "signing" => {
            let runs = asked.number("runs", 100)?;
            Box::new(move || signing(&subject(), &Signing { runs, seed }))
        }
        "signers" => {
            let (count, rounds) = (asked.number("signers", 16)?, asked.number("rounds", 20)?);
            let settings = settings(&asked.words("only"))?;
            Box::new(move || signers(&subject(), &Signers { signers: count, rounds, settings }))
        }
        other => return Err(format!("there is no proof {other:?}")),
    };
    asked.finish()?;
    Ok(run)
}

/// The settings with these names; all when none is named.
fn settings(names: &[String]) -> Result<Vec<Setting>, String> {
    let known = |name: &String| {
        let found = Setting::ALL.into_iter().find(|setting| setting.name() == name);
        found.ok_or_else(|| format!("there is no setting {name:?}"))
    };
    if names.is_empty() { Ok(Setting::ALL.to_vec()) } else { names.iter().map(known).collect() }
}

/// The file systems with these names; all when none is named.
fn systems(names: &[String]) -> Result<Vec<FileSystem>, String> {
    let known = |name: &String| {
        let found = FileSystem::ALL.into_iter().find(|system| system.name() == name);
        found.ok_or_else(|| format!("there is no file system {name:?} to be had"))
    };
    if names.is_empty() { Ok(FileSystem::ALL.to_vec()) } else { names.iter().map(known).collect() }
}
