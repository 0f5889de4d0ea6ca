//! Collecting garbage in a store of many blobs, while others write.
//!
//! Half of the blobs belong to imported lists, the other half to nobody. They are put into the store as files, older than any
//! grace, since a store does not ask who wrote them; the lists are then imported over their half. While `gc` runs, writers import
//! images of their own, edit and remove them. Afterwards the half of nobody is gone, and of what writers were told
//! to be saved nothing is missing, down to the bytes of each blob. `gc` without any grace runs on, again and again, until the
//! writers are done.

mod stock;

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wait4::Wait4 as _;

use self::stock::Stock;
use super::{Proved, Subject, Violation, ensure};
use crate::Image;

/// The longest time that a collection should take.
const GOAL: Duration = Duration::from_secs(5);

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
         ({:.1} MB for a tenth of the blobs); {written} images of the writers are whole",
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

/// Collects while writers work, and looks at what is left.
fn round(subject: &Subject, stock: &Stock, writers: usize) -> Result<(Cost, usize), Violation> {
    let (stop, saved) = (AtomicBool::new(false), AtomicUsize::new(0));
    let cost = std::thread::scope(|threads| {
        let work = |writer: usize| {
            let (stop, saved) = (&stop, &saved);
            move || write(subject, writer, stop, saved)
        };
        let started: Vec<_> = (0..writers).map(|writer| threads.spawn(work(writer))).collect();
        // They are at work when each has saved something.
        while saved.load(Ordering::SeqCst) < writers && !stop.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let cost = gc(subject, &["--grace", "1h"]);
        let again = (0..5).try_for_each(|_| gc(subject, &["--grace", "0"]).map(drop));
        stop.store(true, Ordering::SeqCst);
        for writer in started {
            writer.join().expect("a writer that panicked")?;
        }
        again.and(cost)
    })?;
    stock.look(subject)?;
    let images = whole(subject, writers)?;
    Ok((cost, images))
}

/// Imports images and removes every other one, until it is told to stop.
fn write(subject: &Subject, writer: usize, stop: &AtomicBool, saved: &AtomicUsize) -> Result<(), Violation> {
    let dir = subject.scratch().join(format!("writer{writer}"));
    for count in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let layout = dir.join(format!("{count}"));
        // Its layers are those of nobody else, but for one that all share.
        let seed = (writer * 1_000_000 + count) as u64;
        let image = Image::new("linux/amd64").layers(2, 300, seed).layer("shared by all");
        image.write_layout(&layout, "v");
        let name = format!("writer{writer}:{count}");
        let done = |words: &[&str]| subject.done(words).inspect_err(|_| stop.store(true, Ordering::SeqCst));
        done(&["import", &name, "--oci-dir", layout.to_str().expect("a path that is text")])?;
        saved.fetch_add(1, Ordering::SeqCst);
        fs::remove_dir_all(layout).expect("a layout that may be removed");
        if count % 2 == 1 {
            done(&["rm", &format!("writer{writer}:{}", count - 1)])?;
        }
    }
    Ok(())
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

/// Whether every record has all of its blobs; the number of the images of the writers.
fn whole(subject: &Subject, writers: usize) -> Result<usize, Violation> {
    subject.done(["fsck"])?;
    let lists = super::facts::listed(subject)?;
    let of_writers = lists.iter().filter(|line| line.names.iter().any(|name| name.starts_with("writer")));
    let images = of_writers.count();
    ensure(images >= writers, || {
        format!("{writers} writers saved more than the {images} images that are there")
    })?;
    Ok(images)
}
