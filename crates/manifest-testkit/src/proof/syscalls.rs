//! Every file-system call of a command fails in turn, or is the last thing that the process does.

mod case;
mod fault;
mod judge;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use self::case::{Bench, Case, State, cases};
use self::fault::{ALWAYS, Fault, LOOKS, NO_MATTER, besides, traced};
use self::judge::{Outcome, Tally, judge};
use self::trace::{Call, calls};
use super::{Proved, Subject, Violation, ensure};
use crate::{Ran, Running, program};

/// How often one call may be made to fail in a sweep before something must be wrong with the sweep.
const SWEEP: usize = 500;
/// How much earlier or later than in peace a call may come.
const SHIFT: usize = 2;
/// How often what was missed is swept again at length.
const PASSES: usize = 4;

/// Which commands, and which faults.
#[derive(Clone, Debug)]
pub struct Syscalls {
    /// The commands by name, as in `add`; all when there is none.
    pub commands: Vec<String>,
    /// How much goes wrong.
    pub faults: Faults,
    /// How many runs there are at once.
    pub jobs: usize,
}

/// How much goes wrong with each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// An error of the device, and a kill where something may have changed.
    Few,
    /// Every error that the call may have, and a kill.
    All,
}

impl Faults {
    /// How often what was missed is swept again.
    const fn passes(self) -> usize {
        match self {
            Self::Few => 2,
            Self::All => PASSES,
        }
    }

    fn of(self, call: &str) -> Vec<Fault> {
        let error = |error: &&'static str| Fault::Error(error);
        match self {
            Self::Few if NO_MATTER.contains(&call) => Vec::new(),
            Self::Few if LOOKS.contains(&call) => vec![Fault::Error("EIO")],
            Self::Few => vec![Fault::Error("EIO"), Fault::Kill],
            Self::All => ALWAYS.iter().chain(besides(call)).map(error).chain([Fault::Kill]).collect(),
        }
    }
}

/// Which calls are meant: all of this name of a thread, or those that concern one path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    call: String,
    path: Option<String>,
    /// The calls that are made to fail, from the first to the last, and on as long as there are more.
    from: usize,
    to: usize,
}

/// A command, what it does in peace, and which of its calls fail.
struct Plan {
    case: Case,
    before: State,
    after: State,
    targets: Vec<Target>,
    /// What it does to which kind of path.
    surface: BTreeSet<(String, String)>,
}

