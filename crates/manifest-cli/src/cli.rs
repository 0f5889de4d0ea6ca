//! The command line as a whole: its verbs, and the arguments that all of them take.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::args::duration;
use crate::commands;
use crate::ui::{Output, ProgressForm};

/// Authors multi-platform image lists: creates, edits and pushes OCI image indexes and Docker manifest lists.
///
/// A list is a named draft in the store until it is pushed. Every edit is saved before the command ends, and any
/// number of commands may edit one list at once.
#[derive(Debug, Parser)]
#[command(name = "manifest", version, disable_help_flag = true, max_term_width = 110, after_help = EXAMPLE)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLE: &str = "\
Example:
  manifest create app:1.0 registry.example.com/app:1.0-amd64 registry.example.com/app:1.0-arm64
  manifest annotate --index app:1.0 --annotation org.opencontainers.image.version=1.0
  manifest inspect app:1.0
  manifest push app:1.0 docker://registry.example.com/app:1.0

Images:
  docker://HOST/REPOSITORY[:TAG][@DIGEST]   in a registry; docker:// may be left out
  oci:DIRECTORY[:NAME]                      in an OCI image layout
  dir:DIRECTORY[@DIGEST]                    in a flat directory, as podman, buildah and skopeo write it
  oci-archive:FILE[:NAME]                   in an OCI archive; docker-archive: in what docker save writes
  store:LIST                                in the store: an image, or the images of another list

Exit codes:
  0 done               5 registry or network      11 done, but may not outlive a power failure
  1 the answer is no   6 not authorised           12 this machine refused (disk, permission)
  2 misuse             7 content is not right     70 a bug
  3 not found          8 refused by a gate        130, 143 interrupted
  4 conflict           9 busy: a lock was held
  10 not signed as it must be";

/// Arguments of every verb.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The store: a directory, or s3://, gs:// or az:// with bucket and prefix for one that machines share
    /// [default: $MANIFEST_STORE, else $XDG_DATA_HOME/manifest]
    #[arg(
        long,
        global = true,
        value_name = "STORE",
        value_hint = clap::ValueHint::AnyPath,
        help_heading = "Global options"
    )]
    pub(crate) store: Option<OsString>,
    /// How long to wait for a list that another process is editing
    #[arg(long, global = true, value_name = "TIME", default_value = "30s", value_parser = duration, help_heading = "Global options")]
    pub(crate) lock_timeout: Duration,
    /// How to print the result; with json an error is an object, too
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORM",
        help_heading = "Global options"
    )]
    pub(crate) output: Output,
    /// Print results and errors only
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// Show every request (secrets are left out)
    #[arg(long, short, global = true, conflicts_with = "quiet", help_heading = "Global options")]
    pub(crate) verbose: bool,
    /// Print help
    #[arg(long, short, global = true, action = clap::ArgAction::HelpShort, help_heading = "Global options")]
    help: Option<bool>,
}

/// The verbs. What a verb takes is put together only for the one that is asked for: for all it takes longer than all
/// else that happens before the verb begins.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    Create(Box<commands::create::Create>),
    Add(Box<commands::add::Add>),
    Annotate(Box<commands::annotate::AnnotateEntry>),
    Remove(Box<commands::remove::Remove>),
    Inspect(Box<commands::inspect::Inspect>),
    Check(Box<commands::check::Check>),
    Diff(Box<commands::diff::Diff>),
    Push(Box<commands::push::Push>),
    Sign(Box<commands::sign::Sign>),
    Verify(Box<commands::verify::Verify>),
    Signatures(Box<commands::signatures::Signatures>),
    Attest(Box<commands::attest::Attest>),
    Publications(commands::publications::Publications),
    Registry(commands::registry::Registry),
    Export(Box<commands::export::Export>),
    Import(commands::import::Import),
    #[command(alias = "list")]
    Ls(commands::ls::Ls),
    Exists(commands::exists::Exists),
    Refresh(Box<commands::refresh::Refresh>),
    Cache(commands::cache::Cache),
    Rm(commands::rm::Rm),
    #[command(alias = "copy")]
    Cp(commands::cp::Cp),
    Tag(commands::tag::Tag),
    Untag(commands::untag::Untag),
    Rename(commands::rename::Rename),
    Hold(commands::hold::Hold),
    Release(commands::release::Release),
    History(commands::history::History),
    Undo(commands::undo::Undo),
    Prune(commands::prune::Prune),
    Gc(commands::gc::Gc),
    Fsck(commands::fsck::Fsck),
    Df(commands::df::Df),
    Blob(commands::blob::Blob),
    Login(Box<commands::login::Login>),
    Logout(commands::logout::Logout),
    Key(Box<commands::key::Key>),
    Version(commands::version::Version),
    Completions(commands::completions::Completions),
}

impl Command {
    /// How progress is told.
    pub(crate) fn progress(&self) -> ProgressForm {
        match self {
            Self::Push(push) => push.progress,
            _ => ProgressForm::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
