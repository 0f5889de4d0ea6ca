//! The one seam to the network: every request to a registry or token server goes through [`Http`].
//!
//! Here live the rules that hold for all of them: pauses and retries, redirects, what a server may send us
//! to, limits on what is read, and timeouts on silence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::clock::Clock;
use crate::error::TransportError;
use crate::observe::{Event, Observer};
use crate::pace::Pace;
use crate::retry::{Budget, Hint, NoMore, RetryPolicy, hint, may_pass};

mod client;
mod names;
mod redirect;
mod response;
mod tls;

pub(crate) use client::{Chosen, is_loopback};
pub(crate) use names::Stands;
pub use names::{LookUp, Names, SystemNames};
pub(crate) use redirect::target;
pub(crate) use response::Response;
use response::{LEAST_BYTES, STRETCH};
pub use tls::Tls;

/// How long a server may think before it answers a request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a server may take to finish a blob of which it has every byte.
const FINISH_TIMEOUT: Duration = Duration::from_secs(300);
/// Warnings that are told in one run, and how long each may be.
const MAX_WARNINGS: usize = 32;
const MAX_WARNING: usize = 300;

/// Requests to one host that are under way at most, unless the user says otherwise.
pub const DEFAULT_JOBS: usize = 24;

/// The body of a request.
#[derive(Clone, Debug, Default)]
pub(crate) enum Body {
    #[default]
    Empty,
    Bytes(bytes::Bytes),
}

/// A request that may be sent more than once.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// The settings of the host that the user named.
    pub(crate) tls: Tls,
    /// Whether the user or a server chose the host.
    pub(crate) chosen: Chosen,
}

impl Request {
    pub(crate) fn new(method: Method, url: Url, tls: &Tls) -> Self {
        let (headers, body) = (HeaderMap::new(), Body::Empty);
        Self { method, url, headers, body, tls: tls.clone(), chosen: Chosen::ByUser }
    }

    /// Method and URL, for people: no query, no user name.
    pub(crate) fn label(&self) -> String {
        format!("{} {}", self.method, shown(&self.url))
    }
}

/// A body that is sent once, as it comes, with a way to see that it moves.
pub(crate) struct Streamed {
    pub(crate) length: u64,
    pub(crate) body: reqwest::Body,
    pub(crate) progress: Progress,
}

/// Counts bytes as they pass, for those who watch whether they do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<std::sync::atomic::AtomicU64>);

impl Progress {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Why one attempt brought no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Another attempt may do better; nobody has seen this one.
    Unsent(String),
    /// Another attempt may do better; what became of this one is not known.
    MayPass(String),
    /// No attempt will do better.
    Final(TransportError),
}

/// What one attempt brought.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// Any answer that will not pass.
    Answer(Response),
    /// A fault that may pass.
    Setback(Setback),
}

/// A fault that may pass.
#[derive(Debug)]
pub(crate) struct Setback {
    /// What it was, for people.
    pub(crate) cause: String,
    /// What it asks for.
    pub(crate) hint: Hint,
    /// Whether the request may have been carried out all the same.
    pub(crate) carried_out: bool,
}

/// The network, shared by everything that one command does.
#[derive(Clone, Debug)]
pub(crate) struct Http(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    budget: Budget,
    jobs: usize,
    clients: client::Clients,
    hosts: Mutex<BTreeMap<String, Arc<Host>>>,
    warnings: Mutex<BTreeSet<String>>,
}

/// What is known of one origin: how fast it may be asked, and how much at once.
#[derive(Debug)]
struct Host {
    pace: Pace,
    permits: Arc<Semaphore>,
}

