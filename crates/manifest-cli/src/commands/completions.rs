//! `manifest completions`

use clap::{Args, Command};
use clap_complete::Shell;

use crate::context::Context;
use crate::error::CliError;

/// Print a script that completes command lines in a shell
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  manifest completions bash > /etc/bash_completion.d/manifest")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// `whole` is the command line that is to be completed.
    pub(crate) fn run(&self, context: &Context, mut whole: Command) -> Result<u8, CliError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut whole, "manifest", &mut script);
        context.ui.raw(&script)?;
        Ok(0)
    }
}
