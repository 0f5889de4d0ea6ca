//! Medians, spans and ratios.

use crate::job::Cost;

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) cost: Cost,
    /// Requests that reached a registry.
    pub(crate) requests: usize,
}

/// What is looked at in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    Wall,
    Cpu,
    Peak,
    Requests,
}

impl Measure {
    /// The value: milliseconds, MiB or a count.
    pub(crate) fn of(self, sample: &Sample) -> f64 {
        match self {
            Self::Wall => sample.cost.wall.as_secs_f64() * 1e3,
            Self::Cpu => sample.cost.cpu.as_secs_f64() * 1e3,
            Self::Peak => sample.cost.peak as f64 / f64::from(1 << 20),
            Self::Requests => sample.requests as f64,
        }
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Cpu => "CPU",
            Self::Peak => "peak memory",
            Self::Requests => "requests",
        }
    }

    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Wall | Self::Cpu => " ms",
            Self::Peak => " MiB",
            Self::Requests => "",
        }
    }
}

/// The middle of some values, with the least and the greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Span {
    /// None of no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        Some(Self { median, least, most })
    }

    /// Of one measure of some runs.
    pub(crate) fn of_runs(samples: &[Sample], measure: Measure) -> Option<Self> {
        Self::of(samples.iter().map(|sample| measure.of(sample)))
    }

    /// Of one measure of runs put beside the runs of the same round.
    pub(crate) fn of_pairs(
        ours: &[Sample],
        theirs: &[Sample],
        measure: Measure,
        compare: fn(f64, f64) -> f64,
    ) -> Option<Self> {
        let pairs = ours.iter().zip(theirs);
        Self::of(pairs.map(|(ours, theirs)| compare(measure.of(ours), measure.of(theirs))))
    }
}

/// A number with about three digits that mean something.
pub(crate) fn shown(value: f64) -> String {
    match value.abs() {
        whole if whole.fract() == 0.0 => format!("{value:.0}"),
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        small if small >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
