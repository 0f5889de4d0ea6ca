//! `manifest rm`

use clap::Args;
use manifest_store::{Force, StoreError};
use serde::Serialize;

use crate::context::{Context, selector};
use crate::error::{CliError, Failures};

/// Remove lists from the store; what was pushed stays where it is
///
/// A list with several names loses the one that is given, and is removed with its last.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  manifest rm app:1.0")]
pub(crate) struct Rm {
    /// The lists: names, ids, or at least 12 digits of an id
    #[arg(required = true)]
    list: Vec<String>,
    /// Remove a list that is given by its id together with all its names
    #[arg(long, short)]
    force: bool,
    /// Lists that are not there are no error
    #[arg(long, short, alias = "ignore")]
    ignore_missing: bool,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    untagged: Vec<String>,
    deleted: Vec<String>,
}

impl Rm {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let store = context.store()?;
        let force = if self.force { Force::Yes } else { Force::No };
        let lists = self.list.iter().map(|text| selector(text)).collect::<Result<Vec<_>, _>>()?;
        let (mut untagged, mut deleted, mut failures) = (Vec::new(), Vec::new(), Failures::default());
        for list in &lists {
            match store.remove(list, force).await {
                Ok(removed) => {
                    untagged.extend(removed.untagged.iter().map(ToString::to_string));
                    deleted.extend(removed.deleted.iter().map(ToString::to_string));
                }
                Err(StoreError::NotFound(_)) if self.ignore_missing => {}
                // The others are removed all the same.
                Err(error) => failures.add(context, error),
            }
        }
        let mut text: String = untagged.iter().map(|name| format!("Untagged: {name}\n")).collect();
        text.extend(deleted.iter().map(|id| format!("Deleted: {id}\n")));
        // Errors alone are no result.
        if failures.is_empty() || !text.is_empty() {
            context.ui.result(&text, &Report { schema: "rm/1", untagged, deleted })?;
        }
        Ok(failures.code())
    }
}
