//! The only printer: results go to standard output, everything else to standard error.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use manifest_core::Descriptor;
use manifest_publish::{Action, Plan, Progress};
use manifest_store::StoreError;
use manifest_transport::{Event, Observer};
use serde::Serialize;

mod bar;

use bar::Bar;

use crate::error::{CliError, chain};
use crate::table::{clean, plays_tricks};

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    // Comments and not docs: clap would print them as help of each value.
    #[default]
    Text,
    Json,
}

/// How much is told besides the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Volume {
    /// Errors only.
    Quiet,
    /// What is worth knowing.
    Normal,
    /// Every request.
    Verbose,
}

/// Where a run prints.
pub(crate) type Stream = Box<dyn Write + Send>;

/// Prints for one run.
#[derive(Clone)]
pub(crate) struct Ui(Arc<Inner>);

struct Inner {
    out: Mutex<Stream>,
    err: Mutex<Stream>,
    output: Output,
    volume: Volume,
    bar: Bar,
}

impl fmt::Debug for Ui {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ui")
            .field("output", &self.0.output)
            .field("volume", &self.0.volume)
            .finish_non_exhaustive()
    }
}

impl Ui {
    pub(crate) fn new(out: Stream, err: Stream, output: Output, volume: Volume, terminal: bool) -> Self {
        let bar = Bar::new(terminal && volume != Volume::Quiet);
        Self(Arc::new(Inner { out: Mutex::new(out), err: Mutex::new(err), output, volume, bar }))
    }

    /// Prints a result: `text` for people or `value` for programs.
    ///
    /// # Errors
    /// What the stream says, a closed pipe among it.
    pub(crate) fn result<T: Serialize>(&self, text: &str, value: &T) -> io::Result<()> {
        self.result_bytes(text.as_bytes(), value)
    }

    /// The same where the text may hold a path, which need not be UTF-8.
    ///
    /// # Errors
    /// What the stream says, a closed pipe among it.
    pub(crate) fn result_bytes<T: Serialize>(&self, text: &[u8], value: &T) -> io::Result<()> {
        match self.0.output {
            Output::Text => self.raw(text),
            Output::Json => {
                let json = json_safe(&serde_json::to_string_pretty(value)?);
                self.raw(format!("{json}\n").as_bytes())
            }
        }
    }

    /// Prints bytes as they are.
    ///
    /// # Errors
    /// What the stream says, a closed pipe among it.
    pub(crate) fn raw(&self, bytes: &[u8]) -> io::Result<()> {
        // A result is the end of the work; on a terminal it must not stand behind a bar.
        self.0.bar.finish();
        let mut out = lock(&self.0.out);
        out.write_all(bytes)?;
        out.flush()
    }

    /// Tells what is worth knowing besides the result.
    pub(crate) fn note(&self, text: fmt::Arguments<'_>) {
        if self.0.volume >= Volume::Normal {
            self.line(text);
        }
    }

    /// Asks somebody at a terminal; the answer is typed behind it.
    pub(crate) fn ask(&self, text: fmt::Arguments<'_>) {
        let mut err = lock(&self.0.err);
        // Who cannot be asked does not answer; that is told then.
        drop(write!(err, "{text}").and_then(|()| err.flush()));
    }

    /// Prints an error, which is never too much.
    pub(crate) fn error(&self, error: &CliError) {
        self.0.bar.finish();
        match self.0.output {
            Output::Text => self.print(format_args!("{}", error.text())),
            Output::Json => self.print(format_args!("{}", json_line(&error.object()))),
        }
    }

    /// Tells programs in the form of an object, so that each line on standard error is one.
    fn line(&self, text: fmt::Arguments<'_>) {
        match self.0.output {
            Output::Text => self.print(format_args!("{}", clean(&text.to_string()))),
            Output::Json => {
                let note = Note { note: text.to_string() };
                self.print(format_args!("{}", json_line(&note)));
            }
        }
    }

    fn print(&self, text: fmt::Arguments<'_>) {
        self.0.bar.suspend(|| {
            // Nothing can be told when standard error is gone; the exit code still says it.
            drop(writeln!(lock(&self.0.err), "{text}"));
        });
    }
}

/// What is told to programs besides the result.
#[derive(Serialize)]
struct Note {
    note: String,
}

/// An object on one line; what is printed here can always be written as JSON.
pub(crate) fn json_line(value: &impl Serialize) -> String {
    json_safe(&serde_json::to_string(value).unwrap_or_default())
}

/// JSON escapes only the control characters of ASCII; others could play tricks with a terminal, too.
fn json_safe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && plays_tricks(c) {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

fn lock(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observer for Ui {
    fn event(&self, event: Event) {
        match event {
            Event::Retry { request, retry, pause, cause } => {
                let pause = pause.as_secs_f64();
                self.note(format_args!("retry {retry} of {request} in {pause:.1} s: {cause}"));
            }
            Event::Mirror { mirror, of, cause } => {
                self.note(format_args!("mirror {mirror} of {of} is passed over: {cause}"));
            }
            Event::Warning(text) => self.note(format_args!("warning: {text}")),
            Event::Request { method, url, status } if self.0.volume == Volume::Verbose => {
                self.line(format_args!("{method} {url} {status}"));
            }
            Event::Login { host, origin } if self.0.volume == Volume::Verbose => {
                self.line(format_args!("login for {host} from {origin}"));
            }
            Event::Bytes { count, .. } => self.0.bar.advance(count),
            _ => {}
        }
    }
}

impl Progress for Ui {
    fn planned(&self, plan: &Plan) {
        let (_, bytes) = plan.count(Action::Copy);
        self.0.bar.start(bytes);
    }

    fn blob(&self, blob: &Descriptor, how: Action) {
        if self.0.volume == Volume::Verbose {
            self.line(format_args!("{} {} ({} bytes)", how.as_str(), blob.digest, blob.size));
        }
    }

    fn not_written_down(&self, error: &StoreError) {
        let why = chain(error);
        self.note(format_args!(
            "warning: it is not written down how far this push is, so it may not be resumed: {why}"
        ));
    }
}
