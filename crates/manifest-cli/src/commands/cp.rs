//! `manifest cp`

use clap::Args;
use manifest_store::IfTaken;
use serde::Serialize;

use crate::context::{Context, list_name, selector};
use crate::error::CliError;
use crate::report::ListReport;

/// Copy a list or image of the store under a new name; from then on each goes its own way
///
/// The copy has the same bytes, entries and sources. Its history begins with the copying.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  manifest cp app:1.0 app:1.1")]
pub(crate) struct Cp {
    /// The list or image: its name, its id, or at least 12 digits of its id
    source: String,
    /// The name of the copy
    new: String,
    /// Take the name from the list that has it
    #[arg(long)]
    replace: bool,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    #[serde(flatten)]
    list: ListReport,
}

impl Cp {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (which, name) = (selector(&self.source)?, list_name(&self.new)?);
        let if_taken = if self.replace { IfTaken::Replace } else { IfTaken::Refuse };
        let copied = context.store()?.copy(&which, &name, if_taken).await;
        let record = copied.map_err(|error| {
            CliError::from(error).advise("name_taken", "--replace takes the name from the list that has it")
        })?;
        let report = Report { schema: "cp/1", list: ListReport::from(&record) };
        context.ui.result(&format!("{}\n", record.id()), &report)?;
        Ok(0)
    }
}
