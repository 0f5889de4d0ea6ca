//! What people see of a list or an image.

use manifest_core::{Descriptor, Encoded, ImageManifest, Kind, List};
use manifest_store::Record;

use crate::holders::HolderReport;
use crate::report::SourceReport;
use crate::table::{clean, table};

/// Lines of the head: a word and what it says.
pub(super) type Head = Vec<(&'static str, String)>;

/// The first lines for a record.
pub(super) fn record(record: &Record) -> Head {
    let names: Vec<String> = record.names().iter().map(ToString::to_string).collect();
    let names = if names.is_empty() { "<none>".to_owned() } else { names.join(", ") };
    vec![("Name", names), ("Id", record.id().to_string())]
}

/// A list: its head and its entries.
pub(super) fn list(mut head: Head, encoded: &Encoded, list: &List) -> String {
    head.push(("Digest", encoded.digest.to_string()));
    head.push(("Type", format!("{} ({} bytes)", encoded.media_type, encoded.bytes.len())));
    if let Some(artifact_type) = list.artifact_type() {
        head.push(("Artifact", artifact_type.to_string()));
    }
    if let Some(subject) = list.subject() {
        head.push(("Subject", format!("{} {}", subject.digest, subject.media_type)));
    }
    head.extend(list.annotations().iter().map(|(key, value)| ("Note", format!("{key}={value}"))));
    let mut rows = vec![["PLATFORM", "DIGEST", "SIZE", "KIND"].map(str::to_owned).to_vec()];
    for entry in list.entries() {
        rows.push(vec![platform(entry), entry.digest.to_string(), entry.size.to_string(), kind(entry)]);
        let notes = entry.annotations.iter().map(|(key, value)| clean(&format!("  {key}={value}")));
        rows.extend(notes.map(|note| vec![note]));
    }
    format!("{}\n{}", lines(&head), entries(&rows))
}

/// A single image: its head with its configuration and layers.
pub(super) fn image(mut head: Head, descriptor: &Descriptor, image: &ImageManifest) -> String {
    head.push(("Digest", descriptor.digest.to_string()));
    let (media_type, size) = (&descriptor.media_type, descriptor.size);
    head.push(("Type", format!("{media_type} ({size} bytes), a single image")));
    head.push(("Config", format!("{} ({} bytes)", image.config.digest, image.config.size)));
    let layers = image.layers.iter();
    head.extend(layers.map(|layer| ("Layer", format!("{} ({} bytes)", layer.digest, layer.size))));
    lines(&head)
}

/// Who holds a record.
pub(super) fn holders(holders: &[HolderReport]) -> String {
    let mut rows = vec![["HOLDER", "SINCE", "UNTIL"].map(str::to_owned).to_vec()];
    for holder in holders {
        let until = match (&holder.until, holder.expired) {
            (Some(until), true) => format!("{until} (expired)"),
            (Some(until), false) => until.clone(),
            (None, _) => "-".to_owned(),
        };
        rows.push(vec![clean(&holder.title()), holder.since.clone(), until]);
    }
    table(&rows)
}

/// Where the entries came from.
pub(super) fn sources(sources: &[SourceReport]) -> String {
    let mut rows = vec![["ENTRY", "FROM", "PLACE", "PINNED", "RESOLVED"].map(str::to_owned).to_vec()];
    for source in sources {
        let texts = [&source.entry, &source.from, &source.place, &source.digest, &source.resolved];
        rows.push(texts.map(|text| clean(text)).to_vec());
    }
    table(&rows)
}

fn lines(head: &Head) -> String {
    head.iter().map(|(name, value)| format!("{:9}{}\n", format!("{name}:"), clean(value))).collect()
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
        None if entry.media_type.kind() == Kind::List => "list".to_owned(),
        None if entry.media_type.kind() == Kind::Image => "image".to_owned(),
        None => clean(entry.media_type.as_str()),
    }
}
