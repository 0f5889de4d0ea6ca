//! A store to be damaged, and the commands that look at it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::facts;
use super::super::material::Material;
use super::super::{Subject, Violation, tree};

/// The lists, each with its names; they are known by the first one.
const LISTS: [&[&str]; 3] = [&["one", "one-too"], &["two"], &["empty"]];

/// An image that has its blobs in the store.
const IMPORTED: &str = "imported";

/// A store to be damaged.
#[derive(Debug)]
pub(super) struct Sample {
    subject: Subject,
    pub(super) files: Vec<Kept>,
    /// The commands, each with what it printed while all was well.
    pub(super) probes: Vec<(Probe, String)>,
    pub(super) fsck: bool,
}

/// A file of the store.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Its path below the store.
    pub(super) file: String,
    pub(super) size: usize,
    pub(super) concern: Concern,
}

/// What a file is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Concern {
    Version,
    Record {
        list: String,
        id: String,
    },
    Name(String),
    LockOfRecord(String),
    LockOfName(String),
    /// Bytes that have their digest for a name.
    Blob(String),
}

impl Concern {
    /// Whether something is lost with it.
    pub(super) const fn is_content(&self) -> bool {
        !matches!(self, Self::LockOfRecord(_) | Self::LockOfName(_))
    }
}

/// A command.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) words: Vec<String>,
    does: Does,
    name: String,
    list: String,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// Shows all lists.
    ListAll,
    /// Shows one list.
    Show,
    /// Shows a blob, whose digest is its name.
    ShowBlob,
    /// Changes a list.
    Edit,
    /// Takes a name from a list.
    Untag,
    /// Makes another list.
    Create,
}

impl Probe {
    fn new(line: &str, does: Does, name: &str) -> Self {
        let list = LISTS.iter().find(|names| names.contains(&name)).map_or(name, |names| names[0]);
        let words = line.split(' ').map(str::to_owned).collect();
        Self { words, does, name: name.to_owned(), list: list.to_owned() }
    }

    /// Whether it changes the store.
    pub(super) const fn changes(&self) -> bool {
        matches!(self.does, Does::Edit | Does::Untag | Does::Create)
    }

    pub(super) fn is_of_all(&self) -> bool {
        self.does == Does::ListAll
    }

    /// Whether it cannot be done without this.
    pub(super) fn needs(&self, concern: &Concern) -> bool {
        let of_list = matches!(self.does, Does::Show | Does::Edit | Does::Untag);
        match concern {
            Concern::Version => true,
            Concern::Record { list, .. } => self.is_of_all() || (of_list && self.list == *list),
            Concern::Name(name) => of_list && self.name == *name,
            Concern::LockOfRecord(list) => {
                matches!(self.does, Does::Edit | Does::Untag) && self.list == *list
            }
            Concern::LockOfName(name) => self.does == Does::Untag && self.name == *name,
            Concern::Blob(digest) => self.does == Does::ShowBlob && self.name == *digest,
        }
    }

    /// What a list of all lists must show beside a damaged one.
    pub(super) fn others(&self, printed: &str, concern: &Concern) -> Option<Vec<Value>> {
        let Concern::Record { id, .. } = concern else { return None };
        let shown: Value = serde_json::from_str(printed).unwrap_or_default();
        let lists = shown["lists"].as_array().cloned().unwrap_or_default();
        Some(lists.into_iter().filter(|list| list["id"] != id.as_str()).collect())
    }
}

