//! When a request is sent again, and after which pause.

use std::sync::Mutex;
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

/// How often and how patiently requests are repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct RetryPolicy {
    /// Retries after the first attempt of a request.
    pub retries: u32,
    /// The longest first pause; it doubles with every retry of a request.
    pub base: Duration,
    /// The longest pause of our own choosing; a server may ask for a longer one.
    pub cap: Duration,
    /// The time a command may spend in pauses altogether.
    pub budget: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 5,
            base: Duration::from_millis(250),
            cap: Duration::from_secs(30),
            budget: Duration::from_secs(300),
        }
    }
}

/// What a failed attempt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Nothing in particular.
    None,
    /// The server is being asked too often.
    SlowDown,
    /// The server named a pause.
    After(Duration),
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoMore {
    /// The request was attempted as often as allowed.
    Attempts,
    /// The pause would go beyond what the command may wait; the server asked to come back after this time.
    Budget(Duration),
}

impl RetryPolicy {
    /// The pause before retry number `retry` (the first is 0), with full jitter from `chance` (0 to 1).
    ///
    /// A pause that the server named is lengthened by up to a tenth, never shortened.
    pub(crate) fn pause(&self, retry: u32, hint: Hint, chance: f64) -> Duration {
        let ceiling = self.base.saturating_mul(2_u32.saturating_pow(retry)).min(self.cap);
        let own = ceiling.mul_f64(chance);
        match hint {
            Hint::None => own,
            Hint::SlowDown => ceiling / 2 + own / 2,
            Hint::After(asked) => asked.saturating_add(asked.mul_f64(chance / 10.0)).max(own),
        }
    }
}

/// The waiting that a command may still do, shared by all its requests.
#[derive(Debug)]
pub(crate) struct Budget {
    policy: RetryPolicy,
    waited: Mutex<Duration>,
}

impl Budget {
    pub(crate) const fn new(policy: RetryPolicy) -> Self {
        Self { policy, waited: Mutex::new(Duration::ZERO) }
    }

    /// The time that pauses have taken so far.
    pub(crate) fn waited(&self) -> Duration {
        self.waited.lock().map_or(Duration::ZERO, |waited| *waited)
    }

    /// Counts time that was waited for nothing.
    pub(crate) fn charge(&self, time: Duration) {
        if let Ok(mut waited) = self.waited.lock() {
            *waited = waited.saturating_add(time);
        }
    }

    /// Takes the pause before retry number `retry` out of the budget.
    pub(crate) fn take(&self, retry: u32, hint: Hint, chance: f64) -> Result<Duration, NoMore> {
        if retry >= self.policy.retries {
            return Err(NoMore::Attempts);
        }
        let pause = self.policy.pause(retry, hint, chance);
        let Ok(mut waited) = self.waited.lock() else { return Err(NoMore::Attempts) };
        let total = waited.saturating_add(pause);
        if total > self.policy.budget {
            return Err(NoMore::Budget(pause));
        }
        *waited = total;
        Ok(pause)
    }
}

/// Whether a status tells of a fault that may pass.
///
/// 501, 505, 507 and 511 are answers, not faults; they stay.
pub(crate) fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 499 | 500 | 502..=504 | 520..=524)
}

/// What a response with a status that may pass asks for.
pub(crate) fn hint(status: StatusCode, headers: &HeaderMap) -> Hint {
    match retry_after(headers) {
        Some(asked) => Hint::After(asked),
        None if status == StatusCode::TOO_MANY_REQUESTS => Hint::SlowDown,
        None => Hint::None,
    }
}

/// The pause that `Retry-After` asks for, in seconds or as a date; the longest when there are several.
///
/// A date is measured against the response's own `Date`, so that a wrong clock here does not count. What
/// cannot be read is as if it were not there.
///
/// Spec: RFC 9110, 10.2.3 and 5.6.7.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    // Dates of the one form that is generated today have 29 characters; the limit keeps parsers calm.
    let texts = headers.get_all(header::RETRY_AFTER).iter().filter_map(|value| value.to_str().ok());
    let read = |text: &str| {
        let text = text.trim();
        if text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().ok().map(Duration::from_secs);
        }
        let at = httpdate::parse_http_date(text).ok()?;
        let now = headers.get(header::DATE)?.to_str().ok().filter(|date| date.len() <= 40)?;
        Some(at.duration_since(httpdate::parse_http_date(now).ok()?).unwrap_or_default())
    };
    texts.filter(|text| text.len() <= 40).filter_map(read).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap())
        };
        list.iter().map(pair).collect()
    }

    #[test]
    fn pauses_double_up_to_the_cap_and_chance_scales_them() {
        let policy = RetryPolicy::default();
        let pauses: Vec<_> = (0..9).map(|n| policy.pause(n, Hint::None, 1.0).as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(policy.pause(3, Hint::None, 0.0), Duration::ZERO);
        assert_eq!(policy.pause(3, Hint::SlowDown, 0.0).as_millis(), 1000);
        assert_eq!(policy.pause(0, Hint::After(Duration::from_secs(10)), 0.5).as_millis(), 10_500);
        assert_eq!(policy.pause(u32::MAX, Hint::None, 1.0), policy.cap);
    }

    #[test]
    fn the_budget_ends_attempts_and_waiting() {
        let budget =
            Budget::new(RetryPolicy { retries: 2, budget: Duration::from_secs(3), ..Default::default() });
        assert_eq!(budget.take(2, Hint::None, 0.5), Err(NoMore::Attempts));
        let two = Hint::After(Duration::from_secs(2));
        assert_eq!(budget.take(0, two, 0.0), Ok(Duration::from_secs(2)));
        assert_eq!(budget.take(1, two, 0.0), Err(NoMore::Budget(Duration::from_secs(2))));
        assert_eq!(budget.waited(), Duration::from_secs(2));
    }

    /// SEC-57.
    #[test]
    fn retry_after_is_read_in_both_forms_and_garbage_is_nothing() {
        let date = ("date", "Tue, 15 Nov 1994 08:12:31 GMT");
        for (list, seconds) in [
            (vec![("retry-after", "7")], Some(7)),
            (vec![("retry-after", "0")], Some(0)),
            (vec![("retry-after", "3"), ("retry-after", "9")], Some(9)),
            (vec![("retry-after", "Tue, 15 Nov 1994 08:13:01 GMT"), date], Some(30)),
            (vec![("retry-after", "Tue, 15 Nov 1994 08:10:00 GMT"), date], Some(0)),
            (vec![("retry-after", "Tue, 15 Nov 1994 08:13:01 GMT")], None),
            (vec![("retry-after", "-1")], None),
            (vec![("retry-after", "1e9")], None),
            (vec![("retry-after", "soon")], None),
            (vec![("retry-after", &*"(".repeat(100_000))], None),
            (vec![], None),
        ] {
            assert_eq!(retry_after(&headers(&list)), seconds.map(Duration::from_secs), "{list:.60?}");
        }
    }

    #[test]
    fn only_faults_that_may_pass_are_repeated() {
        for status in [408, 429, 499, 500, 502, 503, 504, 520, 524] {
            assert!(may_pass(StatusCode::from_u16(status).unwrap()), "{status}");
        }
        for status in [200, 301, 400, 401, 403, 404, 405, 409, 413, 416, 501, 505, 507, 511] {
            assert!(!may_pass(StatusCode::from_u16(status).unwrap()), "{status}");
        }
    }
}
