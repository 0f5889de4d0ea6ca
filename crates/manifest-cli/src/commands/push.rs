//! `manifest push`

use std::path::PathBuf;

use clap::Args;
use manifest_core::{Digest, Encoded, Format};
use manifest_publish::{
    Action, Content, Outcome, Plan, PushOptions, Target, dry_run, entries_of, pool, push,
};
use manifest_store::{Record, Store, StoreError};
use manifest_transport::{Location, Pick, Transport};
use serde::Serialize;

use crate::args::RegistryArgs;
use crate::carried::{Blobs, Manifests, blobs, summary};
use crate::context::{Context, selector};
use crate::digestfile::DigestFile;
use crate::entry::shown;
use crate::error::{CliError, chain};
use crate::gather::location;
use crate::holders::titles;
use crate::table::clean;

/// Push a list or an image with everything in it, and let the tag mean it once all is there
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest push app:1.0 docker://registry.example.com/app:1.0
  manifest push app:1.0 oci:layout:1.0
  manifest push --dry-run app:1.0 docker://registry.example.com/app:1.0
  manifest push --digestfile app.digest registry.example.com/app:1.0")]
pub(crate) struct Push {
    /// The list: its name, its id, or at least 12 digits of its id
    list: String,
    /// Where to: docker://HOST/REPOSITORY[:TAG] or oci:DIRECTORY[:NAME] [default: the list's own name]
    target: Option<String>,
    /// Bring the images along; --all=false pushes the list only
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", value_name = "BOOL", action = clap::ArgAction::Set)]
    all: bool,
    /// Push the list in this format, oci or v2s2; its images stay as they are
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<Format>,
    /// Write the digest of what was pushed to a file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// Show what would be done; only reading requests are sent
    #[arg(long)]
    dry_run: bool,
    /// Remove the list from the store when it is pushed
    #[arg(long = "rm", visible_alias = "purge", short = 'p')]
    remove: bool,
    /// Accepted for scripts: signatures are never taken along
    #[arg(long, hide = true)]
    remove_signatures: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    schema: &'static str,
    target: String,
    digest: String,
    media_type: String,
    size: usize,
    dry_run: bool,
    converted: bool,
    manifests: Manifests,
    blobs: Vec<Blobs>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    plan: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    action: &'static str,
    digest: String,
    size: u64,
    from: String,
}

impl Push {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let store = context.store()?;
        let record = store.load(&selector(&self.list)?).await?;
        let to = self.target(&record)?;
        let transport = context.transport(&self.registry, &[&to])?;
        let target = open(&transport, &to)?;
        let list = self.converted(context, &record)?;
        let (entries, here) = (entries_of(&record), pool(&store));
        let content =
            Content { list: &list, entries: &entries, sources: record.sources(), here: Some(&here) };
        let options = PushOptions { entries: self.all, jobs: self.registry.jobs };
        if self.dry_run {
            let plan = dry_run(&transport, content, &target, &options).await?;
            context
                .ui
                .result(&plan_text(&plan, &list, &to), &self.plan_report(&plan, &record, &list, &to))?;
            return Ok(0);
        }
        let digestfile = self.digestfile.as_deref().map(DigestFile::prepare).transpose()?;
        if content.entries.is_empty() {
            context.ui.note(format_args!("{} has no entries", shown(&record)));
        }
        let outcome = push(&transport, content, &target, &options, &context.ui).await?;
        if !self.remove {
            note(&store, &record, &to, list.digest, context).await;
        }
        context.ui.note(format_args!("pushed {} to {to}: {}", shown(&record), summary(&outcome)));
        context.ui.result(&format!("{}\n", list.digest), &self.report(&outcome, &record, &list, &to))?;
        if let Some(file) = digestfile {
            file.write(&list.digest)?;
        }
        if self.remove {
            remove(&store, &record, context).await?;
        }
        Ok(0)
    }

    /// Where to push: what is given, else the registry that the list's own name names.
    fn target(&self, record: &Record) -> Result<Location, CliError> {
        let to = match &self.target {
            Some(text) => location(text)?,
            None => {
                let own = record.names().iter().find(|name| !name.is_local());
                let own = own.ok_or_else(|| {
                    let message = format!("{} names no registry to push to", shown(record));
                    CliError::Misuse(
                        message,
                        "give a target: docker://HOST/REPOSITORY:TAG or oci:DIRECTORY:NAME",
                    )
                })?;
                Location::Registry(own.reference().clone())
            }
        };
        let refuse = |message: &str, hint| Err(CliError::Misuse(format!("{to}: {message}"), hint));
        match &to {
            Location::Registry(reference) if reference.digest().is_some() => refuse(
                "a target has a tag, not a digest",
                "the digest follows from the list; --digestfile writes it down",
            ),
            Location::Layout(_, Pick::Digest(_) | Pick::Position(_)) => {
                refuse("a target has a name, not a digest or position", "it is written oci:DIRECTORY[:NAME]")
            }
            Location::Store(_) => {
                refuse("a list is pushed out of the store, not into it", "manifest tag gives it another name")
            }
            _ => Ok(to),
        }
    }

    /// The list as it will stand at the target; a conversion that was asked for is said.
    fn converted(&self, context: &Context, record: &Record) -> Result<Encoded, CliError> {
        let frozen = record.encoded();
        match self.format {
            Some(format) if format != frozen.format => {
                let list = record.list()?.encode(format)?;
                let (from, to) = (&frozen.media_type, &list.media_type);
                context.ui.note(format_args!("converted from {from} to {to}, so the digest is another one"));
                Ok(list)
            }
            _ => Ok(frozen.clone()),
        }
    }

    fn report(&self, outcome: &Outcome, record: &Record, list: &Encoded, to: &Location) -> Report {
        let (manifests, blobs) = (Manifests::from(outcome), blobs(&outcome.blobs));
        self.any_report(record, list, to, manifests, blobs, Vec::new())
    }

    fn plan_report(&self, plan: &Plan, record: &Record, list: &Encoded, to: &Location) -> Report {
        let manifests = Manifests { present: plan.present.len(), written: plan.manifests.len() };
        let blobs = ACTIONS.into_iter().map(|action| {
            let (count, bytes) = plan.count(action);
            Blobs { action: action.as_str(), count, bytes }
        });
        let steps = plan.blobs.values().map(|step| Step {
            action: step.action.as_str(),
            digest: step.blob.digest.to_string(),
            size: step.blob.size,
            from: step.from.to_string(),
        });
        let blobs = blobs.filter(|blobs| blobs.count > 0).collect();
        self.any_report(record, list, to, manifests, blobs, steps.collect())
    }

    fn any_report(
        &self,
        record: &Record,
        list: &Encoded,
        to: &Location,
        manifests: Manifests,
        blobs: Vec<Blobs>,
        plan: Vec<Step>,
    ) -> Report {
        Report {
            schema: "push/1",
            target: to.to_string(),
            digest: list.digest.to_string(),
            media_type: list.media_type.to_string(),
            size: list.bytes.len(),
            dry_run: self.dry_run,
            converted: list.digest != record.encoded().digest,
            manifests,
            blobs,
            plan,
        }
    }
}

