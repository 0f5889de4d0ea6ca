//! `manifest df`

use clap::Args;
use serde::Serialize;

use super::gc::TallyReport;
use crate::context::Context;
use crate::error::{CliError, Failures};
use crate::table::table;
use crate::words;

/// Show what the store takes up
///
/// Reclaimable is what no list and no image holds. Temporary is what is being written, or was left behind; content that
/// running commands rely on counts as reclaimable until they have saved what needs it.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  manifest df")]
pub(crate) struct Df {}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    lists: u64,
    images: u64,
    names: u64,
    blobs: TallyReport,
    reclaimable: TallyReport,
    temporary: TallyReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    inodes: Option<u64>,
}

impl Df {
    #[allow(clippy::unused_self, reason = "verbs are all called alike")]
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let usage = context.store()?.usage().await?;
        let row = |what: &str, count: u64| vec![what.to_owned(), count.to_string()];
        let sized = |what: &str, tally: manifest_store::Tally| {
            vec![what.to_owned(), tally.count.to_string(), words::size(tally.bytes)]
        };
        let mut rows = vec![
            vec!["WHAT".to_owned(), "COUNT".to_owned(), "SIZE".to_owned()],
            row("lists", usage.lists),
            row("images", usage.images),
            row("names", usage.names),
            sized("blobs", usage.blobs),
            sized("reclaimable", usage.reclaimable),
            sized("temporary", usage.temporary),
        ];
        rows.extend(usage.inodes.map(|inodes| row("inodes", inodes)));
        let mut failures = Failures::default();
        for error in usage.unreadable {
            failures.add(context, error);
        }
        let report = Report {
            schema: "df/1",
            lists: usage.lists,
            images: usage.images,
            names: usage.names,
            blobs: usage.blobs.into(),
            reclaimable: usage.reclaimable.into(),
            temporary: usage.temporary.into(),
            inodes: usage.inodes,
        };
        context.ui.result(&table(&rows), &report)?;
        Ok(failures.code())
    }
}
