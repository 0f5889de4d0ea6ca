//! `manifest push`

mod ci;
mod cutoff;
mod files;
mod gates;
mod refused;
mod report;
pub(super) mod signed;
pub(super) mod target;
mod truth;
mod with;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use manifest_core::{Descriptor, Digest, Encoded, Format};
use manifest_publish::{
    Content, Effort, Journal, Merged, PushOptions, Pushed, Target, With, dry_run, entries_of, judge_truth,
    pool, push,
};
use manifest_store::{Record, RecordId, Selector, Store, StoreError};
use manifest_transport::Location;

use self::ci::{CiOutput, ci_output};
use self::files::Files;
use self::gates::GateArgs;
use self::refused::explain;
use self::report::{Delivered, Report, plan_text};
use self::target::{Named, named, of_own_name};
use self::truth::{TruthReport, tell};
use self::with::{Along, with};
use crate::args::{RegistryArgs, duration};
use crate::context::{Context, selector};
use crate::entry::shown;
use crate::error::{CliError, chain};
use crate::holders::titles;
use crate::signing::SignArgs;
use crate::table::clean;
use crate::ui::ProgressForm;

/// Push a list or an image with everything in it, and let the tags mean it once all is there
///
/// Everything is brought to every target by digest before the first tag moves anywhere. When a tag cannot be moved,
/// those that have moved go back to what they meant before, unless somebody else has moved them since.
///
/// With a key (--sign-…) everything in the list and then the list itself are signed by their digests, once all of it is
/// there and before a tag moves: nobody finds the list under its tag without its signatures. What a key has signed before
/// it does not sign again.
///
/// How far a push is is written down in the store, so that one that was cut off can be resumed or taken back;
/// manifest publications shows it.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest push app:1.0 docker://registry.example.com/app:1.0
  manifest push app:1.0 docker://registry.example.com/app:1.0,1,latest docker://mirror.example.com/app:1.0
  manifest push app:1.0 oci:layout:1.0
  manifest push app:1.0 dir:images --sign-by FINGERPRINT --sign-identity registry.example.com/app:1.0
  manifest push app:1.0 docker://registry.example.com/app:1.0 oci-archive:app.tar
  manifest push --dry-run app:1.0 docker://registry.example.com/app:1.0
  manifest push --require linux/amd64,linux/arm64 --expect-current absent app:1.0 registry.example.com/app:1.0
  manifest push --with referrers,signatures app:1.0 docker://registry.example.com/app:1.0
  manifest push --sign-key cosign.key app:1.0 docker://registry.example.com/app:1.0
  manifest push --on-conflict merge app:1.0 registry.example.com/app:1.0
  manifest push --digestfile app.digest registry.example.com/app:1.0
  manifest push --resume app:1.0
  manifest push --abort app:1.0")]
