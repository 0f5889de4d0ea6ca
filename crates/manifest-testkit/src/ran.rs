//! The outcome of a program.

use std::fmt;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

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

    fn from_output(command: &mut Command, run: impl FnOnce(&mut Command) -> std::io::Result<Output>) -> Self {
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

    /// As [`of`](Self::of), with the most memory that the program had resident, in bytes, as the kernel told it a
    /// millisecond before the end; none when it ended before anybody looked. What the kernel tells after the end counts
    /// what this process had when it made the other one.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn measured(command: &mut Command) -> (Self, Option<u64>) {
        let mut peak = None;
        let ran = Self::from_output(command, |command| {
            // Files, since nobody reads pipes while the program is waited for.
            let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
            command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
            let mut child = command.spawn()?;
            let status = loop {
                peak = resident(child.id()).max(peak);
                match child.try_wait()? {
                    Some(status) => break status,
                    None => std::thread::sleep(Duration::from_millis(1)),
                }
            };
            let (stdout, stderr) = (whole(&mut stdout)?, whole(&mut stderr)?);
            Ok(Output { status, stdout, stderr })
        });
        (ran, peak)
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

/// The most memory that a process has had resident until now, in bytes; none while it is still made of this one.
fn resident(id: u32) -> Option<u64> {
    let program = |of: &str| std::fs::read_link(format!("/proc/{of}/exe")).ok();
    if program(&id.to_string())? == program("self")? {
        return None;
    }
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

fn whole(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn command_output(command: &mut Command) -> std::io::Result<Output> {
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
