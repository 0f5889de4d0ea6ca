//! The tasks of this workspace: `cargo xtask help`.
//!
//! It builds in seconds and depends on no other crate of the workspace, so that it works when they do
//! not compile.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a task speaks to the person who started it, and nothing it writes must survive a crash"
)]

mod bench;
mod check;
mod command;
mod demo;
mod failure;
mod fence;
mod fuzz;
mod prove;
mod step;
mod workspace;

use std::process::ExitCode;

use failure::Failure;
use workspace::Workspace;

/// What can be asked for.
struct Verb {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&Workspace, &[String]) -> Result<(), Failure>,
}

const VERBS: &[Verb] = &[
    Verb {
        name: "test",
        arguments: check::ARGUMENTS,
        about: "everything a change must pass: format, fence, clippy, docs, tests",
        run: check::run,
    },
    Verb {
        name: "demo",
        arguments: demo::ARGUMENTS,
        about: "makes two images and publishes a list of them, without a server",
        run: demo::run,
    },
    Verb {
        name: "bench",
        arguments: bench::ARGUMENTS,
        about: "measures the program beside its peers: time, memory, requests",
        run: bench::run,
    },
    Verb {
        name: "fence",
        arguments: fence::ARGUMENTS,
        about: "checks which crate depends on which",
        run: fence::run,
    },
    Verb {
        name: "fuzz",
        arguments: fuzz::ARGUMENTS,
        about: "feeds the parsers hostile input",
        run: fuzz::run,
    },
    Verb { name: "prove", arguments: prove::ARGUMENTS, about: "runs a named proof, or all", run: prove::run },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = match std::env::args_os().skip(1).map(|word| word.into_string()).collect() {
        Ok(arguments) => arguments,
        Err(word) => {
            eprintln!("error: the argument {word:?} is not text");
            return ExitCode::from(2);
        }
    };
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<(), Failure> {
    let Some((name, rest)) = arguments.split_first() else {
        print!("{}", help());
        return Err(Failure::Usage("name a task".to_owned()));
    };
    if matches!(name.as_str(), "help" | "--help" | "-h")
        || rest.iter().any(|word| word == "--help" || word == "-h")
    {
        print!("{}", help());
        return Ok(());
    }
    match VERBS.iter().find(|verb| verb.name == name) {
        Some(verb) => (verb.run)(&Workspace::find()?, rest),
        None => Err(Failure::Usage(format!("there is no task {name:?}; `cargo xtask help` lists them"))),
    }
}

fn help() -> String {
    let mut text = String::from("The tasks of this workspace.\n\nUsage: cargo xtask TASK\n\nTasks:\n");
    for verb in VERBS {
        let call = format!("{} {}", verb.name, verb.arguments);
        text.push_str(&format!("  {:<32} {}\n", call.trim_end(), verb.about));
    }
    text.push_str("\nFuzz targets:\n  ");
    text.push_str(&fuzz::TARGETS.join(", "));
    text.push_str("\n\nProofs:\n");
    for proof in prove::PROOFS {
        text.push_str(&format!("  {:<32} {}\n", proof.name, proof.about));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn help_names_every_task_proof_and_target() {
        let help = help();
        let names = VERBS.iter().map(|verb| verb.name);
        let proofs = prove::PROOFS.iter().map(|proof| proof.name);
        for name in names.chain(proofs).chain(fuzz::TARGETS.iter().copied()) {
            assert!(help.contains(name), "{name} is missing");
        }
    }

    #[test]
    fn an_unknown_task_is_misuse() {
        for line in ["", "tset", "--verbose test"] {
            let failure = dispatch(&words(line)).unwrap_err();
            assert_eq!(failure.exit_code(), 2, "{line}: {failure}");
        }
    }

    #[test]
    fn help_may_follow_a_task() {
        for line in ["help", "-h", "test --help", "fuzz list -h"] {
            assert!(dispatch(&words(line)).is_ok(), "{line}");
        }
    }
}
