//! How far a list was compared with its entries, for people and programs.

use manifest_publish::{CheckConfig, Truth, TruthOptions};
use serde::Serialize;

use crate::commands::check::UncheckedReport;
use crate::context::Context;
use crate::words::counted;

/// How far a list was compared with its entries.
#[derive(Serialize)]
pub(super) struct TruthReport<'a> {
    configs: Compared<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executables: Option<Compared<'a>>,
}

/// What was compared, and what was not.
#[derive(Serialize)]
struct Compared<'a> {
    checked: usize,
    unchecked: Vec<UncheckedReport<'a>>,
}

impl<'a> TruthReport<'a> {
    pub(super) fn new(truth: &'a Truth, options: &TruthOptions) -> Self {
        let compared = |checked, unchecked: &'a [_]| Compared {
            checked,
            unchecked: unchecked.iter().map(UncheckedReport::from).collect(),
        };
        let executables = options.programs.as_ref();
        Self {
            configs: compared(truth.configs, &truth.unchecked_configs),
            executables: executables.map(|_| compared(truth.programs, &truth.unchecked_programs)),
        }
    }
}

/// Tells what was compared where that is worth knowing: when something was not, or everything is told.
pub(super) fn tell(context: &Context, truth: &Truth, options: &TruthOptions) {
    let left = truth.unchecked_configs.len();
    if options.configs != CheckConfig::None && (left > 0 || context.is_verbose()) {
        let all = counted(truth.configs + left, "platform");
        let hint = if left > 0 && options.configs == CheckConfig::Known {
            "; --check-config all reads the others"
        } else {
            ""
        };
        let checked = truth.configs;
        context.ui.note(format_args!("{checked} of {all} compared with configurations{hint}"));
    }
    let left = &truth.unchecked_programs;
    if options.programs.is_some() && (!left.is_empty() || context.is_verbose()) {
        context.ui.note(format_args!("{} compared with platforms", counted(truth.programs, "program")));
        left.iter().for_each(|left| context.ui.note(format_args!("unchecked: {} {}", left.digest, left.why)));
    }
}
