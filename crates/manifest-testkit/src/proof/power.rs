//! Power failures.
//!
//! The store lies on a disk in a file. While writers edit it, the file is copied at moments that chance chooses; a
//! copy holds what the drive had got at that moment and nothing that the system had kept in memory, which is what a
//! power failure leaves. (All writes that the drive got count as kept, also those that it was not told to flush; a drive
//! that loses some of them is the business of the model of a disk in the tests of the store.) Each image is
//! used again later: the file system plays back its journal, and then the store must hold every edit that had been
//! acknowledged before the copy began.
//!
//! What was acknowledged is known outside the disk: each writer is a thread here, edits lists of its own and its
//! part of a shared one, one edit after the other, and counts the edits that it began and those that exited with 0. Its
//! edits follow a plan, so that what the store must say after any number of them can be computed.
//!
//! Every other image is taken while all writers pause between two edits. In the thick of things a sync by one writer
//! carries much of what the others have only renamed to the drive; in a pause nothing covers up for a sync that is missing.
//!
//! Two careless writers show that the method sees what is lost: they replace a file by a rename as many programs do,
//! one without any sync, the other with a sync of the file but not of its directory.

mod careless;
mod plan;

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use self::careless::Careless;
use self::plan::{Plan, SHARED, State, observed};
use super::chance::Chance;
use super::disk::{Disk, FileSystem, Image, Shelf};
use super::health::Health;
use super::{Proved, Subject, Violation, ensure};

/// How many edit at once.
const WRITERS: usize = 4;

/// How many images are taken of one disk, before the next one begins with an empty store.
const IMAGES_OF_A_DISK: usize = 5;

/// The longest time from one image to the next.
const PAUSE: Duration = Duration::from_millis(600);

/// How much is asked for.
#[derive(Clone, Debug)]
pub struct Power {
    /// How many images of each file system are looked at.
    pub images: usize,
    /// The file systems.
    pub systems: Vec<FileSystem>,
    /// Where chance begins.
    pub seed: u64,
}

impl Default for Power {
    fn default() -> Self {
        Self { images: 20, systems: FileSystem::ALL.to_vec(), seed: 1 }
    }
}

/// How far a writer had come when an image was taken.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// Edits that were acknowledged before the copy began.
    acknowledged: usize,
    /// Edits that were begun before the copy ended.
    begun: usize,
}

/// An image, and how far each writer had come.
#[derive(Debug)]
struct Cut {
    image: Image,
    spans: Vec<Span>,
}

/// Counts the edits of one writer.
#[derive(Debug, Default)]
struct Ledger {
    acknowledged: AtomicUsize,
    begun: AtomicUsize,
}

/// What writers and the one who cuts the power share.
#[derive(Debug, Default)]
struct Work {
    ledgers: [Ledger; WRITERS],
    stop: AtomicBool,
    /// Read by who edits; who writes has all others pause between two edits.
    pause: RwLock<()>,
}