/// Proves that whatever call fails, or is the last one, the store is what it was or what it was to become; that
/// the exit code tells which; and that the next command works (DUR-1, DUR-5, DUR-6).
///
/// # Errors
/// The first broken promise.
///
/// # Panics
/// Where strace is not installed.
pub fn syscalls(subject: &Subject, size: &Syscalls) -> Proved {
    let (begun, bench) = (Instant::now(), Bench::new(subject)?);
    let (mut table, mut lines) = (BTreeMap::new(), Vec::new());
    for case in cases(subject, &size.commands) {
        let plan = plan(&bench.numbered(0), case)?;
        lines.push(sum_up(&plan, &all_targets(&bench, &plan, size)?, &mut table)?);
    }
    let mut text = format!(
        "| call | runs | refused, old state | done | done, not certain | killed, old | killed, new |\n{}\n",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    let mut all = Tally::default();
    for (call, tally) in &table {
        text.push_str(&format!("| {call} | {tally} |\n"));
        all.add(tally);
    }
    text.push_str(&format!("| all | {all} |\n\n"));
    text.push_str(&lines.join("\n"));
    text.push_str(&format!("\n0 other states, 0 panics; {:.1} s", begun.elapsed().as_secs_f64()));
    Ok(text)
}

/// Sweeps all targets, some at once; once more those that were missed because the threads shared the work in
/// another way than they did in peace.
fn all_targets(bench: &Bench, plan: &Plan, size: &Syscalls) -> Result<Vec<Done>, Violation> {
    let (mut all, mut targets) = (Vec::<Done>::new(), plan.targets.clone());
    for _ in 0..size.faults.passes() {
        let work = Mutex::new(targets);
        let done = std::thread::scope(|scope| {
            let worker = |number| {
                let (bench, work) = (bench.numbered(number), &work);
                move || sweep_all(&bench, plan, work, size.faults)
            };
            let workers: Vec<_> = (0..size.jobs.max(1)).map(|number| scope.spawn(worker(number))).collect();
            let joined = workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.collect::<Result<Vec<_>, _>>()
        })?;
        all.extend(done);
        let missed = missed(plan, &all);
        if missed.is_empty() {
            break;
        }
        let again = |target: &&Target| missed.iter().any(|pair| target.may_be(pair));
        // Sooner or later than in peace by any number: the threads of a busy machine may share the work in any way.
        let wider = |target: &Target| Target { from: 1, to: target.to + SHIFT, ..target.clone() };
        targets = plan.targets.iter().filter(again).map(wider).collect();
    }
    Ok(all)
}

impl Target {
    /// Whether a call of this kind, as [`touched`] tells it, may be this one.
    fn may_be(&self, (call, kind): &(String, String)) -> bool {
        let dir = kind.split_once(':').map_or(kind.as_str(), |(dir, _)| dir);
        self.call == *call && self.path.as_ref().is_none_or(|path| path.starts_with(dir))
    }
}

/// The calls that never failed.
fn missed(plan: &Plan, done: &[Done]) -> Vec<(String, String)> {
    let hit: BTreeSet<_> = done.iter().flat_map(|done| &done.hit).collect();
    let matters = |pair: &&(String, String)| !NO_MATTER.contains(&pair.0.as_str());
    plan.surface.iter().filter(matters).filter(|pair| !hit.contains(pair)).cloned().collect()
}

/// What was hit and what became of it.
#[derive(Debug, Default)]
struct Done {
    runs: usize,
    tallies: BTreeMap<String, Tally>,
    hit: BTreeSet<(String, String)>,
}

/// What was done to a command. A call that always comes later on its thread than another call on another thread cannot be
/// reached by its number, and on a busy machine there may be some; they are named, and too many end the proof.
fn sum_up(plan: &Plan, done: &[Done], table: &mut BTreeMap<String, Tally>) -> Result<String, Violation> {
    let mut all = Tally::default();
    for (call, tally) in done.iter().flat_map(|done| &done.tallies) {
        table.entry(call.clone()).or_default().add(tally);
        all.add(tally);
    }
    let (calls, missed) = (plan.surface.len(), missed(plan, done));
    let named =
        || missed.iter().map(|(call, path)| format!("{call} of {path}")).collect::<Vec<_>>().join(", ");
    ensure(missed.len() <= calls / 4, || {
        format!("{}: these calls never failed: {}", plan.case.name, named())
    })?;
    let line = format!("{}: {calls} pairs of call and kind of path, {} runs", plan.case.name, all.runs());
    if missed.is_empty() { Ok(line) } else { Ok(format!("{line}; not reached: {}", named())) }
}

/// Runs the command in peace, twice, to learn its calls; paths that differ are made up by chance.
fn plan(bench: &Bench, case: Case) -> Result<Plan, Violation> {
    let mut runs = Vec::new();
    let (mut before, mut after) = (State::default(), State::default());
    for _ in 0..2 {
        bench.lay(case.found);
        if case.found == case::Found::Store {
            before = bench.state()?.0;
        }
        let (ran, log) = strace(bench, &["-e", &format!("trace={}", traced())], &case.words);
        ensure(ran.code == Some(0), || format!("{} fails in peace\n{ran:?}", case.name))?;
        after = bench.state()?.0;
        runs.push(calls(&log, &bench.root.to_string_lossy()));
    }
    let sets: Vec<BTreeSet<&String>> =
        runs.iter().map(|calls| calls.iter().flat_map(|call| &call.paths).collect()).collect();
    let lasting = |path: &&String| sets.iter().all(|set| set.contains(path));
    let mut targets: BTreeMap<(String, Option<String>), (usize, usize)> = BTreeMap::new();
    for calls in &runs {
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        for call in calls.iter().filter(|call| !call.paths.is_empty()) {
            let (key, nth) = match call.paths.iter().find(lasting) {
                Some(path) => {
                    let count = counts.entry((call.name.clone(), path.clone())).or_default();
                    *count += 1;
                    ((call.name.clone(), Some(path.clone())), *count)
                }
                None => ((call.name.clone(), None), call.nth),
            };
            let range = targets.entry(key).or_insert((nth, nth));
            *range = (range.0.min(nth), range.1.max(nth));
        }
    }
    let target = |((call, path), (from, to)): ((String, Option<String>), (usize, usize))| {
        // Threads do not share the work in the same way each time.
        let (from, to) =
            if path.is_some() { (1, to) } else { (from.saturating_sub(SHIFT).max(1), to + SHIFT) };
        Target { call, path, from, to }
    };
    let surface = runs.concat().iter().flat_map(touched).collect();
    Ok(Plan { case, before, after, targets: targets.into_iter().map(target).collect(), surface })
}

/// A call and the kinds of its paths.
fn touched(call: &Call) -> Vec<(String, String)> {
    let kind = |path: &String| {
        let (dir, file) = path.rsplit_once('/').unwrap_or((".", path));
        let file = match file {
            file if file.starts_with(".tmp-") => "a temporary file",
            _ if dir == "." || dir == "store" => file,
            _ => "a file",
        };
        (call.name.clone(), format!("{dir}: {file}"))
    };
    call.paths.iter().map(kind).collect()
}

/// Takes one target after the other until there is none.
fn sweep_all(
    bench: &Bench,
    plan: &Plan,
    work: &Mutex<Vec<Target>>,
    faults: Faults,
) -> Result<Done, Violation> {
    let mut done = Done::default();
    loop {
        let target = work.lock().expect("no worker panics while it holds this").pop();
        let Some(target) = target else { return Ok(done) };
        for fault in faults.of(&target.call) {
            sweep(bench, plan, &target, fault, &mut done)?;
        }
    }
}

/// Lets the first call fail, then the second, until there is none to fail.
fn sweep(
    bench: &Bench,
    plan: &Plan,
    target: &Target,
    fault: Fault,
    done: &mut Done,
) -> Result<(), Violation> {
    for nth in target.from..target.from + SWEEP {
        bench.lay(plan.case.found);
        let inject = format!("inject={}:{}:when={nth}", target.call, fault.expression());
        let trace = format!("trace={}", target.call);
        let mut options = vec!["-e", &trace, "-e", &inject];
        let path = target.path.as_ref().map(|path| bench.root.join(path).to_string_lossy().into_owned());
        if let Some(path) = &path {
            options.extend(["-P", path.trim_end_matches("/.")]);
        }
        let (ran, log) = strace(bench, &options, &plan.case.words);
        let seen = calls(&log, &bench.root.to_string_lossy());
        let fired = match fault {
            Fault::Error(_) => seen.iter().any(|call| call.injected),
            Fault::Kill => ran.code.is_none(),
        };
        done.runs += 1;
        if !fired {
            // By name there may be more to come: the threads of the next run may share the work in another way.
            if target.path.is_some() || nth > target.to {
                return Ok(());
            }
            continue;
        }
        let hit: Vec<&Call> = match fault {
            Fault::Error(_) => seen.iter().filter(|call| call.injected).collect(),
            Fault::Kill => seen.iter().filter(|call| call.nth == nth).collect(),
        };
        let told = |violation: Violation| {
            Violation::new(format!(
                "strace -f {} manifest {}\n{violation}\n{ran:?}\n{log}",
                options.join(" "),
                plan.case.words.join(" ")
            ))
        };
        let outcome =
            judge(bench, &plan.case, (&plan.before, &plan.after), fault, &hit, &ran).map_err(told)?;
        if outcome != Outcome::Elsewhere {
            if fault != Fault::Kill {
                done.hit.extend(hit.iter().flat_map(|call| touched(call)));
            }
            done.tallies.entry(target.call.clone()).or_default().count(outcome);
        }
        if target.path.is_none() && nth > target.to {
            return Ok(());
        }
    }
    Err(Violation::new(format!("{target:?} has no end: {SWEEP} calls could be made to fail")))
}

/// Runs the command under strace; returns what strace logged besides.
///
/// A fault that is meant for a file may hit the pipe by which one thread wakes another, since strace counts calls
/// and not what they are about. Then the command never ends, and is killed.
fn strace(bench: &Bench, options: &[&str], words: &[String]) -> (Ran, String) {
    let (strace, log) = (program("strace"), bench.root.with_extension("log"));
    let fixed = ["-f", "-qq", "-y", "-s", "0", "-o"].map(OsStr::new);
    let before = [strace.as_os_str()].into_iter().chain(fixed).chain([log.as_os_str()]);
    let before = before.chain(options.iter().map(OsStr::new)).chain([bench.subject.program().as_os_str()]);
    let mut running = Running::start(&mut bench.subject.command_of(before, words));
    let (begun, mut killed) = (Instant::now(), false);
    while !running.has_ended() {
        std::thread::sleep(Duration::from_millis(1));
        let seen = || std::fs::read_to_string(&log).unwrap_or_default();
        if !killed && begun.elapsed() > STILL && hits_elsewhere(&seen(), &bench.root.to_string_lossy()) {
            killed = true;
            kill_traced(&running);
        }
    }
    let mut ran = running.wait();
    if killed {
        ran.stderr.push_str(KILLED);
    }
    (ran, std::fs::read_to_string(&log).expect("what strace saw"))
}

/// How long a command may stand still when something that is no file of the store failed too.
const STILL: Duration = Duration::from_millis(300);
/// What is noted of a command that was killed because it stood still.
const KILLED: &str = "\n(killed: it waited for ever for another thread)";

fn hits_elsewhere(log: &str, root: &str) -> bool {
    calls(log, root).iter().any(|call| call.injected && call.paths.is_empty())
}

/// Kills the program below this strace, which then ends by itself.
fn kill_traced(strace: &Running) {
    let id = strace.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    for child in children.split_whitespace() {
        let killed = std::process::Command::new("sh").args(["-c", "kill -s KILL \"$0\"", child]).output();
        killed.expect("sh, which kills");
    }
}
