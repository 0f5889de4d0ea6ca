//! `cargo xtask test`: everything a change must pass.

mod programs;

use std::process::Command;

use crate::command;
use crate::failure::Failure;
use crate::fence;
use crate::step::{self, Step};
use crate::workspace::Workspace;

pub(crate) const ARGUMENTS: &str = "[--only lints|tests]";

/// Which half was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    All,
    Lints,
    Tests,
}

fn parse(arguments: &[String]) -> Result<Part, Failure> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => Ok(Part::All),
        ["--only", "lints"] | ["--only=lints"] => Ok(Part::Lints),
        ["--only", "tests"] | ["--only=tests"] => Ok(Part::Tests),
        _ => Err(Failure::Usage(format!("usage: cargo xtask test {ARGUMENTS}"))),
    }
}

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let part = parse(arguments)?;
    let mut steps = Vec::new();
    if part != Part::Lints {
        steps.push(Step::new("programs", programs::ensure));
    }
    if part != Part::Tests {
        steps.extend(lints(workspace));
    }
    if part != Part::Lints {
        steps.extend(tests(workspace));
    }
    step::run_all("test", steps)
}

/// The quickest first.
fn lints(workspace: &Workspace) -> [Step<'_>; 4] {
    let fmt = workspace.cargo(&["fmt", "--all", "--check"]);
    let clippy = workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    let mut doc = workspace.cargo(&["doc", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-Dwarnings");
    [
        program("format", fmt),
        Step::new("fence", || fence::run(workspace, &[])),
        program("clippy", clippy),
        program("docs", doc),
    ]
}

fn tests(workspace: &Workspace) -> [Step<'_>; 2] {
    let all = Step::new("tests", || {
        // cargo test runs the examples in the docs too; they have a step of their own.
        let arguments: &[&str] = if workspace.has_subcommand("nextest") {
            &["nextest", "run", "--workspace"]
        } else {
            &["test", "--workspace", "--lib", "--bins", "--tests"]
        };
        echo_and_run(workspace.cargo(arguments))
    });
    [all, program("examples in docs", workspace.cargo(&["test", "--doc", "--workspace"]))]
}

fn program(name: &'static str, command: Command) -> Step<'static> {
    Step::new(name, move || echo_and_run(command))
}

fn echo_and_run(command: Command) -> Result<(), Failure> {
    println!("    $ {}", command::line(&command));
    command::run(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_half_can_be_asked_for() {
        let part = |words: &[&str]| parse(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(part(&[]).unwrap(), Part::All);
        assert_eq!(part(&["--only", "lints"]).unwrap(), Part::Lints);
        assert_eq!(part(&["--only=tests"]).unwrap(), Part::Tests);
        for wrong in [&["--only"][..], &["lints"], &["--only", "docs"], &["--only", "lints", "tests"]] {
            assert_eq!(part(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }
}
