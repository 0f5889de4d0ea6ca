//! What was signed, or would be.

use manifest_publish::{SignStep, Signed};
use serde::Serialize;

use crate::words::counted;

/// How many signatures one target has got.
#[derive(Debug, Serialize)]
pub(in crate::commands) struct SignedReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    present: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    plan: Vec<StepReport>,
}

#[derive(Debug, Serialize)]
struct StepReport {
    digest: String,
    key: String,
    form: &'static str,
}

impl From<Signed> for SignedReport {
    fn from(Signed { written, present, .. }: Signed) -> Self {
        Self { written: Some(written), present: Some(present), plan: Vec::new() }
    }
}

impl SignedReport {
    /// What would be signed, if anything.
    pub(super) fn planned(steps: &[SignStep]) -> Option<Self> {
        let step = |step: &SignStep| StepReport {
            digest: step.subject.digest.to_string(),
            key: step.key.to_string(),
            form: step.form.as_str(),
        };
        let plan: Vec<_> = steps.iter().map(step).collect();
        (!plan.is_empty()).then_some(Self { written: None, present: None, plan })
    }
}

/// What would be signed, a line a signature.
pub(super) fn lines(steps: &[SignStep]) -> String {
    let line =
        |step: &SignStep| format!("sign      {} {}, by {}\n", step.subject.digest, step.form, step.key);
    steps.iter().map(line).collect()
}

/// What was signed, in words, behind what else was done.
pub(super) fn summary(signed: Option<Signed>) -> String {
    signed.map(|signed| format!(", {}", told(signed))).unwrap_or_default()
}

/// What was signed, in words.
pub(in crate::commands) fn told(Signed { written, present, .. }: Signed) -> String {
    match (written, present) {
        (0, present) => format!("nothing to sign, {} already there", counted(present, "signature")),
        (written, 0) => format!("{} written", counted(written, "signature")),
        (written, present) => format!("{} written, {present} already there", counted(written, "signature")),
    }
}
