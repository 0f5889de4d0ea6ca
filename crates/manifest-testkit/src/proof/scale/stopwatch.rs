//! Times of processes, beside what a sync takes.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::{Subject, Violation, ensure};
use crate::Ran;

/// The size of the file whose sync is the measure, in bytes: that of a small record.
const SMALL: usize = 2000;

/// Takes times.
#[derive(Debug)]
pub(super) struct Stopwatch {
    runs: usize,
    sync: Duration,
    start: Duration,
    dir: PathBuf,
}

/// What a command took.
#[derive(Clone, Debug)]
pub(super) struct Row {
    what: String,
    goal: Option<Duration>,
    median: Duration,
    best: Duration,
}

impl Stopwatch {
    /// Measures a sync in this directory, and the start of a program that does nothing.
    pub(super) fn new(dir: &Path, runs: usize) -> Self {
        let times = |work: &dyn Fn() -> Duration| median((0..runs.max(1)).map(|_| work()).collect());
        let start = times(&|| {
            let started = Instant::now();
            Ran::of(&mut std::process::Command::new("true")).ok();
            started.elapsed()
        });
        Self { runs: runs.max(1), sync: times(&|| sync(dir)), start, dir: dir.to_owned() }
    }

    /// What a sync of a small file takes.
    pub(super) const fn sync(&self) -> Duration {
        self.sync
    }

    /// What all times are to be compared with.
    pub(super) fn head(&self) -> String {
        format!(
            "scale: to write and sync a file of {SMALL} bytes takes {}, to start a program that does nothing {}; medians of {} runs",
            shown(self.sync),
            shown(self.start),
            self.runs
        )
    }

    /// Takes the time of a command, several times; `words` gives its arguments for each run.
    pub(super) fn row(
        &self,
        subject: &Subject,
        what: &str,
        goal: Option<Duration>,
        words: &dyn Fn(usize) -> String,
    ) -> Result<Row, Violation> {
        let mut times = Vec::new();
        for run in 0..self.runs {
            let line = words(run);
            let mut command = subject.command(line.split(' '));
            let started = Instant::now();
            let ran = Ran::of(&mut command);
            times.push(started.elapsed());
            ensure(ran.code == Some(0), || format!("a command that nothing hindered failed\n{ran:?}"))?;
            // What other processes write is not left to the next run.
            sync(&self.dir);
        }
        let best = times.iter().min().copied().unwrap_or_default();
        Ok(Row { what: what.to_owned(), goal, median: median(times), best })
    }
}

/// The rows as a table in Markdown.
pub(super) fn table(rows: &[Row], sync: Duration) -> String {
    let mut text =
        String::from("| command | median | best | in syncs | goal |\n| --- | ---: | ---: | ---: | --- |");
    for Row { what, goal, median, best } in rows {
        let syncs = median.as_secs_f64() / sync.as_secs_f64().max(1e-9);
        let goal = goal.map_or_else(String::new, |goal| {
            let verdict = if *median < goal { "kept" } else { "missed" };
            format!("under {}: {verdict}", shown(goal))
        });
        write!(text, "\n| {what} | {} | {} | {syncs:.1} | {goal} |", shown(*median), shown(*best))
            .expect("room for text");
    }
    text
}

/// Writes and syncs a small file.
fn sync(dir: &Path) -> Duration {
    let path = dir.join("synced");
    let started = Instant::now();
    let mut file = File::create(&path).expect("a file");
    file.write_all(&[7; SMALL]).expect("room for a small file");
    file.sync_all().expect("a file that is synced");
    started.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
