//! `cargo xtask bench`: the program beside its peers.

use crate::command;
use crate::failure::Failure;
use crate::workspace::Workspace;

pub(crate) const ARGUMENTS: &str = "[--only a,b,c,d,e,f,g,h] [--runs N] [--small]";

/// The benchmark reads its arguments itself.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let mut bench = workspace.cargo(&["bench", "--package", "manifest-cli", "--bench", "peers", "--"]);
    bench.args(arguments);
    command::run(bench)
}
