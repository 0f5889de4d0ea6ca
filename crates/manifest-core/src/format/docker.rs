//! Docker manifest lists.
//!
//! Spec: Docker "Image Manifest V2, Schema 2", "Manifest List". The order of the members is that of the Go
//! structures: an entry has its size before its digest.

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::json::{self, unless};
use crate::{Descriptor, EncodeError, Format, List, MediaType, Platform};

/// Writes the list as a Docker manifest list.
pub(super) fn write(list: &List) -> Result<Vec<u8>, EncodeError> {
    if let Some(error) = unrepresentable(list) {
        return Err(error);
    }
    if let Some(child) = list.entries().iter().find(|entry| entry.media_type.is_oci()) {
        return Err(EncodeError::OciChild { digest: child.digest, media_type: child.media_type.clone() });
    }
    json::to_vec(&DockerList(list), super::about(list)).map_err(|error| EncodeError::Json(error.to_string()))
}

/// The first thing in the list that a Docker manifest list has no place for.
pub(super) fn unrepresentable(list: &List) -> Option<EncodeError> {
    let of_list = [
        (list.artifact_type().is_some(), "an artifactType"),
        (list.subject().is_some(), "a subject"),
        (!list.annotations().is_empty(), "annotations"),
    ];
    if let Some((_, field)) = of_list.into_iter().find(|(used, _)| *used) {
        return Some(lost(field, "the list".to_owned()));
    }
    list.entries().iter().find_map(|entry| {
        let of_entry = [
            (!entry.annotations.is_empty(), "annotations"),
            (entry.data.is_some(), "inline data"),
            (entry.artifact_type.is_some(), "an artifactType"),
            // In an OCI index they may be anything; Docker's readers take a list of strings only.
            (has_unknown_features(entry), "\"features\" of unknown meaning"),
        ];
        let (_, field) = of_entry.into_iter().find(|(used, _)| *used)?;
        Some(lost(field, entry.digest.to_string()))
    })
}

fn has_unknown_features(entry: &Descriptor) -> bool {
    entry.platform.as_ref().is_some_and(|platform| platform.extra.contains("features"))
}

const fn lost(field: &'static str, at: String) -> EncodeError {
    EncodeError::NotRepresentable { format: Format::Docker, field, at }
}

struct DockerList<'a>(&'a List);

impl Serialize for DockerList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schemaVersion", &2)?;
        map.serialize_entry("mediaType", &MediaType::DOCKER_LIST)?;
        map.serialize_entry("manifests", &Children(self.0.entries()))?;
        self.0.extra().write(&mut map)?;
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
        map.serialize_entry("size", &child.size)?;
        map.serialize_entry("digest", &child.digest)?;
        unless(child.urls.is_empty(), &mut map, "urls", &child.urls)?;
        // The platform always stands there, even when nothing is known of it.
        let unknown = Platform::default();
        map.serialize_entry("platform", &DockerPlatform(child.platform.as_ref().unwrap_or(&unknown)))?;
        child.extra.write(&mut map)?;
        map.end()
    }
}

struct DockerPlatform<'a>(&'a Platform);

impl Serialize for DockerPlatform<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        super::write_platform(self.0, &mut map)?;
        unless(self.0.features.is_empty(), &mut map, "features", &self.0.features)?;
        self.0.extra.write(&mut map)?;
        map.end()
    }
}