pub(crate) struct Push {
    /// The list: its name, its id, or at least 12 digits of its id
    #[arg(required_unless_present_any = ["resume", "abort"])]
    list: Option<String>,
    /// Where to: docker://HOST/REPOSITORY[:TAG,…], oci:DIRECTORY[:NAME], dir:DIRECTORY or oci-archive:FILE[:NAME]; several are one publication [default: the list's own name]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// One more target, which may fail without failing the others; may be repeated
    #[arg(long, value_name = "TARGET")]
    best_effort: Vec<String>,
    /// Move no tag: the list is there by its digest only
    #[arg(long)]
    by_digest: bool,
    /// Bring the images along; --all=false pushes the list only
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", value_name = "BOOL", action = clap::ArgAction::Set)]
    all: bool,
    /// Bring layers along, too, that their licence keeps elsewhere; where the source lacks one, from the addresses in its manifest
    #[arg(long)]
    foreign_layers: bool,
    /// Push the list in this format, oci or v2s2; its images stay as they are
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<Format>,
    /// Bring along what is attached to the list and everything in it, from where these are read (the list: from where it was
    /// taken from or pushed last): referrers are manifests that name them as their subject, and what refers to these in
    /// turn; signatures are what cosign keeps under the tags sha256-….sig, .att and .sbom, which is added to what the
    /// target has there. All of it is there before a tag of the list moves
    #[arg(long, value_name = "referrers,signatures", value_delimiter = ',', hide_possible_values = true)]
    with: Vec<Along>,
    /// How long a registry may take to show what it has taken, before a tag moves
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    settle: Duration,
    /// Write the digest of what was pushed to a file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// Write what was done to a file, as --output json prints it
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Tell the jobs that follow what was pushed: github appends to $GITHUB_OUTPUT and $GITHUB_STEP_SUMMARY, gitlab writes
    /// the dotenv file FILE (manifest.env), auto finds out which of them runs this
    #[arg(long, value_name = "github|gitlab[=FILE]|auto", value_parser = ci_output)]
    ci_output: Option<CiOutput>,
    /// How to show the progress: a bar on a terminal (auto), a line a step, objects on standard error, or not at all
    #[arg(
        long,
        value_name = "auto|plain|json|none",
        value_enum,
        hide_possible_values = true,
        default_value = "auto"
    )]
    pub(crate) progress: ProgressForm,
    /// Show what would be done; only reading requests are sent
    #[arg(long)]
    dry_run: bool,
    /// Remove the list from the store when it is pushed
    #[arg(long = "rm", visible_alias = "purge", short = 'p')]
    remove: bool,
    /// Go on with the newest push that was cut off, of LIST if that is given: with the list as it was then, to the same
    /// targets and with the same keys; nothing moves a tag that somebody else has moved since
    #[arg(long, conflicts_with_all = ["abort", "targets", "best_effort", "by_digest", "all", "foreign_layers", "format", "with", "dry_run", "remove", "GateArgs", "sign_children", "sign_identity"])]
    resume: bool,
    /// Take the newest push back that was cut off, of LIST if that is given: tags that it moved mean again what they meant
    /// before; content stays
    #[arg(long, conflicts_with_all = ["targets", "best_effort", "by_digest", "all", "foreign_layers", "format", "with", "dry_run", "remove", "settle", "digestfile", "metadata_file", "ci_output", "GateArgs", "SignArgs", "PassphraseArgs"])]
    abort: bool,
    /// Leave signatures behind, whatever --with says
    #[arg(long, hide = true)]
    remove_signatures: bool,
    #[command(flatten)]
    gates: GateArgs,
    #[command(flatten)]
    sign: SignArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl Push {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        match &self.list {
            _ if self.resume => self.resume(context).await,
            Some(list) if !self.abort => self.push(list, context).await,
            _ => self.abort(context).await,
        }
    }

    async fn push(&self, list: &str, context: &Context) -> Result<u8, CliError> {
        let store = context.store()?;
        let record = store.load(&selector(list)?).await?;
        let named = self.targets(&selector(list)?, &record)?;
        let locations: Vec<&Location> = named.iter().map(|named| &named.location).collect();
        let signing = self.sign.open(context)?;
        if !signing.by.is_empty() && signing.identity.is_none() && named.iter().any(|to| to.tags.len() > 1) {
            context.ui.note(format_args!("{ONE_NAME}"));
        }
        let transport = context.transport(&self.registry, &locations)?;
        let targets: Vec<Target> =
            named.iter().map(|named| named.open(&transport)).collect::<Result<_, _>>()?;
        let list = self.converted(context, &record)?;
        let (entries, here) = (entries_of(&record), pool(&store));
        let content =
            Content { list: &list, entries: &entries, sources: record.sources(), here: Some(&here) };
        let options = PushOptions {
            entries: self.all,
            foreign_layers: self.foreign_layers,
            jobs: self.registry.connection.jobs,
            gates: self.gates.gates(),
            expected: self.gates.expectations(&named)?,
            with: With {
                without_signatures: self.remove_signatures,
                ..with(&self.with, &record, list.digest, &transport)
            },
            conflict: self.gates.conflict(),
            signing,
            settle: self.settle,
        };
        let (gates, wanted) = (self.gates.of_ours(), self.gates.truth());
        let judged = judge_truth(&transport, content, &store, (&gates, &wanted), options.jobs);
        let truth = judged.await?;
        tell(context, &truth, &wanted);
        let report = |list: &Encoded, merged: &[Merged], targets| {
            let about = Descriptor::new(list.media_type.clone(), list.digest, list.bytes.len() as u64);
            let mut report = Report::new(&about, &entries, context.ui.tally(), (merged, targets));
            report.dry_run = self.dry_run;
            report.converted = list.media_type != record.encoded().media_type;
            report.truth = Some(TruthReport::new(&truth, &wanted));
            report
        };
        if self.dry_run {
            let planned = dry_run(&transport, content, &targets, &options).await.map_err(refused)?;
            let Pushed { list, merged, targets: plans, .. } = planned;
            taken_over(context, &merged);
            let text =
                named.iter().zip(&plans).map(|(to, plan)| plan_text(plan, &list, to)).collect::<String>();
            let targets = named.iter().zip(&plans).map(|(to, plan)| Delivered::planned(to, plan)).collect();
            context.ui.result(&text, &report(&list, &merged, targets))?;
            return Ok(0);
        }
        let files = Files::prepare(self, context)?;
        if content.entries.is_empty() {
            context.ui.note(format_args!("{} has no entries", shown(&record)));
        }
        let journal = Journal::new(store.publications(), &record);
        let pushed = push(&transport, content, &targets, &options, &context.ui, Some(&journal)).await;
        let Pushed { list, merged, targets: published, .. } = match pushed {
            Ok(pushed) => pushed,
            Err(error) => return Err(refused(explain(error, &list, &store).await)),
        };
        taken_over(context, &merged);
        if !self.remove {
            note(&store, record.id(), &shown(&record), reached(&named, &published), list.digest, context)
                .await;
        }
        journal.finish(&published, &context.ui).await;
        let done = named.iter().zip(&targets).zip(&published);
        let targets =
            done.map(|((to, at), done)| Delivered::done(to, done, context.ui.tally().target(&at.place)));
        let report = report(&list, &merged, targets.collect());
        files.tell(context, &shown(&record), (&named, &published), &report)?;
        if self.remove {
            remove(&store, &record, context).await?;
        }
        Ok(0)
    }

    /// Where to push: what is given, else the registry that the list's own name names.
    fn targets(&self, list: &Selector, record: &Record) -> Result<Vec<Named>, CliError> {
        let given = |texts: &[String], effort| {
            texts.iter().map(|text| named(text, effort, self.by_digest)).collect::<Result<Vec<_>, _>>()
        };
        let mut targets = given(&self.targets, Effort::Required)?;
        if targets.is_empty() {
            targets.push(of_own_name(record, self.by_digest)?);
        }
        targets.extend(given(&self.best_effort, Effort::Best)?);
        if !self.by_digest {
            let own = own_name(list, record);
            targets.iter_mut().for_each(|target| target.name_archive(own.clone()));
        }
        for (at, target) in targets.iter().enumerate() {
            if targets.iter().take(at).any(|other| other.is_same_archive(target)) {
                return Err(CliError::Misuse(
                    format!("{target} is given twice"),
                    "an archive is written once",
                ));
            }
        }
        // What goes to one repository goes there once.
        let mut merged: Vec<Named> = Vec::new();
        for target in targets {
            match merged.iter_mut().find(|other| other.is_same_place(&target)) {
                Some(other) => other.take_tags(target),
                None => merged.push(target),
            }
        }
        Ok(merged)
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
}

