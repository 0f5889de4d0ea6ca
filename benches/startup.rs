//! (d) What it costs to start the program, and what it weighs.

use crate::asked::Options;
use crate::figures::{Measure::Wall, shown};
use crate::goal::Goal;
use crate::job::Job;
use crate::program::{MANIFEST, Ours, plain};
use crate::race::{self, Contestant};
use crate::report::Part;

const OURS: &str = "manifest version";
const NOTHING: &str = "true";

/// Starts are short, so many are needed, and can be had.
const TIMES: usize = 10;

const LIMIT_MB: f64 = 16.0;

pub(crate) fn run(options: &Options) -> Vec<Part> {
    let ours = Ours::default();
    let contestants = vec![
        Contestant::new(OURS, |_| Job::of([ours.step(&["version"])])),
        Contestant::new(NOTHING, |_| Job::of([plain("true", &[])])).against(OURS),
    ];
    let rows = race::run(contestants, &[], options.runs * TIMES);
    let goals = vec![Goal::More(OURS, NOTHING, Wall, 2.0)];
    let facts = vec![weight()];
    vec![Part { title: "The version, and a program that does nothing", rows, goals, missing: vec![], facts }]
}

fn weight() -> [String; 4] {
    let bytes = std::fs::metadata(MANIFEST).expect("the program under test").len();
    let size = bytes as f64 / 1e6;
    let verdict = if size < LIMIT_MB { "met" } else { "missed" };
    let limit = format!("< {} MB", shown(LIMIT_MB));
    ["size of the program".to_owned(), format!("{} MB", shown(size)), limit, verdict.to_owned()]
}
