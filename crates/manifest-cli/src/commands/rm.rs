//! `manifest rm`

use clap::Args;
use manifest_store::{Force, Selector, Store, StoreError};
use serde::Serialize;

use crate::context::{Context, selector};
use crate::error::{CliError, Failures};
use crate::holders::{titles, told};

/// Remove lists and images from the store; what was pushed stays where it is
///
/// A list with several names loses the one that is given, and is removed with its last. What somebody holds, and what
/// another list has entries of, is not removed.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest rm app:1.0
  manifest rm --force app:1.0
  manifest rm --all")]
pub(crate) struct Rm {
    /// The lists and images: names, ids, or at least 12 digits of an id
    #[arg(required_unless_present = "all")]
    list: Vec<String>,
    /// Remove all lists and images, with all their names
    #[arg(long, short, conflicts_with = "list")]
    all: bool,
    /// Go over holds, telling whose; and remove what is given by its id together with all its names
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
    overridden: Vec<Overridden>,
}

/// Whose holds did not keep a record.
#[derive(Serialize)]
struct Overridden {
    id: String,
    by: Vec<String>,
}

impl Rm {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (store, mut failures) = (context.store()?, Failures::default());
        let mut report =
            Report { schema: "rm/1", untagged: Vec::new(), deleted: Vec::new(), overridden: Vec::new() };
        let mut left = self.lists(context, &store, &mut failures).await?;
        loop {
            let before = report.deleted.len();
            let mut held = Vec::new();
            for which in left {
                match self.remove(context, &store, &which, &mut report).await {
                    Ok(()) => {}
                    Err(StoreError::NotFound(_)) if self.ignore_missing || self.all => {}
                    Err(error @ StoreError::Held { .. }) => held.push((which, error)),
                    // The others are removed all the same.
                    Err(error) => failures.add(context, error),
                }
            }
            if held.is_empty() || report.deleted.len() == before {
                for (_, error) in held {
                    failures.add(context, told(&store, error).await);
                }
                break;
            }
            // What held it may be among what was removed.
            left = held.into_iter().map(|(which, _)| which).collect();
        }
        let mut text: String = report.untagged.iter().map(|name| format!("Untagged: {name}\n")).collect();
        text.extend(report.deleted.iter().map(|id| format!("Deleted: {id}\n")));
        // Errors alone are no result.
        if failures.is_empty() || !text.is_empty() {
            context.ui.result(&text, &report)?;
        }
        Ok(failures.code())
    }

    async fn lists(
        &self,
        context: &Context,
        store: &Store,
        failures: &mut Failures,
    ) -> Result<Vec<Selector>, CliError> {
        if !self.all {
            return self.list.iter().map(|text| selector(text)).collect();
        }
        let mut lists = Vec::new();
        for record in store.records().await? {
            match record {
                Ok(record) => lists.push(record.id().into()),
                Err(error) => failures.add(context, error),
            }
        }
        Ok(lists)
    }

    async fn remove(
        &self,
        context: &Context,
        store: &Store,
        which: &Selector,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let force = match (self.force, self.all) {
            (true, _) => Force::Yes,
            (false, true) => Force::Names,
            (false, false) => Force::No,
        };
        let removed = store.remove(which, force).await?;
        report.untagged.extend(removed.untagged.iter().map(ToString::to_string));
        let Some(id) = removed.deleted else { return Ok(()) };
        report.deleted.push(id.to_string());
        if !removed.overridden.is_empty() {
            let by = titles(store, &removed.overridden).await;
            let what = removed.untagged.first().map_or_else(|| id.short(), ToString::to_string);
            context.ui.note(format_args!("warning: {what} was held by {}", by.join(", ")));
            report.overridden.push(Overridden { id: id.to_string(), by });
        }
        Ok(())
    }
}
