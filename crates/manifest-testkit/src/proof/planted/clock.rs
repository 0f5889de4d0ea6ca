//! A clock that jumps.

use std::ffi::OsStr;
use std::fs;

use serde_json::Value;

use super::super::{Proved, Subject, Violation, ensure};
use crate::{Ran, program};

/// What the clock says at each edit: years ahead, back by a year, at the ends of the numbers that others count with,
/// and a thousand times too fast.
const TIMES: [&str; 10] = [
    "2026-06-01 12:00:00",
    "2025-06-01 12:00:00",
    "1970-01-01 00:00:01",
    "2038-01-19 03:14:07",
    "2038-01-19 03:14:08",
    "2001-09-09 01:46:40",
    "2106-02-07 06:28:16",
    "2000-02-29 23:59:59",
    "+0 x1000",
    "2026-06-01 11:59:59",
];

/// Edits a list while the clock jumps about; the order of its history is that of the edits.
pub(super) fn jumps(subject: &Subject) -> Proved {
    let subject = subject.clone().at(subject.scratch().join("clock").as_os_str());
    let id = subject.done(["create", "clock"])?.trim().to_owned();
    for (step, time) in TIMES.iter().enumerate() {
        let note = format!("step={step}");
        at(&subject, time, &["annotate", "--index", "clock", "--annotation", &note])?;
        // Another list, so that there is something to compare with.
        at(&subject, time, &["create", &format!("at{step}")])?;
    }
    let expected: Vec<usize> = (0..TIMES.len()).collect();
    let record = subject.directory().expect("a store in a directory").join("records").join(id);
    let steps = steps(&commands(&fs::read(record).expect("a record"))?);
    ensure(steps == expected, || format!("the history of a list lies in the order {steps:?}"))?;
    let verbs = subject.verbs();
    if verbs.contains("history") {
        let shown = subject.done(["history", "clock"])?;
        let mut steps = self::steps(&shown);
        if steps.first() > steps.last() {
            steps.reverse();
        }
        ensure(steps == expected, || format!("history shows the order {steps:?}\n{shown}"))?;
    }
    if verbs.contains("undo") {
        subject.done(["undo", "clock"])?;
        let shown = subject.done(["inspect", "clock"])?;
        let before = TIMES.len() - 2;
        ensure(shown.contains(&format!("step={before}")), || {
            format!("undo did not undo the last edit\n{shown}")
        })?;
    }
    let lists = subject.done(["ls"])?;
    ensure(lists.lines().count() == TIMES.len() + 2, || format!("ls does not show all lists\n{lists}"))?;
    Ok(format!("planted: {} jumps of the clock from 1970 to 2106: the history kept its order", TIMES.len()))
}

/// Runs the program at another time.
fn at(subject: &Subject, time: &str, words: &[&str]) -> Result<(), Violation> {
    let faketime = program("faketime");
    let before = [faketime.as_os_str(), OsStr::new("-f"), OsStr::new(time), subject.program().as_os_str()];
    let absolute = [faketime.as_os_str(), OsStr::new(time), subject.program().as_os_str()];
    let ran = if time.starts_with('+') {
        Ran::of(&mut subject.command_of(before, words))
    } else {
        Ran::of(&mut subject.command_of(absolute, words))
    };
    ensure(ran.code == Some(0), || format!("at {time}\n{ran:?}"))
}

/// The commands of the changes in a record file, one a line.
fn commands(record: &[u8]) -> Result<String, Violation> {
    let header = record.split(|byte| *byte == b'\n').nth(1).unwrap_or_default();
    let header: Value = serde_json::from_slice(header)
        .map_err(|error| Violation::new(format!("the second line of a record is not JSON: {error}")))?;
    let changes = header["history"]["changes"].as_array().cloned().unwrap_or_default();
    Ok(changes.iter().map(|change| format!("{}\n", change["command"])).collect())
}

/// The numbers behind `step=`, in the order of the text.
fn steps(text: &str) -> Vec<usize> {
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    text.split("step=").skip(1).filter_map(|rest| digits(rest).parse().ok()).collect()
}
