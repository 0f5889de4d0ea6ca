//! OCI image indexes.
//!
//! Spec: OCI image-spec v1.1.1 `image-index.md`. The order of the members is that of the Go structures.

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::json::{self, unless, unless_empty};
use crate::{Descriptor, EncodeError, Format, List, MediaType, Platform};

/// Writes the list as an OCI image index.
pub(super) fn write(list: &List) -> Result<Vec<u8>, EncodeError> {
    if let Some(entry) = list.entries().iter().chain(list.subject()).find(|entry| has_features(entry)) {
        return Err(EncodeError::NotRepresentable {
            format: Format::Oci,
            field: "platform features",
            at: entry.digest.to_string(),
        });
    }
    json::to_vec(&Index(list), super::about(list)).map_err(|error| EncodeError::Json(error.to_string()))
}

fn has_features(descriptor: &Descriptor) -> bool {
    descriptor.platform.as_ref().is_some_and(|platform| !platform.features.is_empty())
}

struct Index<'a>(&'a List);

impl Serialize for Index<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let list = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schemaVersion", &2)?;
        map.serialize_entry("mediaType", &MediaType::OCI_INDEX)?;
        unless_empty(&mut map, "artifactType", list.artifact_type().map(MediaType::as_str))?;
        map.serialize_entry("manifests", &Children(list.entries()))?;
        unless(list.subject().is_none(), &mut map, "subject", &list.subject().map(Child))?;
        unless(list.annotations().is_empty(), &mut map, "annotations", list.annotations())?;
        list.extra().write(&mut map)?;
        map.end()
    }
}

struct Children<'a>(&'a [Descriptor]);

impl Serialize for Children<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Child))
    }
}

struct Child<'a>(&'a Descriptor);

impl Serialize for Child<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let child = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("mediaType", &child.media_type)?;
        map.serialize_entry("digest", &child.digest)?;
        map.serialize_entry("size", &child.size)?;
        unless(child.urls.is_empty(), &mut map, "urls", &child.urls)?;
        unless(child.annotations.is_empty(), &mut map, "annotations", &child.annotations)?;
        unless_empty(&mut map, "data", child.data.as_deref())?;
        unless(child.platform.is_none(), &mut map, "platform", &child.platform.as_ref().map(OciPlatform))?;
        unless_empty(&mut map, "artifactType", child.artifact_type.as_ref().map(MediaType::as_str))?;
        child.extra.write(&mut map)?;
        map.end()
    }
}

struct OciPlatform<'a>(&'a Platform);

impl Serialize for OciPlatform<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        super::write_platform(self.0, &mut map)?;
        self.0.extra.write(&mut map)?;
        map.end()
    }
}
