//! `manifest tag`

use clap::Args;
use manifest_store::StoreError;
use serde::Serialize;

use crate::context::{Context, list_name, selector};
use crate::error::CliError;
use crate::report::ListReport;

/// Give a list or image more names
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  manifest tag app:1.0 app:latest registry.example.com/app:1.0")]
pub(crate) struct Tag {
    /// The list or image: its name, its id, or at least 12 digits of its id
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

pub(super) fn taken(error: StoreError) -> CliError {
    CliError::from(error).advise("name_taken", "manifest untag takes the name away from the list that has it")
}

impl Tag {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (store, which) = (context.store()?, selector(&self.list)?);
        let names = self.name.iter().map(|text| list_name(text)).collect::<Result<Vec<_>, _>>()?;
        let mut record = store.load(&which).await?;
        // All or none, but for names that somebody else takes in this moment.
        for name in &names {
            match store.load(&name.into()).await {
                Ok(other) if other.id() != record.id() => {
                    return Err(taken(StoreError::NameTaken { name: name.clone(), id: other.id() }));
                }
                Ok(_) | Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for name in &names {
            record = store.tag(&which, name).await.map_err(taken)?;
        }
        let report = Report { schema: "tag/1", list: ListReport::from(&record) };
        context.ui.result(&format!("{}\n", record.id()), &report)?;
        Ok(0)
    }
}
