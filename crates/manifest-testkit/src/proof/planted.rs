//! A store in a hostile place: links that somebody else planted in it, paths and names of every kind, and a clock that
//! jumps.
//!
//! Nothing outside the store is written, whatever stands in it; a command does what it was asked for, or says what is wrong.

mod clock;
mod place;
mod plant;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use self::plant::Plant;
use super::material::Material;
use super::{Proved, Subject, Violation, ensure, fingerprint};
use crate::{Ran, Running};

/// How much is asked for.
#[derive(Clone, Debug)]
pub struct Planted {
    /// Of how many links one is planted; 1 for all.
    pub one_in: usize,
    /// How many bytes one tried path of a store near the longest differs from the next.
    pub stride: usize,
}

impl Default for Planted {
    fn default() -> Self {
        Self { one_in: 1, stride: 1 }
    }
}

/// Exit codes of commands that meet something hostile: done, no, not found, conflict, damage, refused by the machine.
const ANSWERS: [i32; 6] = [0, 1, 3, 4, 7, 12];

/// Plants links, moves the store to odd places and turns the clock.
///
/// # Errors
/// The first thing that was written outside a store, and the first command that did not do what it should.
pub fn planted(subject: &Subject, asked: &Planted) -> Proved {
    let lines = [
        links(subject, asked.one_in)?,
        place::paths(subject, asked.stride)?,
        place::names(subject)?,
        clock::jumps(subject)?,
    ];
    Ok(lines.join("\n"))
}

/// How many stores are worked on at once.
const AT_ONCE: usize = 2;

/// Plants each link in a store of its own, and does everything that can be done with the store.
fn links(subject: &Subject, one_in: usize) -> Proved {
    let plants: Vec<Plant> = Plant::all().into_iter().step_by(one_in.max(1)).collect();
    let all: Vec<(usize, &Plant)> = plants.iter().enumerate().collect();
    let codes = std::thread::scope(|threads| {
        let share = |first: usize| {
            let mine = all.iter().skip(first).step_by(AT_ONCE);
            move || mine.map(|(number, plant)| link(subject, *number, plant)).collect::<Result<Vec<_>, _>>()
        };
        let started: Vec<_> = (0..AT_ONCE).map(|first| threads.spawn(share(first))).collect();
        let joined = started.into_iter().map(|one| one.join().expect("a thread that panicked"));
        joined.collect::<Result<Vec<_>, _>>()
    })?;
    let codes: Vec<i32> = codes.into_iter().flatten().flatten().collect();
    let told = codes.iter().filter(|code| **code == 7).count();
    Ok(format!(
        "planted: {} links and hard links in a store, {} commands: nothing outside was written, {told} commands said \
         that the store is damaged",
        plants.len(),
        codes.len()
    ))
}

/// Plants a link; how the commands ended that met it.
fn link(subject: &Subject, number: usize, plant: &Plant) -> Result<Vec<i32>, Violation> {
    let field = Field::prepare(subject, number)?;
    plant.put(&field);
    let before = fingerprint::of_tree(&field.outside);
    let run = |words: Vec<String>| {
        let ran = Running::start(&mut field.subject.command(&words)).wait();
        judge(plant, &field, &before, &ran)?;
        Ok(ran.code.unwrap_or_default())
    };
    work(&field).into_iter().map(run).collect()
}

fn judge(
    plant: &Plant,
    field: &Field,
    before: &BTreeMap<PathBuf, String>,
    ran: &Ran,
) -> Result<(), Violation> {
    let after = fingerprint::of_tree(&field.outside);
    ensure(*before == after, || {
        let difference = fingerprint::difference(before, &after);
        format!("{plant:?}: something was written outside the store\n{difference}\n{ran:?}")
    })?;
    let known = ran.code.is_some_and(|code| ANSWERS.contains(&code));
    ensure(known, || format!("{plant:?}: a command ended in an odd way\n{ran:?}"))?;
    // What lies outside is a secret of its owner.
    let leaked = ran.stdout.contains(SECRET) || ran.stderr.contains(SECRET);
    ensure(!leaked, || format!("{plant:?}: what lies outside was shown\n{ran:?}"))
}

/// What the files outside hold.
const SECRET: &str = "the-content-of-somebody-else";

/// A store and what lies beside it.
#[derive(Debug)]
struct Field {
    subject: Subject,
    /// What must stay as it is.
    outside: PathBuf,
    /// The id of the list `one`.
    id: String,
    /// An image that can be added.
    image: String,
}

impl Field {
    fn prepare(subject: &Subject, number: usize) -> Result<Self, Violation> {
        let dir = subject.scratch().join(format!("field{number}"));
        let outside = dir.join("outside");
        fs::create_dir_all(outside.join("empty")).expect("a directory");
        fs::create_dir_all(outside.join("full")).expect("a directory");
        for file in ["file", "full/file"] {
            fs::write(outside.join(file), SECRET).expect("a file");
        }
        let image = Material::write(&dir, "planted", 1).pieces()[0].argument.clone();
        let subject = subject.clone().at(dir.join("store").as_os_str());
        let id = subject.done(["create", "one", &image])?.trim().to_owned();
        for line in ["create two", "tag one other", "annotate --index two --annotation a=b"] {
            subject.done(line.split(' '))?;
        }
        Ok(Self { subject, outside, id, image })
    }

    fn store(&self) -> &Path {
        self.subject.directory().expect("a store in a directory")
    }
}

/// Everything that can be done with a store.
fn work(field: &Field) -> Vec<Vec<String>> {
    let mut lines = vec![
        "ls".to_owned(),
        "inspect one".to_owned(),
        "inspect --raw one".to_owned(),
        "exists two".to_owned(),
        "annotate --index one --annotation c=d".to_owned(),
        format!("add two {}", field.image),
        format!("annotate --index {} --annotation e=f", field.id),
        "tag one third".to_owned(),
        "untag other".to_owned(),
        "create new".to_owned(),
        "create --replace one".to_owned(),
    ];
    let verbs = field.subject.verbs();
    let more = [
        ("hold", "hold --by somebody two"),
        ("release", "release --by somebody two"),
        ("history", "history two"),
        ("undo", "undo two"),
        ("cp", "cp two copy"),
        ("rename", "rename two second"),
        ("import", "import imported --oci-dir LAYOUT"),
        ("export", "export one --oci-dir EXPORT"),
        ("df", "df"),
        ("fsck", "fsck"),
        ("gc", "gc --grace 0"),
        ("fsck", "fsck --repair"),
    ];
    lines.extend(more.iter().filter(|(verb, _)| verbs.contains(*verb)).map(|(_, line)| (*line).to_owned()));
    lines.extend(["rm two".to_owned(), "rm new".to_owned(), "ls".to_owned()]);
    let beside = |name: &str| field.store().with_file_name(name).display().to_string();
    let word = |word: &str| match word {
        "LAYOUT" => field.image.trim_start_matches("oci:").trim_end_matches(":v0").to_owned(),
        "EXPORT" => beside("exported"),
        word => word.to_owned(),
    };
    lines.iter().map(|line| line.split(' ').map(word).collect()).collect()
}
