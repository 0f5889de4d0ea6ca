//! What must hold before a push changes anything.

use clap::{Args, ValueEnum};
use manifest_core::Platform;
use manifest_publish::check::DeepLimits;
use manifest_publish::{CheckConfig, Conflict, Expectations, Expected, Gates, TruthOptions};

use super::target::Named;
use crate::error::CliError;

/// What must hold before a push changes anything.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Gates")]
pub(crate) struct GateArgs {
    /// Platforms that must be in the list, as in linux/amd64,linux/arm64
    #[arg(long, value_name = "PLATFORM,…", value_delimiter = ',')]
    require: Vec<Platform>,
    /// The only platforms that may be in the list
    #[arg(long, value_name = "PLATFORM,…", value_delimiter = ',')]
    allow: Vec<Platform>,
    /// What the tags must mean now: a digest, absent or any; of one tag with TAG= before it. One that means the list already
    /// is left as it is
    #[arg(long, value_name = "[TAG=]DIGEST|absent|any", value_parser = expected)]
    expect_current: Vec<(Option<String>, Expected)>,
    /// What to do when a tag means something else than expected, or than when the push began, or has platforms that the list
    /// has not: fail, or merge what the tag has for other platforms into what is pushed; the list in the store stays as it is
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    on_conflict: OnConflict,
    /// Let a tag lose platforms that it has now
    #[arg(long)]
    allow_shrink: bool,
    /// Push a list that has several entries for one platform
    #[arg(long)]
    allow_duplicate: bool,
    /// Compare what the list says that its images are for with their configurations: known, those that are at hand without
    /// a request; all, the others are read; or none
    #[arg(long, value_name = "known|all|none", default_value = "known", value_parser = configs)]
    check_config: CheckConfig,
    /// Look into layers whether programs are built for the platform of their image, as manifest check --deep does
    #[arg(long)]
    check_executables: bool,
}

fn configs(text: &str) -> Result<CheckConfig, String> {
    match text {
        "none" => Ok(CheckConfig::None),
        "known" => Ok(CheckConfig::Known),
        "all" => Ok(CheckConfig::All),
        _ => Err("it is known, all or none".to_owned()),
    }
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum OnConflict {
    #[default]
    Fail,
    Merge,
}

fn expected(text: &str) -> Result<(Option<String>, Expected), String> {
    let (tag, value) = match text.split_once('=') {
        Some((tag, value)) => (Some(tag.to_owned()), value),
        None => (None, text),
    };
    let value = value.parse().map_err(|error| format!("it is a digest, absent or any: {error}"))?;
    Ok((tag, value))
}

impl GateArgs {
    pub(super) fn gates(&self) -> Gates {
        Gates {
            require: self.require.clone(),
            allow: self.allow.clone(),
            allow_shrink: self.allow_shrink,
            allow_duplicates: self.allow_duplicate,
        }
    }

    /// How far the list is compared with its entries.
    pub(super) fn truth(&self) -> TruthOptions {
        let programs = self.check_executables.then(DeepLimits::default);
        TruthOptions { configs: self.check_config, programs }
    }

    /// The gates for the list before anything is taken over from a tag; what is missing may come from there.
    pub(super) fn of_ours(&self) -> Gates {
        match self.on_conflict {
            OnConflict::Fail => self.gates(),
            OnConflict::Merge => Gates { require: Vec::new(), ..self.gates() },
        }
    }

    pub(super) const fn conflict(&self) -> Conflict {
        match self.on_conflict {
            OnConflict::Fail => Conflict::Fail,
            OnConflict::Merge => Conflict::Merge,
        }
    }

    /// What the tags must mean; a tag that no target has is a mistake.
    pub(super) fn expectations(&self, targets: &[Named]) -> Result<Expectations, CliError> {
        let mut expectations = Expectations::default();
        for (tag, expected) in &self.expect_current {
            let Some(tag) = tag else {
                expectations.all = *expected;
                continue;
            };
            if !targets.iter().any(|target| target.tags.contains(tag)) {
                let message = format!("--expect-current speaks of the tag {tag}, which no target has");
                return Err(CliError::Misuse(message, "it is written --expect-current TAG=DIGEST"));
            }
            expectations.of.insert(tag.clone(), *expected);
        }
        Ok(expectations)
    }
}
