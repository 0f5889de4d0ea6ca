//! The progress bar, drawn on terminals only.

use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

/// While bytes are carried.
const CARRIES: &str = "{bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
/// While something is waited for.
const WAITS: &str = "{bytes}/{total_bytes} {wide_msg}";

/// One bar over all bytes of a publication, with what is being waited for; made when there is anything to show.
pub(super) struct Bar {
    wanted: bool,
    bar: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    bar: Option<ProgressBar>,
    waits: bool,
}

impl Bar {
    pub(super) fn new(wanted: bool) -> Self {
        Self { wanted, bar: Mutex::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Shown) -> T) -> T {
        work(&mut self.bar.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds bytes that are to be carried.
    pub(super) fn expect(&self, bytes: u64) {
        if self.wanted && bytes > 0 {
            self.with(|shown| shown.bar(CARRIES).inc_length(bytes));
        }
    }

    pub(super) fn advance(&self, bytes: u64) {
        self.go_on();
        self.with(|shown| shown.bar.iter().for_each(|bar| bar.inc(bytes)));
    }

    /// Shows what is being waited for.
    pub(super) fn wait(&self, what: String) {
        if self.wanted {
            self.with(|shown| {
                shown.waits = true;
                let bar = shown.bar(WAITS);
                bar.set_style(style(WAITS));
                bar.set_message(what);
            });
        }
    }

    /// Ends the wait: something was answered, or came.
    pub(super) fn go_on(&self) {
        self.with(|shown| {
            if let (true, Some(bar)) = (std::mem::take(&mut shown.waits), &shown.bar) {
                bar.set_message("");
                bar.set_style(style(CARRIES));
            }
        });
    }

    /// Runs `print` while the bar is out of the way.
    pub(super) fn suspend(&self, print: impl FnOnce()) {
        let bar = self.with(|shown| shown.bar.clone());
        match bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = self.with(|shown| shown.bar.take()) {
            bar.finish_and_clear();
        }
    }
}

impl Shown {
    fn bar(&mut self, template: &str) -> &ProgressBar {
        self.bar.get_or_insert_with(|| ProgressBar::new(0).with_style(style(template)))
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.finish();
    }
}
