//! `manifest untag`

use clap::Args;
use serde::Serialize;

use crate::context::{Context, list_name};
use crate::error::{CliError, Failures};

/// Take names away from lists; a list without a name stays and is found by its id
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  manifest untag app:latest")]
pub(crate) struct Untag {
    /// The names
    #[arg(required = true)]
    name: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    untagged: Vec<String>,
}

impl Untag {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let store = context.store()?;
        let names = self.name.iter().map(|text| list_name(text)).collect::<Result<Vec<_>, _>>()?;
        let (mut untagged, mut failures) = (Vec::new(), Failures::default());
        for name in &names {
            match store.untag(name).await {
                Ok(_) => untagged.push(name.to_string()),
                // The others are taken away all the same.
                Err(error) => failures.add(context, error),
            }
        }
        let text: String = untagged.iter().map(|name| format!("Untagged: {name}\n")).collect();
        if failures.is_empty() || !untagged.is_empty() {
            context.ui.result(&text, &Report { schema: "untag/1", untagged })?;
        }
        Ok(failures.code())
    }
}
