//! `manifest prune`

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use manifest_store::{Record, RecordId, Selector, Store, StoreError};
use serde::Serialize;

use crate::args::duration;
use crate::context::{Context, selector};
use crate::error::{CliError, Failures};
use crate::report::ListReport;
use crate::words::counted;

/// Remove lists and images that have no name, or forget the history of lists
///
/// Lists lose their last name by untag, by create --replace and by cp --replace. Those that somebody holds stay.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest prune --older-than 30d
  manifest prune --older-than 30d --dry-run
  manifest prune --history app:1.0
  manifest prune --history --all")]
pub(crate) struct Prune {
    /// With --history: the lists, by name or id
    #[arg(requires = "history")]
    list: Vec<String>,
    /// Remove what has no name and was not changed for this long, as in 12h or 30d
    #[arg(long, value_name = "TIME", value_parser = duration, required_unless_present = "history", conflicts_with = "history")]
    older_than: Option<Duration>,
    /// Forget what was done to the lists, but for how many changes there were; they cannot be undone then
    #[arg(long)]
    history: bool,
    /// With --history: all lists and images of the store
    #[arg(long, requires = "history", conflicts_with = "list")]
    all: bool,
    /// Show what would be removed or forgotten
    #[arg(long)]
    dry_run: bool,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    schema: &'static str,
    dry_run: bool,
    removed: Vec<ListReport>,
    forgotten: Vec<Forgotten>,
}

#[derive(Serialize)]
struct Forgotten {
    #[serde(flatten)]
    list: ListReport,
    changes: usize,
}

impl Prune {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (store, mut failures) = (context.store()?, Failures::default());
        let mut report = Report { schema: "prune/1", dry_run: self.dry_run, ..Report::default() };
        match self.older_than {
            Some(age) => self.remove(context, &store, age, &mut report, &mut failures).await?,
            None => self.forget(context, &store, &mut report, &mut failures).await?,
        }
        let lists = report.removed.iter().chain(report.forgotten.iter().map(|one| &one.list));
        let text: String = lists.map(|list| format!("{}\n", list.id)).collect();
        if failures.is_empty() || !text.is_empty() {
            context.ui.note(format_args!("{}", self.summary(&report)));
            context.ui.result(&text, &report)?;
        }
        Ok(failures.code())
    }

    async fn remove(
        &self,
        context: &Context,
        store: &Store,
        age: Duration,
        report: &mut Report,
        failures: &mut Failures,
    ) -> Result<(), CliError> {
        // Nothing is older than time itself.
        let unchanged_since = Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN);
        for record in store.stale(unchanged_since).await? {
            let removed = match &record {
                Ok(record) if !self.dry_run => store.remove_stale(record.id(), unchanged_since).await,
                _ => Ok(true),
            };
            match (record, removed) {
                (Ok(record), Ok(true)) => report.removed.push(ListReport::from(&record)),
                // Somebody gave it a name, changed it, or took a hold on it meanwhile.
                (Ok(_), Ok(false)) => {}
                (Err(error), _) | (_, Err(error)) => failures.add(context, error),
            }
        }
        Ok(())
    }

    async fn forget(
        &self,
        context: &Context,
        store: &Store,
        report: &mut Report,
        failures: &mut Failures,
    ) -> Result<(), CliError> {
        for which in self.lists(store).await? {
            let forgotten = match which {
                Ok(which) => self.forget_one(store, &which).await,
                Err(error) => Err(error),
            };
            match forgotten {
                Ok(one) if one.changes > 0 => report.forgotten.push(one),
                Ok(_) => {}
                Err(error) => failures.add(context, error),
            }
        }
        Ok(())
    }

    /// The lists that are meant; those that cannot be read are errors beside the others.
    async fn lists(&self, store: &Store) -> Result<Vec<Result<Selector, StoreError>>, CliError> {
        if self.all {
            let id = |record: Record| -> Selector { RecordId::into(record.id()) };
            return Ok(store.records().await?.into_iter().map(|record| record.map(id)).collect());
        }
        if self.list.is_empty() {
            let message = "no list is named whose history should be forgotten".to_owned();
            return Err(CliError::Misuse(message, "name lists, or --all"));
        }
        self.list.iter().map(|text| selector(text).map(Ok)).collect()
    }

    async fn forget_one(&self, store: &Store, which: &Selector) -> Result<Forgotten, StoreError> {
        let record = store.load(which).await?;
        let changes = record.history().changes().len();
        let record = if self.dry_run { record } else { store.prune_history(which).await? };
        Ok(Forgotten { list: ListReport::from(&record), changes })
    }

    fn summary(&self, report: &Report) -> String {
        let would = if self.dry_run { "would have " } else { "" };
        if self.history {
            let changes: usize = report.forgotten.iter().map(|one| one.changes).sum();
            let (changes, records) = (counted(changes, "change"), counted(report.forgotten.len(), "record"));
            return format!("{would}forgotten {changes} of {records}");
        }
        format!("{would}removed {}", counted(report.removed.len(), "record"))
    }
}
