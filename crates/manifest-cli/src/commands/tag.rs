//! `manifest tag`

use clap::Args;
use manifest_core::ListName;
use serde::Serialize;

use crate::context::{Context, selector};
use crate::error::CliError;
use crate::report::ListReport;

/// Give a list more names
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  manifest tag app:1.0 app:latest registry.example.com/app:1.0")]
pub(crate) struct Tag {
    /// The list: its name, its id, or at least 12 digits of its id
    list: String,
    /// The new names
    #[arg(required = true)]
    name: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    #[serde(flatten)]
    list: ListReport,
}

impl Tag {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (store, which) = (context.store()?, selector(&self.list)?);
        let mut names: Vec<ListName> = Vec::new();
        for text in &self.name {
            names.push(text.parse().map_err(|error| CliError::Name(text.clone(), error))?);
        }
        let mut record = store.load(&which).await?;
        for name in &names {
            record = store.tag(&which, name).await?;
        }
        let report = Report { schema: "tag/1", list: ListReport::from(&record) };
        context.ui.result(&format!("{}\n", record.id()), &report)?;
        Ok(0)
    }
}
