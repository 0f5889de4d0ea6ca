//! How the body of an answer goes out.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderValue, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use tokio::sync::Semaphore;

/// The body of an answer.
pub(super) type Delivered = UnsyncBoxBody<Bytes, Infallible>;

/// How a body goes out, when it is not at once; kept in the extensions of the answer.
#[derive(Clone, Debug)]
pub(super) enum Delivery {
    /// Over and over.
    Endless,
    /// A byte for each permit.
    Drip(Arc<Semaphore>),
}

pub(super) fn deliver(mut answer: Response<Bytes>) -> Response<Delivered> {
    match answer.extensions_mut().remove::<Delivery>() {
        None => answer.map(|bytes| Full::new(bytes).boxed_unsync()),
        Some(Delivery::Endless) => answer.map(|bytes| {
            StreamBody::new(stream::repeat_with(move || Ok(Frame::data(bytes.clone())))).boxed_unsync()
        }),
        Some(Delivery::Drip(permits)) => {
            let length = HeaderValue::from(answer.body().len());
            answer.headers_mut().insert(header::CONTENT_LENGTH, length);
            answer.map(|bytes| {
                let bytes = stream::iter((0..bytes.len()).map(move |at| bytes.slice(at..=at)));
                let dripped = bytes.then(move |byte| {
                    let permits = Arc::clone(&permits);
                    async move {
                        if let Ok(permit) = permits.acquire().await {
                            permit.forget();
                        }
                        Ok(Frame::data(byte))
                    }
                });
                StreamBody::new(dripped).boxed_unsync()
            })
        }
    }
}
