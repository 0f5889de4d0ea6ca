//! `manifest fsck`

use clap::Args;
use manifest_store::{CheckReport, Finding, Repair, Severity};
use serde::Serialize;

use super::gc::TallyReport;
use crate::context::Context;
use crate::error::CliError;
use crate::table::clean;
use crate::words::counted;

/// Exit code where something is damaged.
const DAMAGED: u8 = 7;

/// Look whether everything in the store is as it was written
///
/// Exits with 7 when something is damaged. What interrupted commands left behind is shown, and is no damage. Without
/// --repair nothing is changed, so that a store on a read-only disk can be looked at, too.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest fsck
  manifest fsck --repair

What is damaged is moved to lost+found in the store and never deleted; while a list or an image is there,
gc removes no content. In a bucket nothing is moved: what is damaged there is left to the tools of the service,
but for what is remembered of references, which is removed.")]
pub(crate) struct Fsck {
    /// Put right what can be
    #[arg(long)]
    repair: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    repair: bool,
    damaged: bool,
    records: u64,
    names: u64,
    blobs: TallyReport,
    remote: u64,
    findings: Vec<FindingReport<'a>>,
}

#[derive(Serialize)]
struct FindingReport<'a> {
    object: &'a str,
    severity: &'static str,
    what: &'a str,
    lost: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<&'a str>,
    repaired: bool,
}

impl Fsck {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let repair = if self.repair { Repair::Yes } else { Repair::No };
        let checked = context.store()?.check(repair).await?;
        let damaged = checked.is_damaged();
        let (records, names) = (counted(checked.records, "record"), counted(checked.names, "name"));
        context.ui.note(format_args!("{records}, {names}, {}", counted(checked.blobs.count, "blob")));
        let report = Report {
            schema: "fsck/1",
            repair: self.repair,
            damaged,
            records: checked.records,
            names: checked.names,
            blobs: checked.blobs.into(),
            remote: checked.remote,
            findings: checked.findings.iter().map(FindingReport::from).collect(),
        };
        context.ui.result(&text(&checked), &report)?;
        Ok(if damaged { DAMAGED } else { 0 })
    }
}

impl<'a> From<&'a Finding> for FindingReport<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            object: &finding.object,
            severity: severity(finding),
            what: &finding.what,
            lost: &finding.lost,
            repair: finding.repair.as_deref(),
            repaired: finding.repaired,
        }
    }
}

fn severity(finding: &Finding) -> &'static str {
    if finding.severity == Severity::Leftover { "leftover" } else { "damage" }
}

fn text(checked: &CheckReport) -> String {
    let mut text = String::new();
    for finding in &checked.findings {
        let (object, what) = (clean(&finding.object), clean(&finding.what));
        text.push_str(&format!("{}: {object}: {what}\n", severity(finding)));
        text.push_str(&format!("  lost: {}\n", clean(&finding.lost)));
        if let Some(repair) = &finding.repair {
            let done = if finding.repaired { "done" } else { "possible" };
            text.push_str(&format!("  repair ({done}): {repair}\n"));
        }
    }
    if text.is_empty() { "clean\n".to_owned() } else { text }
}
