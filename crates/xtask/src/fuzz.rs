//! `cargo xtask fuzz`: hostile input for the parsers.

use std::fs;
use std::process::Command;

use crate::command;
use crate::failure::Failure;
use crate::workspace::Workspace;

pub(crate) const ARGUMENTS: &str = "[TARGET] [--seconds N]";
pub(crate) const TARGETS: &[&str] = &["list", "reference", "platform", "challenge"];

const SECONDS: u32 = 60;

/// What to run, and for how long each.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    targets: Vec<&'static str>,
    seconds: u32,
}

fn parse(arguments: &[String]) -> Result<Request, Failure> {
    let mut request = Request { targets: Vec::new(), seconds: SECONDS };
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        if word == "--seconds" {
            let number = words.next().and_then(|text| text.parse().ok()).filter(|&seconds| seconds > 0);
            // Zero would mean without end to the fuzzer.
            request.seconds =
                number.ok_or_else(|| Failure::Usage("--seconds needs a whole number above 0".to_owned()))?;
        } else if let Some(target) = TARGETS.iter().find(|&&target| target == word) {
            request.targets.push(target);
        } else {
            let known = TARGETS.join(", ");
            return Err(Failure::Usage(format!("there is no fuzz target {word:?}; there are {known}")));
        }
    }
    if request.targets.is_empty() {
        request.targets = TARGETS.to_vec();
    }
    Ok(request)
}

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let request = parse(arguments)?;
    if !workspace.has_subcommand("fuzz") {
        let help = "install it: cargo install cargo-fuzz --locked".to_owned();
        return Err(Failure::Missing { program: "cargo-fuzz".to_owned(), help });
    }
    for target in request.targets {
        let command = fuzzer(workspace, target, request.seconds)?;
        println!("$ {}", command::line(&command));
        command::run(command)?;
    }
    Ok(())
}

/// One run of one target: new inputs go to a directory that git ignores, the committed seeds are only read.
fn fuzzer(workspace: &Workspace, target: &str, seconds: u32) -> Result<Command, Failure> {
    let fuzz = workspace.root().join("fuzz");
    let found = fuzz.join("target/corpus").join(target);
    fs::create_dir_all(&found).map_err(Failure::file("make", &found))?;
    // Sanitizers need a nightly toolchain; without unsafe code they would find little.
    let mut command = workspace.cargo(&["fuzz", "run", "--sanitizer", "none", target]);
    command.arg(found).arg(fuzz.join("corpus").join(target));
    command.args(["--", &format!("-max_total_time={seconds}"), "-timeout=10", "-rss_limit_mb=1024"]);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn without_a_target_all_are_run() {
        assert_eq!(parse(&[]).unwrap(), Request { targets: TARGETS.to_vec(), seconds: SECONDS });
        for line in ["list --seconds 5", "--seconds 5 list"] {
            assert_eq!(parse(&words(line)).unwrap(), Request { targets: vec!["list"], seconds: 5 }, "{line}");
        }
    }

    #[test]
    fn misuse_is_refused() {
        for line in
            ["lists", "--seconds", "--seconds 0", "--seconds -1", "--seconds soon", "list --minutes 2"]
        {
            assert_eq!(parse(&words(line)).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn every_target_has_a_program_and_seeds() {
        let fuzz = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
        let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
        for target in TARGETS {
            assert!(fuzz.join(format!("fuzz_targets/{target}.rs")).is_file(), "{target}");
            assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
            assert!(fs::read_dir(fuzz.join("corpus").join(target)).unwrap().count() >= 12, "{target}");
        }
    }
}
