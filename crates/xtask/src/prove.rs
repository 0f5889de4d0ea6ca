//! `cargo xtask prove`: what takes too long, or needs too much, for the tests of every change.

use crate::command;
use crate::failure::Failure;
use crate::step::{self, Step};
use crate::workspace::Workspace;

pub(crate) const ARGUMENTS: &str = "[NAME]";

/// A claim of this workspace and how it is shown to hold.
pub(crate) struct Proof {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    run: fn(&Workspace) -> Result<(), Failure>,
}

/// All proofs; a new one is a row here.
pub(crate) const PROOFS: &[Proof] = &[
    Proof { name: "deny", about: "licences, banned crates and origins of all dependencies", run: deny },
    Proof { name: "corpus", about: "every committed input of the fuzzers keeps its promise", run: corpus },
];

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let steps = chosen(arguments)?.into_iter().map(|proof| Step::new(proof.name, || (proof.run)(workspace)));
    step::run_all("prove", steps.collect())
}

fn chosen(arguments: &[String]) -> Result<Vec<&'static Proof>, Failure> {
    match arguments {
        [] => Ok(PROOFS.iter().collect()),
        [name] => match PROOFS.iter().find(|proof| proof.name == name) {
            Some(proof) => Ok(vec![proof]),
            None => {
                let known: Vec<_> = PROOFS.iter().map(|proof| proof.name).collect();
                Err(Failure::Usage(format!("there is no proof {name:?}; there are {}", known.join(", "))))
            }
        },
        _ => Err(Failure::Usage(format!("usage: cargo xtask prove {ARGUMENTS}"))),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_proof_or_all_can_be_asked_for() {
        let names = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
            chosen(&words).map(|proofs| proofs.iter().map(|proof| proof.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["deny"]).unwrap(), ["deny"]);
        assert_eq!(names(&[]).unwrap().len(), PROOFS.len());
        let failure = names(&["speed"]).unwrap_err().to_string();
        assert_eq!(failure, "there is no proof \"speed\"; there are deny, corpus");
    }
}
