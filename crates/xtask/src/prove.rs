//! `cargo xtask prove`: what takes too long, or needs too much, for the tests of every change.

mod crash;

use std::process::Command;

use crate::command;
use crate::failure::Failure;
use crate::step::{self, Step};
use crate::workspace::Workspace;

pub(crate) const ARGUMENTS: &str = "[NAME [OPTIONS]]";

/// A claim of this workspace and how it is shown to hold.
pub(crate) struct Proof {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    run: Run,
}

/// How a claim is shown to hold.
enum Run {
    /// By a check of the workspace, which has no options.
    Check(fn(&Workspace) -> Result<(), Failure>),
    /// By the program itself under load and faults, in `benches/prove.rs`, which reads its options itself.
    Program,
    /// The same, where the time that it takes is what is proved.
    FastProgram,
}

const fn check(name: &'static str, about: &'static str, run: fn(&Workspace) -> Result<(), Failure>) -> Proof {
    Proof { name, about, run: Run::Check(run) }
}

const fn program(name: &'static str, about: &'static str) -> Proof {
    Proof { name, about, run: Run::Program }
}

const fn fast_program(name: &'static str, about: &'static str) -> Proof {
    Proof { name, about, run: Run::FastProgram }
}

/// All proofs; a new one is a row here.
pub(crate) const PROOFS: &[Proof] = &[
    check("deny", "licences, banned crates and origins of all dependencies", deny),
    check("corpus", "every committed input of the fuzzers keeps its promise", corpus),
    check("faults", "every fault of a network at every request of a push", faults),
    program("edits", "many processes edit: no acknowledged edit is lost"),
    program("kill", "commands are killed at random moments: done or not done"),
    program("syscalls", "each file-system call fails, or is the last: old or new"),
    program("locks", "holders stand still or die; records are held and removed"),
    program("machine", "full, read-only and foreign disks, no home (needs root)"),
    program("power", "the power fails, on three file systems (needs root)"),
    program("bits", "every flipped bit is found and never served"),
    program("planted", "links of others, odd paths, a clock that jumps"),
    fast_program("scale", "many lists, long lists: time, as ratios to a sync"),
    fast_program("collect", "gc of many blobs while others write: time and memory"),
    program("soak", "edits on a disk that fails, for minutes or hours: nothing grows"),
    program("publish", "pushes are killed at random moments: resumed, or taken back"),
    program("conflict", "two pushes to one tag: both are kept, or one is told"),
    program("signing", "pushes that sign are killed: no tag means a list that is not signed"),
    program("signers", "many sign one image at once: no signature is lost"),
    check("crash", "the power fails at every call of three writers, on a disk in memory", crash::prove),
];

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let (proofs, options) = chosen(arguments)?;
    let steps = proofs.into_iter().map(|proof| Step::new(proof.name, || prove(workspace, proof, options)));
    step::run_all("prove", steps.collect())
}

/// One proof with its options, or all as they are.
fn chosen(arguments: &[String]) -> Result<(Vec<&'static Proof>, &[String]), Failure> {
    let Some((name, options)) = arguments.split_first() else {
        return Ok((PROOFS.iter().collect(), &[]));
    };
    match PROOFS.iter().find(|proof| proof.name == name) {
        Some(Proof { run: Run::Check(_), .. }) if !options.is_empty() => {
            Err(Failure::Usage(format!("{name} has no options")))
        }
        Some(proof) => Ok((vec![proof], options)),
        None => {
            let known: Vec<_> = PROOFS.iter().map(|proof| proof.name).collect();
            Err(Failure::Usage(format!("there is no proof {name:?}; there are {}", known.join(", "))))
        }
    }
}

fn prove(workspace: &Workspace, proof: &Proof, options: &[String]) -> Result<(), Failure> {
    match proof.run {
        Run::Check(run) => run(workspace),
        // What is proved does not hang on how fast it is, and this is built already.
        Run::Program => command::run(bench(workspace, &["--profile", "dev"], proof, options)),
        Run::FastProgram => {
            // All of it at once takes minutes to build, for a few percent.
            let quick =
                ["--config", "profile.release.lto='off'", "--config", "profile.release.codegen-units=16"];
            command::run(bench(workspace, &[&["--profile", "release"][..], &quick].concat(), proof, options))
        }
    }
}

fn bench(workspace: &Workspace, profile: &[&str], proof: &Proof, options: &[String]) -> Command {
    let mut bench = workspace.cargo(&["bench", "--quiet", "--package", "manifest-cli", "--bench", "prove"]);
    bench.args(profile).args(["--", proof.name]).args(options);
    bench
}

fn deny(workspace: &Workspace) -> Result<(), Failure> {
    if !workspace.has_subcommand("deny") {
        let help = "install it (about five minutes): cargo install cargo-deny --locked".to_owned();
        return Err(Failure::Missing { program: "cargo-deny".to_owned(), help });
    }
    // Advisories need a database from the network; what is proved here needs the lock file only.
    command::run(workspace.cargo(&["deny", "check", "licenses", "bans", "sources"]))
}

fn corpus(workspace: &Workspace) -> Result<(), Failure> {
    command::run(workspace.cargo(&["test", "--package", "manifest-cli", "--test", "corpus"]))
}

fn faults(workspace: &Workspace) -> Result<(), Failure> {
    let every = ["--", "--ignored", "--nocapture", "every_request"];
    let test = [&["test", "--package", "manifest-cli", "--test", "fault_matrix"][..], &every].concat();
    command::run(workspace.cargo(&test))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_proof_or_all_can_be_asked_for() {
        let names = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
            chosen(&words).map(|(proofs, options)| {
                (proofs.iter().map(|proof| proof.name).collect::<Vec<_>>(), options.to_vec())
            })
        };
        assert_eq!(names(&["deny"]).unwrap(), (vec!["deny"], vec![]));
        assert_eq!(names(&["kill", "--rounds", "9"]).unwrap().1, ["--rounds", "9"]);
        assert_eq!(names(&[]).unwrap().0.len(), PROOFS.len());
        let failure = names(&["speed"]).unwrap_err().to_string();
        assert!(failure.starts_with("there is no proof \"speed\"; there are deny, corpus"), "{failure}");
        assert_eq!(names(&["deny", "--all"]).unwrap_err().exit_code(), 2);
    }
}
