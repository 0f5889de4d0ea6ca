//! `manifest completions`

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Cli;
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
    pub(crate) fn run(&self, context: &Context) -> Result<u8, CliError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "manifest", &mut script);
        context.ui.raw(&script)?;
        Ok(0)
    }
}
