//! What a store says, taken apart into facts that can be compared one by one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Subject, Violation, ensure};

/// The annotation by which a proof knows a list again, whatever its names are.
pub(super) const LABEL: &str = "proof.list";

/// Everything that a list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    /// The annotations of the list.
    pub(super) notes: BTreeMap<String, String>,
    /// The entries by digest, each with its annotations.
    pub(super) entries: BTreeMap<String, BTreeMap<String, String>>,
    /// The names, without `localhost/` and `:latest`.
    pub(super) names: Vec<String>,
}

impl List {
    pub(super) fn label(&self) -> &str {
        self.notes.get(LABEL).map_or("", String::as_str)
    }

    fn read(value: &Value, names: Vec<String>) -> Result<Self, Violation> {
        let manifests = value["manifests"].as_array().map_or(&[][..], Vec::as_slice);
        let entry = |entry: &Value| {
            (entry["digest"].as_str().unwrap_or_default().to_owned(), notes(&entry["annotations"]))
        };
        let entries: BTreeMap<_, _> = manifests.iter().map(entry).collect();
        ensure(entries.len() == manifests.len(), || format!("an entry stands there twice: {value}"))?;
        Ok(Self { notes: notes(&value["annotations"]), entries, names })
    }
}

fn notes(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

fn names(value: &Value) -> Vec<String> {
    let names = value.as_array().into_iter().flatten().filter_map(Value::as_str).map(short);
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

fn short(name: &str) -> String {
    let name = name.strip_prefix("localhost/").unwrap_or(name);
    name.strip_suffix(":latest").unwrap_or(name).to_owned()
}

/// One line of `ls`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) names: Vec<String>,
    pub(super) digest: String,
}

/// All lists of a store.
pub(super) fn listed(subject: &Subject) -> Result<Vec<Listed>, Violation> {
    let shown = subject.result(&["ls"])?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |row: &Value| Listed {
        id: text(&row["id"]),
        names: names(&row["names"]),
        digest: text(&row["digest"]),
    };
    Ok(shown["lists"].as_array().into_iter().flatten().map(row).collect())
}

/// One list, named or by its id.
pub(super) fn inspected(subject: &Subject, list: &str) -> Result<List, Violation> {
    let shown = subject.result(&["inspect", list])?;
    List::read(&shown["document"], names(&shown["list"]["names"]))
}

/// The lists of a store by id, so that each is read once as long as its digest stays.
#[derive(Debug, Default)]
pub(super) struct Reader(BTreeMap<String, (String, List)>);

impl Reader {
    /// The list of this line, with the names of this line.
    pub(super) fn list(&mut self, subject: &Subject, line: &Listed) -> Result<List, Violation> {
        let known = self.0.get(&line.id).filter(|(digest, _)| *digest == line.digest);
        let list = match known {
            Some((_, list)) => list.clone(),
            None => inspected(subject, &line.id)?,
        };
        self.0.insert(line.id.clone(), (line.digest.clone(), list.clone()));
        Ok(List { names: line.names.clone(), ..list })
    }
}
