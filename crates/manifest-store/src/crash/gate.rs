//! Where writers stop until it is their turn.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};

use super::disk::{Content, Dir, Disk, Entries, Node, Order};
use super::faults::Fault;
use super::locks::{Held, Locks};
use super::writer::Answer;
use crate::lock::Sharing;

/// A machine and the writers on it, of whom one runs at a time.
#[derive(Debug)]
pub(super) struct Gate {
    machine: Mutex<Machine>,
    /// A writer stopped.
    stopped: Condvar,
    /// It is the turn of this writer.
    turns: Vec<Condvar>,
}

/// All that a crash would end, and what it would leave.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) disk: Disk,
    pub(super) labels: Labels,
    pub(super) locks: Locks,
    seats: Vec<Seat>,
    /// What writers were told, in this order.
    pub(super) answers: Vec<(usize, Answer)>,
    pub(super) fault: Option<Fault>,
    /// What was called, for who has to understand a failure.
    pub(super) log: Vec<String>,
    /// Nobody waits.
    is_free: bool,
    /// Nothing works any more.
    is_over: bool,
}

/// What is known of a writer.
#[derive(Debug, Default)]
struct Seat {
    phase: Phase,
    /// A hash of all that it was told, which decides all that it will do.
    history: u64,
    /// The lock that it found taken.
    refused: Option<(PathBuf, Vec<Held>)>,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Running,
    Waiting(Call),
    Turn,
    Done,
    Killed,
}

/// A call that touches a disk.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) what: &'static str,
    pub(super) path: PathBuf,
}

impl Gate {
    /// A machine with writers that wait for their turn.
    pub(super) fn new(disk: Disk, labels: Labels, writers: usize) -> Self {
        let seats = std::iter::repeat_with(Seat::default).take(writers).collect();
        let turns = std::iter::repeat_with(Condvar::new).take(writers).collect();
        let machine = Machine {
            disk,
            labels,
            locks: Locks::default(),
            seats,
            answers: Vec::new(),
            fault: None,
            log: Vec::new(),
            is_free: writers == 0,
            is_over: false,
        };
        Self { machine: Mutex::new(machine), stopped: Condvar::new(), turns }
    }

    /// A machine where nobody waits.
    pub(super) fn free(disk: Disk) -> Self {
        Self::new(disk, Labels::default(), 0)
    }

