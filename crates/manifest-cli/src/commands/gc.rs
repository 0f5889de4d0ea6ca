//! `manifest gc`

use std::time::Duration;

use clap::Args;
use manifest_store::{Collect, Tally, Writers};
use serde::Serialize;

use crate::args::duration;
use crate::context::Context;
use crate::error::{CliError, Failures};
use crate::words::{self, counted};

/// Remove content that no list and no image in the store needs any more
///
/// Needed is what lists and images hold, what they held before changes that can be undone, and what running commands
/// rely on. What interrupted commands left behind is removed, too.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest gc --dry-run
  manifest gc --grace 0

Temporary files go after a day; with --grace 0 at once, when whoever wrote them is gone.
While a list, an image or a manifest in one cannot be read, no content is removed: it may need any of it.")]
pub(crate) struct Gc {
    /// Show what would be removed; nothing is changed, no lock either
    #[arg(long)]
    dry_run: bool,
    /// How long content stays that nobody needs, as in 12h or 30d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    grace: Duration,
    /// Nobody else uses this shared store at the moment, so that a grace below 24h is safe
    #[arg(long)]
    no_writers: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    schema: &'static str,
    dry_run: bool,
    blobs: TallyReport,
    kept: TallyReport,
    temporary: TallyReport,
    names: u64,
}

/// A number of things, and their bytes.
#[derive(Serialize)]
pub(crate) struct TallyReport {
    count: u64,
    bytes: u64,
}

impl From<Tally> for TallyReport {
    fn from(Tally { count, bytes, .. }: Tally) -> Self {
        Self { count, bytes }
    }
}

impl Gc {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let writers = if self.no_writers { Writers::None } else { Writers::Possible };
        let collect = Collect { grace: self.grace, dry_run: self.dry_run, writers };
        let collected = context.store()?.collect(collect).await?;
        let mut failures = Failures::default();
        for error in collected.unreadable {
            failures.add(context, error);
        }
        if !failures.is_empty() {
            context.ui.note(format_args!("no content was removed: nobody knows what these need"));
        }
        for path in collected.set_aside {
            context.ui.note(format_args!(
                "no content was removed: {} is a damaged list or image that may be put back; remove that file when it is \
                 of no more use",
                path.display()
            ));
        }
        if collected.temporary.count > 0 {
            let (count, bytes) = (collected.temporary.count, words::size(collected.temporary.bytes));
            context.ui.note(format_args!("{}, {bytes}", counted(count, "temporary file")));
        }
        if collected.names > 0 {
            context.ui.note(format_args!("{} that led nowhere", counted(collected.names, "name")));
        }
        let text =
            format!("{}, {}\n", counted(collected.blobs.count, "blob"), words::size(collected.blobs.bytes));
        let report = Report {
            schema: "gc/1",
            dry_run: self.dry_run,
            blobs: collected.blobs.into(),
            kept: collected.kept.into(),
            temporary: collected.temporary.into(),
            names: collected.names,
        };
        context.ui.result(&text, &report)?;
        Ok(failures.code())
    }
}