/// What a signature that names one of several tags means for who verifies another.
const ONE_NAME: &str = "signatures name the first tag only; who verifies another asks for --identity repository, \
    or sign with --sign-identity HOST/REPOSITORY";

/// The name by which a list is given, in full, or else its first one.
pub(crate) fn own_name(given: &Selector, record: &Record) -> Option<String> {
    let given = given.name().filter(|name| record.names().contains(name));
    given.or_else(|| record.names().first()).map(ToString::to_string)
}

/// Says what helps where an archive would be written.
fn refused(error: impl Into<CliError>) -> CliError {
    let advice =
        "a push writes no file anew; remove it, or let manifest export --oci-archive FILE --replace do so";
    error.into().advise("exists", advice)
}

/// Tells which entries came from tags.
fn taken_over(context: &Context, merged: &[Merged]) {
    for Merged { tag, entry, .. } in merged {
        let platform = entry.platform.as_ref().map(|platform| format!(" ({platform})")).unwrap_or_default();
        context.ui.note(format_args!("merged {}{} from {tag}", entry.digest, clean(&platform)));
    }
}

/// The targets that have the list: not those that were left out because they need not succeed.
fn reached<T, E>(named: &[Named], published: &[Result<T, E>]) -> String {
    let reached = named.iter().zip(published).filter(|(_, done)| done.is_ok());
    reached.map(|(to, _)| to.to_string()).collect::<Vec<_>>().join(" ")
}

/// Keeps in the record where it was pushed to. The push is done, whatever becomes of this.
async fn note(store: &Store, id: RecordId, title: &str, to: String, list: Digest, context: &Context) {
    if let Err(error) = store.note_push(&id.into(), &to, list).await {
        context.ui.note(format_args!("warning: the push is not noted in {title}: {}", chain(&error)));
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