impl Work {
    /// Edits until it is told to stop, or an edit fails.
    fn go_on(
        &self,
        writer: usize,
        mut edit: impl FnMut(usize) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let ledger = &self.ledgers[writer];
        for count in 0.. {
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            let _editing = self.pause.read().expect("a lock that nobody poisons");
            ledger.begun.store(count + 1, Ordering::SeqCst);
            edit(count).inspect_err(|_| self.stop.store(true, Ordering::SeqCst))?;
            ledger.acknowledged.store(count + 1, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Takes an image; every other one while nobody edits.
    fn cut(&self, disk: &Disk, number: usize) -> Cut {
        let _quiet =
            number.is_multiple_of(2).then(|| self.pause.write().expect("a lock that nobody poisons"));
        let read = |count: fn(&Ledger) -> &AtomicUsize| {
            self.ledgers.iter().map(|ledger| count(ledger).load(Ordering::SeqCst)).collect::<Vec<_>>()
        };
        let acknowledged = read(|ledger| &ledger.acknowledged);
        let image = disk.image(number);
        let spans = acknowledged.into_iter().zip(read(|ledger| &ledger.begun));
        Cut { image, spans: spans.map(|(acknowledged, begun)| Span { acknowledged, begun }).collect() }
    }

    /// Takes more images at moments that chance chooses, then stops the work.
    fn cuts(&self, disk: &Disk, images: usize, first: Cut, chance: &mut Chance) -> Vec<Cut> {
        let mut cuts = vec![first];
        while cuts.len() < images && !self.stop.load(Ordering::SeqCst) {
            std::thread::sleep(chance.within(PAUSE));
            cuts.push(self.cut(disk, cuts.len()));
        }
        self.stop.store(true, Ordering::SeqCst);
        cuts
    }
}

/// What the images of one file system showed.
#[derive(Debug, Default)]
struct Tally {
    edits: usize,
    images: usize,
    acknowledged: usize,
    under_way: usize,
}

/// Cuts the power while writers edit a store.
///
/// # Errors
/// The first image that lacks an acknowledged edit, or that holds something unreadable; or a careless writer that
/// lost nothing, so that this proof proves nothing.
///
/// # Panics
/// If this machine cannot mount file systems in files.
pub fn power(subject: &Subject, asked: &Power) -> Proved {
    let shelf = Shelf::new(subject.scratch());
    let mut chance = Chance::new(asked.seed);
    let plans: Vec<Plan> = (0..WRITERS).map(|writer| Plan::new(writer, subject.scratch())).collect();
    let mut lines = Vec::new();
    for system in &asked.systems {
        let mut tally = Tally::default();
        while tally.images < asked.images {
            let wanted = (asked.images - tally.images).min(IMAGES_OF_A_DISK);
            let disk = shelf.disk(*system, "disk");
            one_disk((subject, &plans), disk, wanted, &mut chance, &mut tally)
                .map_err(|violation| Violation::new(format!("on {}: {violation}", system.name())))?;
        }
        let Tally { edits, images, acknowledged, under_way } = tally;
        let controls = Careless::ALL.map(|careless| careless.control(&shelf, *system, &mut chance));
        let [nothing, file_only] = controls;
        lines.push(format!(
            "power, {}: {images} images of a disk under {edits} edits; {acknowledged} acknowledged edits looked for \
             and found, {under_way} under way were whole or not there; {}; {}",
            system.name(),
            nothing?,
            file_only?
        ));
    }
    Ok(lines.join("\n"))
}

/// Fills one disk, takes images of it meanwhile, and then looks at them.
fn one_disk(
    (subject, plans): (&Subject, &[Plan]),
    disk: Disk,
    images: usize,
    chance: &mut Chance,
    tally: &mut Tally,
) -> Result<(), Violation> {
    let on_disk = subject.clone().at(disk.path().join("store").as_os_str());
    on_disk.done(["create", SHARED])?;
    let write = |writer: usize, count: usize| on_disk.done(plans[writer].words(count)).map(drop);
    let cuts = cut_while((&disk, images), chance, WRITERS, write)?;
    disk.remove();
    let all = |of: fn(&Span) -> usize, cut: &Cut| cut.spans.iter().map(of).sum::<usize>();
    tally.edits += cuts.last().map_or(0, |cut| all(|span| span.begun, cut));
    for (number, cut) in cuts.iter().enumerate() {
        look(subject, cut, plans)
            .map_err(|violation| Violation::new(format!("image {number} of its disk: {violation}")))?;
        tally.images += 1;
        tally.acknowledged += all(|span| span.acknowledged, cut);
        tally.under_way += all(|span| span.begun - span.acknowledged, cut);
    }
    Ok(())
}

/// Lets writers go on until enough images are taken; the first is taken before they begin.
fn cut_while(
    (disk, images): (&Disk, usize),
    chance: &mut Chance,
    writers: usize,
    write: impl Fn(usize, usize) -> Result<(), Violation> + Sync,
) -> Result<Vec<Cut>, Violation> {
    let work = Work::default();
    std::thread::scope(|threads| {
        let start = |writer| {
            let (work, write) = (&work, &write);
            threads.spawn(move || work.go_on(writer, |count| write(writer, count)))
        };
        let first = work.cut(disk, 0);
        let writers: Vec<_> = (0..writers).map(start).collect();
        let cuts = work.cuts(disk, images, first, chance);
        writers.into_iter().try_for_each(|writer| writer.join().expect("a writer that panicked"))?;
        Ok(cuts)
    })
}

/// Looks at a store after the power came back: all is readable, each writer's part is as it was at some moment of the
/// copy, and work goes on.
fn look(subject: &Subject, cut: &Cut, plans: &[Plan]) -> Result<(), Violation> {
    let mounted = cut.image.mount();
    let subject = subject.clone().at(mounted.at.join("store").as_os_str());
    let lists = observed(&subject)?;
    ensure(lists.contains_key(SHARED), || {
        format!("the list {SHARED}, acknowledged before any of this, is gone; there are {:?}", lists.keys())
    })?;
    for (plan, span) in plans.iter().zip(&cut.spans) {
        let found = plan.part(&lists);
        let possible: Vec<State> = (span.acknowledged..=span.begun).map(|count| plan.state(count)).collect();
        ensure(possible.contains(&found), || {
            format!(
                "writer {}: {} edits were acknowledged and {} begun when the power went, the last: {:?}\n\
                 found    {found:?}\nexpected {:?}\nor a later state, at most\n         {:?}",
                plan.writer(),
                span.acknowledged,
                span.begun,
                plan.words(span.begun.saturating_sub(1)),
                possible.first(),
                possible.last(),
            )
        })?;
    }
    goes_on(&subject)
}

/// What a power failure leaves needs no repair.
fn goes_on(subject: &Subject) -> Result<(), Violation> {
    let health = Health::of(subject);
    health.check(subject)?;
    subject.done(["annotate", "--index", SHARED, "--annotation", "power=back"])?;
    subject.done(["create", "after-the-failure"])?;
    health.clean(subject)
}
