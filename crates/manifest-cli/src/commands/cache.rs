//! `manifest cache`

use clap::{Args, Subcommand};
use jiff::Timestamp;
use manifest_publish::Known;
use manifest_store::Cached;
use manifest_transport::Location;
use serde::Serialize;

use crate::context::Context;
use crate::error::{CliError, Failures};
use crate::table::table;
use crate::words::{ago, short, size};

/// Show or forget what is remembered of images in registries
///
/// What a reference stood for is remembered when it is read, with the documents that were looked into. It serves where
/// it cannot be out of date (a digest), and where the registry cannot be reached; --refresh makes a command ask.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest cache ls
  manifest cache rm alpine:3.20")]
pub(crate) struct Cache {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Show all references that something is remembered of
    #[command(alias = "list")]
    Ls,
    /// Show what is remembered of an image
    Show {
        /// The image, as in add
        image: String,
    },
    /// Forget images
    #[command(alias = "remove")]
    Rm {
        /// The images, as in add
        #[arg(required_unless_present = "all")]
        image: Vec<String>,
        /// Forget everything, also what is damaged
        #[arg(long, short, conflicts_with = "image")]
        all: bool,
    },
}

#[derive(Serialize)]
struct ListReport {
    schema: &'static str,
    references: Vec<Entry>,
}

#[derive(Serialize)]
struct ShowReport {
    schema: &'static str,
    #[serde(flatten)]
    entry: Entry,
    documents: Vec<Document>,
}

#[derive(Serialize)]
struct RemoveReport {
    schema: &'static str,
    removed: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    reference: String,
    digest: String,
    media_type: String,
    fetched: String,
    size: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    digest: String,
    media_type: String,
    size: usize,
}

impl Cache {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        match &self.command {
            Command::Ls => list(context).await,
            Command::Show { image } => show(context, image).await,
            Command::Rm { image, all } => remove(context, image, *all).await,
        }
    }
}

async fn list(context: &Context) -> Result<u8, CliError> {
    let (mut entries, mut failures) = (Vec::new(), Failures::default());
    let mut rows = vec![["REFERENCE", "DIGEST", "READ", "SIZE"].map(str::to_owned).to_vec()];
    let now = Timestamp::now();
    for cached in context.store()?.cache().all().await? {
        match cached {
            Ok(cached) => {
                let first = cached.documents.first().map(|document| short(&document.digest));
                let entry = Entry::from(&cached);
                rows.push(vec![
                    entry.reference.clone(),
                    first.unwrap_or_default(),
                    ago(cached.fetched, now),
                    size(entry.size as u64),
                ]);
                entries.push(entry);
            }
            Err(error) => failures.add(context, error),
        }
    }
    context.ui.result(&table(&rows), &ListReport { schema: "cache-ls/1", references: entries })?;
    Ok(failures.code())
}

async fn show(context: &Context, image: &str) -> Result<u8, CliError> {
    let name = name(context, image)?;
    let cached = context.store()?.cache().find(&name).await?.ok_or_else(|| unknown(&name))?;
    let entry = Entry::from(&cached);
    let documents: Vec<Document> = cached
        .documents
        .iter()
        .map(|document| Document {
            digest: document.digest.to_string(),
            media_type: document.media_type.to_string(),
            size: document.bytes.len(),
        })
        .collect();
    let mut text = format!("Reference: {}\nRead:      {}\n", entry.reference, entry.fetched);
    for Document { digest, media_type, size } in &documents {
        text.push_str(&format!("{digest} {media_type} {size}\n"));
    }
    context.ui.result(&text, &ShowReport { schema: "cache-show/1", entry, documents })?;
    Ok(0)
}

async fn remove(context: &Context, images: &[String], all: bool) -> Result<u8, CliError> {
    let cache = context.store()?.cache();
    let (mut removed, mut failures) = (Vec::new(), Failures::default());
    if all {
        for forgotten in cache.forget_all().await? {
            match forgotten {
                Ok(reference) => removed.push(reference),
                Err(error) => failures.add(context, error),
            }
        }
    }
    for name in images.iter().map(|image| name(context, image)).collect::<Result<Vec<_>, _>>()? {
        match cache.forget(&name).await {
            Ok(true) => removed.push(name),
            Ok(false) => failures.add(context, unknown(&name)),
            Err(error) => failures.add(context, error),
        }
    }
    let text: String = removed.iter().map(|name| format!("{name}\n")).collect();
    if failures.is_empty() || !removed.is_empty() {
        context.ui.result(&text, &RemoveReport { schema: "cache-rm/1", removed })?;
    }
    Ok(failures.code())
}

impl From<&Cached> for Entry {
    fn from(cached: &Cached) -> Self {
        let first = cached.documents.first();
        Self {
            reference: cached.reference.clone(),
            digest: first.map(|document| document.digest.to_string()).unwrap_or_default(),
            media_type: first.map(|document| document.media_type.to_string()).unwrap_or_default(),
            fetched: cached.fetched.to_string(),
            size: cached.documents.iter().map(|document| document.bytes.len()).sum(),
        }
    }
}

/// What an image argument is remembered under.
fn name(context: &Context, image: &str) -> Result<String, CliError> {
    match context.location(image)? {
        Location::Registry(reference) => Ok(Known::name(&reference)),
        other => Err(CliError::Misuse(
            format!("nothing is remembered of {other}"),
            "only images in registries are; the others are read where they lie",
        )),
    }
}

fn unknown(name: &str) -> CliError {
    CliError::NotRemembered(name.to_owned())
}
