//! The arguments that several verbs share.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use manifest_core::{Annotate, Annotations, OnConflict, Platform};
use manifest_publish::Attestations;

use crate::table::clean;

/// How registries are spoken to, and with which login.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Registry options")]
pub(crate) struct RegistryArgs {
    /// Login for the registry that is named on the command line; asks for what is missing
    #[arg(long, value_name = "USER[:PASSWORD]")]
    pub(crate) creds: Option<String>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// How registries are spoken to.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Registry options")]
pub(crate) struct ConnectionArgs {
    /// File with logins, instead of the usual ones
    #[arg(long, value_name = "FILE")]
    pub(crate) authfile: Option<PathBuf>,
    /// Directory with *.crt (authorities) and *.cert with *.key (own certificate)
    #[arg(long, value_name = "DIR")]
    pub(crate) cert_dir: Option<PathBuf>,
    /// Directory with the *.yaml that say where signatures are kept, instead of the usual ones
    #[arg(long = "registries.d", value_name = "DIR")]
    pub(crate) registries_d: Option<PathBuf>,
    /// Whether certificates are checked [default: true; a registry on this machine is spoken to without TLS]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) tls_verify: Option<bool>,
    /// The opposite of --tls-verify
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", conflicts_with = "tls_verify")]
    pub(crate) insecure: Option<bool>,
    /// Retries of a request after its first attempt
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) retry: u32,
    /// The longest first pause before a retry; it doubles with each
    #[arg(long, value_name = "TIME", default_value = "250ms", value_parser = duration)]
    pub(crate) retry_delay: Duration,
    /// The time that the command may spend in pauses altogether
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub(crate) retry_budget: Duration,
    /// Requests to one registry that may be under way at once
    #[arg(long, value_name = "N", default_value_t = manifest_transport::DEFAULT_JOBS, value_parser = jobs)]
    pub(crate) jobs: usize,
}

/// Which entries of an image argument are taken.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Selection")]
pub(crate) struct SelectArgs {
    /// Add every entry of an IMAGE that is itself a list
    #[arg(long, conflicts_with = "platform")]
    pub(crate) all: bool,
    /// Add the entry for this platform, as in linux/arm64; may be repeated
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub(crate) platform: Vec<Platform>,
    /// Ask the registry even where what is remembered of an IMAGE would serve
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Whether attestations come along with the images that they describe
    #[arg(long, value_name = "keep|drop", default_value = "keep", value_parser = attestations)]
    pub(crate) attestations: Attestations,
    /// Add a list as one entry instead of adding its entries
    #[arg(long, conflicts_with_all = ["all", "platform"])]
    pub(crate) nest: bool,
    /// Accept a second entry for a platform
    #[arg(long)]
    pub(crate) allow_duplicate: bool,
    /// Take only what this policy.json of containers' tools lets in: a file, or default for the one that they use; none is no
    /// policy [default: policy in config.toml, else none]
    #[arg(long, value_name = "FILE|default|none")]
    pub(crate) policy: Option<PathBuf>,
}

/// What is recorded of an entry.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Entry")]
pub(crate) struct EntryArgs {
    /// The architecture, as in arm64
    #[arg(long)]
    pub(crate) arch: Option<String>,
    /// The operating system, as in linux
    #[arg(long)]
    pub(crate) os: Option<String>,
    /// The variant of the architecture, as in v7
    #[arg(long)]
    pub(crate) variant: Option<String>,
    /// The version of the operating system
    #[arg(long, value_name = "VERSION")]
    pub(crate) os_version: Option<String>,
    /// A feature of the operating system that the image needs; may be repeated or separated by commas
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    pub(crate) os_features: Vec<String>,
    /// A feature of the processor that the image needs (Docker manifest lists only)
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    pub(crate) features: Vec<String>,
    /// An annotation; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) annotation: Vec<(String, String)>,
}

impl EntryArgs {
    /// The change to an entry that these arguments ask for.
    pub(crate) fn change(&self, on_conflict: OnConflict) -> Annotate {
        let listed = |list: &[String]| {
            (!list.is_empty()).then(|| list.iter().filter(|f| !f.is_empty()).cloned().collect())
        };
        Annotate {
            os: self.os.clone(),
            arch: self.arch.clone(),
            variant: self.variant.clone(),
            os_version: self.os_version.clone(),
            os_features: listed(&self.os_features),
            features: listed(&self.features),
            annotations: annotations(&self.annotation),
            on_conflict,
            ..Annotate::default()
        }
    }
}

pub(crate) fn annotations(pairs: &[(String, String)]) -> Annotations {
    pairs.iter().cloned().collect()
}

/// Reads `KEY=VALUE`, divided at the first `=`; the value may be empty, the key may not.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("the key is empty".to_owned()),
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err("it is written KEY=VALUE".to_owned()),
    }
}

fn attestations(text: &str) -> Result<Attestations, String> {
    match text {
        "keep" => Ok(Attestations::Keep),
        "drop" => Ok(Attestations::Drop),
        _ => Err("it is keep or drop".to_owned()),
    }
}

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs @ 1..=256) => Ok(jobs),
        _ => Err("it is a number from 1 to 256".to_owned()),
    }
}

/// The longest name of a holder, in characters.
const HOLDER: usize = 256;

/// Reads who holds a record.
pub(crate) fn holder(text: &str) -> Result<String, String> {
    match text {
        "" => Err("it is empty".to_owned()),
        _ if text.chars().count() > HOLDER => Err(format!("it has more than {HOLDER} characters")),
        _ if clean(text) != text => Err("it has characters that cannot be shown".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// Reads a time such as `30s`, `1m30s`, `250ms`, `7d`, or a number of seconds. A day has 24 hours.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let time = text
        .parse::<jiff::Span>()
        .and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()))
        .map_err(|_not_a_time| "it is written 30s, 1m30s, 250ms or 7d".to_owned())?;
    Duration::try_from(time).map_err(|_negative| "it cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, millis) in [
            ("30s", 30_000),
            ("250ms", 250),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("1w1d12h", 734_400_000),
            ("5", 5_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text).unwrap().as_millis(), millis, "{text}");
        }
        for text in ["", "soon", "-1s", "1.5.2s", "1mo", "1y"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pairs_are_divided_at_the_first_sign() {
        assert_eq!(key_value("a=b=c,d"), Ok(("a".to_owned(), "b=c,d".to_owned())));
        assert_eq!(key_value("a="), Ok(("a".to_owned(), String::new())));
        assert!(key_value("a").is_err() && key_value("=a").is_err());
    }
}
