//! The machine and the programs on it.

use std::fs;
use std::process::Command;

use crate::program::{self, PEERS};

/// Prints what the figures depend on.
pub(crate) fn print() {
    println!("# manifest beside its peers\n");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "- {cores} cores, {}",
        first_line(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default(), "model name")
    );
    println!("- Linux {}", fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim());
    println!("- {}", version("rustc", &["--version"]));
    println!("- {}", version(program::MANIFEST, &["version"]));
    println!("- {}", version("docker-registry", &["--version"]));
    for (name, arguments) in PEERS {
        match program::found(name) {
            Some(_) => println!("- {}", without_details(&version(name, arguments))),
            None => println!("- {name} is not on the PATH and is left out"),
        }
    }
    println!("- temporary files in {}", std::env::temp_dir().display());
    println!("- load {}", load());
}

/// The load averages of 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(", ")
}

fn version(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name).args(arguments).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    said.lines().next().unwrap_or(name).to_owned()
}

/// What stands before the first bracket: some programs list everything they were built with.
fn without_details(version: &str) -> &str {
    version.split_once(" (").map_or(version, |(before, _)| before)
}

fn first_line(text: &str, key: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(key));
    line.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, value)| value).to_owned()
}
