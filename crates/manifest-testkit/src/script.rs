//! Faults by script: which request is to meet what.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tokio::sync::{Semaphore, watch};

use crate::request::{Method, Request};

/// What happens to a request that a rule picked.
#[derive(Clone, Debug, Default)]
pub(crate) enum Action {
    /// The rule is not finished yet and picks nothing.
    #[default]
    Unset,
    Reply,
    ReplyEarly,
    Reset,
    Apply,
    ApplyThenReset,
    ResetAfterBody(u64),
    TakeOnly(u64),
    CutResponse(u64),
    StallResponse(u64),
    Endless(Bytes),
    Drip(Arc<Semaphore>),
    WrongBytes,
    Substitute(Bytes),
    ForgetUpload,
    Stall,
}

/// When a rule is asked: before the server looks at the login, or after it was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    BeforeLogin,
    #[default]
    AfterLogin,
}

/// Makes another value of that of a header.
type Rewrite = fn(&str) -> String;

/// All that is needed to carry out a rule for one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decision {
    pub(crate) action: Action,
    pub(crate) status: Option<u16>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) removed: Vec<HeaderName>,
    pub(crate) rewritten: Vec<(HeaderName, Rewrite)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) gate: Option<Gate>,
}

impl Decision {
    /// Applies status, headers and body of the rule to the server's own answer.
    pub(crate) fn dress(&self, answer: &mut http::Response<Bytes>) {
        if let Some(status) = self.status {
            *answer.status_mut() =
                http::StatusCode::from_u16(status).expect("a rule with a status of 100 to 999");
        }
        let replaced = self.headers.iter().map(|(name, _)| name);
        for name in self.removed.iter().chain(replaced) {
            answer.headers_mut().remove(name);
        }
        for (name, value) in &self.headers {
            answer.headers_mut().append(name.clone(), value.clone());
        }
        for (name, change) in &self.rewritten {
            if let Some(value) = answer.headers_mut().get_mut(name) {
                let text = change(value.to_str().expect("a header that is text"));
                *value = HeaderValue::from_str(&text).expect("the value of a header");
            }
        }
        if let Some(body) = &self.body {
            *answer.body_mut() = body.clone();
        }
    }
}

#[derive(Debug)]
struct State {
    method: Option<Method>,
    pattern: String,
    stage: Stage,
    skip: u64,
    /// How often the rule still applies; none means for ever.
    left: Option<u64>,
    hits: u64,
    decision: Decision,
}

/// One line of the script of a server: *on this request, do that*.
///
/// A rule is active as soon as it says what to do, applies once unless [`times`](Self::times) or
/// [`always`](Self::always) says otherwise, and is then spent. Of several rules for a request the one
/// made first applies. The value may be dropped or kept: kept, it tells its [`hits`](Self::hits).
///
/// ```
/// # use manifest_testkit::{FakeRegistry, Method};
/// let registry = FakeRegistry::start();
/// registry.on(Method::Put, "/v2/app/manifests/v1").reply(503).header("retry-after", "2");
/// registry.on(Method::Patch, "/v2/*/blobs/uploads/*").skip(1).times(3).reset_after_body_bytes(100);
/// ```
#[derive(Clone, Debug)]
pub struct Rule(Arc<Mutex<State>>);

