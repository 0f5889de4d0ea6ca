//! A registry that does not want to be asked too often.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Response, StatusCode};

/// How many requests are taken in each second.
#[derive(Debug)]
pub(super) struct Rate {
    limit: usize,
    /// When requests came: all since the limit was set.
    asked: Vec<Instant>,
    /// The second that is counted, and the requests in it.
    second: (Instant, usize),
    refused: Option<Instant>,
}

const SECOND: Duration = Duration::from_secs(1);

/// How long an answer is on its way, and what was sent until then.
const ON_ITS_WAY: Duration = Duration::from_millis(50);

impl Rate {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, asked: Vec::new(), second: (Instant::now(), 0), refused: None }
    }

    /// The answer to a request too many.
    pub(super) fn refuse(&mut self) -> Option<Response<Bytes>> {
        let now = Instant::now();
        self.asked.push(now);
        if now >= self.second.0 + SECOND {
            self.second = (now, 0);
        }
        self.second.1 += 1;
        if self.second.1 <= self.limit {
            return None;
        }
        self.refused.get_or_insert(now);
        let mut answer = Response::new(Bytes::from_static(b"too many requests\n"));
        *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        Some(answer)
    }

    /// The most requests that came within one second since the client could know of the first refusal.
    pub(super) fn busiest(&self) -> Option<usize> {
        let known = self.refused? + ON_ITS_WAY;
        let since: Vec<_> = self.asked.iter().copied().filter(|at| *at > known).collect();
        let within = |from: &Instant| since.iter().filter(|at| (*from..*from + SECOND).contains(*at)).count();
        since.iter().map(within).max()
    }
}
