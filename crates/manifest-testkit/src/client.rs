//! The transport under test, on a clock and with an observer that a test can ask.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use manifest_core::{Descriptor, Digest, MediaType};
use manifest_transport::{
    Event, Guard, Mounted, Observer, Place, Settings, Start, Transport, TransportError,
};

use crate::{FakeClock, Image};

/// Writes down everything that a transport tells.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<Event>>);

impl Recorder {
    /// All events so far.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observer for Recorder {
    fn event(&self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

/// A [`Transport`] whose time, chance and events belong to the test.
#[derive(Debug)]
pub struct Client {
    /// The transport.
    pub transport: Transport,
    /// Its clock.
    pub clock: Arc<FakeClock>,
    /// What it told.
    pub events: Arc<Recorder>,
}

impl Default for Client {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl Client {
    /// A transport with these settings.
    pub fn new(settings: Settings) -> Self {
        let (clock, events) = (Arc::new(FakeClock::new()), Arc::<Recorder>::default());
        let (observer, time) = (Arc::clone(&events), Arc::clone(&clock));
        Self { transport: Transport::with_clock(settings, observer, time), clock, events }
    }

    /// The place of a repository at a registry: `host[:port]` and the path below it.
    ///
    /// # Panics
    /// If they are not the name of a repository.
    pub fn repository(&self, address: &str, path: &str) -> Place {
        let reference: manifest_core::Reference = format!("{address}/{path}").parse().expect("a repository");
        self.transport.repository(&reference.repository())
    }

    /// The retries so far: what was asked, and why it was asked again.
    pub fn retries(&self) -> Vec<(String, String)> {
        let retry = |event| match event {
            Event::Retry { request, cause, .. } => Some((request, cause)),
            _ => None,
        };
        self.events.events().into_iter().filter_map(retry).collect()
    }
}

/// A descriptor of these bytes, as of a configuration.
pub fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor::new(MediaType::OCI_CONFIG, Digest::sha256(bytes), bytes.len() as u64)
}

/// Opens these bytes as the content of a blob, in pieces of 64 KiB, as often and from where it is asked to.
pub fn content(bytes: impl Into<Bytes>) -> impl Fn(Start) -> Opened + Send + Sync {
    let bytes = bytes.into();
    move |start| {
        let bytes = bytes.slice(usize::try_from(start.offset()).expect("a place in the blob")..);
        let pieces = (0..bytes.len()).step_by(PIECE);
        let pieces: Vec<_> = pieces.map(|at| Ok(bytes.slice(at..bytes.len().min(at + PIECE)))).collect();
        Box::pin(ready(Ok(stream::iter(pieces).boxed())))
    }
}

/// What [`content`] opens.
pub type Opened = Pin<Box<dyn Future<Output = Result<manifest_transport::Blob, TransportError>> + Send>>;

const PIECE: usize = 64 * 1024;

/// Writes a blob without an attempt to mount it.
///
/// # Errors
/// Those of the place.
pub async fn put_blob(place: &Place, bytes: impl Into<Bytes>) -> Result<(), TransportError> {
    let bytes = bytes.into();
    place.put_blob(&descriptor(&bytes), Mounted::Refused, &content(bytes.clone())).await
}

/// Reads a whole blob.
///
/// # Errors
/// Those of the place and of the stream.
pub async fn read_blob(place: &Place, wanted: &Descriptor) -> Result<Vec<u8>, TransportError> {
    let mut blob = place.blob(wanted).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = blob.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

/// Writes an image and names it.
///
/// # Errors
/// Those of the place.
pub async fn put_image(place: &Place, image: &Image, name: &str) -> Result<Digest, TransportError> {
    for blob in image.blobs() {
        put_blob(place, blob.bytes).await?;
    }
    place.put_named(Some(name), &image.media_type(), image.manifest().into(), &Guard::default()).await?;
    Ok(image.digest())
}
