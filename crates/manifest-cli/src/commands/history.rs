//! `manifest history`

use clap::Args;
use manifest_core::{Digest, ListName};
use manifest_store::{Change, Record};
use serde::Serialize;

use crate::context::{Context, selector};
use crate::error::CliError;
use crate::report::ListReport;
use crate::table::{clean, table};
use crate::words::{short, time};

/// Show what was done to a list or image, the last change first
///
/// The numbers stay: the change that made the list is 1, also when old changes are kept as a number only.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest history app:1.0
  manifest history app:1.0 --output json | jq -r '.changes[0].command'")]
pub(crate) struct History {
    /// The list or image: its name, its id, or at least 12 digits of its id
    list: String,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    list: ListReport,
    folded: u64,
    changes: Vec<ChangeReport>,
}

#[derive(Serialize)]
struct ChangeReport {
    number: u64,
    when: String,
    command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    after: String,
    added: Vec<String>,
    removed: Vec<String>,
    tagged: Vec<String>,
    untagged: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restores: Option<u64>,
}

impl History {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let record = context.store()?.load(&selector(&self.list)?).await?;
        let history = record.history();
        let report = Report {
            schema: "history/1",
            list: ListReport::from(&record),
            folded: history.folded(),
            changes: history.numbered().rev().map(|(number, change)| report(number, change)).collect(),
        };
        if history.folded() > 0 {
            context.ui.note(format_args!("{} older changes are kept as a number only", history.folded()));
        }
        context.ui.result(&text(&record), &report)?;
        Ok(0)
    }
}

fn report(number: u64, change: &Change) -> ChangeReport {
    let digests = |digests: &[Digest]| digests.iter().map(ToString::to_string).collect();
    let names = |names: &[ListName]| names.iter().map(ToString::to_string).collect();
    ChangeReport {
        number,
        when: change.when.to_string(),
        command: change.command.clone(),
        before: change.before.map(|digest| digest.to_string()),
        after: change.after.to_string(),
        added: digests(&change.added),
        removed: digests(&change.removed),
        tagged: names(&change.tagged),
        untagged: names(&change.untagged),
        restores: change.restores,
    }
}

fn text(record: &Record) -> String {
    let head = ["NUMBER", "WHEN", "DIGEST", "ENTRIES", "NAMES", "COMMAND"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (number, change) in record.history().numbered().rev() {
        rows.push(vec![
            number.to_string(),
            time(change.when),
            digests(change),
            or_dash([counted('+', change.added.len()), counted('-', change.removed.len())]),
            or_dash([named('+', &change.tagged), named('-', &change.untagged)]),
            clean(&change.command),
        ]);
    }
    table(&rows)
}

fn digests(change: &Change) -> String {
    match change.before {
        Some(before) if before == change.after => short(&before),
        Some(before) => format!("{} → {}", short(&before), short(&change.after)),
        None => format!("→ {}", short(&change.after)),
    }
}

fn counted(sign: char, count: usize) -> String {
    if count == 0 { String::new() } else { format!("{sign}{count}") }
}

fn named(sign: char, names: &[ListName]) -> String {
    names.iter().map(|name| format!("{sign}{name}")).collect::<Vec<_>>().join(" ")
}

fn or_dash(parts: [String; 2]) -> String {
    let text = parts.join(" ").trim().to_owned();
    if text.is_empty() { "-".to_owned() } else { text }
}
