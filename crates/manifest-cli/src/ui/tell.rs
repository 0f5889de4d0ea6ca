//! How work goes on: to people as notes and in the bar, to programs as events.

use std::time::Duration;

use manifest_publish::{Action, LeftOut, Progress, PublishError, Step};
use manifest_store::{Holder, StoreError};
use manifest_transport::{Event, Observer, Place};

use super::event::{Awaited, Told};
use super::{ProgressForm, Ui, Volume, json_line, lock};
use crate::error::chain;
use crate::table::clean;
use crate::words::counted;

impl Observer for Ui {
    fn event(&self, event: Event) {
        match event {
            Event::Retry { request, host, retry, pause, cause } => {
                self.0.tally.waited(&host, 1, pause);
                let pause_ms = milliseconds(pause);
                if self.tells(|| Told::Retry {
                    request: &request,
                    host: &host,
                    retry,
                    pause_ms,
                    cause: &cause,
                }) {
                    return;
                }
                let pause = pause.as_secs_f64();
                self.note(format_args!("retry {retry} of {request} in {pause:.1} s: {cause}"));
                self.0.bar.wait(clean(&format!("retry in {pause:.1} s: {cause} from {host}")));
            }
            Event::Unseen { what, host, pause } => {
                self.0.tally.waited(&host, 0, pause);
                let who = || host.clone();
                if !self.tells(|| Told::Waiting { r#for: Awaited::Shown, what: &what, who: who() }) {
                    self.0.bar.wait(clean(&format!("waiting for {host} to show {what}")));
                }
            }
            Event::Mirror { mirror, of, cause } => {
                self.note(format_args!("mirror {mirror} of {of} is passed over: {cause}"));
            }
            Event::Warning(text) => self.note(format_args!("warning: {text}")),
            Event::Request { method, url, status } => {
                self.0.bar.go_on();
                if self.0.volume == Volume::Verbose {
                    self.line(format_args!("{method} {url} {status}"));
                }
            }
            Event::Login { host, origin } if self.0.volume == Volume::Verbose => {
                self.line(format_args!("login for {host} from {origin}"));
            }
            Event::Bytes { digest, count } => {
                let (new, reading) = lock(&self.0.meter).sent(&digest, count, self.0.tally.elapsed());
                self.0.bar.advance(new);
                if let Some(reading) = reading {
                    self.tells(|| Told::reading(digest.to_string(), &reading));
                }
            }
            _ => {}
        }
    }
}

impl Progress for Ui {
    fn step(&self, target: &Place, step: Step<'_>) {
        match step {
            Step::Planned(plan) => self.0.bar.expect(lock(&self.0.meter).plan(plan)),
            Step::Carries(blob) => self.0.bar.expect(lock(&self.0.meter).carries(blob)),
            Step::Blob(blob, Action::Copy) => self.0.bar.advance(lock(&self.0.meter).arrived(blob)),
            _ => {}
        }
        if !matches!(step, Step::Done | Step::Failed(_)) {
            self.0.tally.seen(target);
        }
        match self.0.form {
            ProgressForm::Json => drop(self.event_of(target, step)),
            ProgressForm::Plain => self.plain(target, step),
            ProgressForm::Auto | ProgressForm::None => {
                if let (Step::Blob(..), Volume::Verbose) = (step, self.0.volume) {
                    self.plain(target, step);
                }
            }
        }
    }

    fn left_out(&self, what: &LeftOut) {
        self.note(format_args!("warning: {what}"));
    }

    fn not_written_down(&self, error: &StoreError) {
        let why = chain(error);
        self.note(format_args!(
            "warning: it is not written down how far this push is, so it may not be resumed: {why}"
        ));
    }

    fn not_alone(&self, error: &StoreError) {
        let why = chain(error);
        self.note(format_args!("warning: other pushes of this store may set the same tags meanwhile: {why}"));
    }

    fn not_compared(&self, place: &Place) {
        self.note(format_args!(
            "warning: the registry of {place} sets a tag whatever it means by then: pushes that share this store take turns, \
             others may undo each other, so the tags are read back a moment later"
        ));
    }

    fn signatures_not_compared(&self, place: &Place) {
        self.note(format_args!(
            "warning: the registry of {place} replaces signatures and attestations whatever others have added by then: those who \
             share this store take turns, others may undo each other, so what was added is read back a moment later"
        ));
    }

    fn begins_again(&self, why: &PublishError) {
        self.note(format_args!("{}; beginning again from what is there", chain(why)));
    }
}

impl Ui {
    /// Tells that a lock is held by somebody else, and has been for a while.
    pub(crate) fn waits_for_lock(&self, what: &str, holder: &Holder) {
        let who = || holder.to_string();
        if !self.tells(|| Told::Waiting { r#for: Awaited::Lock, what, who: who() }) {
            self.note(format_args!("waiting for {what}, which is in use by {holder}"));
            self.0.bar.wait(clean(&format!("waiting for the lock held by {holder}")));
        }
    }

    /// Tells programs what happened, if they want to know.
    fn tells<'a>(&self, told: impl FnOnce() -> Told<'a>) -> bool {
        let wanted = self.0.form == ProgressForm::Json;
        if wanted && self.0.volume >= Volume::Normal {
            self.print(format_args!("{}", json_line(&told().line())));
        }
        wanted
    }

    fn event_of(&self, target: &Place, step: Step<'_>) -> bool {
        let to = target.to_string();
        let told = match step {
            Step::Planned(plan) => Told::planned(to, plan),
            Step::Carries(blob) => {
                Told::BlobStarted { target: to, digest: blob.digest.to_string(), size: blob.size }
            }
            Step::Blob(blob, how) => {
                let (digest, action) = (blob.digest.to_string(), how.as_str());
                Told::BlobDone { target: to, digest, size: blob.size, action }
            }
            Step::Manifest(manifest) => Told::manifest(to, manifest),
            Step::Signed(subject, key, form) => Told::Signed {
                target: to,
                digest: subject.digest.to_string(),
                key: key.to_string(),
                form: form.as_str(),
            },
            Step::Tag(tag) => Told::TagMoved { target: to, tag },
            Step::Done => {
                let took = self.0.tally.target(target).unwrap_or_default();
                Told::TargetDone { target: to, took_ms: milliseconds(took) }
            }
            Step::Failed(error) => Told::TargetFailed { target: to, why: chain(error) },
            _ => return false,
        };
        self.tells(|| told)
    }

    /// Tells people, a line a step.
    fn plain(&self, target: &Place, step: Step<'_>) {
        match step {
            Step::Planned(plan) => {
                let ((blobs, bytes), manifests) = (plan.count(Action::Copy), plan.manifests.len());
                let (blobs, manifests) = (counted(blobs, "blob"), counted(manifests, "manifest"));
                self.note(format_args!("{target}: {blobs} ({bytes} bytes) to copy, {manifests} to write"));
            }
            Step::Blob(blob, how) => {
                self.note(format_args!("{} {} ({} bytes)", how.as_str(), blob.digest, blob.size));
            }
            Step::Manifest(manifest) => {
                self.note(format_args!("write {} ({} bytes)", manifest.digest, manifest.size));
            }
            Step::Signed(subject, key, form) => {
                self.note(format_args!("sign {} ({form}, by {key})", subject.digest));
            }
            Step::Tag(tag) => self.note(format_args!("tag {target}:{tag}")),
            _ => {}
        }
    }
}

/// A time in whole milliseconds.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
