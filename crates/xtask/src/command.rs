//! Running other programs.

use std::io;
use std::process::{Command, ExitStatus, Stdio};

use crate::failure::Failure;

/// Runs `command` with our stdout and stderr and without stdin.
pub(crate) fn run(mut command: Command) -> Result<(), Failure> {
    let status = command.stdin(Stdio::null()).status().map_err(|error| not_started(&command, &error))?;
    succeeded(&command, status)
}

/// Runs `command` and returns what it wrote to stdout; its stderr is ours.
pub(crate) fn output(mut command: Command) -> Result<Vec<u8>, Failure> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| not_started(&command, &error))?;
    succeeded(&command, output.status)?;
    Ok(output.stdout)
}

/// The command as one would type it; a program by the last part of its path.
pub(crate) fn line(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let mut line = program.rsplit('/').next().unwrap_or_default().to_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&quoted(&argument.to_string_lossy()));
    }
    line
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn succeeded(command: &Command, status: ExitStatus) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    Err(Failure::Program { line: line(command), status: status.to_string() })
}

fn not_started(command: &Command, error: &io::Error) -> Failure {
    let program = command.get_program().to_string_lossy().into_owned();
    Failure::Missing { program, help: format!("starting it failed: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("/tmp/debug/manifest");
        command.args(["annotate", "--annotation", "note=two words", "it's", ""]);
        assert_eq!(line(&command), r"manifest annotate --annotation 'note=two words' 'it'\''s' ''");
    }

    #[test]
    fn a_program_that_says_no_or_is_not_there_is_named() {
        let failure = run(Command::new("false")).unwrap_err().to_string();
        assert!(failure.starts_with("`false` ended with"), "{failure}");
        let failure = run(Command::new("no-such-program-at-all")).unwrap_err().to_string();
        assert!(failure.starts_with("no-such-program-at-all is not there"), "{failure}");
    }

    #[test]
    fn what_a_program_writes_is_returned() {
        let mut echo = Command::new("echo");
        echo.arg("hello");
        assert_eq!(output(echo).unwrap(), b"hello\n");
    }
}
