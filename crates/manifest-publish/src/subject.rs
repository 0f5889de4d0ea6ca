//! A list or an image that is only looked at, wherever it is.

use bytes::Bytes;
use manifest_core::Digest;
use manifest_store::{Record, Sources};
use manifest_transport::{Fetched, Place, Transport, TransportError, Which};

use crate::error::PublishError;
use crate::survey::Origins;

/// A list or an image that is only looked at: its document, and where what it names can be read.
#[derive(Clone, Debug)]
pub struct Subject {
    fetched: Fetched,
    from: From,
}

#[derive(Clone, Debug)]
enum From {
    Place(Place),
    Sources { transport: Transport, sources: Sources, here: Place },
}

impl Subject {
    /// Reads the document of a list or an image; what it names lies at the same place.
    ///
    /// # Errors
    /// Those of [`Place::manifest`].
    pub async fn open(place: Place, which: &Which) -> Result<Self, TransportError> {
        Ok(Self { fetched: place.manifest(which).await?, from: From::Place(place) })
    }

    /// Takes a record, whose entries are read where they came from; `here` is the [`pool`](crate::pool()) of its store.
    ///
    /// # Errors
    /// When its document cannot be read.
    pub fn of_record(record: &Record, transport: &Transport, here: &Place) -> Result<Self, TransportError> {
        let document = record.encoded();
        let bytes = Bytes::from(document.bytes.clone());
        let fetched = Fetched::kept(&record.title(), &document.digest, bytes, &document.media_type)?;
        let (transport, sources) = (transport.clone(), record.sources().clone());
        Ok(Self { fetched, from: From::Sources { transport, sources, here: here.clone() } })
    }

    /// The document.
    pub const fn fetched(&self) -> &Fetched {
        &self.fetched
    }

    /// Where the document itself is known to lie: at a source that stood for it, if it is that of a record.
    pub(crate) fn places_of_itself(&self) -> Result<Vec<Place>, PublishError> {
        match &self.from {
            From::Place(place) => Ok(vec![place.clone()]),
            From::Sources { transport, sources, here } => {
                let origins = Origins { transport, sources, here: Some(here) };
                let of_it = sources.iter().filter(|source| source.digest == self.fetched.digest);
                of_it.map(|source| origins.place(&source.place)).collect()
            }
        }
    }

    /// Where an entry, or an image itself, is read.
    pub(crate) fn place_of(&self, digest: &Digest) -> Result<Place, PublishError> {
        match &self.from {
            From::Place(place) => Ok(place.clone()),
            From::Sources { transport, sources, here } => {
                Origins { transport, sources, here: Some(here) }.of(digest)
            }
        }
    }
}
