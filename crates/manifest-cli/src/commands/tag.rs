//! `manifest tag`

use clap::Args;
use manifest_core::Digest;
use manifest_store::{Selector, Store, StoreError};
use serde::Serialize;

use crate::context::{Context, list_name, selector};
use crate::error::CliError;
use crate::report::ListReport;

/// Give a list or image more names
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  manifest tag app:1.0 app:latest registry.example.com/app:1.0")]
pub(crate) struct Tag {
    /// The list or image: its name, its id, at least 12 digits of its id, or its digest
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

/// The record that is named; a digest is that of its document.
async fn meant(store: &Store, text: &str) -> Result<Selector, CliError> {
    let Ok(digest) = text.parse::<Digest>() else { return selector(text) };
    let records = store.records().await?.into_iter().flatten();
    let mut found = records.filter(|record| record.encoded().digest == digest);
    match (found.next(), found.count()) {
        (Some(record), 0) => Ok(record.id().into()),
        (Some(_), others) => {
            let message = format!("{} lists have the digest {digest}", others + 1);
            Err(CliError::Misuse(message, "name one of them by its name or id"))
        }
        (None, _) => Err(StoreError::NotFound(text.to_owned()).into()),
    }
}

impl Tag {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let store = context.store()?;
        let names = self.name.iter().map(|text| list_name(text)).collect::<Result<Vec<_>, _>>()?;
        let which = meant(&store, &self.list).await?;
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
