//! Answers: read with a limit, and not for longer than they move.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::client::causes;
use crate::error::TransportError;

/// How long a body may stand still while it is read.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a body is watched before its speed is judged.
pub(super) const STRETCH: Duration = Duration::from_secs(60);
/// The bytes that have to move in such a stretch: 1 KiB a second.
pub(super) const LEAST_BYTES: u64 = 60 << 10;
/// Bytes of an error body that are read.
const MAX_ERROR_BODY: usize = 64 << 10;

/// An answer whose body has not been read yet.
#[derive(Debug)]
pub(crate) struct Response {
    inner: reqwest::Response,
    label: String,
    /// The stretch of time in which the body is watched now, and the bytes that came in it.
    stretch: (Instant, u64),
    /// Held until the body is read: a body under way is a request under way.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Response {
    pub(super) fn new(inner: reqwest::Response, label: String, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { inner, label, stretch: (Instant::now(), 0), _permit: permit }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.inner.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    pub(crate) fn header(&self, name: header::HeaderName) -> Option<String> {
        self.headers().get(name)?.to_str().ok().map(str::to_owned)
    }

    /// Where the answer came from in the end.
    pub(crate) fn url(&self) -> &url::Url {
        self.inner.url()
    }

    /// What was asked, for people.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// What the network said, or that the body stood still.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        match tokio::time::timeout(IDLE_TIMEOUT, self.inner.chunk()).await {
            Ok(Ok(Some(chunk))) => self.moves(chunk.len() as u64).map(|()| Some(chunk)),
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => Err(causes(&error.without_url())),
            Err(_) => Err(format!("no byte came for {} s", IDLE_TIMEOUT.as_secs())),
        }
    }

    /// Counts bytes that came; a body that only drips is as good as one that stands still.
    fn moves(&mut self, count: u64) -> Result<(), String> {
        let (since, before) = self.stretch;
        self.stretch = (since, before + count);
        if since.elapsed() < STRETCH {
            return Ok(());
        }
        let slow = before + count < LEAST_BYTES;
        self.stretch = (Instant::now(), 0);
        if slow { Err(format!("less than 1 KiB a second came for {} s", STRETCH.as_secs())) } else { Ok(()) }
    }

    /// The whole body, if it has at most `limit` bytes: `Ok(None)` when it has more.
    pub(crate) async fn bytes(&mut self, limit: usize) -> Result<Option<Bytes>, String> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body.freeze()))
    }

    /// What the server says in a body that tells of an error: the first error's code and message.
    pub(crate) async fn error(&mut self) -> (String, String) {
        let mut body = BytesMut::new();
        while let Ok(Some(chunk)) = self.chunk().await {
            let room = MAX_ERROR_BODY - body.len();
            body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
            if body.len() >= MAX_ERROR_BODY {
                break;
            }
        }
        crate::registry::answer::error(&body)
    }

    /// Status and message, for people.
    pub(crate) async fn complaint(mut self) -> String {
        let status = self.status();
        let (code, message) = self.error().await;
        [format!("status {}", status.as_u16()), code, message]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The error that a final status other than success stands for.
    pub(crate) async fn refusal(mut self) -> TransportError {
        let status = self.status().as_u16();
        let (code, message) = self.error().await;
        TransportError::Refused { request: self.label, status, code, message }
    }
}