impl Rule {
    fn new(method: Option<Method>, pattern: &str) -> Self {
        let pattern = pattern.to_owned();
        let (left, decision) = (Some(1), Decision::default());
        let state = State { method, pattern, stage: Stage::default(), skip: 0, left, hits: 0, decision };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Applies to `n` requests.
    pub fn times(self, n: u64) -> Self {
        self.state().left = Some(n);
        self
    }

    /// Applies to every request from now on.
    pub fn always(self) -> Self {
        self.state().left = None;
        self
    }

    /// Lets the first `k` requests pass.
    pub fn skip(self, k: u64) -> Self {
        self.state().skip = k;
        self
    }

    /// Applies even to requests that lack the login; otherwise those are answered by the challenge and
    /// leave the rule alone.
    pub fn before_login(self) -> Self {
        self.state().stage = Stage::BeforeLogin;
        self
    }

    /// Answers with this status, and does nothing else.
    pub fn reply(self, status: u16) -> Self {
        self.act(Action::Reply).status(status)
    }

    /// As [`reply`](Self::reply), but without reading the body of the request first.
    pub fn reply_early(self, status: u16) -> Self {
        self.act(Action::ReplyEarly).status(status)
    }

    /// Sends the client to `location`; `{target}` in it stands for the path and query of the request.
    pub fn redirect(self, status: u16, location: &str) -> Self {
        self.reply(status).header("location", location)
    }

    /// Carries the request out as usual; [`status`](Self::status), [`header`](Self::header),
    /// [`without_header`](Self::without_header) and [`body`](Self::body) then change the answer.
    pub fn apply(self) -> Self {
        self.act(Action::Apply)
    }

    /// Resets the connection instead of answering; the request has no effect.
    pub fn reset(self) -> Self {
        self.act(Action::Reset)
    }

    /// Carries the request out, then resets the connection instead of answering.
    pub fn apply_then_reset(self) -> Self {
        self.act(Action::ApplyThenReset)
    }

    /// Resets the connection when `n` bytes of the request's body have arrived. An upload session keeps
    /// those bytes, as those of real registries do.
    pub fn reset_after_body_bytes(self, n: u64) -> Self {
        self.act(Action::ResetAfterBody(n))
    }

    /// Carries the request out as if only the first `n` bytes of its body had come.
    pub fn take_only(self, n: u64) -> Self {
        self.act(Action::TakeOnly(n))
    }

    /// Ends the connection in order after `n` bytes of the response's body, fewer than it announced.
    pub fn cut_response_after(self, n: u64) -> Self {
        self.act(Action::CutResponse(n))
    }

    /// Sends `n` bytes of the response's body, then nothing more, with the connection left open.
    pub fn stall_response_after(self, n: u64) -> Self {
        self.act(Action::StallResponse(n))
    }

    /// Answers with this body over and over, without an end.
    pub fn endless(self, bytes: impl Into<Bytes>) -> Self {
        self.act(Action::Endless(bytes.into()))
    }

    /// Carries the request out and sends the body of the answer byte by byte, one for each permit.
    pub fn drip(self, permits: &Arc<Semaphore>) -> Self {
        self.act(Action::Drip(Arc::clone(permits)))
    }

    /// Carries the request out and changes one byte of the body of the answer, its length stays.
    pub fn wrong_bytes(self) -> Self {
        self.act(Action::WrongBytes)
    }

    /// Carries the request out and answers with these bytes instead, all headers but the length kept.
    pub fn substitute(self, bytes: impl Into<Bytes>) -> Self {
        self.act(Action::Substitute(bytes.into()))
    }

    /// Forgets the upload session of the request: 404 `BLOB_UPLOAD_UNKNOWN`, now and later.
    pub fn forget_upload(self) -> Self {
        self.act(Action::ForgetUpload)
    }

    /// Reads the request and never answers.
    pub fn stall(self) -> Self {
        self.act(Action::Stall)
    }

    /// Holds the request, body read, until the gate is open; then the rest of the rule applies, or the
    /// request is carried out as usual.
    pub fn hold(self, gate: &Gate) -> Self {
        {
            let mut state = self.state();
            state.decision.gate = Some(gate.clone());
            if matches!(state.decision.action, Action::Unset) {
                state.decision.action = Action::Apply;
            }
        }
        self
    }

    /// The status of the answer. Alone it is the same as [`reply`](Self::reply).
    pub fn status(self, status: u16) -> Self {
        {
            let mut state = self.state();
            state.decision.status = Some(status);
            if matches!(state.decision.action, Action::Unset) {
                state.decision.action = Action::Reply;
            }
        }
        self
    }

    /// Adds a header to the answer, in place of those of this name which the server would send. Called
    /// twice with one name it sends both.
    pub fn header(self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("the name of a header");
        let value = HeaderValue::from_str(value).expect("the value of a header");
        self.state().decision.headers.push((name, value));
        self
    }

    /// Leaves a header out that the server would send.
    pub fn without_header(self, name: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("the name of a header");
        self.state().decision.removed.push(name);
        self
    }

    /// Changes a header that the server sends.
    pub fn rewrite(self, name: &str, change: fn(&str) -> String) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("the name of a header");
        self.state().decision.rewritten.push((name, change));
        self
    }

