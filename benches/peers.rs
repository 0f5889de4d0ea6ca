//! Measures `manifest` beside other tools, all in one run: `cargo xtask bench`.
//!
//! What is printed is Markdown. A program that is not on the `PATH` is left out, and a line says so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark reports by printing and by panicking, and nothing it writes must survive a crash"
)]

mod asked;
mod authoring;
mod copying;
mod editing;
mod far;
mod figures;
mod goal;
mod job;
mod large;
mod machine;
mod program;
mod race;
mod report;
mod signing;
mod startup;
mod wide;
mod world;

use std::process::ExitCode;

use asked::{Asked, Options, Size, Subject};

fn main() -> ExitCode {
    match Asked::parse(std::env::args().skip(1)) {
        Ok(Asked::Measure) => job::measure_what_stdin_says(),
        Ok(Asked::Nothing) => println!("nothing is measured without --bench; run `cargo xtask bench`"),
        Ok(Asked::Bench(options)) => bench(&options),
        Err(problem) => {
            eprintln!("error: {problem}\nusage: {}", asked::USAGE);
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn bench(options: &Options) {
    machine::print();
    println!("\n{}", report::HOW_TO_READ);
    if options.size == Size::Small {
        println!(
            "\n**With --small there is far less of everything than the titles say: the verdicts mean nothing.**"
        );
    }
    for subject in &options.subjects {
        let before = machine::load();
        let (title, results) = match subject {
            Subject::Authoring => ("(a) A list of five remote images", authoring::run(options)),
            Subject::Copying => ("(b) A list and its images to another place", copying::run(options)),
            Subject::Editing => ("(c) Lists of many entries", editing::run(options)),
            Subject::Startup => ("(d) Start-up", startup::run(options)),
            Subject::Far => ("(e) A registry that is far away", far::run(options)),
            Subject::Wide => {
                ("(f) Many images, and a registry that wants to be left alone", wide::run(options))
            }
            Subject::Large => ("(g) Several registries, and large layers", large::run(options)),
            Subject::Signing => ("(h) A list with everything in it is signed", signing::run(options)),
        };
        println!("\n## {title}\n\nLoad before: {before}; after: {}.", machine::load());
        for part in results {
            println!("\n{part}");
        }
    }
}
