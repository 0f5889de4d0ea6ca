//! The commands whose system calls fail, and the store that they find.

use std::collections::BTreeSet;
use std::path::PathBuf;

use manifest_core::Digest;

use crate::proof::facts::{Listed, listed};
use crate::proof::material::Material;
use crate::proof::{Subject, Violation, ensure, tree};

/// The names that a command may bring or take.
const NAMES: [&str; 5] = ["app", "extra", "other", "new", "moved"];

/// What a command finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A store with two lists.
    Store,
    /// Nothing, not even the directory above.
    Nothing,
}

/// A command under faults.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) words: Vec<String>,
    pub(super) found: Found,
}

/// The commands that this program has, of those that are asked for; all of them when none is.
pub(super) fn cases(subject: &Subject, only: &[String]) -> Vec<Case> {
    let material = Material::write(subject.scratch(), "fault", 2);
    let image = material.pieces().last().map(|piece| piece.argument.clone()).unwrap_or_default();
    let layout = subject.scratch().join("images-fault").to_string_lossy().into_owned();
    let verbs = subject.verbs();
    let table: [(&str, &[&str], Found); 13] = [
        ("create", &["create", "new", &image], Found::Store),
        ("first", &["create", "new", &image], Found::Nothing),
        ("add", &["add", "app", &image], Found::Store),
        ("annotate", &["annotate", "--index", "app", "--annotation", "k=v"], Found::Store),
        ("tag", &["tag", "app", "new"], Found::Store),
        ("untag", &["untag", "extra"], Found::Store),
        ("rename", &["rename", "extra", "moved"], Found::Store),
        ("replace", &["create", "--replace", "extra", &image], Found::Store),
        ("rm", &["rm", "other"], Found::Store),
        ("cp", &["cp", "app", "new"], Found::Store),
        ("hold", &["hold", "app", "--by", "me"], Found::Store),
        ("import", &["import", "new", "--oci-dir", &layout, "--image", "v1"], Found::Store),
        ("gc", &["gc", "--grace", "0"], Found::Store),
    ];
    let cases = table.into_iter().map(|(name, words, found)| Case {
        name,
        words: words.iter().map(|&word| word.to_owned()).collect(),
        found,
    });
    let wanted = |case: &Case| only.is_empty() || only.iter().any(|name| name == case.name);
    let there = |case: &Case| case.words.first().is_some_and(|verb| verbs.contains(verb));
    cases.filter(|case| wanted(case) && there(case)).collect()
}

/// A directory with a store for each run.
#[derive(Clone, Debug)]
pub(super) struct Bench {
    pub(super) subject: Subject,
    /// The directory above the store; nothing else is in it.
    pub(super) root: PathBuf,
    template: PathBuf,
}

/// What people see of a store: the names of each list that has one, and its digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State(BTreeSet<(Vec<String>, String)>);

impl Bench {
    /// Makes the store that commands find: the list `app`, which is also `extra`, and `other`.
    pub(super) fn new(subject: &Subject) -> Result<Self, Violation> {
        let template = subject.scratch().join("template");
        let maker = subject.clone().at(template.join("store").as_os_str());
        let image = Material::write(subject.scratch(), "found", 2);
        let argument = |at: usize| image.pieces().get(at).map(|piece| piece.argument.clone());
        let words = |list: &str, at| ["create".to_owned(), list.to_owned(), argument(at).unwrap_or_default()];
        maker.done(words("app", 0))?;
        maker.done(words("other", 1))?;
        maker.done(["tag", "app", "extra"])?;
        Ok(Self { subject: maker, root: PathBuf::new(), template })
    }

    /// The same for one of several that run at once.
    pub(super) fn numbered(&self, number: usize) -> Self {
        // No part of a path is the beginning of another one.
        let root = self.subject.scratch().join(format!("run-{number}-of-many"));
        let subject = self.subject.clone().at(root.join("store").as_os_str());
        Self { subject, root, template: self.template.clone() }
    }

    /// Puts things back to how the command is to find them.
    pub(super) fn lay(&self, found: Found) {
        std::fs::remove_dir_all(&self.root).ok();
        match found {
            Found::Store => tree::copy(&self.template, &self.root),
            Found::Nothing => {
                std::fs::create_dir_all(&self.root).expect("a directory");
            }
        }
    }

    /// What people see now, and how many lists have no name.
    ///
    /// # Errors
    /// When a name leads to something else than to the list that is shown to have it.
    pub(super) fn state(&self) -> Result<(State, usize), Violation> {
        let lines = listed(&self.subject)?;
        for name in NAMES {
            let ran = self.subject.run(["inspect", "--raw", name]);
            let digest = Digest::sha256(ran.stdout.as_bytes()).to_string();
            let line = lines.iter().find(|line| line.names.iter().any(|other| other == name));
            let right = match line {
                Some(line) => ran.code == Some(0) && line.digest == digest,
                None => ran.code == Some(3),
            };
            ensure(right, || format!("ls shows {line:?} as {name}, inspect says\n{ran:?}"))?;
        }
        let nameless = lines.iter().filter(|line| line.names.is_empty()).count();
        Ok((State::of(lines), nameless))
    }

    /// The ids of the records that commands find.
    pub(super) fn old_records(&self) -> Vec<String> {
        let files = tree::files(&self.template.join("store/records")).into_iter();
        files.filter_map(|file| Some(file.file_name()?.to_str()?.to_owned())).collect()
    }

    /// What `ls` shows now.
    pub(super) fn shown(&self) -> Result<State, Violation> {
        listed(&self.subject).map(State::of)
    }
}

impl State {
    fn of(lines: Vec<Listed>) -> Self {
        let named = lines.into_iter().filter(|line| !line.names.is_empty());
        Self(named.map(|line| (line.names, line.digest)).collect())
    }
}
