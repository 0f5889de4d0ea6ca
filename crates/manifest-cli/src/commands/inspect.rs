//! `manifest inspect`

mod attestations;
mod image;
mod text;

use std::path::PathBuf;

use clap::Args;
use manifest_core::{Descriptor, Document, Encoded, Format, ImageManifest, List, Platform};
use manifest_publish::Subject;
use manifest_store::{Content, Record, Store};
use manifest_transport::Location;
use serde::Serialize;

use self::attestations::AttestationReport;
use crate::args::RegistryArgs;
use crate::context::Context;
use crate::error::{CliError, Failures};
use crate::holders::{HolderReport, holders};
use crate::named::{Named, load};
use crate::report::{DocumentReport, EntryReport, ListReport, SourceReport, sources};

/// Show a list or image of the store, or elsewhere
///
/// A name without a transport is looked for in the store only.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest inspect app:1.0
  manifest inspect docker://registry.example.com/app:1.0
  manifest inspect --raw app:1.0 | sha256sum
  manifest inspect --holders --sources app:1.0
  manifest inspect --attestations docker://registry.example.com/app:1.0
  manifest inspect --config --platform linux/arm64 app:1.0 | jq .config.Env")]
pub(crate) struct Inspect {
    /// The list or image: a name or id in the store, or docker://…, oci:…, dir:…, oci-archive:… or docker-archive:…
    list: String,
    /// Print the document itself, to the byte
    #[arg(long)]
    raw: bool,
    /// Show the list as it would be in this format, oci or v2s2
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<Format>,
    /// Show who holds it: by name, or as a list that has entries of it
    #[arg(long, conflicts_with = "raw")]
    holders: bool,
    /// Show where each entry came from: what was typed, where it is read, and the digest it is pinned to
    #[arg(long, conflicts_with = "raw")]
    sources: bool,
    /// Show the attestations of it and of each image in it, where they are read and where it was pushed last: what they are of, of
    /// which kind, and who is said to have signed them. None of that is verified without --key
    #[arg(long, conflicts_with_all = ["raw", "format"])]
    attestations: bool,
    /// With --attestations: show which of them this public key has signed (PEM); may be repeated
    #[arg(long, value_name = "FILE", requires = "attestations")]
    key: Vec<PathBuf>,
    /// Print the configuration of an image, to the byte
    #[arg(long, conflicts_with_all = ["raw", "format", "holders", "sources", "layers", "attestations"])]
    config: bool,
    /// Show the layers of an image, each with its digest and with that of what it is when unpacked
    #[arg(long, conflicts_with_all = ["raw", "format", "holders", "sources", "attestations"])]
    layers: bool,
    /// With --config or --layers: the image for this platform, as in linux/arm64
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
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
    #[serde(flatten)]
    beside: Beside,
}

#[derive(Serialize)]
struct ImageReport {
    schema: &'static str,
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<ListReport>,
    image: EntryReport,
    config: EntryReport,
    layers: Vec<EntryReport>,
    #[serde(flatten)]
    beside: Beside,
}

/// What was asked for of a record besides its document.
#[derive(Default, Serialize)]
struct Beside {
    #[serde(skip_serializing_if = "Option::is_none")]
    holders: Option<Vec<HolderReport>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Vec<SourceReport>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attestations: Option<Vec<AttestationReport>>,
}

