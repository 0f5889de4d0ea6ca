//! `manifest exists`

use clap::Args;
use serde::Serialize;

use crate::context::{Context, selector};
use crate::error::CliError;

/// Say by the exit code whether a list or image is in the store: 0 yes, 1 no
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  manifest exists app:1.0 || manifest create app:1.0")]
pub(crate) struct Exists {
    /// The list or image: its name, its id, or at least 12 digits of its id
    list: String,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    exists: bool,
}

impl Exists {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let exists = context.store()?.exists(&selector(&self.list)?).await?;
        context.ui.result("", &Report { schema: "exists/1", exists })?;
        Ok(u8::from(!exists))
    }
}