impl Sample {
    /// Makes the store, and sees what the commands say while all is well.
    pub(super) fn make(subject: &Subject) -> Result<Self, Violation> {
        let pieces = Material::write(subject.scratch(), "bits", 3);
        let image = |at: usize| pieces.pieces()[at].argument.as_str();
        subject.done(["create", "one", image(0), image(1)])?;
        subject.done(["tag", "one", "one-too"])?;
        subject.done(["create", "two", image(2), "--annotation", "org.example.note=two"])?;
        subject.done(["create", "empty"])?;
        // So that each list has a lock.
        for list in ["two", "empty"] {
            subject.done(["annotate", "--index", list, "--annotation", "org.example.again=yes"])?;
        }
        let verbs = subject.verbs();
        if verbs.contains("import") {
            let layout = image(0).trim_start_matches("oci:").trim_end_matches(":v0");
            subject.done(["import", IMPORTED, "--image", "v0", "--oci-dir", layout])?;
        }
        let exists = Probe::new("exists two", Does::Show, "two");
        let files = files(subject)?;
        let mut probes = vec![Probe::new("ls --output json", Does::ListAll, ""), exists];
        for name in LISTS.iter().copied().flatten() {
            for verb in ["inspect", "inspect --raw"] {
                probes.push(Probe::new(&format!("{verb} {name}"), Does::Show, name));
            }
            if verbs.contains("history") {
                probes.push(Probe::new(&format!("history {name}"), Does::Show, name));
            }
        }
        if verbs.contains("blob") {
            let blob = |kept: &Kept| match &kept.concern {
                Concern::Blob(digest) => {
                    Some(Probe::new(&format!("blob cat {digest}"), Does::ShowBlob, digest))
                }
                _ => None,
            };
            probes.extend(files.iter().filter_map(blob));
        }
        let mut seen = Vec::new();
        for probe in probes {
            let printed = subject.done(&probe.words)?;
            seen.push((probe, printed));
        }
        if verbs.contains("import") {
            let probe = Probe::new(&format!("inspect {IMPORTED}"), Does::Show, IMPORTED);
            let printed = subject.done(&probe.words)?;
            seen.push((probe, printed));
        }
        let edit = |line: String, does, name: &str| (Probe::new(&line, does, name), String::new());
        for name in LISTS.iter().copied().flatten() {
            let line = format!("annotate --index {name} --annotation org.example.edit={name}");
            seen.push(edit(line, Does::Edit, name));
        }
        for name in LISTS.iter().copied().flatten() {
            seen.push(edit(format!("untag {name}"), Does::Untag, name));
        }
        seen.push(edit("create another".to_owned(), Does::Create, "another"));
        Ok(Self { subject: subject.clone(), files, probes: seen, fsck: verbs.contains("fsck") })
    }

    /// Does something with a copy of the store; `at` keeps copies apart that are used at once.
    pub(super) fn with_copy<T>(&self, at: usize, work: impl FnOnce(&Subject) -> T) -> T {
        let dir: PathBuf = self.subject.scratch().join(format!("copy{at}"));
        drop(fs::remove_dir_all(&dir));
        tree::copy(store(&self.subject), &dir);
        work(&self.subject.clone().at(dir.as_os_str()))
    }
}

fn store(subject: &Subject) -> &Path {
    subject.directory().expect("a store in a directory")
}

/// The files of a store, and what each is for.
fn files(subject: &Subject) -> Result<Vec<Kept>, Violation> {
    let root = store(subject);
    let ids: Vec<(String, String)> = facts::listed(subject)?
        .into_iter()
        .map(|line| (line.names.first().cloned().unwrap_or_default(), line.id))
        .collect();
    let mut all = Vec::new();
    for path in tree::files(root) {
        let bytes = fs::read(&path).expect("a file of the store");
        let file = path.strip_prefix(root).expect("a file of the store").display().to_string();
        let concern = concern(&file, &bytes, &ids)
            .ok_or_else(|| Violation::new(format!("nothing says what {file} is for")))?;
        all.push(Kept { file, size: bytes.len(), concern });
    }
    Ok(all)
}

fn concern(file: &str, bytes: &[u8], ids: &[(String, String)]) -> Option<Concern> {
    let (dir, name) = file.split_once('/').unwrap_or(("", file));
    let list_of = |id: &str| ids.iter().find(|(_, of)| of == id).map(|(list, _)| list.clone());
    match (dir, name) {
        ("", "version") => Some(Concern::Version),
        ("records", id) => Some(Concern::Record { list: list_of(id)?, id: id.to_owned() }),
        ("names", name) => {
            // The file says of which name it is, so that the escapes need not be known here.
            let text = String::from_utf8_lossy(bytes).into_owned();
            let short = plain(name);
            text.contains(&format!("/{short}")).then_some(Concern::Name(short))
        }
        ("locks", lock) => {
            let of_record = lock.strip_prefix("record-").map(|id| Some(Concern::LockOfRecord(list_of(id)?)));
            let of_name = || lock.strip_prefix("name-").map(|name| Some(Concern::LockOfName(plain(name))));
            // Other locks have rules of the same kind, but belong to no list.
            of_record.or_else(of_name).unwrap_or_else(|| Some(Concern::LockOfName(lock.to_owned())))
        }
        ("blobs", blob) => Some(Concern::Blob(blob.replace('/', ":"))),
        _ => None,
    }
}

/// The name in the name of a file: `localhost%2fone%3alatest` is `one`.
fn plain(escaped: &str) -> String {
    let name = escaped.strip_prefix("localhost%2f").unwrap_or(escaped);
    name.strip_suffix("%3alatest").unwrap_or(name).to_owned()
}
