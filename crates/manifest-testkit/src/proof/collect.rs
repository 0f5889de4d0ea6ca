//! Collecting garbage in a store of many blobs, while others write.
//!
//! Half of the blobs belong to imported lists, the other half to nobody. They are put into the store as files, older than any
//! grace, since a store does not ask who wrote them; the lists are then imported over their half. While `gc` runs, writers import
//! images of their own, edit and remove them. Afterwards the half of nobody is gone, and of what writers were told
//! to be saved nothing is missing, down to the bytes of each blob. `gc` without any grace runs on, again and again, until the
//! writers are done.

mod stock;

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wait4::Wait4 as _;

use self::stock::Stock;
use super::facts::listed;
use super::{Proved, Subject, Violation, ensure};
use crate::Image;

/// The longest time that a collection should take.
const GOAL: Duration = Duration::from_secs(5);

/// How many images each writer saves at least.
const IMAGES: usize = 10;

/// How much more memory ten times as many blobs may take, in bytes.
const GROWTH: u64 = 16 << 20;

/// How much is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Collect {
    /// How many blobs there are, half of them of nobody.
    pub blobs: usize,
    /// How many processes write meanwhile.
    pub writers: usize,
}

impl Default for Collect {
    fn default() -> Self {
        Self { blobs: 100_000, writers: 8 }
    }
}

/// What a collection took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    time: Duration,
    /// The most memory that was resident, in bytes.
    memory: u64,
}

/// Collects garbage while others write.
///
/// # Errors
/// A blob that is missing though a record needs it, one that stayed though nobody needs it, or memory that grows
/// with the store.
pub fn collect(subject: &Subject, asked: &Collect) -> Proved {
    let small = filled(subject, "small", asked.blobs / 10)?;
    let (least, _) = round(&small.0, &small.1, asked.writers)?;
    let large = filled(subject, "large", asked.blobs)?;
    let (cost, written) = round(&large.0, &large.1, asked.writers)?;
    ensure(cost.memory < least.memory + GROWTH, || {
        format!("{} bytes of memory for a tenth of the blobs, {} for all of them", least.memory, cost.memory)
    })?;
    let verdict = if cost.time < GOAL { "kept" } else { "missed" };
    Ok(format!(
        "collect: {} blobs, half of them of nobody, and {} writers: {:.2} s (goal under {} s: {verdict}), {:.1} MB of memory \
         ({:.1} MB for a tenth of the blobs); of {written} images that the writers saved none was harmed",
        asked.blobs,
        asked.writers,
        cost.time.as_secs_f64(),
        GOAL.as_secs(),
        cost.memory as f64 / 1e6,
        least.memory as f64 / 1e6,
    ))
}

/// A store with this many blobs.
fn filled(subject: &Subject, name: &str, blobs: usize) -> Result<(Subject, Stock), Violation> {
    let dir = subject.scratch().join(name);
    let subject = subject.clone().at(dir.join("store").as_os_str());
    let stock = Stock::put(&subject, &dir, blobs)?;
    Ok((subject, stock))
}

/// What writers and the one who collects share.
#[derive(Debug, Default)]
struct Work {
    stop: AtomicBool,
    saved: AtomicUsize,
}

/// Collects while writers work, and looks at what is left; the second number is that of the images they saved.
fn round(subject: &Subject, stock: &Stock, writers: usize) -> Result<(Cost, usize), Violation> {
    let work = Work::default();
    let (cost, kept) = std::thread::scope(|threads| {
        let write = |writer: usize| {
            let work = &work;
            move || write(subject, writer, work)
        };
        let started: Vec<_> = (0..writers).map(|writer| threads.spawn(write(writer))).collect();
        let cost = collect_meanwhile(subject, &work, writers);
        work.stop.store(true, Ordering::SeqCst);
        let kept = started.into_iter().map(|writer| writer.join().expect("a writer that panicked"));
        let kept = kept.collect::<Result<Vec<_>, _>>()?;
        Ok((cost?, kept.concat()))
    })?;
    stock.look(subject)?;
    whole(subject, &kept)?;
    Ok((cost, work.saved.into_inner()))
}

/// Collects once with a grace, then again and again without one until the writers have saved enough.
fn collect_meanwhile(subject: &Subject, work: &Work, writers: usize) -> Result<Cost, Violation> {
    let until = |saved: usize| work.saved.load(Ordering::SeqCst) < saved && !work.stop.load(Ordering::SeqCst);
    // They are at work when each may have saved something.
    while until(writers) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let cost = gc(subject, &["--grace", "1h"])?;
    while until(writers * IMAGES) {
        gc(subject, &["--grace", "0"])?;
    }
    Ok(cost)
}

/// Imports images and removes every other one, until it is told to stop; the names of those that stay.
fn write(subject: &Subject, writer: usize, work: &Work) -> Result<Vec<String>, Violation> {
    let mut kept: Vec<String> = Vec::new();
    for count in 0.. {
        if work.stop.load(Ordering::SeqCst) {
            break;
        }
        let name = format!("writer{writer}:{count}");
        // One of its layers is that of all, the others are those of nobody else.
        let image = Image::new("linux/amd64").layers(2, 300, (writer * 1_000_000 + count) as u64);
        let layout = subject.scratch().join(format!("layout{writer}"));
        image.layer("shared by all").write_layout(&layout, "v");
        let done = |words: &[&str]| {
            subject.done(words).inspect_err(|_| work.stop.store(true, Ordering::SeqCst)).map(drop)
        };
        done(&["import", &name, "--oci-dir", layout.to_str().expect("a path that is text")])?;
        work.saved.fetch_add(1, Ordering::SeqCst);
        fs::remove_dir_all(layout).expect("a layout that may be removed");
        if let Some(last) = kept.pop_if(|_| count % 2 == 1) {
            done(&["rm", &last])?;
        }
        kept.push(name);
    }
    Ok(kept)
}

/// Collects, and measures it.
fn gc(subject: &Subject, options: &[&str]) -> Result<Cost, Violation> {
    let mut command = subject.command(["gc"].iter().chain(options));
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().expect("a program that starts");
    let ended = child.wait4().expect("a program that ends");
    let time = started.elapsed();
    ensure(ended.status.success(), || {
        format!("a collection that nothing hindered failed: {:?}", ended.status)
    })?;
    let memory = ended.rusage.maxrss;
    Ok(Cost { time, memory })
}

/// Whether all that was saved is there, with all of its blobs.
fn whole(subject: &Subject, saved: &[String]) -> Result<(), Violation> {
    subject.done(["fsck"])?;
    let there: BTreeSet<String> = listed(subject)?.into_iter().flat_map(|line| line.names).collect();
    let lost: Vec<_> = saved.iter().filter(|name| !there.contains(*name)).collect();
    ensure(lost.is_empty(), || format!("what was said to be saved is gone: {lost:?}"))
}
