//! `manifest export`

use std::path::PathBuf;

use clap::Args;
use manifest_publish::{Content, ExportTo, Exported, Gates, IfThere, PushOptions, entries_of, export, pool};
use serde::Serialize;

use super::push::own_name;
use crate::args::RegistryArgs;
use crate::carried::{Blobs, Manifests, blobs, summary};
use crate::context::{Context, selector};
use crate::entry::shown;
use crate::error::CliError;
use crate::report::ListReport;

/// Write lists and images with everything in them into a directory or a file
///
/// Equal content gives equal bytes, whenever it is written. The manifests keep their digests, so that an import gives
/// the very same list.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest export app:1.0 --oci-archive app.tar
  manifest export app:1.0 tool:2.3 --oci-dir bundle
  manifest export app:1.0 --dir images
  manifest export app:1.0 --oci-dir bundle --append --name example.com/app:1.0")]
pub(crate) struct Export {
    /// The lists and images: names, ids, or at least 12 digits of an id
    #[arg(required = true)]
    list: Vec<String>,
    /// Make this directory an OCI image layout
    #[arg(long, value_name = "DIR", required_unless_present_any = ["oci_archive", "dir"], conflicts_with_all = ["oci_archive", "dir"])]
    oci_dir: Option<PathBuf>,
    /// Make this file an OCI archive
    #[arg(long, value_name = "FILE")]
    oci_archive: Option<PathBuf>,
    /// Make this directory hold the only list or image, flat, as dir: of other tools
    #[arg(long, value_name = "DIR", conflicts_with_all = ["oci_archive", "append", "name"])]
    dir: Option<PathBuf>,
    /// Put the lists into the layout that is there
    #[arg(long, conflicts_with_all = ["replace", "oci_archive"])]
    append: bool,
    /// Take the place of the layout or file that is there, once everything is written
    #[arg(long)]
    replace: bool,
    /// The name of a single list there [default: the name by which it is given here, in full]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    target: String,
    exported: Vec<ExportedReport>,
}

#[derive(Serialize)]
struct ExportedReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    list: ListReport,
    manifests: Manifests,
    blobs: Vec<Blobs>,
}

impl Export {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (store, to) = (context.store()?, self.to()?);
        if self.name.is_some() && self.list.len() > 1 {
            let message = "--name names one list, and there are several".to_owned();
            return Err(CliError::Misuse(message, "manifest tag gives each its name"));
        }
        if self.dir.is_some() && self.list.len() > 1 {
            let message = "a directory (dir:) holds one list, and there are several".to_owned();
            return Err(CliError::Misuse(message, "--oci-dir DIR takes several"));
        }
        let (here, mut records) = (pool(&store), Vec::new());
        for list in &self.list {
            let which = selector(list)?;
            let record = store.load(&which).await?;
            let own = own_name(&which, &record);
            records.push((self.name.clone().or(own), record));
        }
        let entries: Vec<_> = records.iter().map(|(_, record)| entries_of(record)).collect();
        let mut exported = Vec::new();
        for ((name, record), entries) in records.iter().zip(&entries) {
            let (list, sources) = (record.encoded(), record.sources());
            let content = Content { list, entries, sources, here: Some(&here) };
            let name = name.clone().filter(|_| self.dir.is_none());
            exported.push(Exported { content, name });
        }
        let transport = context.transport(&self.registry, &[])?;
        // What is written out is what is here, whatever that is.
        let gates = Gates { allow_shrink: true, allow_duplicates: true, ..Gates::default() };
        let options = PushOptions { jobs: self.registry.connection.jobs, gates, ..PushOptions::default() };
        let outcomes = export(&transport, &exported, &to, self.if_there(), &options, &context.ui).await?;

        let shown_target = shown_target(&to);
        let (mut text, mut reports) = (String::new(), Vec::new());
        for ((name, record), outcome) in records.into_iter().zip(&outcomes) {
            text.push_str(&format!("{}\n", record.encoded().digest));
            let summary = summary(outcome);
            context.ui.note(format_args!("exported {} to {shown_target}: {summary}", shown(&record)));
            let (manifests, blobs) = (Manifests::from(outcome), blobs(&outcome.blobs));
            let name = name.filter(|_| self.dir.is_none());
            reports.push(ExportedReport { name, list: ListReport::from(&record), manifests, blobs });
        }
        let report = Report { schema: "export/1", target: shown_target, exported: reports };
        context.ui.result(&text, &report)?;
        Ok(0)
    }

    fn to(&self) -> Result<ExportTo, CliError> {
        match (&self.oci_dir, &self.dir, &self.oci_archive) {
            (Some(directory), ..) => Ok(ExportTo::Directory(directory.clone())),
            (None, Some(directory), _) => Ok(ExportTo::Image(directory.clone())),
            (None, None, Some(file)) => Ok(ExportTo::Archive(file.clone())),
            (None, None, None) => {
                let message = "there is no place to export to".to_owned();
                Err(CliError::Misuse(message, "give --oci-dir DIR, --dir DIR or --oci-archive FILE"))
            }
        }
    }

    const fn if_there(&self) -> IfThere {
        match (self.append, self.replace) {
            (true, _) => IfThere::Append,
            (_, true) => IfThere::Replace,
            _ => IfThere::Refuse,
        }
    }
}

/// The target as an image argument would be written.
fn shown_target(to: &ExportTo) -> String {
    match to {
        ExportTo::Directory(directory) => format!("oci:{}", directory.display()),
        ExportTo::Image(directory) => format!("dir:{}", directory.display()),
        ExportTo::Archive(file) => format!("oci-archive:{}", file.display()),
    }
}
