//! `manifest rename`

use clap::Args;
use serde::Serialize;

use crate::commands::tag::taken;
use crate::context::{Context, list_name};
use crate::error::CliError;
use crate::report::ListReport;

/// Give a list or image another name in place of the one it has, in one step
///
/// Its other names stay.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  manifest rename app:next app:1.0")]
pub(crate) struct Rename {
    /// The name that it has
    old: String,
    /// The name that it gets; no other list may have it
    new: String,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    #[serde(flatten)]
    list: ListReport,
}

impl Rename {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (old, new) = (list_name(&self.old)?, list_name(&self.new)?);
        let record = context.store()?.rename(&old, &new).await.map_err(taken)?;
        let report = Report { schema: "rename/1", list: ListReport::from(&record) };
        context.ui.result(&format!("{}\n", record.id()), &report)?;
        Ok(0)
    }
}
