//! `manifest check`

use clap::Args;
use manifest_core::Digest;
use manifest_publish::check::{CheckOptions, Checked, DeepLimits, Finding, Severity, Unchecked, check};
use serde::Serialize;

use crate::args::RegistryArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::named::Named;
use crate::table::clean;
use crate::words::{counted, short, size};

/// Look whether a list or image tells the truth, and everything in it is there
///
/// What the list says is compared with the manifests, these with their configurations, and every blob must be where it
/// should be: a registry is asked for each, what lies in files is read. Exits with 1 when there is a fault; notes are no
/// faults. What could not be looked at is shown as unchecked. A name without a transport is looked for in the store only.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest check app:1.0
  manifest check docker://registry.example.com/app:1.0
  manifest check --deep app:1.0 && manifest push app:1.0 docker://registry.example.com/app:1.0

With --deep the layers are read from the uppermost down, until enough programs were seen: executable files that
are ELF, PE or Mach-O. Of a layer at most 512 MiB are read, and it may unpack to 200 times its size.")]
pub(crate) struct Check {
    /// The list or image: a name or id in the store, or docker://…, oci:…, dir:…, oci-archive:… or docker-archive:…
    list: String,
    /// Look whether programs in the layers are built for the platform of their image, too
    #[arg(long)]
    deep: bool,
    /// With --deep: programs of each image that are enough
    #[arg(long, value_name = "N", default_value_t = DeepLimits::default().programs, value_parser = programs, requires = "deep")]
    programs: usize,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    schema: &'static str,
    origin: String,
    digest: String,
    media_type: String,
    ok: bool,
    deep: bool,
    checked: CountsReport,
    findings: Vec<FindingReport<'a>>,
    unchecked: Vec<UncheckedReport<'a>>,
}

#[derive(Serialize)]
struct CountsReport {
    lists: usize,
    images: usize,
    configs: usize,
    blobs: usize,
    bytes: u64,
    programs: usize,
}

#[derive(Serialize)]
struct FindingReport<'a> {
    severity: &'static str,
    about: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'a str>,
    what: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    files: &'a [String],
}

#[derive(Serialize)]
pub(crate) struct UncheckedReport<'a> {
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'a str>,
    why: &'a str,
}

impl Check {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let named = Named::parse(&self.list)?;
        let places: Vec<_> = named.location().into_iter().collect();
        let transport = context.transport(&self.registry, &places)?;
        let subject = named.open(context, &transport).await?;
        let deep = self.deep.then(|| DeepLimits { programs: self.programs, ..DeepLimits::default() });
        let checked = check(&subject, &CheckOptions { deep, jobs: self.registry.connection.jobs }).await?;
        context.ui.note(format_args!("{}", summary(&checked)));
        let faults = checked.has_faults();
        context.ui.result(&text(&checked), &self.report(&named, &checked))?;
        Ok(u8::from(faults))
    }

    fn report<'a>(&self, named: &Named, checked: &'a Checked) -> Report<'a> {
        let counts = checked.counts;
        Report {
            schema: "check/1",
            origin: named.origin(),
            digest: checked.digest.to_string(),
            media_type: checked.media_type.to_string(),
            ok: !checked.has_faults(),
            deep: self.deep,
            checked: CountsReport {
                lists: counts.lists,
                images: counts.images,
                configs: counts.configs,
                blobs: counts.blobs,
                bytes: counts.bytes,
                programs: counts.programs,
            },
            findings: checked.findings.iter().map(FindingReport::from).collect(),
            unchecked: checked.unchecked.iter().map(UncheckedReport::from).collect(),
        }
    }
}

impl<'a> From<&'a Finding> for FindingReport<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            severity: severity(finding),
            about: finding.about.as_str(),
            entry: finding.entry.map(|digest| digest.to_string()),
            platform: finding.platform.as_deref(),
            what: &finding.what,
            files: &finding.files,
        }
    }
}

impl<'a> From<&'a Unchecked> for UncheckedReport<'a> {
    fn from(unchecked: &'a Unchecked) -> Self {
        let platform = unchecked.platform.as_deref();
        Self { digest: unchecked.digest.to_string(), platform, why: &unchecked.why }
    }
}

fn severity(finding: &Finding) -> &'static str {
    if finding.severity == Severity::Fault { "fault" } else { "note" }
}

fn summary(checked: &Checked) -> String {
    let counts = checked.counts;
    let mut parts = Vec::new();
    for (count, noun) in [(counts.lists, "list"), (counts.images, "image"), (counts.programs, "program")] {
        parts.extend((count > 0).then(|| counted(count, noun)));
    }
    parts.push(format!("{} ({})", counted(counts.blobs, "blob"), size(counts.bytes)));
    format!("checked {}", parts.join(", "))
}

fn text(checked: &Checked) -> String {
    let mut text = String::new();
    for finding in &checked.findings {
        let of = finding.entry.map(|entry| which(&entry, finding.platform.as_deref())).unwrap_or_default();
        text.push_str(&clean(&format!("{}: {of}{}", severity(finding), finding.what)));
        text.push('\n');
    }
    for unchecked in &checked.unchecked {
        let of = unchecked.platform.as_deref().map(|platform| format!("{platform}: ")).unwrap_or_default();
        text.push_str(&clean(&format!("unchecked: {of}{} {}", unchecked.digest, unchecked.why)));
        text.push('\n');
    }
    if text.is_empty() { "clean\n".to_owned() } else { text }
}

/// Which entry something is about.
fn which(entry: &Digest, platform: Option<&str>) -> String {
    match platform {
        Some(platform) => format!("{platform} ({}): ", short(entry)),
        None => format!("{}: ", short(entry)),
    }
}

fn programs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(programs @ 1..=10_000) => Ok(programs),
        _ => Err("it is a number from 1 to 10000".to_owned()),
    }
}
