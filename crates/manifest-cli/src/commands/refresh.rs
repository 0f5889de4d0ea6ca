//! `manifest refresh`

use std::collections::BTreeMap;

use clap::Args;
use manifest_core::{Descriptor, Digest};
use manifest_publish::{Became, became, renew};
use manifest_store::{Draft, Record, Selector, Source, Store};
use manifest_transport::{Location, Pick};
use serde::Serialize;

use crate::args::{RegistryArgs, SelectArgs};
use crate::context::{Context, selector};
use crate::entry::EntryName;
use crate::error::{CliError, chain};
use crate::gather::{Gathered, Images, finish, rely_on, used};
use crate::report::ListReport;
use crate::table::{clean, table};
use crate::words::short;

/// Read again where the entries of a list came from, and take over what has moved
///
/// What was typed when an entry was added is read again. An entry whose image is another one by now is replaced
/// where it stands; its platform and annotations stay. What was pinned by a digest cannot move and
/// is not read; what cannot be read is told, and its entries stay.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest refresh app:1.0 --dry-run
  manifest refresh app:1.0 --platform linux/arm64")]
pub(crate) struct Refresh {
    /// The list: its name, its id, or at least 12 digits of its id
    list: String,
    #[command(flatten)]
    entry: EntryName,
    /// Show what has moved, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    schema: &'static str,
    list: ListReport,
    dry_run: bool,
    entries: Vec<EntryReport>,
}

#[derive(Serialize)]
struct EntryReport {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    before: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    from: String,
}

/// One entry, where it came from, and what it has become there.
struct Looked<'a> {
    entry: Descriptor,
    source: &'a Source,
    state: State,
}

/// What is known of an entry now.
enum State {
    Became(Became),
    Pinned,
    Unreadable,
}

/// What came of reading a source again.
enum Now {
    Read(Gathered),
    /// It names a digest, and is not read again.
    Pinned,
    Unreadable,
}

impl Refresh {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (store, which) = (context.store()?, selector(&self.list)?);
        let record = store.load(&which).await?;
        let list = record.list()?;
        let only = match (&self.entry.entry, &self.entry.platform) {
            (None, None) => None,
            // What was typed to add it, or else what names it in other verbs.
            (Some(text), _) if record.sources().iter().any(|source| source.from == *text) => None,
            _ => Some(self.entry.meant(context, &self.registry).await?.find(&self.list, list)?),
        };
        let meant = |entry: &&Descriptor, source: &Source| match (&only, &self.entry.entry) {
            (Some(digest), _) => entry.digest == *digest,
            (None, Some(text)) => source.from == *text,
            (None, None) => true,
        };
        let sourced: Vec<(&Descriptor, &Source)> = list
            .entries()
            .iter()
            .filter(|entry| !entry.is_attestation())
            .filter_map(|entry| Some((entry, record.sources().place_of(&entry.digest)?)))
            .filter(|(entry, source)| meant(entry, source))
            .collect();
        let now = self.read_again(context, &sourced).await?;
        let looked: Vec<Looked<'_>> = sourced
            .into_iter()
            .filter_map(|(entry, source)| {
                let state = match now.get(&source.from)? {
                    Now::Read(there) => State::Became(became(entry, source, &there.entries)),
                    Now::Pinned => State::Pinned,
                    Now::Unreadable => State::Unreadable,
                };
                Some(Looked { entry: entry.clone(), source, state })
            })
            .collect();
        let record =
            if self.dry_run { record.clone() } else { save(context, &store, &which, &looked, &now).await? };
        let entries: Vec<EntryReport> = looked.iter().map(EntryReport::from).collect();
        let report =
            Report { schema: "refresh/1", list: ListReport::from(&record), dry_run: self.dry_run, entries };
        context.ui.result(&text(&looked), &report)?;
        Ok(0)
    }

    /// Reads each source once, with all of its entries.
    async fn read_again(
        &self,
        context: &Context,
        sourced: &[(&Descriptor, &Source)],
    ) -> Result<BTreeMap<String, Now>, CliError> {
        let unreadable = |text: &str, error: &CliError| {
            context.ui.note(format_args!("warning: {text} cannot be read: {}", chain(error)));
            Now::Unreadable
        };
        let (mut now, mut texts) = (BTreeMap::new(), Vec::new());
        for (_, source) in sourced {
            let text = source.from.clone();
            if now.contains_key(&text) || texts.contains(&text) {
                continue;
            }
            match context.location(&text) {
                Ok(place) if is_pinned(&place) => drop(now.insert(text, Now::Pinned)),
                Ok(_) => texts.push(text),
                Err(error) => drop(now.insert(text.clone(), unreadable(&text, &error))),
            }
        }
        let select = SelectArgs { all: true, refresh: true, ..SelectArgs::default() };
        let images = Images::parse(context, &texts, &select, None)?;
        let gathered = images.gather_each(context, &self.registry, &context.store()?).await?;
        for (text, outcome) in texts.into_iter().zip(gathered) {
            let outcome = outcome.map_or_else(|error| unreadable(&text, &error), Now::Read);
            now.insert(text, outcome);
        }
        Ok(now)
    }
}

