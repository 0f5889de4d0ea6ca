//! `manifest annotate`

use clap::Args;
use manifest_core::{Annotate, AnnotateList, OnConflict};
use manifest_store::Draft;
use serde::Serialize;

use crate::args::{EntryArgs, RegistryArgs, annotations};
use crate::commands::create::subject;
use crate::context::{Context, selector};
use crate::entry::EntryName;
use crate::error::CliError;
use crate::report::ListReport;

/// Change what a list says of an entry, or of itself (--index)
///
/// An empty value clears a field. --arch without --variant clears the variant.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest annotate app:1.0 sha256:0e9a3f… --annotation org.example.board=rpi5
  manifest annotate app:1.0 --platform linux/arm --variant v7
  manifest annotate --index app:1.0 --annotation org.opencontainers.image.version=1.0
  manifest annotate --index app:1.0 --subject registry.example.com/app:0.9")]
pub(crate) struct AnnotateEntry {
    /// The list: its name, its id, or at least 12 digits of its id
    list: String,
    #[command(flatten)]
    name: EntryName,
    /// Change the list as a whole
    #[arg(long, conflicts_with_all = ["entry", "platform", "arch", "os", "variant", "os_version", "os_features", "features"])]
    index: bool,
    /// The image that the list is about (means --index)
    #[arg(long, value_name = "REF", conflicts_with_all = ["entry", "platform", "arch", "os", "variant", "os_version", "os_features", "features"])]
    subject: Option<String>,
    /// The artifact type; an empty text clears it
    #[arg(long, value_name = "TYPE")]
    artifact_type: Option<String>,
    /// Remove an annotation; may be repeated
    #[arg(long, value_name = "KEY")]
    remove_annotation: Vec<String>,
    /// Accept a second entry for a platform
    #[arg(long)]
    allow_duplicate: bool,
    #[command(flatten)]
    change: EntryArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    list: ListReport,
    /// The digest of the entry that was changed; none when it was the list itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
}

impl AnnotateEntry {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let report = if self.index || self.subject.is_some() {
            self.list(context).await?
        } else {
            self.entry(context).await?
        };
        let digest = report.entry.as_ref().unwrap_or(&report.list.digest);
        context.ui.result(&format!("{digest}\n"), &report)?;
        Ok(0)
    }

    async fn list(&self, context: &Context) -> Result<Report, CliError> {
        let (store, which) = (context.store()?, selector(&self.list)?);
        let subject = match &self.subject {
            Some(text) => Some(subject(context, &self.registry, text).await?),
            None => None,
        };
        let change = AnnotateList {
            artifact_type: self.artifact_type.clone(),
            subject,
            annotations: annotations(&self.change.annotation),
            remove_annotations: self.remove_annotation.clone(),
        };
        let edit = |draft: &mut Draft| {
            draft.list.annotate_list(&change);
            Ok::<_, CliError>(())
        };
        let updated = store.update(&which, edit).await;
        let updated = updated.map_err(|error| CliError::from(error).advise_format(&self.list))?;
        Ok(Report { schema: "annotate/1", list: ListReport::from(&updated.record), entry: None })
    }

    async fn entry(&self, context: &Context) -> Result<Report, CliError> {
        let (store, which) = (context.store()?, selector(&self.list)?);
        let meant = self.name.meant(context, &self.registry).await?;
        let on_conflict = if self.allow_duplicate { OnConflict::Allow } else { OnConflict::Refuse };
        let change = Annotate {
            artifact_type: self.artifact_type.clone(),
            remove_annotations: self.remove_annotation.clone(),
            ..self.change.change(on_conflict)
        };
        let edit = |draft: &mut Draft| {
            let digest = meant.find(which.as_str(), &draft.list)?;
            draft.list.annotate(&digest, &change)?;
            Ok::<_, CliError>(digest)
        };
        let updated = store.update(&which, edit).await.map_err(|error| {
            let keeps_both = "--allow-duplicate keeps both; manifest remove takes the other away";
            CliError::from(error).advise_format(&self.list).advise("platform_taken", keeps_both)
        })?;
        let entry = Some(updated.value.to_string());
        Ok(Report { schema: "annotate/1", list: ListReport::from(&updated.record), entry })
    }
}
