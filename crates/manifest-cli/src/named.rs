//! Lists and images that are only looked at, as they are named.

use manifest_publish::{Subject, pool};
use manifest_store::{Record, Store};
use manifest_transport::{Location, LocationError, Transport};

use crate::context::{Context, selector};
use crate::error::CliError;
use crate::gather::location;

/// A list or an image that is only looked at.
#[derive(Clone, Debug)]
pub(crate) enum Named {
    /// In the store.
    Here(String),
    /// Anywhere else.
    Elsewhere(Location),
}

impl Named {
    /// Understands a name; one without a transport is meant in the store.
    pub(crate) fn parse(text: &str) -> Result<Self, CliError> {
        let elsewhere = ["docker://", "oci:", "dir:", "oci-archive:", "docker-archive:"];
        if elsewhere.iter().any(|transport| text.starts_with(transport)) {
            return location(text).map(Self::Elsewhere);
        }
        match location(text) {
            // Only to say that a transport is not supported; a name with a tag passes.
            Err(error @ CliError::Location(LocationError::Unsupported(_))) => Err(error),
            _ => Ok(Self::Here(text.strip_prefix("store:").unwrap_or(text).to_owned())),
        }
    }

    /// Where it is, as people write it.
    pub(crate) fn origin(&self) -> String {
        match self {
            Self::Here(name) => format!("store:{name}"),
            Self::Elsewhere(location) => location.to_string(),
        }
    }

    /// The place that is named, unless it is the store.
    pub(crate) const fn location(&self) -> Option<&Location> {
        match self {
            Self::Here(_) => None,
            Self::Elsewhere(location) => Some(location),
        }
    }

    /// Reads its document.
    pub(crate) async fn open(&self, context: &Context, transport: &Transport) -> Result<Subject, CliError> {
        let name = match self {
            Self::Here(name) => name,
            Self::Elsewhere(location) => match transport.open(location) {
                Some((place, which)) => return Ok(Subject::open(place, &which).await?),
                None => return Err(LocationError::Unsupported(location.to_string()).into()),
            },
        };
        let store = context.store()?;
        let record = load(&store, name).await?;
        Ok(Subject::of_record(&record, transport, &pool(&store))?)
    }
}

/// Reads what is named in the store; when it is not there, it may have been meant in a registry.
pub(crate) async fn load(store: &Store, name: &str) -> Result<Record, CliError> {
    store.load(&selector(name)?).await.map_err(|error| {
        let hint = format!("manifest ls shows the lists there are; docker://{name} looks in the registry");
        CliError::from(error).advise("list_not_found", hint)
    })
}