    pub(super) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap()
    }

    /// Makes one call of a writer when it is its turn. What the call gives comes with a hash of it.
    pub(super) fn call<T>(
        &self,
        writer: usize,
        call: &Call,
        work: impl FnOnce(&mut Machine) -> io::Result<(T, u64)>,
    ) -> io::Result<T> {
        let mut machine = self.machine();
        if !machine.is_free {
            if !machine.seats[writer].is_killed() {
                machine.seats[writer].phase = Phase::Waiting(call.clone());
                self.stopped.notify_one();
            }
            let waits = |machine: &mut Machine| {
                !machine.is_over && matches!(machine.seats[writer].phase, Phase::Waiting(_))
            };
            machine = self.turns[writer].wait_while(machine, waits).unwrap();
            if machine.is_over || machine.seats[writer].is_killed() {
                return Err(io::Error::other("the end"));
            }
        }
        if !machine.is_free || machine.fault.is_some() {
            machine.labels.learn(call, writer);
        }
        let struck = machine.fault.as_mut().and_then(|fault| fault.strike(call));
        let done = match struck {
            Some(error) => {
                if call.is_sync() {
                    machine.disk.doom(&call.path);
                }
                Err(error)
            }
            None => work(&mut machine),
        };
        if !machine.is_free {
            let note = done.as_ref().map_or_else(|error| hash(&error.kind()), |(_, note)| *note);
            machine.remember(writer, call, note);
        }
        done.map(|(value, _)| value)
    }

    /// Notes what a writer was told at the end of a change.
    pub(super) fn answer(&self, writer: usize, answer: Answer) {
        let mut machine = self.machine();
        if machine.seats.get(writer).is_some_and(|seat| !seat.is_killed()) {
            let seat = &mut machine.seats[writer];
            seat.history = hash(&(seat.history, format!("{answer:?}")));
            machine.answers.push((writer, answer));
        }
    }

    /// A writer has nothing more to do.
    pub(super) fn finish(&self, writer: usize) {
        let mut machine = self.machine();
        if !machine.seats[writer].is_killed() {
            machine.seats[writer].phase = Phase::Done;
        }
        self.stopped.notify_one();
    }

    /// Waits until every writer waits.
    pub(super) fn settled(&self) -> MutexGuard<'_, Machine> {
        let runs = |machine: &mut Machine| {
            machine.seats.iter().any(|seat| matches!(seat.phase, Phase::Running | Phase::Turn))
        };
        self.stopped.wait_while(self.machine(), runs).unwrap()
    }

    /// Lets a writer make its call.
    pub(super) fn grant(&self, mut machine: MutexGuard<'_, Machine>, writer: usize) {
        machine.seats[writer].phase = Phase::Turn;
        self.turns[writer].notify_one();
    }

    /// Ends all writers.
    pub(super) fn end(&self) {
        self.machine().is_over = true;
        self.turns.iter().for_each(Condvar::notify_all);
    }

    /// Ends a writer where it stands. The system takes back its locks; the rest stays as it is.
    pub(super) fn kill(&self, mut machine: MutexGuard<'_, Machine>, writer: usize) {
        machine.seats[writer].phase = Phase::Killed;
        machine.locks.abandon(writer);
        self.turns[writer].notify_one();
    }
}

/// Who is none of the writers.
pub(super) const OUTSIDER: usize = 15;

impl Machine {
    /// Tries to lock a file: the number of the lock, or none when it is not to be had.
    pub(super) fn lock(&mut self, writer: usize, path: &Path, sharing: Sharing) -> Option<u64> {
        let locked = self.locks.lock(writer, path, sharing);
        if let (Err(holders), Some(seat)) = (&locked, self.seats.get_mut(writer)) {
            seat.refused = Some((path.to_owned(), holders.clone()));
        }
        locked.ok()
    }

    /// The writers that can go on. Who found a lock taken waits until that changes.
    pub(super) fn ready(&self) -> Vec<usize> {
        let is_ready = |seat: &Seat| match (&seat.phase, &seat.refused) {
            (Phase::Waiting(call), Some((path, holders))) if call.what == "lock" && call.path == *path => {
                self.locks.holders(path) != *holders
            }
            (Phase::Waiting(_), _) => true,
            (Phase::Running | Phase::Turn | Phase::Done | Phase::Killed, _) => false,
        };
        (0..self.seats.len()).filter(|writer| is_ready(&self.seats[*writer])).collect()
    }

    /// Whether nobody has anything to do any more.
    pub(super) fn is_done(&self) -> bool {
        self.seats.iter().all(|seat| matches!(seat.phase, Phase::Done | Phase::Killed))
    }

    fn remember(&mut self, writer: usize, call: &Call, note: u64) {
        let path = self.labels.canonical(&call.path.display().to_string());
        let seat = &mut self.seats[writer];
        seat.history = hash(&(seat.history, call.what, &path, note));
        if !seat.is_killed() {
            seat.phase = Phase::Running;
        }
        self.log.push(format!("{writer}: {} {path}", call.what));
    }

    /// The content of a new file.
    pub(super) fn content(&self, bytes: Vec<u8>) -> Content {
        let text = String::from_utf8_lossy(&bytes);
        // Checksums over ids that are random differ: the first line of a record, the end of a name.
        let rest = match text.split_once('\n') {
            Some((_, rest)) if text.starts_with("manifest-record") => rest,
            Some((line, "")) => line.rsplit_once(" sha256:").map_or(line, |(line, _)| line),
            _ => &text,
        };
        Content { mark: hash(&self.labels.canonical(rest)), bytes: bytes.into() }
    }

