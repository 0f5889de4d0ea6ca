//! Who holds a lock stands still, or dies; a record is held, released and removed by many at once.

mod holds;

use std::ffi::OsStr;
use std::fs;
use std::time::{Duration, Instant};

use super::facts::LABEL;
use super::material::Material;
use super::{Proved, Subject, Violation, ensure};
use crate::{Ran, Running, program};

/// How long others are told to wait.
const LIMIT: Duration = Duration::from_millis(400);
/// How much longer a wait may take, on a machine that has other things to do.
const MARGIN: Duration = Duration::from_secs(3);
/// How long a test may try to catch a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often.
#[derive(Clone, Copy, Debug)]
pub struct Locks {
    /// How many holders are stopped and killed.
    pub rounds: usize,
    /// How many processes hold, release and remove one record at once, where the program has holds.
    pub crowd: usize,
}

/// Proves that a wait for a lock ends and names the holder, that the lock of a killed holder is free at once
/// (DUR-10), and that nothing held is removed and nothing removed is held (A1-18).
///
/// # Errors
/// The first broken promise.
///
/// # Panics
/// Where strace is not installed.
pub fn locks(subject: &Subject, size: &Locks) -> Proved {
    let image = Material::write(subject.scratch(), "locks", 1);
    let image = image.pieces().first().map(|piece| piece.argument.clone()).unwrap_or_default();
    subject.done(["create", "--annotation", &format!("{LABEL}=app"), "app"])?;
    subject.done(["create", "bystander"])?;
    let (mut waits, mut freed) = (Vec::new(), Vec::new());
    for round in 0..size.rounds {
        let note = format!("round=r{round}");
        let name = format!("n{round}");
        // What holds the lock, and who wants it: an edit holds that of the record, a new name that of the name too.
        let holders: [&[&str]; 2] =
            [&["annotate", "--index", "app", "--annotation", &note], &["tag", "app", &name]];
        let waiters: [&[&str]; 4] = [
            &["add", "app", &image],
            &["annotate", "--index", "app", "--annotation", "w=1"],
            &["rm", "app"],
            &["tag", "app", &name],
        ];
        let (holder, waiter) = (holders[round % 2], waiters[round / 2 % 4]);
        let (waited, free) = one(subject, holder, waiter)?;
        waits.push(waited);
        freed.push(free);
        // A removal that waited has removed it.
        if subject.run(["exists", "app"]).code != Some(0) {
            subject.done(["create", "app"])?;
        }
    }
    let most = |times: &[Duration]| times.iter().max().copied().unwrap_or_default().as_millis();
    let mut text = format!(
        "{} stopped holders: every waiter told the process and gave up with exit 9 after at most {} ms of {} ms; \
         readers and other lists did not wait; free at most {} ms after the kill",
        size.rounds,
        most(&waits),
        LIMIT.as_millis(),
        most(&freed)
    );
    if let Some(line) = holds::prove(subject, size.crowd)? {
        text.push('\n');
        text.push_str(&line);
    }
    Ok(text)
}

/// One holder is stopped while it holds its locks: how long another one waited for nothing, and how long it took to
/// go on when the holder was killed.
fn one(subject: &Subject, holder: &[&str], waiter: &[&str]) -> Result<(Duration, Duration), Violation> {
    let stopped = stopped(subject, holder)?;
    let limit = format!("{}ms", LIMIT.as_millis());
    let begun = Instant::now();
    let ran = subject.run(["--lock-timeout", &limit].iter().chain(waiter));
    let waited = begun.elapsed();
    let named = format!("process {} ", stopped.id());
    ensure(ran.code == Some(9) && ran.stderr.contains(&named), || {
        format!("who waits for {named}({holder:?}) is not told so\n{ran:?}")
    })?;
    ensure(waited >= LIMIT && waited < LIMIT + MARGIN, || {
        format!("waited {waited:?} of {LIMIT:?}\n{ran:?}")
    })?;
    for words in
        [&["inspect", "app"][..], &["ls"], &["annotate", "--index", "bystander", "--annotation", "a=b"]]
    {
        subject.done(["--lock-timeout", "0"].iter().chain(words))?;
    }
    let mut patient = Running::start(&mut subject.command(["--lock-timeout", "60s"].iter().chain(waiter)));
    std::thread::sleep(Duration::from_millis(30));
    ensure(!patient.has_ended(), || format!("{waiter:?} did not wait"))?;
    stopped.signal("KILL");
    let begun = Instant::now();
    let ran: Ran = patient.wait();
    let free = begun.elapsed();
    ensure(ran.code == Some(0), || format!("a killed holder hinders others\n{ran:?}"))?;
    ensure(free < MARGIN, || format!("the lock of a killed holder was free after {free:?}"))?;
    stopped.wait();
    Ok((waited, free))
}

/// A process that was stopped when it was about to sync what it has written, which it does under its locks.
fn stopped(subject: &Subject, words: &[&str]) -> Result<Running, Violation> {
    let (strace, log) = (program("strace"), subject.scratch().join("stopped.log"));
    fs::remove_file(&log).ok();
    // With -D the tracer is a grandchild: the process that is started is the program itself.
    let options = ["-D", "-f", "-e", "trace=fsync,fdatasync"].map(OsStr::new);
    let stop = ["-e", "inject=fsync,fdatasync:signal=STOP:when=1", "-o"].map(OsStr::new);
    let before = [strace.as_os_str()].into_iter().chain(options).chain(stop);
    let before = before.chain([log.as_os_str(), subject.program().as_os_str()]);
    let mut running = Running::start(&mut subject.command_of(before, words));
    let begun = Instant::now();
    while !fs::read_to_string(&log).unwrap_or_default().contains("--- stopped by SIGSTOP ---") {
        let account = || format!("{words:?} was not stopped under its locks");
        ensure(begun.elapsed() < PATIENCE && !running.has_ended(), account)?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(running)
}