const ACTIONS: [Action; 4] = [Action::Skip, Action::Mount, Action::Copy, Action::Leave];

fn open(transport: &Transport, to: &Location) -> Result<Target, CliError> {
    let name = match to {
        Location::Registry(reference) => reference.tag().map(ToString::to_string),
        Location::Layout(_, Pick::Name(name)) => Some(name.clone()),
        _ => None,
    };
    match transport.open(to) {
        Some((place, _)) => Ok(Target { place, name }),
        None => {
            let message = format!("{to} cannot be pushed to");
            Err(CliError::Misuse(message, "a target is docker://HOST/REPOSITORY:TAG or oci:DIRECTORY:NAME"))
        }
    }
}

fn plan_text(plan: &Plan, list: &Encoded, to: &Location) -> String {
    let mut text = String::new();
    for digest in &plan.present {
        text.push_str(&format!("present   {digest} manifest\n"));
    }
    for step in plan.blobs.values() {
        let (action, blob) = (step.action.as_str(), &step.blob);
        text.push_str(&format!("{action:9} {} blob, {} bytes, from {}\n", blob.digest, blob.size, step.from));
    }
    for step in &plan.manifests {
        let (digest, bytes) = (step.manifest.digest, step.manifest.size);
        text.push_str(&format!("write     {digest} manifest, {bytes} bytes\n"));
    }
    let kind = if Format::of_list(&list.media_type).is_some() { "list" } else { "image" };
    text.push_str(&format!("write     {} {kind}, {} bytes, as {to}\n", list.digest, list.bytes.len()));
    // The target is as it was typed, and may hold anything.
    text.lines().map(|line| clean(line) + "\n").collect()
}

/// Keeps in the record where it was pushed to. The push is done, whatever becomes of this.
async fn note(store: &Store, record: &Record, to: &Location, digest: Digest, context: &Context) {
    if let Err(error) = store.note_push(&record.id().into(), &to.to_string(), digest).await {
        let what = shown(record);
        context.ui.note(format_args!("warning: the push is not noted in {what}: {}", chain(&error)));
    }
}

/// Removes the pushed record with all its names, unless somebody holds it or edited it since it was read.
async fn remove(store: &Store, record: &Record, context: &Context) -> Result<(), CliError> {
    let removed = match store.remove_unchanged(record).await {
        Err(StoreError::Held { by, .. }) => {
            let by = titles(store, &by).await.join(", ");
            context.ui.note(format_args!("{} is held by {by} and stays", shown(record)));
            return Ok(());
        }
        removed => removed?,
    };
    let Some(removed) = removed else {
        context.ui.note(format_args!("{} was changed during the push and stays", shown(record)));
        return Ok(());
    };
    let names: Vec<String> = removed.untagged.iter().map(ToString::to_string).collect();
    context.ui.note(format_args!("removed {}", names.join(", ")));
    Ok(())
}
