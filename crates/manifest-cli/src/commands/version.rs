//! `manifest version`

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;

/// Print the version
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  manifest version --output json")]
pub(crate) struct Version {}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    version: &'static str,
}

impl Version {
    #[allow(clippy::unused_self, reason = "verbs are all called alike")]
    pub(crate) fn run(&self, context: &Context) -> Result<u8, CliError> {
        let version = env!("CARGO_PKG_VERSION");
        context.ui.result(&format!("manifest {version}\n"), &Report { schema: "version/1", version })?;
        Ok(0)
    }
}
