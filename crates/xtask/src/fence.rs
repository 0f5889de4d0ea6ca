//! `cargo xtask fence`: which crate may depend on which.

mod graph;
mod rules;

use crate::command;
use crate::failure::Failure;
use crate::workspace::Workspace;
use graph::Graph;

pub(crate) const ARGUMENTS: &str = "";

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    if !arguments.is_empty() {
        return Err(Failure::Usage("usage: cargo xtask fence".to_owned()));
    }
    let metadata = command::output(workspace.cargo(&["metadata", "--format-version", "1"]))?;
    let graph = Graph::parse(&metadata)
        .map_err(|problem| Failure::Answer { program: "cargo metadata", problem: problem.to_string() })?;
    let wrong = rules::check(&graph);
    if !wrong.is_empty() {
        return Err(Failure::Refused(wrong));
    }
    println!("    {} crates depend on each other as drawn", graph.member_names().len());
    Ok(())
}
