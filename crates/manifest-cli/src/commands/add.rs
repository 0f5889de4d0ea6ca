//! `manifest add`

use clap::Args;
use manifest_core::{Added, Annotate, EditError, OnConflict};
use manifest_store::Draft;
use serde::Serialize;

use crate::args::{EntryArgs, RegistryArgs, SelectArgs};
use crate::context::{Context, selector};
use crate::error::CliError;
use crate::gather::{Gathered, Images, finish, rely_on, used};
use crate::report::{EntryReport, ListReport};

/// Add images to a list
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest add app:1.0 registry.example.com/app:1.0-arm64
  manifest add app:1.0 --all docker://registry.example.com/base:3
  manifest add app:1.0 --replace oci:build/arm64")]
pub(crate) struct Add {
    /// The list: its name, its id, or at least 12 digits of its id
    list: String,
    /// Images: docker://HOST/REPOSITORY[:TAG][@DIGEST], oci:DIRECTORY[:NAME], dir:DIRECTORY or store:LIST
    #[arg(required = true)]
    image: Vec<String>,
    /// Put the image in the place of the entry for the same platform, and of its attestations
    #[arg(long, conflicts_with = "allow_duplicate")]
    replace: bool,
    /// The same as --replace
    #[arg(long, hide = true, conflicts_with = "allow_duplicate")]
    amend: bool,
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    entry: EntryArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    list: ListReport,
    added: Vec<AddedReport>,
}

#[derive(Serialize)]
struct AddedReport {
    outcome: &'static str,
    replaced: Vec<String>,
    origin: String,
    /// When it was read, if it was not read now.
    #[serde(skip_serializing_if = "Option::is_none")]
    cached: Option<String>,
    #[serde(flatten)]
    entry: EntryReport,
}

impl Add {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (store, which) = (context.store()?, selector(&self.list)?);
        let images = Images::parse(context, &self.image, &self.select, Some(&self.entry))?;
        // A list that is not there is told before anything is read from registries.
        store.find(&which).await?;
        let gathered = images.gather(context, &self.registry, &store).await?;
        let on_conflict = self.on_conflict();
        let edit = |draft: &mut Draft| {
            let add = |images: &Gathered| images.add_to(draft, on_conflict);
            gathered.iter().map(add).collect::<Result<Vec<_>, EditError>>()
        };
        let intake = rely_on(context, &store, &gathered).await?;
        let updated = store.update_using(&which, &used(&gathered), edit).await;
        finish(context, intake).await;
        let updated = updated.map_err(|error| CliError::from(error).advise_format(&self.list))?;
        // Whether the user says anything of the entries that could be lost without a word.
        let asks = self.entry.change(OnConflict::Refuse) != Annotate::default();
        let mut report = Vec::new();
        for (images, outcomes) in gathered.iter().zip(&updated.value) {
            for (entry, outcome) in images.entries.iter().zip(outcomes) {
                let there = updated.record.entries().iter().find(|there| there.digest == entry.digest);
                let there = there.filter(|_| *outcome == Added::Unchanged);
                if asks && there.is_some_and(|there| there != entry) {
                    context.ui.note(format_args!(
                        "{} is in the list and stays as it is; --replace or manifest annotate changes it",
                        entry.digest
                    ));
                }
                let entry = there.unwrap_or(entry);
                report.push(added(images, entry, outcome));
                let what = entry.platform.as_ref().map_or(entry.digest.to_string(), ToString::to_string);
                context.ui.note(format_args!("{} {what} from {}", word(outcome), images.origin));
            }
        }
        let text: String = report.iter().map(|added| format!("{}\n", added.entry.digest)).collect();
        let report = Report { schema: "add/1", list: ListReport::from(&updated.record), added: report };
        context.ui.result(&text, &report)?;
        Ok(0)
    }

    const fn on_conflict(&self) -> OnConflict {
        match (self.replace || self.amend, self.select.allow_duplicate) {
            (true, _) => OnConflict::Replace,
            (_, true) => OnConflict::Allow,
            _ => OnConflict::Refuse,
        }
    }
}

fn added(images: &Gathered, entry: &manifest_core::Descriptor, outcome: &Added) -> AddedReport {
    let replaced = match outcome {
        Added::Replaced(digests) => digests.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    let (origin, entry) = (images.origin.clone(), EntryReport::new(entry, None));
    let cached = images.remembered.map(|read| read.to_string());
    AddedReport { outcome: word(outcome), replaced, origin, cached, entry }
}

const fn word(outcome: &Added) -> &'static str {
    match outcome {
        Added::Appended => "added",
        Added::Replaced(_) => "replaced",
        _ => "unchanged",
    }
}
