//! Many lists, a long list, and a long history.
//!
//! A time says little of a program without the machine: each row of the table is also given in syncs, that is, as a multiple of what
//! the machine takes to write and sync one small file, measured in the same run. Every time is that of a
//! process from start to end, and the median of several. Goals are compared with what was measured and do not end the
//! proof; lost lists, lost entries and a history that grows without bounds do.

mod stopwatch;

use std::path::Path;
use std::time::Duration;

use self::stopwatch::{Row, Stopwatch};
use super::material::Material;
use super::{Proved, Subject, Violation, ensure, facts, tree};

/// How many entries each layout of images has; reading a layout takes longer the more there are.
const IMAGES_OF_A_LAYOUT: usize = 100;

/// How many processes fill the store at once.
const CROWD: usize = 4;

/// The most bytes that the store of one list with its history may take.
const MOST_BYTES: u64 = 50_000_000;

/// How much is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// How many lists there are in one store.
    pub lists: usize,
    /// How many entries are added to one list, one by one.
    pub entries: usize,
    /// How often each time is taken.
    pub runs: usize,
}

impl Default for Scale {
    fn default() -> Self {
        Self { lists: 10_000, entries: 10_000, runs: 21 }
    }
}

/// Measures a store of many lists, and a list of many entries.
///
/// # Errors
/// A list or an entry that is not there, or a store that grew too large.
pub fn scale(subject: &Subject, asked: &Scale) -> Proved {
    let dir = subject.scratch().to_owned();
    let stopwatch = Stopwatch::new(&dir, asked.runs);
    let many = subject.clone().at(dir.join("many").as_os_str());
    let mut rows = many_lists(&many, &stopwatch, asked)?;
    let long = subject.clone().at(dir.join("long").as_os_str());
    let (more, history) = long_list(&long, &stopwatch, asked)?;
    rows.extend(more);
    Ok(format!("{}\n{}\n{history}", stopwatch.head(), stopwatch::table(&rows, stopwatch.sync())))
}

/// A store of many lists.
fn many_lists(subject: &Subject, stopwatch: &Stopwatch, asked: &Scale) -> Result<Vec<Row>, Violation> {
    let pieces = Material::write(subject.scratch(), "many", 2 + asked.runs);
    let image = |at: usize| pieces.pieces()[at].argument.as_str();
    std::thread::scope(|threads| {
        let fill = |first: usize| {
            move || {
                (first..asked.lists).step_by(CROWD).try_for_each(|at| {
                    subject.done(["create", &format!("list{at}"), image(0), image(1)]).map(drop)
                })
            }
        };
        let crowd: Vec<_> = (0..CROWD).map(|first| threads.spawn(fill(first))).collect();
        crowd.into_iter().try_for_each(|one| one.join().expect("a thread that panicked"))
    })?;
    let there = facts::listed(subject)?.len();
    ensure(there == asked.lists, || format!("{there} of {} lists are there", asked.lists))?;
    let of = asked.lists;
    let row = |what: &str, goal: Option<u64>, words: &dyn Fn(usize) -> String| {
        stopwatch.row(subject, &format!("{what}, {of} lists"), goal.map(Duration::from_millis), words)
    };
    let middle = of / 2;
    Ok(vec![
        row("version", None, &|_| "version".to_owned())?,
        row("ls", Some(300), &|_| "ls".to_owned())?,
        row("ls --output json", None, &|_| "ls --output json".to_owned())?,
        row("inspect", Some(10), &|run| format!("inspect list{}", (middle + run) % of))?,
        row("annotate", Some(15), &|run| {
            format!("annotate --index list{middle} --annotation org.example.run={run}")
        })?,
        row("add", Some(15), &|run| format!("add list{} {}", middle, image(2 + run)))?,
        row("create", None, &|run| format!("create new{run}"))?,
        row("tag", None, &|run| format!("tag list{middle} tag{run}"))?,
        row("rm", None, &|run| format!("rm new{run}"))?,
    ])
}

/// One list that gets entry after entry.
fn long_list(
    subject: &Subject,
    stopwatch: &Stopwatch,
    asked: &Scale,
) -> Result<(Vec<Row>, String), Violation> {
    subject.done(["create", "long"])?;
    let count = asked.entries + asked.runs;
    let images: Vec<String> = (0..count.div_ceil(IMAGES_OF_A_LAYOUT))
        .flat_map(|layout| {
            let name = format!("long{layout}");
            let pieces = Material::write(subject.scratch(), &name, IMAGES_OF_A_LAYOUT);
            pieces.pieces().iter().map(|piece| piece.argument.clone()).collect::<Vec<_>>()
        })
        .collect();
    for image in &images[..asked.entries] {
        subject.done(["add", "long", image])?;
    }
    let entries = facts::inspected(subject, "long")?.entries.len();
    ensure(entries == asked.entries, || format!("{entries} of {} entries are there", asked.entries))?;
    let store = subject.directory().expect("a store in a directory");
    let size = size(store);
    ensure(size < MOST_BYTES, || format!("after {entries} additions the store takes {size} bytes"))?;
    let of = asked.entries;
    let row = |what: &str, goal: Option<u64>, words: &dyn Fn(usize) -> String| {
        stopwatch.row(
            subject,
            &format!("{what}, list of {of} entries"),
            goal.map(Duration::from_millis),
            words,
        )
    };
    let mut rows = vec![
        row("inspect", None, &|_| "inspect long".to_owned())?,
        row("annotate", None, &|run| format!("annotate --index long --annotation org.example.run={run}"))?,
        row("add", Some(60), &|run| format!("add long {}", images[of + run]))?,
    ];
    let verbs = subject.verbs();
    for verb in ["history", "undo"] {
        if verbs.contains(verb) {
            rows.push(row(verb, None, &|_| format!("{verb} long"))?);
        }
    }
    Ok((
        rows,
        format!(
            "scale: {of} additions to one list, one by one, leave a store of {:.1} MB",
            size as f64 / 1e6
        ),
    ))
}

fn size(dir: &Path) -> u64 {
    let size = |path: &std::path::PathBuf| path.metadata().map_or(0, |found| found.len());
    tree::files(dir).iter().map(size).sum()
}
