//! `manifest undo`

use clap::Args;
use serde::Serialize;

use crate::context::{Context, selector};
use crate::entry::shown;
use crate::error::CliError;
use crate::report::ListReport;

/// Take the last change of a list back, or all changes after one
///
/// The way back is a change of its own: undoing once more takes back the change before, and --to with the number of a
/// later change goes forward again. Names, holds and pushes stay as they are.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest undo app:1.0
  manifest undo app:1.0 --to 3")]
pub(crate) struct Undo {
    /// The list: its name, its id, or at least 12 digits of its id
    list: String,
    /// Make the list what it was after the change of this number, as manifest history shows it
    #[arg(long, value_name = "NUMBER")]
    to: Option<u64>,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    list: ListReport,
    to: u64,
    before: String,
}

impl Undo {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let undone = context.store()?.undo(&selector(&self.list)?, self.to).await?;
        let (record, to) = (&undone.record, undone.to);
        context.ui.note(format_args!("{} is what it was after change {to}", shown(record)));
        let before = undone.before.to_string();
        let report = Report { schema: "undo/1", list: ListReport::from(record), to, before };
        context.ui.result(&format!("{}\n", record.encoded().digest), &report)?;
        Ok(0)
    }
}
