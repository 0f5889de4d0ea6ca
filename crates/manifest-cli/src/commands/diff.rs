//! `manifest diff`

use clap::Args;
use manifest_core::Descriptor;
use manifest_publish::diff::{Change, Changed, Depth, Difference, Layers, diff};
use serde::Serialize;
use serde_json::Value;

use crate::args::RegistryArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::named::Named;
use crate::report::EntryReport;
use crate::table::clean;
use crate::words::{counted, size};

/// The longest value that is shown whole, in characters.
const SHOWN: usize = 60;

/// Show how two lists or images differ, platform by platform: 0 they are the same, 1 they differ
///
/// Each is a list or an image of the store, or one elsewhere. Entries are paired by platform; of those that differ the
/// manifests, configurations and layers are compared.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest diff app:1.0 docker://registry.example.com/app:1.0
  manifest diff --brief docker://registry.example.com/app:1.0 docker://registry.example.com/app:1.1
  manifest diff --output json app:1.0 app:1.1 | jq '.changed[].layers'

A line begins with - for what only the first has, + for what only the second has, ~ for what differs, and = for
layers that both have. Members are named by JSON pointers.")]
pub(crate) struct Diff {
    /// The first: a name or id in the store, or docker://…, oci:…, dir:…, oci-archive:… or docker-archive:…
    #[arg(value_name = "A")]
    a: String,
    /// The second
    #[arg(value_name = "B")]
    b: String,
    /// Compare the lists only, and read none of their entries
    #[arg(long)]
    brief: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    schema: &'static str,
    same: bool,
    a: SideReport,
    b: SideReport,
    list: Vec<ChangeReport>,
    only_a: Vec<NamedReport>,
    only_b: Vec<NamedReport>,
    changed: Vec<ChangedReport>,
    equal: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SideReport {
    origin: String,
    digest: String,
    media_type: String,
    size: u64,
}

#[derive(Serialize)]
struct NamedReport {
    name: String,
    #[serde(flatten)]
    entry: EntryReport,
}

#[derive(Serialize)]
struct ChangeReport {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<Value>,
}

#[derive(Serialize)]
struct ChangedReport {
    name: String,
    a: String,
    b: String,
    entry: Vec<ChangeReport>,
    manifest: Vec<ChangeReport>,
    config: Vec<ChangeReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<LayersReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayersReport {
    removed: Vec<EntryReport>,
    added: Vec<EntryReport>,
    same: usize,
    same_bytes: u64,
    reordered: bool,
}

impl Diff {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (a, b) = (Named::parse(&self.a)?, Named::parse(&self.b)?);
        let places: Vec<_> = a.location().into_iter().chain(b.location()).collect();
        let transport = context.transport(&self.registry, &places)?;
        let (one, other) = tokio::try_join!(a.open(context, &transport), b.open(context, &transport))?;
        let depth = if self.brief { Depth::Brief } else { Depth::Whole };
        let difference = diff(&one, &other, depth, self.registry.connection.jobs).await?;
        let (text, same) = (text(&difference), difference.is_none());
        context.ui.result(&text, &report(difference, &a, &b))?;
        Ok(u8::from(!same))
    }
}

fn report(difference: Difference, a: &Named, b: &Named) -> Report {
    let side = |named: &Named, document: &Descriptor| SideReport {
        origin: named.origin(),
        digest: document.digest.to_string(),
        media_type: document.media_type.to_string(),
        size: document.size,
    };
    let named = |all: Vec<(String, Descriptor)>| {
        all.into_iter()
            .map(|(name, entry)| NamedReport { name, entry: EntryReport::new(&entry, None) })
            .collect()
    };
    Report {
        schema: "diff/1",
        same: difference.is_none(),
        a: side(a, &difference.a),
        b: side(b, &difference.b),
        list: changes(difference.list),
        only_a: named(difference.only_a),
        only_b: named(difference.only_b),
        changed: difference.changed.into_iter().map(ChangedReport::from).collect(),
        equal: difference.same,
    }
}

fn changes(changes: Vec<Change>) -> Vec<ChangeReport> {
    let one = |change: Change| ChangeReport { path: change.path, old: change.old, new: change.new };
    changes.into_iter().map(one).collect()
}

impl From<Changed> for ChangedReport {
    fn from(changed: Changed) -> Self {
        Self {
            name: changed.name,
            a: changed.a.digest.to_string(),
            b: changed.b.digest.to_string(),
            entry: changes(changed.entry),
            manifest: changes(changed.manifest),
            config: changes(changed.config),
            layers: changed.layers.map(LayersReport::from),
        }
    }
}

impl From<Layers> for LayersReport {
    fn from(layers: Layers) -> Self {
        let entries = |all: &[Descriptor]| all.iter().map(|layer| EntryReport::new(layer, None)).collect();
        Self {
            removed: entries(&layers.removed),
            added: entries(&layers.added),
            same: layers.same,
            same_bytes: layers.same_bytes,
            reordered: layers.reordered,
        }
    }
}

/// The difference for people; nothing when there is none.
fn text(difference: &Difference) -> String {
    let mut lines: Vec<String> = difference.list.iter().map(|one| change("", one)).collect();
    lines.extend(difference.only_a.iter().map(|(name, entry)| format!("- {name} {}", entry.digest)));
    lines.extend(difference.only_b.iter().map(|(name, entry)| format!("+ {name} {}", entry.digest)));
    difference.changed.iter().for_each(|one| changed(one, &mut lines));
    if lines.is_empty() && !difference.is_none() {
        // They say the same, and are written in other words.
        lines.push(format!("~ {} -> {}", difference.a.digest, difference.b.digest));
    }
    lines.iter().map(|line| clean(line) + "\n").collect()
}

fn changed(one: &Changed, lines: &mut Vec<String>) {
    let name = &one.name;
    if one.a.digest != one.b.digest {
        lines.push(format!("~ {name} {} -> {}", one.a.digest, one.b.digest));
    }
    for (part, changes) in [("entry", &one.entry), ("manifest", &one.manifest), ("config", &one.config)] {
        lines.extend(changes.iter().map(|one| change(&format!("{name} {part} "), one)));
    }
    let Some(layers) = &one.layers else { return };
    let line =
        |sign: char, layer: &Descriptor| format!("{sign} {name} layer {} {}", layer.digest, size(layer.size));
    lines.extend(layers.removed.iter().map(|layer| line('-', layer)));
    lines.extend(layers.added.iter().map(|layer| line('+', layer)));
    let same = counted(layers.same, "layer");
    if layers.reordered {
        lines.push(format!("~ {name} {same} in another order"));
    } else if layers.same > 0 && !(layers.removed.is_empty() && layers.added.is_empty()) {
        lines.push(format!("= {name} {same}, {}", size(layers.same_bytes)));
    }
}

fn change(of: &str, Change { path, old, new, .. }: &Change) -> String {
    match (old, new) {
        (Some(old), Some(new)) => format!("~ {of}{path}: {} -> {}", shown(old), shown(new)),
        (Some(old), None) => format!("- {of}{path}: {}", shown(old)),
        (None, new) => format!("+ {of}{path}: {}", new.as_ref().map(shown).unwrap_or_default()),
    }
}

/// A value as JSON, cut where it is long.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match (value, text.char_indices().nth(SHOWN)) {
        (_, None) => text,
        (Value::Array(items), Some(_)) => counted(items.len(), "item"),
        (_, Some((end, _))) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
