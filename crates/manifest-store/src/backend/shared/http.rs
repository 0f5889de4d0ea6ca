//! The way of requests to the clouds.

use std::fmt;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};

use super::failure::code;

/// The most bytes of an answer that are looked at for its code.
const LOOK: usize = 64 * 1024;

/// What makes a write conditional, in the one cloud or the other.
const CONDITIONS: [&str; 3] = ["if-match", "if-none-match", "x-goog-if-generation-match"];

/// Sends each conditional write once.
///
/// One that is repeated blindly can meet its own success and take it for somebody else's, so
/// that whoever made it must look before it is repeated; `object_store` would repeat it itself. What it may
/// repeat are all other requests.
#[derive(Debug, Default)]
pub(super) struct WritesOnce(ReqwestConnector);

#[derive(Debug)]
struct Service(HttpClient);

/// What a service answered to a conditional write that it did not simply make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) code: Option<String>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service answered {}", self.status)?;
        self.code.as_ref().map_or(Ok(()), |code| write!(f, " {code}"))
    }
}

impl std::error::Error for Answer {}

impl HttpConnector for WritesOnce {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service(self.0.connect(options)?)))
    }
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if !CONDITIONS.iter().any(|name| request.headers().contains_key(*name)) || request.method() != "PUT" {
            return self.0.execute(request).await;
        }
        let response = match self.0.execute(request).await {
            Ok(response) => response,
            // Its kind decides what is repeated; inside stands what it was.
            Err(error) => return Err(HttpError::new(HttpErrorKind::Unknown, error)),
        };
        match response.status().as_u16() {
            200..=299 | 304 | 401 | 403 | 404 | 412 => Ok(response),
            status => {
                let body = response.into_body().bytes().await.unwrap_or_default();
                let text = String::from_utf8_lossy(body.get(..LOOK).unwrap_or(&body));
                let code = code(&text).map(str::to_owned);
                Err(HttpError::new(HttpErrorKind::Unknown, Answer { status, code }))
            }
        }
    }
}
