//! The outcome of a program.

use std::fmt;
use std::process::{Command, Stdio};

/// What a program printed and how it ended.
#[derive(Clone, PartialEq, Eq)]
pub struct Ran {
    /// The command, for messages.
    pub command: String,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code; none when a signal ended the program.
    pub code: Option<i32>,
}

impl Ran {
    /// Runs a command to its end, with nothing on its standard input unless the command says so.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn of(command: &mut Command) -> Self {
        Self::from_output(command, command_output)
    }

    fn from_output(
        command: &mut Command,
        run: impl FnOnce(&mut Command) -> std::io::Result<std::process::Output>,
    ) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let shown = words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        let output = run(command).unwrap_or_else(|error| panic!("cannot run {shown}: {error}"));
        Self {
            command: shown,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }

    /// As [`of`](Self::of), with `input` on the standard input.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn with_input(command: &mut Command, input: &[u8]) -> Self {
        use std::io::Write as _;
        Self::from_output(command, |command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn()?;
            let mut stdin = child.stdin.take().expect("a pipe");
            let input = input.to_vec();
            // A thread, since the program may fill its output before it has read its input. One that
            // ends without reading closes the pipe, which is its right.
            let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
            let output = child.wait_with_output();
            let _read = writer.join();
            output
        })
    }

    /// The standard output of a program that must have succeeded.
    ///
    /// # Panics
    /// If the exit code is not 0.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        &self.stdout
    }

    /// The standard error of a program that must have failed with this exit code.
    ///
    /// # Panics
    /// If it ended in another way.
    #[track_caller]
    pub fn fails(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:?}");
        &self.stderr
    }
}

fn command_output(command: &mut Command) -> std::io::Result<std::process::Output> {
    command.stdin(Stdio::null()).output()
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code =
            self.code.map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit code {code}"));
        writeln!(f, "$ {}", self.command)?;
        writeln!(f, "{code}")?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            writeln!(f, "--- {name}")?;
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}
