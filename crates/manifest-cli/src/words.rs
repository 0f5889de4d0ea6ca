//! Times, sizes and digests as people say them.

use std::fmt;

use jiff::{Timestamp, Unit};
use manifest_core::Digest;

/// How long ago something was; what the clock says lies ahead was just now.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    const STEPS: [(&str, i64, i64); 7] = [
        // A unit, its seconds, and below how many of them it serves.
        ("second", 1, 60),
        ("minute", 60, 60),
        ("hour", 3600, 48),
        ("day", 86_400, 14),
        ("week", 604_800, 9),
        ("month", 2_592_000, 24),
        ("year", 31_536_000, i64::MAX),
    ];
    let seconds = now.as_second().saturating_sub(then.as_second());
    if seconds < 1 {
        return "just now".to_owned();
    }
    let fits = |(_, unit, below): &&(&str, i64, i64)| seconds / unit < *below;
    let (unit, count) = STEPS.iter().find(fits).map_or(("second", seconds), |(u, s, _)| (*u, seconds / s));
    format!("{} ago", counted(count, unit))
}

/// So many of something.
pub(crate) fn counted<N: fmt::Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let ending = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// A time to the second, in UTC.
pub(crate) fn time(when: Timestamp) -> String {
    when.round(Unit::Second).unwrap_or(when).to_string()
}

/// A size with three digits or so, in powers of a thousand.
pub(crate) fn size(bytes: u64) -> String {
    let mut rest = bytes as f64;
    for unit in ["B", "kB", "MB"] {
        if rest < 999.5 {
            let digits = if unit == "B" || rest >= 99.95 { 0 } else { 1 };
            return format!("{rest:.digits$} {unit}");
        }
        rest /= 1000.0;
    }
    format!("{rest:.1} GB")
}

/// As much of a digest as people compare.
pub(crate) fn short(digest: &Digest) -> String {
    digest.hex().chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_one_unit() {
        let then = Timestamp::from_second(1_800_000_000).unwrap();
        for (seconds, text) in [
            (-5, "just now"),
            (0, "just now"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "1 minute ago"),
            (3599, "59 minutes ago"),
            (3600, "1 hour ago"),
            (47 * 3600, "47 hours ago"),
            (48 * 3600, "2 days ago"),
            (13 * 86_400, "13 days ago"),
            (14 * 86_400, "2 weeks ago"),
            (70 * 86_400, "2 months ago"),
            (800 * 86_400, "2 years ago"),
        ] {
            let now = Timestamp::from_second(then.as_second() + seconds).unwrap();
            assert_eq!(ago(then, now), text, "{seconds}");
        }
        assert_eq!(time(Timestamp::from_millisecond(1_800_000_000_250).unwrap()), "2027-01-15T08:00:00Z");
    }

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!([0, 1, 2].map(|n: usize| counted(n, "blob")), ["0 blobs", "1 blob", "2 blobs"]);
    }

    #[test]
    fn sizes_have_a_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (563, "563 B"),
            (1400, "1.4 kB"),
            (99_949, "99.9 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (3_100_000, "3.1 MB"),
            (64_000_000_000, "64.0 GB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }
}
