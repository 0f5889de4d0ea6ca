//! Single calls that fail.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::sync::Arc;

use super::files::Handle;
use super::gate::{Call, Gate};
use super::image::Image;
use super::promise::Inspector;
use super::scenario::{ALONE, Scenario};
use super::world::{Done, Op, World};
use super::writer::{perform, store};
use crate::StoreError;

/// Makes the call with this number fail, counted from one.
#[derive(Debug)]
pub(super) struct Fault {
    at: usize,
    /// Whether all calls after it fail too.
    pub(super) lasts: bool,
    /// The number of the error.
    errno: i32,
    calls: usize,
    struck: Option<Call>,
}

impl Fault {
    pub(super) fn strike(&mut self, call: &Call) -> Option<io::Error> {
        self.calls += 1;
        if self.calls != self.at && (self.calls < self.at || !self.lasts) {
            return None;
        }
        self.struck.get_or_insert_with(|| call.clone());
        Some(io::Error::from_raw_os_error(self.errno))
    }
}

/// How errors are numbered on Linux.
pub(super) const ERRORS: [(&str, i32); 9] = [
    ("EIO", 5),
    ("ENOSPC", 28),
    ("EACCES", 13),
    ("EROFS", 30),
    ("EDQUOT", 122),
    ("EMFILE", 24),
    ("ESTALE", 116),
    ("EINTR", 4),
    ("ENOLCK", 37),
];

/// DUR-5, DUR-6.
#[test]
fn a_call_that_fails_leaves_the_old_state_or_the_new_one_and_a_message_with_the_path() {
    let faults = fail_everywhere(&ERRORS[..3]);
    assert!(faults > 1000, "{faults}");
}

/// Makes every call of every change fail, until no fault strikes any more; tells how many did.
pub(super) fn fail_everywhere(errors: &[(&str, i32)]) -> usize {
    let inspector = Inspector::new(3);
    let mut faults = 0;
    for (scenario, op) in ALONE {
        for &(error, errno) in errors {
            for lasts in [false, true] {
                let strikes = |at: &usize| {
                    let fault = Fault { at: *at, lasts, errno, calls: 0, struck: None };
                    let how = if lasts { "from then on" } else { "once" };
                    let context = |what| format!("{op:?}, call {at} fails {how} with {error}: {what}");
                    change_with_fault(scenario, *op, fault, &inspector).map_err(context)
                };
                faults += (1..).map(|at| strikes(&at).unwrap()).take_while(|struck| *struck).count();
            }
        }
    }
    faults
}

/// Makes a change while a call fails, and checks what is left. Tells whether the fault struck at all.
fn change_with_fault(
    scenario: &Scenario,
    op: Op,
    fault: Fault,
    inspector: &Inspector,
) -> Result<bool, String> {
    let (before, (disk, _)) = (scenario.world(), scenario.disk());
    let gate = Arc::new(Gate::free(disk));
    let lasts = fault.lasts;
    gate.machine().fault = Some(fault);
    let store = store(Box::new(Handle::new(&gate, 0)));
    let done = inspector.block_on(perform(&store, op));
    let mut machine = gate.machine();
    let Some(struck) = machine.fault.take().and_then(|fault| fault.struck) else {
        return done.map(|_| false).map_err(|error| format!("failed without a fault: {error:?}"));
    };
    let after: BTreeSet<World> = before.after(op, Done::Made).into_iter().collect();
    let cut_off: BTreeSet<World> = before.during(op).into_iter().collect();
    let unmade: BTreeSet<World> = cut_off.difference(&after).cloned().collect();
    let (visible, found) = match &done {
        Ok(_) => (&after, &after),
        Err(StoreError::NotDurable(..)) => (&after, &cut_off),
        // A disk that goes on failing may keep the parts of what was to be taken back.
        Err(_) if lasts => (&unmade, &unmade),
        Err(_) => (&BTreeSet::from([before]), &unmade),
    };
    let told = format!("at \"{} {}\" the answer is {done:?}", struck.what, struck.path.display());
    let explained = |what: String| format!("{told}; {what}");
    if let Err(error) = &done {
        let message = chain(error);
        if !message.contains(" /") {
            return Err(explained(format!("the message has no path: {message}")));
        }
    }
    if machine.disk.retried > 0 {
        return Err(explained("a sync that failed was tried again".to_owned()));
    }
    let seen = Image::seen(&machine.disk);
    inspector.check(seen.mark(&machine.labels), &seen, visible).map_err(explained)?;
    for (mark, image) in Image::after_crash(&machine.disk, &machine.labels) {
        inspector
            .check(mark, &image, found)
            .map_err(|what| explained(format!("and after a crash {what}")))?;
    }
    Ok(true)
}

fn chain(error: &StoreError) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