/// Whether a place stands for the same thing for ever.
fn is_pinned(place: &Location) -> bool {
    match place {
        Location::Registry(reference) => reference.digest().is_some(),
        Location::Layout(_, pick) | Location::Directory(_, pick) | Location::Archive(_, _, pick) => {
            matches!(pick, Pick::Digest(_))
        }
        _ => false,
    }
}

/// Takes over what has moved. What the store itself has of it stays until the list is saved.
async fn save(
    context: &Context,
    store: &Store,
    which: &Selector,
    looked: &[Looked<'_>],
    now: &BTreeMap<String, Now>,
) -> Result<Record, CliError> {
    let taken: Vec<Gathered> = looked.iter().filter_map(|looked| taken(looked, now)).collect();
    let edit = |draft: &mut Draft| {
        looked.iter().try_for_each(|looked| take_over(draft, looked, now)).map_err(CliError::from)
    };
    let intake = rely_on(context, store, &taken).await?;
    let updated = store.update_using(which, &used(&taken), edit).await;
    finish(context, intake).await;
    Ok(updated?.record)
}

/// What an entry has become, and the place where that is now.
fn moved<'a>(
    looked: &'a Looked<'_>,
    now: &'a BTreeMap<String, Now>,
) -> Option<(&'a Descriptor, &'a Gathered)> {
    match (&looked.state, now.get(&looked.source.from)?) {
        (State::Became(Became::Moved(new)), Now::Read(there)) => Some((new, there)),
        _ => None,
    }
}

/// The part of a source that takes the place of an entry.
fn taken(looked: &Looked<'_>, now: &BTreeMap<String, Now>) -> Option<Gathered> {
    let (new, there) = moved(looked, now)?;
    let comes = |entry: &&Descriptor| entry.digest == new.digest || entry.attested() == Some(new.digest);
    let entries: Vec<Descriptor> = there.entries.iter().filter(comes).cloned().collect();
    let has = |source: &&Source| entries.iter().any(|entry| source.entries.contains(&entry.digest));
    let sources = there.sources.iter().filter(has).cloned().collect();
    Some(Gathered { entries, sources, ..there.clone() })
}

fn take_over(
    draft: &mut Draft,
    looked: &Looked<'_>,
    now: &BTreeMap<String, Now>,
) -> Result<(), manifest_core::EditError> {
    let Some((new, there)) = moved(looked, now) else { return Ok(()) };
    let Some(came) = renew(&mut draft.list, &looked.entry.digest, new, &there.entries)? else {
        return Ok(());
    };
    for source in &there.sources {
        let entries: Vec<Digest> =
            came.iter().filter(|digest| source.entries.contains(digest)).copied().collect();
        if !entries.is_empty() {
            draft.sources.prefer(Source { entries, ..source.clone() });
        }
    }
    Ok(())
}

impl From<&Looked<'_>> for EntryReport {
    fn from(looked: &Looked<'_>) -> Self {
        let (state, after) = state(looked);
        Self {
            state,
            platform: looked.entry.platform.as_ref().map(ToString::to_string),
            before: looked.entry.digest.to_string(),
            after: after.map(|digest| digest.to_string()),
            from: looked.source.from.clone(),
        }
    }
}

fn state(looked: &Looked<'_>) -> (&'static str, Option<Digest>) {
    match &looked.state {
        State::Pinned => ("pinned", None),
        State::Unreadable => ("unreadable", None),
        State::Became(Became::Unchanged) => ("unchanged", None),
        State::Became(Became::Moved(new)) => ("moved", Some(new.digest)),
        State::Became(Became::Gone) => ("gone", None),
        State::Became(Became::Several(_)) => ("several", None),
    }
}

fn text(looked: &[Looked<'_>]) -> String {
    let mut rows = vec![["STATE", "PLATFORM", "BEFORE", "AFTER", "FROM"].map(str::to_owned).to_vec()];
    for looked in looked {
        let (state, after) = state(looked);
        let platform = looked.entry.platform.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        rows.push(vec![
            state.to_owned(),
            clean(&platform),
            short(&looked.entry.digest),
            after.as_ref().map_or_else(|| "-".to_owned(), short),
            clean(&looked.source.from),
        ]);
    }
    table(&rows)
}
