//! `manifest release`

use clap::Args;

use super::hold::Report;
use crate::args::holder;
use crate::context::{Context, selector};
use crate::error::CliError;
use crate::holders::holders;
use crate::report::ListReport;

/// End a hold on a list or image; one that is not there is fine
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  manifest release app:1.0 --by release-42")]
pub(crate) struct Release {
    /// The list or image: its name, its id, or at least 12 digits of its id
    list: String,
    /// Who held it: the text that it was held with
    #[arg(long, value_name = "WHO", value_parser = holder)]
    by: String,
}

impl Release {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (store, which) = (context.store()?, selector(&self.list)?);
        let record = store.release(&which, &self.by).await?;
        let holders = holders(&store, &record).await?;
        let report = Report { schema: "release/1", list: ListReport::from(&record), holders };
        context.ui.result(&format!("{}\n", record.id()), &report)?;
        Ok(0)
    }
}
