//! A program that goes on while the test does something else.

use std::ffi::OsStr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Ran, Workspace};

/// How long a program may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that was started and not waited for; it is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Option<Child>,
    command: String,
}

impl Running {
    /// Starts a command, with nothing on its standard input and its outputs kept.
    ///
    /// Its outputs are read when it is waited for: it stands still if it prints more than a pipe holds.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let shown = words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot run {shown}: {error}"));
        Self { child: Some(child), command: shown }
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child().id()
    }

    /// Sends a signal, named as in `INT`; a process that has ended is left alone.
    pub fn signal(&self, name: &str) {
        // The shell has it built in, so that no package is needed. The process is not waited for yet,
        // so nobody else has its id.
        let script = r#"kill -s "$0" "$1""#;
        let sent = Command::new("sh").args(["-c", script, name, &self.id().to_string()]).output();
        sent.unwrap_or_else(|error| panic!("cannot send {name} to {}: {error}", self.command));
    }

    /// Whether it has ended.
    ///
    /// # Panics
    /// If the system does not tell.
    pub fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut().expect("a child until it is waited for");
        child.try_wait().expect("the state of a child").is_some()
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// After a minute, with what it is.
    pub fn wait(mut self) -> Ran {
        let started = Instant::now();
        while !self.has_ended() {
            assert!(started.elapsed() < PATIENCE, "{} does not end", self.command);
            std::thread::sleep(Duration::from_millis(1));
        }
        let child = self.child.take().expect("a child until it is waited for");
        let output = child.wait_with_output().expect("the output of a child");
        Ran {
            command: self.command.clone(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }

    fn child(&self) -> &Child {
        self.child.as_ref().expect("a child until it is waited for")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take()
            && child.kill().is_ok()
        {
            let _status = child.wait();
        }
    }
}

impl Workspace {
    /// Starts a program in this workspace and does not wait for it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start<I>(&self, program: impl AsRef<OsStr>, arguments: I) -> Running
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        Running::start(self.command(program).args(arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::Running;
    use std::process::Command;

    #[test]
    fn a_program_that_waits_can_be_ended_by_a_signal() {
        let mut running = Running::start(Command::new("sleep").arg("600"));
        assert!(!running.has_ended());
        running.signal("TERM");
        assert_eq!(running.wait().code, None);
    }
}
