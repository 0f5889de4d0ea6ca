//! What we want to reach.

use crate::figures::{Measure, Span, shown};
use crate::race::Row;

/// A limit for a row, alone or beside another one. Rows are named by their names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// At most this much, in the unit of the measure.
    AtMost(&'static str, Measure, f64),
    /// The first row takes at most this part of the second, pair by pair.
    Part(&'static str, &'static str, Measure, f64),
    /// The first row takes at most so much more than the second, pair by pair, in the unit of the measure.
    More(&'static str, &'static str, Measure, f64),
}

/// What became of a goal, as cells of a table: what, measured, goal, verdict.
pub(crate) fn judge(goal: Goal, rows: &[Row]) -> [String; 4] {
    let samples = |name: &str| {
        let row = rows.iter().find(|row| row.name == name && row.failed.is_none());
        row.map_or(&[][..], |row| &row.samples)
    };
    let (what, span, limit, unit) = match goal {
        Goal::AtMost(ours, measure, limit) => {
            let span = Span::of_runs(samples(ours), measure);
            (format!("{} of {ours}", measure.word()), span, limit, measure.unit())
        }
        Goal::Part(ours, theirs, measure, limit) => {
            let span = Span::of_pairs(samples(ours), samples(theirs), measure, |a, b| a / b);
            (format!("{}: {ours} ÷ {theirs}", measure.word()), span, limit, "")
        }
        Goal::More(ours, theirs, measure, limit) => {
            let span = Span::of_pairs(samples(ours), samples(theirs), measure, |a, b| a - b);
            (format!("{}: {ours} − {theirs}", measure.word()), span, limit, measure.unit())
        }
    };
    let (measured, verdict) = match span {
        None => ("–".to_owned(), "not measured"),
        Some(span) => (spread(span), if span.median <= limit { "met" } else { "missed" }),
    };
    [what, measured, format!("≤ {}{unit}", shown(limit)), verdict.to_owned()]
}

/// A median with the span around it.
pub(crate) fn spread(span: Span) -> String {
    if span.least == span.most {
        return shown(span.median);
    }
    format!("{} ({}–{})", shown(span.median), shown(span.least), shown(span.most))
}