    /// Equal where all that can still happen is equal.
    pub(super) fn mark(&self) -> u64 {
        let ready = self.ready();
        let seats: Vec<_> = self.seats.iter().map(|seat| (seat.history, seat.is_killed())).collect();
        let locks: Vec<_> = self.locks.all().map(|(path, who)| (self.canonical(path), who)).collect();
        hash(&(self.disk_mark(), seats, locks, ready))
    }

    /// Equal where the same can be found after a crash; lock files do not count.
    pub(super) fn disk_mark(&self) -> u64 {
        let dirs = self.disk.dirs.iter().filter(|(path, _)| !path.ends_with("locks"));
        hash(&dirs.map(|(path, dir)| (self.canonical(path), self.dir_mark(dir))).collect::<Vec<_>>())
    }

    fn dir_mark(&self, dir: &Dir) -> (u64, u64, u64) {
        // Changes of different names may have come in any order; those of one name may not.
        let (mut last, mut sum) = (BTreeMap::<String, u64>::new(), 0_u64);
        for step in &dir.pending {
            let names: Vec<_> =
                step.change.names().into_iter().map(|name| self.labels.canonical(name)).collect();
            let before: Vec<_> = match self.disk.order {
                Order::Free => names.iter().map(|name| last.get(name).copied()).collect(),
                Order::Kept => vec![Some(sum)],
            };
            let kind = std::mem::discriminant(&step.change);
            let mark = hash(&(kind, &names, before));
            last.extend(names.into_iter().map(|name| (name, mark)));
            sum = sum.wrapping_add(mark);
        }
        (self.entries_mark(&dir.seen), self.entries_mark(&dir.kept), sum)
    }

    fn entries_mark(&self, entries: &Entries) -> u64 {
        let mark = |node: &Node| match node {
            Node::Dir => None,
            Node::File(inode) => {
                let inode = &self.disk.inodes[*inode];
                Some((inode.content.mark, inode.safety))
            }
        };
        let mut all: Vec<_> =
            entries.iter().map(|(name, node)| (self.labels.canonical(name), mark(node))).collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        hash(&all)
    }

    fn canonical(&self, path: &Path) -> String {
        self.labels.canonical(&path.display().to_string())
    }
}

impl Seat {
    const fn is_killed(&self) -> bool {
        matches!(self.phase, Phase::Killed)
    }
}

impl Call {
    pub(super) fn is_sync(&self) -> bool {
        self.what.starts_with("sync")
    }
}

/// What stands for the ids that are random, so that runs can be compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Takes note of ids that are the same in every run.
    pub(super) fn of(ids: impl Iterator<Item = String>) -> Self {
        Self(ids.map(|id| (id.clone(), id)).collect())
    }

    /// The id in a path belongs to the writer that has it first.
    fn learn(&mut self, call: &Call, writer: usize) {
        let path = call.path.to_string_lossy();
        if path.contains("record") {
            for id in ids(&path).filter(|id| !self.0.contains_key(*id)).map(str::to_owned).collect::<Vec<_>>()
            {
                let own = format!("<{writer}-");
                let count = self.0.values().filter(|label| label.starts_with(&own)).count();
                self.0.insert(id, format!("{own}{count}>"));
            }
        }
    }

    /// The text with these ids replaced.
    pub(super) fn canonical(&self, text: &str) -> String {
        if self.0.iter().all(|(id, label)| id == label) {
            return text.to_owned();
        }
        let mut canonical = text.to_owned();
        for id in ids(text) {
            if let Some(label) = self.0.get(id).filter(|label| *label != id) {
                canonical = canonical.replace(id, label);
            }
        }
        canonical
    }
}

/// Everything in a text that looks like an id.
fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == 64)
}

pub(super) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
