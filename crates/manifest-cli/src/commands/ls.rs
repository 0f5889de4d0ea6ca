//! `manifest ls`

use clap::Args;
use manifest_store::Record;
use serde::Serialize;

use crate::context::Context;
use crate::error::{CliError, Failures};
use crate::report::ListReport;
use crate::table::table;

/// Show the lists of the store, the last changed first
#[derive(Clone, Debug, Args)]
#[command(alias = "list", after_help = "Example:\n  manifest ls --output json | jq -r '.lists[].names[]'")]
pub(crate) struct Ls {}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    lists: Vec<ListReport>,
}

impl Ls {
    #[allow(clippy::unused_self, reason = "verbs are all called alike")]
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (mut records, mut failures) = (Vec::new(), Failures::default());
        for record in context.store()?.records().await? {
            match record {
                Ok(record) => records.push(record),
                // The others are shown all the same; the exit code tells of this one.
                Err(error) => failures.add(context, error),
            }
        }
        let lists = records.iter().map(ListReport::from).collect();
        context.ui.result(&text(&records), &Report { schema: "ls/1", lists })?;
        Ok(failures.code())
    }
}

fn text(records: &[Record]) -> String {
    let mut rows = vec![["NAME", "ID", "ENTRIES", "FORMAT", "CHANGED"].map(str::to_owned).to_vec()];
    for record in records {
        let names: Vec<String> = record.names().iter().map(ToString::to_string).collect();
        let none = || "<none>".to_owned();
        let (first, others) = names.split_first().map_or_else(|| (none(), &[][..]), |(f, o)| (f.clone(), o));
        rows.push(vec![
            first,
            record.id().short(),
            record.entries().len().to_string(),
            record.encoded().format.to_string(),
            record.updated().strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        ]);
        rows.extend(others.iter().map(|name| vec![name.clone(), record.id().short()]));
    }
    table(&rows)
}
