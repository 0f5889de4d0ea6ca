//! What `oci-layout` and `index.json` say, wherever they lie.

use std::fmt::Display;

use manifest_core::{DecodeError, Descriptor, List};

use crate::error::TransportError;
use crate::location::Pick;

/// The annotation that names a manifest in `index.json`.
pub(crate) const NAME: &str = "org.opencontainers.image.ref.name";
/// The media type of the file `oci-layout`, which some programs write into `index.json`.
const LAYOUT_HEADER: &str = "application/vnd.oci.layout.header.v1+json";

/// Checks the file `oci-layout`.
pub(crate) fn check_version(marker: &[u8]) -> Result<(), String> {
    let version: serde_json::Value =
        serde_json::from_slice(marker).map_err(|error| format!("oci-layout: {error}"))?;
    if version.get("imageLayoutVersion").and_then(serde_json::Value::as_str) == Some("1.0.0") {
        return Ok(());
    }
    Err(format!("oci-layout says {version}; version 1.0.0 is supported"))
}

/// Reads the file `index.json`.
pub(crate) fn decode(bytes: &[u8]) -> Result<List, DecodeError> {
    match List::decode(bytes) {
        // It is known to be JSON without duplicate members, so what is left out is what was read.
        Err(DecodeError::UnsupportedType(media_type)) if media_type.as_str() == LAYOUT_HEADER => {
            let shape = |error: serde_json::Error| DecodeError::Shape(error.to_string());
            let mut members: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(bytes).map_err(shape)?;
            members.remove("mediaType");
            List::decode(&serde_json::to_vec(&members).map_err(shape)?).map(|(list, _)| list)
        }
        read => read.map(|(list, _)| list),
    }
}

/// Finds the manifest that is meant; a name is that of the standard annotation.
pub(crate) fn find<'a>(index: &'a List, pick: &Pick) -> Option<&'a Descriptor> {
    let entries = index.entries();
    let named = |entry: &Descriptor, wanted| entry.annotations.get(NAME).map(String::as_str) == Some(wanted);
    match pick {
        Pick::Name(wanted) => entries.iter().find(|entry| named(entry, wanted.as_str())),
        Pick::Position(at) => entries.get(*at),
        Pick::Digest(digest) => index.entry(digest),
        Pick::Only => entries.first().filter(|_| entries.len() == 1),
    }
}

/// Says that nothing in a place is meant, and what there is; `place` is written as people write it.
pub(crate) fn absent(place: &dyn Display, pick: &Pick, count: usize, names: &[&str]) -> TransportError {
    let names = if names.is_empty() { "no names".to_owned() } else { names.join(", ") };
    TransportError::NotFound(format!("{place}{pick} (it has {count} manifests: {names})"))
}