impl Http {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        policy: RetryPolicy,
        jobs: usize,
        names: Arc<dyn Names>,
    ) -> Self {
        Self(Arc::new(Shared {
            clock,
            observer,
            budget: Budget::new(policy),
            jobs: jobs.clamp(1, 256),
            clients: client::Clients::new(names::Resolver::new(names)),
            hosts: Mutex::default(),
            warnings: Mutex::default(),
        }))
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// Where the host of a URL stands, as far as it has been looked up.
    pub(crate) fn stands(&self, url: &Url) -> Stands {
        self.0.clients.resolver.stands(url)
    }

    pub(crate) fn observe(&self, event: Event) {
        self.0.observer.event(event);
    }

    /// Sends a request until it is answered by anything but a fault that may pass.
    ///
    /// Redirects of reading requests are followed; credentials stay with the origin they were meant for.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let mut retry = 0;
        loop {
            match self.send_once(&request).await? {
                Attempt::Answer(response) => return Ok(response),
                Attempt::Setback(Setback { cause, hint, .. }) => {
                    self.pause(&request.label(), &request.url, retry, hint, cause).await?;
                }
            }
            retry += 1;
        }
    }

    /// Sends a request once; whoever repeats it pauses before.
    pub(crate) async fn send_once(&self, request: &Request) -> Result<Attempt, TransportError> {
        let begun = self.clock().elapsed();
        let setback = match self.follow(request).await {
            Ok(response) if !may_pass(response.status()) => {
                self.host(&request.url).pace.good(self.clock().elapsed());
                return Ok(Attempt::Answer(response));
            }
            Ok(response) => {
                let status = response.status();
                let hint = hint(status, response.headers());
                // These two say that nothing was done; behind the others something may have been.
                let turned_away = matches!(status.as_u16(), 429 | 503);
                Setback { cause: response.complaint().await, hint, carried_out: !turned_away }
            }
            Err(Failure::Unsent(cause)) => Setback { cause, hint: Hint::None, carried_out: false },
            Err(Failure::MayPass(cause)) => Setback { cause, hint: Hint::None, carried_out: true },
            Err(Failure::Final(error)) => return Err(error),
        };
        // Time that was lost with a server that says nothing is waiting, too.
        self.0.budget.charge(self.clock().elapsed().saturating_sub(begun));
        Ok(Attempt::Setback(setback))
    }

    /// Sends a request and reads the body of at most `limit` bytes of a successful answer; `None` when it has more,
    /// or when the answer is no success. An answer that breaks off is asked for again.
    pub(crate) async fn send_and_read(
        &self,
        request: Request,
        limit: usize,
    ) -> Result<(Response, Option<bytes::Bytes>), TransportError> {
        let mut retry = 0;
        loop {
            let mut response = self.send(request.clone()).await?;
            if !response.status().is_success() {
                return Ok((response, None));
            }
            match response.bytes(limit).await {
                Ok(body) => return Ok((response, body)),
                Err(cause) => {
                    drop(response);
                    self.pause(&request.label(), &request.url, retry, Hint::None, cause).await?;
                }
            }
            retry += 1;
        }
    }

    /// Sends a request once, to see whether somebody answers at all.
    pub(crate) async fn probe(&self, request: Request) -> Result<Response, Failure> {
        self.follow(&request).await
    }

    /// Sends a body once, as it comes; the caller knows how to go on after a failure.
    pub(crate) async fn send_stream(&self, request: &Request, sent: Streamed) -> Result<Response, Failure> {
        let (length, progress) = (sent.length, sent.progress.clone());
        let builder = self.builder(request)?.header(header::CONTENT_LENGTH, length).body(sent.body);
        // No timeout of an attempt runs meanwhile.
        self.host(&request.url).pace.turn(self.clock()).await;
        // Takes no permit: its content may come from a request to the same host that holds one already.
        let attempt = self.attempt(request, builder, None);
        tokio::pin!(attempt);
        let mut seen = 0;
        let mut answer_by = None;
        loop {
            if let Ok(outcome) = tokio::time::timeout(STRETCH, &mut attempt).await {
                return outcome;
            }
            let sent = progress.count();
            if sent < length && sent - seen < LEAST_BYTES {
                return Err(Failure::MayPass(format!("hardly a byte was taken for {} s", STRETCH.as_secs())));
            }
            // A registry may have to move a large blob before it can answer.
            let now = tokio::time::Instant::now();
            if sent >= length && *answer_by.get_or_insert(now + FINISH_TIMEOUT) <= now {
                let seconds = FINISH_TIMEOUT.as_secs();
                return Err(Failure::MayPass(format!("no answer for {seconds} s after the last byte")));
            }
            seen = sent;
        }
    }

    /// Waits before another attempt, or says why there is none.
    pub(crate) async fn pause(
        &self,
        label: &str,
        url: &Url,
        retry: u32,
        hint: Hint,
        cause: String,
    ) -> Result<(), TransportError> {
        let clock = self.clock();
        let pause = match (self.0.budget.take(retry, hint, clock.chance()), hint) {
            (Ok(pause), _) => pause,
            (Err(NoMore::Budget(_)), Hint::After(after)) => {
                return Err(TransportError::ComeBack { host: authority(url), after });
            }
            (Err(NoMore::Attempts | NoMore::Budget(_)), _) => {
                return Err(self.exhausted(label, retry + 1, cause));
            }
        };
        let event =
            Event::Retry { request: label.to_owned(), host: authority(url), retry: retry + 1, pause, cause };
        self.observe(event);
        if hint != Hint::None {
            self.host(url).pace.slow_down(clock.elapsed(), pause);
        }
        clock.pause(pause).await;
        Ok(())
    }

    /// The error of a request that is not made again.
    pub(crate) fn exhausted(&self, request: &str, attempts: u32, last: String) -> TransportError {
        let waited = self.0.budget.waited();
        TransportError::Exhausted { request: request.to_owned(), attempts, waited, last }
    }

    /// Sends a request once and follows where it leads.
    async fn follow(&self, request: &Request) -> Result<Response, Failure> {
        let mut hops = redirect::Hops::new(request);
        loop {
            let here = hops.request();
            let mut builder = self.builder(here)?;
            if let Body::Bytes(bytes) = &here.body {
                builder = builder.body(bytes.clone());
            }
            let closed = |_| Failure::Unsent("the program is ending".to_owned());
            let permits = Arc::clone(&self.host(&here.url).permits);
            let permit = permits.acquire_owned().await.map_err(closed)?;
            self.host(&here.url).pace.turn(self.clock()).await;
            let attempt = self.attempt(here, builder, Some(permit));
            let response = tokio::time::timeout(ANSWER_TIMEOUT, attempt).await.unwrap_or_else(|_| {
                Err(Failure::MayPass(format!("no answer for {} s", ANSWER_TIMEOUT.as_secs())))
            })?;
            let sender = self.stands(&hops.request().url);
            match hops.next(&response, sender).map_err(Failure::Final)? {
                Some(()) => continue,
                None => return Ok(response),
            }
        }
    }

    fn builder(&self, request: &Request) -> Result<reqwest::RequestBuilder, Failure> {
        if !self.0.clients.resolver.admits(&request.url, request.chosen) {
            return Err(Failure::Final(TransportError::Untrusted {
                request: request.label(),
                to: format!("{}://{}", request.url.scheme(), authority(&request.url)),
                why: "is an address in a network where the server itself is not".to_owned(),
            }));
        }
        let client =
            self.0.clients.client(&request.url, &request.tls, request.chosen).map_err(Failure::Final)?;
        let builder =
            client.request(request.method.clone(), request.url.clone()).headers(request.headers.clone());
        Ok(builder.header(header::ACCEPT_ENCODING, "identity"))
    }

    async fn attempt(
        &self,
        request: &Request,
        builder: reqwest::RequestBuilder,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Response, Failure> {
        let answer = builder.send().await.map_err(|error| client::failure(&request.url, error))?;
        let event = Event::Request {
            method: request.method.to_string(),
            url: shown(&request.url),
            status: answer.status().as_u16(),
        };
        self.observe(event);
        if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            let message = format!("the proxy wants a login of its own for {}", request.label());
            let host = authority(&request.url);
            return Err(Failure::Final(TransportError::Unreachable { host, message }));
        }
        self.tell_warnings(&request.url, answer.headers());
        Ok(Response::new(answer, request.label(), permit))
    }

    /// Tells each warning of a server once.
    fn tell_warnings(&self, url: &Url, headers: &HeaderMap) {
        for value in headers.get_all(header::WARNING).iter().filter_map(|value| value.to_str().ok()) {
            let Some(text) = value.strip_prefix("299 - ") else { continue };
            let text: String =
                text.chars().filter(|c| !c.is_control() && *c != '"').take(MAX_WARNING).collect();
            let text = format!("{}: {text}", authority(url));
            self.warn_once(text);
        }
    }

    /// Tells a warning, unless it was told.
    pub(crate) fn warn_once(&self, text: String) {
        let new = |mut told: MutexGuard<'_, BTreeSet<String>>| {
            told.len() < MAX_WARNINGS && told.insert(text.clone())
        };
        if self.0.warnings.lock().is_ok_and(new) {
            self.observe(Event::Warning(text));
        }
    }

    fn host(&self, url: &Url) -> Arc<Host> {
        let new = || Arc::new(Host { pace: Pace::default(), permits: Arc::new(Semaphore::new(self.0.jobs)) });
        let Ok(mut hosts) = self.0.hosts.lock() else { return new() };
        Arc::clone(hosts.entry(authority(url)).or_insert_with(new))
    }
}

/// Host and port of a URL, as people write them.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A URL for people: no query and no user name, since both may hold secrets.
pub(crate) fn shown(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), authority(url), url.path())
}

/// Whether two URLs have the same scheme, host and port.
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}
