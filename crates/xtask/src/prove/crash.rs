//! Every state that a store may be in after a crash, on a disk in memory, at length.

use crate::command;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// Runs the long form of a test of the store, which writes its figures.
pub(super) fn prove(workspace: &Workspace) -> Result<(), Failure> {
    let mut test = workspace.cargo(&["test", "--quiet", "--release", "--package", "manifest-store", "--lib"]);
    // What takes minutes to build is worth a few percent.
    test.args(["--config", "profile.release.lto='off'", "--config", "profile.release.codegen-units=16"]);
    test.args(["--", "--ignored", "--nocapture", "crash::"]);
    command::run(test)
}
