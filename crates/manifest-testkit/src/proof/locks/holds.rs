//! Many hold, release and remove one record at once.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Instant;

use crate::proof::{Subject, Violation, ensure};

/// How often it is tried.
const ROUNDS: usize = 6;

/// What one process was told.
#[derive(Clone, Debug)]
struct Told {
    who: String,
    deed: Deed,
    code: Option<i32>,
    begun: Instant,
    ended: Instant,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Holds it and keeps it.
    Keep,
    /// Holds it for a moment.
    Hold,
    Release,
    Remove,
}

/// Proves that a record is never held after it was removed and never removed while it is held; nothing where the
/// program has no holds.
pub(super) fn prove(subject: &Subject, crowd: usize) -> Result<Option<String>, Violation> {
    if !subject.verbs().contains("hold") {
        return Ok(None);
    }
    let (mut removed, mut held, mut refused) = (0, 0, 0);
    for round in 0..ROUNDS {
        subject.done(["create", "wanted"])?;
        let told = rush(subject, crowd, round % 2 == 0);
        check(subject, &told)?;
        let count = |deeds: &[Deed], code| {
            told.iter().filter(|told| deeds.contains(&told.deed) && told.code == Some(code)).count()
        };
        removed += count(&[Deed::Remove], 0);
        held += count(&[Deed::Keep, Deed::Hold], 0);
        refused += count(&[Deed::Remove], 4);
        for told in told.iter().filter(|told| told.deed == Deed::Keep && told.code == Some(0)) {
            subject.done(["release", "wanted", "--by", &told.who])?;
        }
        subject.done(["rm", "--ignore-missing", "wanted"])?;
    }
    Ok(Some(format!(
        "{ROUNDS} × {crowd} processes that hold, release and remove one record: {held} holds, {removed} removals and \
         {refused} refused ones; 0 holds of a removed record, 0 removals of a held one"
    )))
}

/// All at once; some of them keep what they hold, if `keep`.
fn rush(subject: &Subject, crowd: usize, keep: bool) -> Vec<Told> {
    let start = Barrier::new(crowd);
    std::thread::scope(|scope| {
        let one = |at: usize| {
            let (start, who) = (&start, format!("who{at}"));
            move || {
                start.wait();
                match at % 5 {
                    0 => vec![tell(subject, Deed::Remove, &who)],
                    1 if keep => vec![tell(subject, Deed::Keep, &who)],
                    _ => vec![tell(subject, Deed::Hold, &who), tell(subject, Deed::Release, &who)],
                }
            }
        };
        let all: Vec<_> = (0..crowd).map(|at| scope.spawn(one(at))).collect();
        let join = |one: std::thread::ScopedJoinHandle<'_, Vec<Told>>| {
            one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        all.into_iter().flat_map(join).collect()
    })
}

fn tell(subject: &Subject, deed: Deed, who: &str) -> Told {
    let begun = Instant::now();
    let words: &[&str] = match deed {
        Deed::Keep | Deed::Hold => &["hold", "wanted", "--by", who],
        Deed::Release => &["release", "wanted", "--by", who],
        Deed::Remove => &["rm", "wanted"],
    };
    let ran = subject.run(["--lock-timeout", "5m"].iter().chain(words));
    Told { who: who.to_owned(), deed, code: ran.code, begun, ended: Instant::now(), message: ran.stderr }
}

fn check(subject: &Subject, told: &[Told]) -> Result<(), Violation> {
    let account = |what: &str| format!("{what}\n{told:#?}");
    let done = |deed: Deed| told.iter().filter(move |told| told.deed == deed && told.code == Some(0));
    let documented = |told: &Told| match told.deed {
        Deed::Keep | Deed::Hold => matches!(told.code, Some(0 | 3)),
        Deed::Release => matches!(told.code, Some(0 | 3)),
        Deed::Remove => matches!(told.code, Some(0 | 3 | 4)),
    };
    ensure(told.iter().all(documented), || account("somebody was told something odd"))?;
    ensure(done(Deed::Remove).count() <= 1, || account("it was removed twice"))?;
    let names_a_holder = |told: &Told| told.code != Some(4) || told.message.contains("who");
    ensure(told.iter().all(names_a_holder), || {
        account("who may not remove it is not told by whom it is held")
    })?;
    if let Some(removal) = done(Deed::Remove).next() {
        ensure(done(Deed::Keep).count() == 0, || {
            account("a held record was removed, or a removed one held")
        })?;
        let late = done(Deed::Hold).any(|hold| hold.begun > removal.ended);
        ensure(!late, || account("a record was held after it had been removed"))?;
        // A hold that was acknowledged before the removal began must have been given back before it ended.
        let kept = done(Deed::Hold).any(|hold| {
            let release = told.iter().find(|told| told.deed == Deed::Release && told.who == hold.who);
            hold.ended < removal.begun && release.is_some_and(|release| release.begun > removal.ended)
        });
        ensure(!kept, || account("a record was removed while it was held"))?;
        return ensure(subject.run(["exists", "wanted"]).code == Some(1), || account("it is still there"));
    }
    let shown = subject.done(["inspect", "--holders", "wanted"])?;
    let words: BTreeSet<&str> = shown.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let holders: BTreeSet<&str> = words.into_iter().filter(|word| word.starts_with("who")).collect();
    let kept: BTreeSet<&str> = done(Deed::Keep).map(|told| told.who.as_str()).collect();
    ensure(holders == kept, || account(&format!("inspect --holders shows {holders:?}, not {kept:?}")))
}
