//! Running another program for a limited time.

use std::io::{self, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

/// How much a program may say, in bytes, on each of its two outputs; what goes beyond is not read.
const MAX_OUTPUT: u64 = 8 * 1024 * 1024;

/// How often it is asked whether a program that has closed its outputs is gone.
const ASK: Duration = Duration::from_millis(2);

/// What a program left behind.
pub(super) struct Output {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Runs a program with `input`, and kills it when it has not ended after `limit`.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when it is not there, [`io::ErrorKind::TimedOut`].
pub(super) fn run(command: &mut Command, input: Zeroizing<Vec<u8>>, limit: Duration) -> io::Result<Output> {
    let end = Instant::now() + limit;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input has its reasons, and tells them.
        thread::spawn(move || stdin.write_all(&input));
    }
    let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
    let ended = finish(&mut child, &stdout, &stderr, end);
    if ended.is_err() {
        // It may be gone already, and is waited for either way.
        let _gone = child.kill();
        let _status = child.wait();
    }
    ended
}

fn finish(
    child: &mut Child,
    stdout: &Receiver<Vec<u8>>,
    stderr: &Receiver<Vec<u8>>,
    end: Instant,
) -> io::Result<Output> {
    let stdout = receive(stdout, end)?;
    let stderr = receive(stderr, end)?;
    let (_keep, never) = channel::<()>();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Output { status, stdout, stderr });
        }
        if Instant::now() >= end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let _nothing = never.recv_timeout(ASK);
    }
}

/// Reads an output on a thread of its own: a program that fills one while the other is read would stand still.
fn read(output: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(output) = output
            && output.take(MAX_OUTPUT).read_to_end(&mut bytes).is_ok()
        {
            // Nobody waits any more after the time is over.
            let _late = send.send(bytes);
        }
    });
    receive
}

fn receive(output: &Receiver<Vec<u8>>, end: Instant) -> io::Result<Vec<u8>> {
    output.recv_timeout(end.saturating_duration_since(Instant::now())).map_err(|error| match error {
        RecvTimeoutError::Timeout => io::ErrorKind::TimedOut.into(),
        RecvTimeoutError::Disconnected => io::Error::other("its output cannot be read"),
    })
}