    /// The body of the answer.
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.state().decision.body = Some(body.into());
        self
    }

    /// How many requests this rule was applied to.
    pub fn hits(&self) -> u64 {
        self.state().hits
    }

    fn act(self, action: Action) -> Self {
        self.state().decision.action = action;
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What this rule wants of a request; counts it.
    fn decide(&self, request: &Request, stage: Stage) -> Option<Decision> {
        let mut state = self.state();
        let target = if state.pattern.contains('?') { request.target.as_str() } else { request.path() };
        let applies = state.stage == stage
            && !matches!(state.decision.action, Action::Unset)
            && state.left != Some(0)
            && state.method.is_none_or(|method| method == request.method)
            && matches(&state.pattern, target);
        if !applies {
            return None;
        }
        if state.skip > 0 {
            state.skip -= 1;
            return None;
        }
        state.left = state.left.map(|left| left - 1);
        state.hits += 1;
        Some(state.decision.clone())
    }
}

/// The rules of one server.
#[derive(Debug, Default)]
pub(crate) struct Script(Mutex<Vec<Rule>>);

impl Script {
    pub(crate) fn on(&self, method: Option<Method>, pattern: &str) -> Rule {
        let rule = Rule::new(method, pattern);
        self.0.lock().unwrap().push(rule.clone());
        rule
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    pub(crate) fn decide(&self, request: &Request, stage: Stage) -> Option<Decision> {
        self.0.lock().unwrap().iter().find_map(|rule| rule.decide(request, stage))
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters, slashes too.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.into_iter().any(|at| matches(after, &rest[at..]))
}

/// A gate that requests wait at until a test opens it.
///
/// It lets a test look at a moment that would otherwise pass: so many requests are under way, now one
/// thing happens, then they go on.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<(usize, bool)>>);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A gate that is closed.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new((0, false))))
    }

    /// Lets everything pass, now and later.
    pub fn open(&self) {
        self.0.send_modify(|state| state.1 = true);
    }

    /// How many requests have come to the gate so far.
    pub fn arrived(&self) -> usize {
        self.0.borrow().0
    }

    /// Waits until `n` requests have come to the gate.
    ///
    /// # Panics
    /// After 30 seconds.
    pub async fn wait_for(&self, n: usize) {
        let mut state = self.0.subscribe();
        let waited =
            tokio::time::timeout(Duration::from_secs(30), state.wait_for(|(arrived, _)| *arrived >= n));
        assert!(waited.await.is_ok(), "only {} of {n} requests came to the gate in 30 s", self.arrived());
    }

    /// As [`wait_for`](Self::wait_for), for a test without a runtime.
    ///
    /// # Panics
    /// After 30 seconds, and inside of a runtime.
    pub fn wait_for_blocking(&self, n: usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(self.wait_for(n));
    }

    pub(crate) async fn pass(&self) {
        self.0.send_modify(|state| state.0 += 1);
        let mut state = self.0.subscribe();
        // The sender lives as long as this gate, so the only answer is "open".
        let _open = state.wait_for(|(_, open)| *open).await.map(|_| ());
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, fits) in [
            ("/v2/", "/v2/", true),
            ("/v2/", "/v2/x", false),
            ("/v2/*/manifests/v1", "/v2/a/b/manifests/v1", true),
            ("/v2/*/manifests/v1", "/v2/a/b/manifests/v12", false),
            ("*", "", true),
            ("/v2/*/blobs/uploads/*", "/v2/app/blobs/uploads/", true),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "aXc", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
