//! The table in the documentation.

use std::fs;
use std::path::Path;

use crate::table::{End, Kind, Often, ROWS};

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    fs::read_to_string(path).unwrap()
}

/// The exit code that `docs/json.md` gives to a kind of error.
pub fn exit_code(kind: &str) -> i32 {
    let text = document("json.md");
    let row = text.lines().find_map(|line| line.strip_prefix(&format!("| `{kind}` | "))).unwrap();
    row.split(' ').next().unwrap().parse().unwrap()
}

fn shown(end: End) -> String {
    match end {
        End::Well => "well".to_owned(),
        End::Late(kind) => format!("{} `{kind}`, the tag has moved", exit_code(kind)),
        End::Fails(kind) => format!("{} `{kind}`", exit_code(kind)),
    }
}

/// The table as the documentation shows it.
fn rendered() -> String {
    let mut text =
        "| fault | at | once | three times | for ever |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for row in ROWS {
        let all = row.at.len() == Kind::ALL.len();
        let at: Vec<_> = row.at.iter().map(|kind| kind.name()).collect();
        let at = if all { "any".to_owned() } else { at.join(", ") };
        let [once, thrice, ever] = Often::ALL.map(|often| shown(row.end(often)));
        text.push_str(&format!("| {} | {} | {once} | {thrice} | {ever} |\n", row.fault, at));
    }
    text
}

pub fn check() {
    let text = document("reliability.md");
    let section = text.split("## Faults of the network\n").nth(1).expect("a section");
    let section = section.split("\n## ").next().unwrap();
    let lines: Vec<_> = section.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(
        lines.join("\n"),
        rendered().trim_end(),
        "docs/reliability.md should show under \"Faults of the network\":\n{}",
        rendered()
    );
}
