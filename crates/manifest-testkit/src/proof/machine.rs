//! The machine refuses: the disk is full, read-only, of several file systems, or somebody else's; there is no home.

mod counts;
mod disk;
mod mount;
mod mounts;
mod user;

use std::path::{Path, PathBuf};
use std::process::Command;

use super::facts::{Listed, listed};
use super::health::Health;
use super::material::Material;
use super::{Proved, Subject, Violation, ensure, tree};
use crate::Ran;

/// Which circumstances, and in how small steps.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The circumstances by name; all when there is none.
    pub parts: Vec<String>,
    /// How much more room there is with each step, in bytes.
    pub step: usize,
    /// The most room that is tried, in bytes.
    pub room: usize,
}

/// A circumstance and how it is brought about.
struct Part {
    name: &'static str,
    prove: fn(&Scene, &Machine) -> Proved,
}

const PARTS: &[Part] = &[
    Part { name: "full", prove: disk::full },
    Part { name: "inodes", prove: disk::inodes },
    Part { name: "readonly", prove: disk::readonly },
    Part { name: "immutable", prove: disk::immutable },
    Part { name: "filesize", prove: disk::file_size },
    Part { name: "overlay", prove: mounts::overlay },
    Part { name: "bind", prove: mounts::bind },
    Part { name: "directories", prove: mounts::directories },
    Part { name: "aside", prove: mounts::aside },
    Part { name: "owner", prove: user::owner },
    Part { name: "namespace", prove: user::namespace },
    Part { name: "home", prove: user::home },
];

/// Proves that a machine that refuses makes a command say so, with the path and the documented exit code, and that
/// nothing is lost (DUR-7, DUR-12, DUR-13, DUR-17).
///
/// # Errors
/// The first broken promise.
///
/// # Panics
/// Where mounting, or another right of root that a part needs, is refused.
pub fn machine(subject: &Subject, size: &Machine) -> Proved {
    let scene = Scene::new(subject)?;
    let wanted = |part: &&Part| size.parts.is_empty() || size.parts.iter().any(|name| name == part.name);
    let mut lines = Vec::new();
    for part in PARTS.iter().filter(wanted) {
        let told = |violation| Violation::new(format!("{}: {violation}", part.name));
        lines.push(format!("{}: {}", part.name, (part.prove)(&scene, size).map_err(told)?));
    }
    Ok(lines.join("\n"))
}

/// A store to start from, and commands to run on copies of it.
struct Scene {
    subject: Subject,
    template: PathBuf,
    image: String,
    health: Health,
}

/// What came of a command on a machine that refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Done,
    Refused,
}

impl Scene {
    fn new(subject: &Subject) -> Result<Self, Violation> {
        let template = subject.scratch().join("machine-template");
        let maker = subject.clone().at(template.as_os_str());
        let images = Material::write(subject.scratch(), "machine", 2);
        let argument =
            |at: usize| images.pieces().get(at).map(|piece| piece.argument.clone()).unwrap_or_default();
        maker.done(["create", "app", &argument(0)])?;
        maker.done(["create", "other"])?;
        Ok(Self { subject: subject.clone(), template, image: argument(1), health: Health::of(subject) })
    }

    /// The changes that are tried.
    fn changes(&self) -> Vec<Vec<String>> {
        let long = format!("text={}", "x".repeat(20_000));
        let table: [&[&str]; 6] = [
            &["create", "new", &self.image],
            &["add", "app", &self.image],
            &["annotate", "--index", "app", "--annotation", &long],
            &["tag", "app", "new"],
            &["remove", "app", "--platform", "linux/machinei0"],
            &["rm", "app"],
        ];
        table.iter().map(|words| words.iter().map(|&word| word.to_owned()).collect()).collect()
    }

    /// The program with the store in this directory.
    fn at(&self, store: &Path) -> Subject {
        self.subject.clone().at(store.as_os_str())
    }

    /// A fresh copy of the store.
    fn lay(&self, store: &Path) {
        std::fs::remove_dir_all(store).ok();
        tree::copy(&self.template, store);
    }

    /// Nothing is damaged, and no temporary file is left.
    fn in_order(&self, store: &Path, where_: &str) -> Result<(), Violation> {
        let left = tree::temporary(store);
        ensure(left.is_empty(), || format!("{where_}: temporary files are left: {left:?}"))?;
        let told = |violation| Violation::new(format!("{where_}: {violation}"));
        self.health.check(&self.at(store)).map_err(told)
    }

    /// Judges a command that met a machine that refuses: it said no and nothing has changed, or it is done.
    fn judge(&self, store: &Path, before: &[Listed], ran: &Ran) -> Result<Came, Violation> {
        let after = listed(&self.at(store))?;
        let named: Vec<&Listed> = after.iter().filter(|line| !line.names.is_empty()).collect();
        let same = named.len() == before.len() && before.iter().all(|line| named.contains(&line));
        match ran.code {
            Some(0) => ensure(!same, || format!("it is not done\n{ran:?}")).map(|()| Came::Done),
            Some(12) => {
                ensure(same, || {
                    format!("it said no, but it is done: {before:#?} became {after:#?}\n{ran:?}")
                })?;
                ensure(named.len() == after.len(), || format!("a list without a name is left\n{ran:?}"))?;
                refused(ran, store).map(|()| Came::Refused)
            }
            _ => Err(Violation::new(format!("the exit code says something else\n{ran:?}"))),
        }
    }
}

/// The command said no as it should.
fn refused(ran: &Ran, store: &Path) -> Result<(), Violation> {
    ensure(ran.code == Some(12) && !ran.stderr.contains("panicked"), || format!("not exit 12\n{ran:?}"))?;
    let path = store.to_string_lossy();
    ensure(ran.stderr.contains(&*path), || format!("the message names no path below {path}\n{ran:?}"))
}

/// Runs a program of the system that a part needs.
///
/// # Panics
/// If it fails, with what is needed.
fn system(words: &[&str]) {
    let (name, arguments) = words.split_first().expect("a program");
    let ran = Ran::of(Command::new(crate::program(name)).args(arguments));
    assert_eq!(
        ran.code,
        Some(0),
        "this proof mounts file systems and sets attributes of files: it needs root, CAP_SYS_ADMIN, \
         CAP_LINUX_IMMUTABLE, and temporary files on a file system with attributes, such as ext4\n{ran:?}"
    );
}
