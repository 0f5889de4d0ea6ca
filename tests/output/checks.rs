//! `docs/checks.md` and `docs/security.md` name tests that there are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The words of a text that could be the id of a check.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
}

/// The rows of a table of checks by their ids: where each is, which has been looked at.
fn checked(document: &str, kinds: &[&str]) -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("docs").join(document)).unwrap();
    let mut rows = BTreeMap::new();
    let is_check = |line: &&str| kinds.iter().any(|kind| line.starts_with(&format!("| {kind}")));
    for row in text.lines().filter(is_check) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let (id, place) = (cells[0].trim_start_matches("| "), *cells.last().unwrap());
        let told = ["not built", "no test yet"].iter().any(|start| place.starts_with(start));
        for path in place.split('`').filter(|part| part.ends_with(".rs")) {
            let file = fs::read_to_string(root().join(path))
                .unwrap_or_else(|error| panic!("{document}, {id}: {path}: {error}"));
            assert!(told || words(&file).any(|label| label == id), "{id} does not stand in {path}");
        }
        assert!(told || place.contains(".rs`"), "{document}, {id}: {place}");
        assert!(
            rows.insert(id.to_owned(), place.to_owned()).is_none(),
            "{document}: {id} stands there twice"
        );
    }
    rows
}

#[test]
fn every_check_stands_where_the_document_says() {
    let checks = checked("checks.md", &["A", "DUR"]);
    assert!(checks.len() > 80, "{}", checks.len());
}

/// All Rust files below a directory.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_security_case_stands_in_the_document_with_all_its_tests() {
    let cases = checked("security.md", &["SEC"]);
    let mut files = Vec::new();
    for dir in ["crates", "tests"] {
        sources(&root().join(dir), &mut files);
    }
    for file in files {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        for id in words(&fs::read_to_string(&file).unwrap()).filter(|word| is_case(word)) {
            let named = cases.get(id).is_some_and(|place| place.contains(&format!("`{path}`")));
            assert!(named, "docs/security.md does not name {path} at {id}");
        }
    }
}

fn is_case(word: &str) -> bool {
    let number = word.strip_prefix("SEC-").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}
