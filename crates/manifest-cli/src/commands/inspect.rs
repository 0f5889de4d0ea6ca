//! `manifest inspect`

use clap::Args;
use manifest_core::{Descriptor, Document, Encoded, Format, ImageManifest, List};
use manifest_transport::{Fetched, Location};
use serde::Serialize;

use crate::args::RegistryArgs;
use crate::context::{Context, selector};
use crate::error::CliError;
use crate::gather::location;
use crate::report::{DocumentReport, EntryReport, ListReport};
use crate::table::{clean, table};

/// Show a list of the store, or a list or image elsewhere
///
/// A name without a transport is looked for in the store only.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest inspect app:1.0
  manifest inspect docker://registry.example.com/app:1.0
  manifest inspect --raw app:1.0 | sha256sum")]
pub(crate) struct Inspect {
    /// The list: a name or id in the store, or docker://… or oci:…
    list: String,
    /// Print the document itself, to the byte
    #[arg(long)]
    raw: bool,
    /// Show the list as it would be in this format, oci or v2s2
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<Format>,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<ListReport>,
    document: DocumentReport,
}

#[derive(Serialize)]
struct ImageReport {
    schema: &'static str,
    origin: String,
    image: EntryReport,
    config: EntryReport,
    layers: Vec<EntryReport>,
}

impl Inspect {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let elsewhere = ["docker://", "oci:"].iter().any(|transport| self.list.starts_with(transport));
        match (elsewhere, self.list.split_once(':')) {
            (false, Some((transport, _))) if transport != "store" => {
                // Only to say that a transport is not supported; a name with a tag passes.
                location(&self.list).map(drop).or_else(|error| match error {
                    CliError::Location(manifest_transport::LocationError::Unsupported(_)) => Err(error),
                    _ => Ok(()),
                })?;
                self.local(context, &self.list).await?;
            }
            (false, _) => self.local(context, self.list.strip_prefix("store:").unwrap_or(&self.list)).await?,
            (true, _) => self.remote(context).await?,
        }
        Ok(0)
    }

    async fn local(&self, context: &Context, name: &str) -> Result<(), CliError> {
        let record = context.store()?.load(&selector(name)?).await.map_err(|error| {
            let hint =
                format!("manifest ls shows the lists there are; docker://{name} looks in the registry");
            CliError::from(error).advise("list_not_found", hint)
        })?;
        let list = record.list()?;
        let encoded = self.converted(list, record.encoded().clone())?;
        if self.raw {
            return Ok(context.ui.raw(&encoded.bytes)?);
        }
        let source = |entry: &Descriptor| record.sources().place_of(&entry.digest).map(|s| s.place.clone());
        let document = DocumentReport::new(&encoded, list, source);
        let names: Vec<String> = record.names().iter().map(ToString::to_string).collect();
        let names = if names.is_empty() { "<none>".to_owned() } else { names.join(", ") };
        let head = [("Name", names), ("Id", record.id().to_string())];
        let text = list_text(&head, &encoded, list);
        let (origin, list) = (format!("store:{name}"), Some(ListReport::from(&record)));
        Ok(context.ui.result(&text, &Report { schema: "inspect/1", origin, list, document })?)
    }

    async fn remote(&self, context: &Context) -> Result<(), CliError> {
        let location: Location = location(&self.list)?;
        let transport = context.transport(&self.registry, &[&location])?;
        let Some((place, which)) = transport.open(&location) else { return Ok(()) };
        let fetched = place.manifest(&which).await?;
        let origin = location.to_string();
        match &fetched.document {
            Document::List(list, format) => {
                let encoded = self.converted(list, list.encode(*format)?)?;
                if self.raw {
                    return Ok(context.ui.raw(&encoded.bytes)?);
                }
                let document = DocumentReport::new(&encoded, list, |_| None);
                let text = list_text(&[("From", origin.clone())], &encoded, list);
                Ok(context.ui.result(&text, &Report { schema: "inspect/1", origin, list: None, document })?)
            }
            _ if self.raw => Ok(context.ui.raw(&fetched.bytes)?),
            Document::Image(image) => image_report(context, origin, &fetched, image),
        }
    }

    fn converted(&self, list: &List, encoded: Encoded) -> Result<Encoded, CliError> {
        match self.format {
            Some(format) if format != encoded.format => Ok(list.encode(format)?),
            _ => Ok(encoded),
        }
    }
}

