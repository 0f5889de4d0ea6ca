//! `manifest publications`

use clap::{Args, Subcommand};
use jiff::Timestamp;
use manifest_publish::{Effort, Journal, Publication, Was};
use manifest_store::PublicationId;
use serde::Serialize;

use crate::context::Context;
use crate::error::{CliError, Failures};
use crate::table::{clean, table};
use crate::words::{ago, time};

/// Show the pushes that were made, and those that were cut off, the newest first
///
/// A push that was cut off is in the phase content or tags; manifest push --resume goes on with it, and --abort takes it
/// back. A push that was one request (one target with one tag, which has the images) is not noted here. Of the pushes that
/// have ended the newest hundred are kept.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest publications
  manifest publications rm 0199c7d2e40a1b2c")]
pub(crate) struct Publications {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Forget pushes; nothing is changed at their targets
    #[command(alias = "remove")]
    Rm {
        /// The ids of the pushes
        #[arg(required = true)]
        id: Vec<String>,
    },
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    publications: Vec<Listed>,
}

#[derive(Serialize)]
struct RemoveReport {
    schema: &'static str,
    removed: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    phase: &'static str,
    names: Vec<String>,
    list: String,
    digest: String,
    media_type: String,
    size: u64,
    begun: String,
    changed: String,
    targets: Vec<TargetReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TargetReport {
    target: String,
    best_effort: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    tags: Vec<TagReport>,
}

#[derive(Serialize)]
struct TagReport {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
}

impl Publications {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        match &self.command {
            None => list(context).await,
            Some(Command::Rm { id }) => remove(context, id).await,
        }
    }
}

async fn list(context: &Context) -> Result<u8, CliError> {
    let (mut publications, mut failures) = (Vec::new(), Failures::default());
    let mut rows = vec![["ID", "LIST", "PHASE", "BEGUN", "TARGETS"].map(str::to_owned).to_vec()];
    let now = Timestamp::now();
    for publication in Journal::all(&context.store()?.publications()).await? {
        match publication {
            Ok(publication) => {
                let targets = publication.targets.iter().map(|target| clean(&target.target).to_string());
                rows.push(vec![
                    publication.id.to_string(),
                    publication.title(),
                    publication.phase.as_str().to_owned(),
                    ago(publication.begun, now),
                    targets.collect::<Vec<_>>().join(" "),
                ]);
                publications.push(Listed::from(&publication));
            }
            Err(error) => failures.add(context, error),
        }
    }
    context.ui.result(&table(&rows), &Report { schema: "publications/1", publications })?;
    Ok(failures.code())
}

async fn remove(context: &Context, ids: &[String]) -> Result<u8, CliError> {
    let (mut removed, mut failures) = (Vec::new(), Failures::default());
    let publications = context.store()?.publications();
    let understood = |text: &String| {
        text.parse::<PublicationId>().map_err(|error| {
            CliError::Misuse(format!("{text:?}: {error}"), "manifest publications shows the ids")
        })
    };
    for id in ids.iter().map(understood).collect::<Result<Vec<_>, _>>()? {
        match publications.remove(id).await {
            Ok(true) => removed.push(id.to_string()),
            Ok(false) => failures.add(context, CliError::NoSuchPublication(id)),
            Err(error) => failures.add(context, error),
        }
    }
    let text: String = removed.iter().map(|id| format!("{id}\n")).collect();
    if failures.is_empty() || !removed.is_empty() {
        context.ui.result(&text, &RemoveReport { schema: "publications-rm/1", removed })?;
    }
    Ok(failures.code())
}

impl From<&Publication> for Listed {
    fn from(publication: &Publication) -> Self {
        let before = |was: &Was| match was {
            Was::Absent => "absent".to_owned(),
            Was::Manifest { digest, .. } => digest.to_string(),
        };
        let target = |target: &manifest_publish::PublishedTarget| TargetReport {
            target: target.target.clone(),
            best_effort: target.effort == Effort::Best,
            failed: target.failed.clone(),
            tags: target
                .tags
                .iter()
                .map(|tag| TagReport { name: tag.name.clone(), before: tag.before.as_ref().map(before) })
                .collect(),
        };
        Self {
            id: publication.id.to_string(),
            phase: publication.phase.as_str(),
            names: publication.names.iter().map(ToString::to_string).collect(),
            list: publication.record.to_string(),
            digest: publication.digest.to_string(),
            media_type: publication.media_type.to_string(),
            size: publication.size,
            begun: time(publication.begun),
            changed: time(publication.changed),
            targets: publication.targets.iter().map(target).collect(),
        }
    }
}
