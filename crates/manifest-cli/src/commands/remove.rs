//! `manifest remove`

use clap::Args;
use manifest_core::Digest;
use manifest_store::Draft;
use serde::Serialize;

use crate::args::RegistryArgs;
use crate::context::{Context, selector};
use crate::entry::EntryName;
use crate::error::CliError;
use crate::report::ListReport;

/// Remove an entry from a list, together with its attestations
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest remove app:1.0 sha256:0e9a3f…
  manifest remove app:1.0 --platform linux/s390x")]
pub(crate) struct Remove {
    /// The list: its name, its id, or at least 12 digits of its id
    list: String,
    #[command(flatten)]
    name: EntryName,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    list: ListReport,
    removed: Vec<String>,
}

impl Remove {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (store, which) = (context.store()?, selector(&self.list)?);
        let meant = self.name.meant(context, &self.registry).await?;
        let edit = |draft: &mut Draft| {
            let digest = meant.find(which.as_str(), &draft.list)?;
            let gone = draft.list.remove(&digest)?;
            Ok::<Vec<Digest>, CliError>(gone.iter().map(|entry| entry.digest).collect())
        };
        let updated = store.update(&which, edit).await?;
        let removed: Vec<String> = updated.value.iter().map(ToString::to_string).collect();
        let text: String = removed.iter().map(|digest| format!("{digest}\n")).collect();
        let report = Report { schema: "remove/1", list: ListReport::from(&updated.record), removed };
        context.ui.result(&text, &report)?;
        Ok(0)
    }
}