fn list_text(head: &[(&str, String)], encoded: &Encoded, list: &List) -> String {
    let mut text = String::new();
    let mut line =
        |name: &str, value: &str| text.push_str(&format!("{:9}{}\n", format!("{name}:"), clean(value)));
    for (name, value) in head {
        line(name, value);
    }
    line("Digest", &encoded.digest.to_string());
    line("Type", &format!("{} ({} bytes)", encoded.media_type, encoded.bytes.len()));
    if let Some(artifact_type) = list.artifact_type() {
        line("Artifact", artifact_type.as_str());
    }
    if let Some(subject) = list.subject() {
        line("Subject", &format!("{} {}", subject.digest, subject.media_type));
    }
    for (key, value) in list.annotations() {
        line("Note", &format!("{key}={value}"));
    }
    text.push('\n');
    let mut rows = vec![["PLATFORM", "DIGEST", "SIZE", "KIND"].map(str::to_owned).to_vec()];
    for entry in list.entries() {
        rows.push(vec![platform(entry), entry.digest.to_string(), entry.size.to_string(), kind(entry)]);
        let notes = entry.annotations.iter().map(|(key, value)| clean(&format!("  {key}={value}")));
        rows.extend(notes.map(|note| vec![note]));
    }
    text.push_str(&entries(&rows));
    text
}

/// The table of entries; notes stand below their entry and do not widen its columns.
fn entries(rows: &[Vec<String>]) -> String {
    let full: Vec<Vec<String>> = rows.iter().filter(|row| row.len() > 1).cloned().collect();
    let text = table(&full);
    let mut lines = text.lines();
    let mut all = String::new();
    for row in rows {
        let line = if row.len() > 1 { lines.next() } else { row.first().map(String::as_str) };
        all.push_str(line.unwrap_or_default());
        all.push('\n');
    }
    all
}

fn platform(entry: &Descriptor) -> String {
    entry.platform.as_ref().map_or_else(|| "-".to_owned(), |platform| clean(&platform.to_string()))
}

fn kind(entry: &Descriptor) -> String {
    match &entry.artifact_type {
        Some(artifact_type) => clean(artifact_type.as_str()),
        None if entry.is_attestation() => "attestation".to_owned(),
        None if entry.media_type.kind() == manifest_core::Kind::List => "list".to_owned(),
        None if entry.media_type.kind() == manifest_core::Kind::Image => "image".to_owned(),
        None => clean(entry.media_type.as_str()),
    }
}

fn image_report(
    context: &Context,
    origin: String,
    fetched: &Fetched,
    image: &ImageManifest,
) -> Result<(), CliError> {
    let mut text = String::new();
    let mut line =
        |name: &str, value: String| text.push_str(&format!("{:9}{}\n", format!("{name}:"), clean(&value)));
    line("From", origin.clone());
    line("Digest", fetched.digest.to_string());
    line("Type", format!("{} ({} bytes), a single image", fetched.media_type, fetched.bytes.len()));
    line("Config", format!("{} ({} bytes)", image.config.digest, image.config.size));
    for layer in &image.layers {
        line("Layer", format!("{} ({} bytes)", layer.digest, layer.size));
    }
    let report = ImageReport {
        schema: "inspect-image/1",
        origin,
        image: EntryReport::new(&manifest_publish::describe(fetched), None),
        config: EntryReport::new(&image.config, None),
        layers: image.layers.iter().map(|layer| EntryReport::new(layer, None)).collect(),
    };
    Ok(context.ui.result(&text, &report)?)
}
