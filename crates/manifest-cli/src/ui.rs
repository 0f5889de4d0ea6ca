//! The only printer: results go to standard output, everything else to standard error.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use serde::Serialize;

mod bar;
mod event;
mod meter;
mod tally;
mod tell;

use bar::Bar;
use meter::Meter;
pub(crate) use tally::{Tally, Waited};
pub(crate) use tell::milliseconds;

use crate::error::CliError;
use crate::table::{clean, plays_tricks};

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    // Comments and not docs: clap would print them as help of each value.
    #[default]
    Text,
    Json,
}

/// How progress is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressForm {
    // A bar on a terminal, and nothing elsewhere.
    #[default]
    Auto,
    // A line a step.
    Plain,
    // An object a line.
    Json,
    None,
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
    form: ProgressForm,
    bar: Bar,
    meter: Mutex<Meter>,
    tally: Tally,
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
    pub(crate) fn new(
        (out, err): (Stream, Stream),
        output: Output,
        form: ProgressForm,
        volume: Volume,
        terminal: bool,
    ) -> Self {
        let bar = Bar::new(terminal && form == ProgressForm::Auto && volume != Volume::Quiet);
        let (out, err) = (Mutex::new(out), Mutex::new(err));
        let (meter, tally) = (Mutex::default(), Tally::new());
        Self(Arc::new(Inner { out, err, output, volume, form, bar, meter, tally }))
    }

    /// What was counted so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.0.tally
    }

    /// Whether what stands on standard error is for programs.
    fn is_for_programs(&self) -> bool {
        self.0.output == Output::Json || self.0.form == ProgressForm::Json
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
        if self.is_for_programs() {
            self.print(format_args!("{}", json_line(&error.object())));
        } else {
            self.print(format_args!("{}", error.text()));
        }
    }

    /// Tells programs in the form of an object, so that each line on standard error is one.
    fn line(&self, text: fmt::Arguments<'_>) {
        if self.is_for_programs() {
            let note = Note { note: text.to_string() };
            self.print(format_args!("{}", json_line(&note)));
        } else {
            self.print(format_args!("{}", clean(&text.to_string())));
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
