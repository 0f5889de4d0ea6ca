//! `manifest registry`

use clap::{Args, Subcommand};
use jiff::Timestamp;
use manifest_core::Repository;
use manifest_publish::{Answer, Probe, ProbeDepth, Probed, probe};
use manifest_store::Store;
use manifest_transport::{Clock as _, Location, Place, SystemClock};
use serde::Serialize;

use crate::args::RegistryArgs;
use crate::context::Context;
use crate::error::{CliError, Signal, chain};
use crate::interruption::Interruptions;
use crate::probed;
use crate::table::{clean, table};
use crate::words::{ago, time};

/// Find out what a registry can do
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest registry probe registry.example.com/acme/scratch
  manifest registry probe --read-only registry.example.com/acme/app")]
pub(crate) struct Registry {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    Probe(Box<ProbeRegistry>),
}

/// Try in a repository which lists its registry takes, whether it mounts, deletes, keeps conditions …
///
/// Some manifests and two blobs of a few hundred bytes are written, and three tags that begin with manifest-probe- and a
/// random number. No tag that is there is touched. All of it is deleted in the end, as far as the registry deletes; what
/// stays is told, and harms nobody. So it is when the probe is interrupted; who interrupts it twice leaves it there. Mounting is tried from the repository itself.
///
/// What was found out is remembered for the whole registry in the store, and explains why a push was refused.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest registry probe registry.example.com/acme/scratch
  manifest registry probe --read-only registry.example.com/acme/app
  manifest registry probe --refresh --output json registry.example.com/acme/scratch")]
struct ProbeRegistry {
    /// The repository in which it is tried: HOST/REPOSITORY
    #[arg(value_name = "HOST/REPOSITORY")]
    repository: String,
    /// Write nothing: find out only what reading requests tell, which is whether referrers are listed
    #[arg(long)]
    read_only: bool,
    /// Ask again, also when what was found out before is remembered
    #[arg(long)]
    refresh: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    schema: &'static str,
    host: &'a str,
    repository: &'a str,
    probed: String,
    read_only: bool,
    remembered: bool,
    abilities: Vec<AbilityReport<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    least_piece: Option<u64>,
    left: &'a [String],
}

#[derive(Serialize)]
struct AbilityReport<'a> {
    name: &'static str,
    verdict: &'static str,
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

impl Registry {
    pub(crate) async fn run(
        &self,
        context: &Context,
        interruptions: &mut Interruptions,
    ) -> Result<u8, CliError> {
        let Command::Probe(probe) = &self.command;
        probe.run(context, interruptions).await
    }
}

impl ProbeRegistry {
    async fn run(&self, context: &Context, interruptions: &mut Interruptions) -> Result<u8, CliError> {
        let bare = self.repository.strip_prefix("docker://").unwrap_or(&self.repository);
        if bare.parse::<Repository>().is_err() {
            return Err(self.no_repository());
        }
        let location = context.location(&self.repository)?;
        let Location::Registry(reference) = &location else { return Err(self.no_repository()) };
        let transport = context.transport(&self.registry, &[&location])?;
        let place = transport.repository(&reference.repository());
        let store = context.store()?;
        if !self.refresh {
            let known = probed::find(&store, place.registry_host().unwrap_or_default());
            match interruptions.end(async { Ok(known.await) }).await? {
                Ok(Some(known)) if known.depth == self.depth() || self.read_only => {
                    return print(context, &known, true);
                }
                Ok(_) => {}
                Err(error) => context.ui.note(format_args!("warning: {}", chain(&error))),
            }
        }
        let probe = self.probe(context, &place, interruptions).await?;
        let remembering = async {
            self.remember(context, &store, &probe).await;
            Ok(())
        };
        interruptions.end(remembering).await?;
        print(context, &probe, false)
    }

    const fn depth(&self) -> ProbeDepth {
        if self.read_only { ProbeDepth::ReadOnly } else { ProbeDepth::Whole }
    }

    /// Tries what there is to be tried. When that is interrupted it is cleaned up, and what may be left is told.
    async fn probe(
        &self,
        context: &Context,
        place: &Place,
        interruptions: &mut Interruptions,
    ) -> Result<Probe, CliError> {
        let mut first = None;
        let stop = async || {
            let signal = interruptions.next().await;
            if first.is_none() {
                first = Some(signal);
                context.ui.note(format_args!("interrupted; cleaning up (once more ends at once)"));
            }
        };
        match probe(place, self.depth(), &prefix(), Timestamp::now(), stop).await? {
            Probed::Done(probe) => Ok(probe),
            Probed::Stopped(left) => {
                for what in left {
                    context.ui.note(format_args!("warning: not deleted from {place}: {what}"));
                }
                Err(CliError::Interrupted(first.unwrap_or(Signal::Interrupt)))
            }
        }
    }

    /// Keeps what was found out, unless more is known.
    async fn remember(&self, context: &Context, store: &Store, probe: &Probe) {
        let known = probed::find(store, &probe.host).await.ok().flatten();
        if self.read_only && known.is_some_and(|known| known.depth == ProbeDepth::Whole) {
            return;
        }
        if let Err(error) = probed::keep(store, probe).await {
            context.ui.note(format_args!("warning: what was found out is not remembered: {}", chain(&error)));
        }
    }

    fn no_repository(&self) -> CliError {
        let message = format!("{} is no repository of a registry", self.repository);
        CliError::Misuse(message, "it is written HOST/REPOSITORY, without a tag")
    }
}

/// What the tags of a probe begin with.
fn prefix() -> String {
    let clock = SystemClock::default();
    let random = clock.chance().to_bits() ^ clock.chance().to_bits().rotate_left(32);
    format!("manifest-probe-{random:016x}")
}

fn print(context: &Context, probe: &Probe, remembered: bool) -> Result<u8, CliError> {
    let Probe { host, repository, probed, depth, answers, least_piece, left, .. } = probe;
    let when = if remembered { format!("{}, ", ago(*probed, Timestamp::now())) } else { String::new() };
    let mut text = format!("{host} ({when}in {repository})\n");
    text.push_str(&table(&answers.iter().map(row).collect::<Vec<_>>()));
    if let Some(least) = least_piece {
        text.push_str(&format!("Pieces of a blob should have at least {least} bytes.\n"));
    }
    for what in left {
        text.push_str(&format!("Not deleted: {what}\n"));
    }
    let abilities = answers.iter().map(|answer| AbilityReport {
        name: answer.ability.as_str(),
        verdict: answer.verdict.as_str(),
        what: answer.ability.describe(),
        why: answer.why.as_deref(),
    });
    let report = Report {
        schema: "registry-probe/1",
        host,
        repository,
        probed: time(*probed),
        read_only: *depth == ProbeDepth::ReadOnly,
        remembered,
        abilities: abilities.collect(),
        least_piece: *least_piece,
        left,
    };
    context.ui.result(&text, &report)?;
    Ok(0)
}

/// An answer in a line.
fn row(answer: &Answer) -> Vec<String> {
    let what = answer.ability.describe();
    let what = answer.why.as_ref().map_or_else(|| what.to_owned(), |why| format!("{what} ({})", clean(why)));
    vec![answer.verdict.as_str().to_owned(), answer.ability.to_string(), what]
}