impl Inspect {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let mut failures = Failures::default();
        let named = Named::parse(&self.list)?;
        if self.config || self.layers {
            let whole = self.whole(context, &named).await?;
            let print = if self.config { whole.print_config(context) } else { whole.print_layers(context) };
            return print.map(|()| 0);
        }
        if self.platform.is_some() {
            let message = "--platform goes with --config or --layers".to_owned();
            return Err(CliError::Misuse(message, "without it all entries are shown"));
        }
        match &named {
            Named::Here(name) => self.local(context, name, &mut failures).await?,
            Named::Elsewhere(_) if self.holders || self.sources => {
                let message = format!("{} is not in the store", self.list);
                let hint = "--holders and --sources are for what is in the store";
                return Err(CliError::Misuse(message, hint));
            }
            Named::Elsewhere(location) => self.remote(context, location).await?,
        }
        Ok(failures.code())
    }

    async fn local(&self, context: &Context, name: &str, failures: &mut Failures) -> Result<(), CliError> {
        let store = context.store()?;
        let record = load(&store, name).await?;
        let encoded = match record.content() {
            Content::List(list) => self.converted(list, record.encoded().clone())?,
            Content::Image(_) if self.format.is_some() => return Err(image_format(&record.title())),
            Content::Image(_) => record.encoded().clone(),
        };
        if self.raw {
            return Ok(context.ui.raw(&encoded.bytes)?);
        }
        // It is shown all the same; the exit code tells of this.
        for lost in store.lost(&record).await? {
            failures.add(context, lost);
        }
        let beside = self.beside(context, &store, &record).await?;
        let (origin, head) = (format!("store:{name}"), text::record(&record));
        match record.content() {
            Content::List(list) => {
                let text = beside.text().unwrap_or_else(|| text::list(head, &encoded, list));
                let place = |entry: &Descriptor| {
                    record.sources().place_of(&entry.digest).map(|source| source.place.clone())
                };
                let document = DocumentReport::new(&encoded, list, place);
                let list = Some(ListReport::from(&record));
                let report = Report { schema: "inspect/1", origin, list, document, beside };
                Ok(context.ui.result(&text, &report)?)
            }
            Content::Image(image) => {
                let mut descriptor =
                    Descriptor::new(encoded.media_type, encoded.digest, encoded.bytes.len() as u64);
                descriptor.artifact_type.clone_from(&image.artifact_type);
                let text = beside.text().unwrap_or_else(|| text::image(head, &descriptor, image));
                let record = Some(ListReport::from(&record));
                let report = ImageReport { record, beside, ..ImageReport::new(origin, &descriptor, image) };
                Ok(context.ui.result(&text, &report)?)
            }
        }
    }

    async fn beside(&self, context: &Context, store: &Store, record: &Record) -> Result<Beside, CliError> {
        let holders = if self.holders { Some(holders(store, record).await?) } else { None };
        let attestations = match self.attestations {
            true => Some(self.attestations_of_record(context, store, record).await?),
            false => None,
        };
        Ok(Beside { holders, sources: self.sources.then(|| sources(record)), attestations })
    }

    async fn remote(&self, context: &Context, location: &Location) -> Result<(), CliError> {
        let transport = context.transport(&self.registry, &[location])?;
        let Some((place, which)) = transport.open(location) else { return Ok(()) };
        let subject = Subject::open(place, &which).await?;
        let fetched = subject.fetched();
        let attestations = match self.attestations {
            true => Some(self.attestations_at(&subject, &[]).await?),
            false => None,
        };
        let beside = Beside { attestations, ..Beside::default() };
        let origin = location.to_string();
        let head = vec![("From", origin.clone())];
        match &fetched.document {
            Document::List(list, format) => {
                let encoded = self.converted(list, list.encode(*format)?)?;
                if self.raw {
                    return Ok(context.ui.raw(&encoded.bytes)?);
                }
                let document = DocumentReport::new(&encoded, list, |_| None);
                let text = beside.text().unwrap_or_else(|| text::list(head, &encoded, list));
                let report = Report { schema: "inspect/1", origin, list: None, document, beside };
                Ok(context.ui.result(&text, &report)?)
            }
            Document::Image(_) if self.raw => Ok(context.ui.raw(&fetched.bytes)?),
            Document::Image(image) => {
                let descriptor = manifest_publish::describe(fetched);
                let text = beside.text().unwrap_or_else(|| text::image(head, &descriptor, image));
                let report = ImageReport { beside, ..ImageReport::new(origin, &descriptor, image) };
                Ok(context.ui.result(&text, &report)?)
            }
        }
    }

    fn converted(&self, list: &List, encoded: Encoded) -> Result<Encoded, CliError> {
        match self.format {
            Some(format) if format != encoded.format => Ok(list.encode(format)?),
            _ => Ok(encoded),
        }
    }
}

impl Beside {
    /// The tables that were asked for, in place of the usual text.
    fn text(&self) -> Option<String> {
        let parts = [
            self.holders.as_deref().map(text::holders),
            self.sources.as_deref().map(text::sources),
            self.attestations.as_deref().map(attestations::text),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("\n"))
    }
}

impl ImageReport {
    fn new(origin: String, descriptor: &Descriptor, image: &ImageManifest) -> Self {
        Self {
            schema: "inspect-image/1",
            origin,
            record: None,
            image: EntryReport::new(descriptor, None),
            config: EntryReport::new(&image.config, None),
            layers: image.layers.iter().map(|layer| EntryReport::new(layer, None)).collect(),
            beside: Beside::default(),
        }
    }
}

fn image_format(title: &str) -> CliError {
    let message = format!("{title} is an image, which is kept in the format it has");
    CliError::Misuse(message, "--format is for lists")
}
