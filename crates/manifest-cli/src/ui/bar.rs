//! The progress bar, drawn on terminals only.

use std::sync::OnceLock;

use indicatif::{ProgressBar, ProgressStyle};

/// One bar over all bytes of a publication; made when there are bytes to carry.
pub(super) struct Bar {
    wanted: bool,
    bar: OnceLock<ProgressBar>,
}

impl Bar {
    pub(super) const fn new(wanted: bool) -> Self {
        Self { wanted, bar: OnceLock::new() }
    }

    /// Starts the bar, when there is anything to wait for.
    pub(super) fn start(&self, bytes: u64) {
        if !self.wanted || bytes == 0 {
            return;
        }
        let template = "{bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar.get_or_init(|| ProgressBar::new(bytes).with_style(style));
    }

    pub(super) fn advance(&self, bytes: u64) {
        if let Some(bar) = self.bar.get() {
            bar.inc(bytes);
        }
    }

    /// Runs `print` while the bar is out of the way.
    pub(super) fn suspend(&self, print: impl FnOnce()) {
        match self.bar.get() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.finish();
    }
}
