//! Docker archives, as `docker save` writes them: a configuration and layers, but no manifest.
//!
//! Spec: Docker "Image Specification v1.2", "Combined Image JSON + Filesystem Changeset Format"; Docker "Image
//! Manifest V2, Schema 2" for the manifest that is made up.

use std::collections::BTreeMap;
use std::io::{self, Read};

use bytes::Bytes;
use manifest_core::{Algorithm, Descriptor, Digest, Hasher, MAX_CONFIG_SIZE, MAX_MANIFEST_SIZE, MediaType};
use serde::{Deserialize, Serialize};

use super::error::{ArchiveError, brief, quoted};
use super::file::{PIECE, Source, Span, Stop, read_error};
use super::members::Members;
use super::unpack::{Compression, MAX_UNPACKED};
use crate::location::Pick;
use crate::offer::same_image;

/// The document that names the images.
pub(super) const MANIFEST: &str = "manifest.json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Layers that lie elsewhere and may not be distributed.
const FOREIGN: [&str; 4] = [
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
];

/// All images of an archive.
#[derive(Debug, Default)]
pub(super) struct Images {
    pub(super) images: Vec<Image>,
    /// Configurations and layers.
    pub(super) blobs: BTreeMap<Digest, Span>,
}

/// One image, with the manifest that was made up for it.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) names: Vec<String>,
    pub(super) descriptor: Descriptor,
    pub(super) manifest: Bytes,
}

/// One image in `manifest.json`.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags")]
    names: Option<Vec<String>>,
    #[serde(rename = "Layers")]
    layers: Option<Vec<String>>,
    #[serde(rename = "LayerSources")]
    sources: Option<BTreeMap<String, Part>>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Option<Vec<Digest>>,
}

/// A manifest, with its members in the order in which Docker writes them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: MediaType,
    config: Part,
    layers: Vec<Part>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    media_type: MediaType,
    size: u64,
    digest: Digest,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
}

/// What a pass over the content of a layer found.
#[derive(Clone, Copy)]
struct Measured {
    compression: Option<Compression>,
    digest: Digest,
    diff_id: Digest,
}

impl Images {
    /// Makes up the manifests of all images; each layer is read once for that.
    pub(super) fn read(source: &Source, members: &Members, stop: &Stop) -> Result<Self, ArchiveError> {
        let json = members.content(source, MANIFEST, MAX_MANIFEST_SIZE)?;
        let bad =
            |error: serde_json::Error| ArchiveError::Document(MANIFEST, format!("is not valid: {error}"));
        let named: Option<Vec<Named>> = serde_json::from_slice(&json).map_err(bad)?;
        let named = named.unwrap_or_default();
        if named.is_empty() {
            return Err(ArchiveError::Document(MANIFEST, "names no images".to_owned()));
        }
        let mut reading = Reading { source, members, stop, layers: BTreeMap::new(), found: Self::default() };
        for one in named {
            let image = reading.image(one)?;
            reading.found.images.push(image);
        }
        Ok(reading.found)
    }

    /// The image that is meant.
    pub(super) fn find(&self, pick: &Pick) -> Option<&Image> {
        let all = &self.images;
        match pick {
            Pick::Only => all.first().filter(|_| all.len() == 1),
            Pick::Position(at) => all.get(*at),
            Pick::Digest(digest) => all.iter().find(|image| image.descriptor.digest == *digest),
            Pick::Name(wanted) => {
                all.iter().find(|image| image.names.iter().any(|name| same_image(name, wanted)))
            }
        }
    }
}

struct Reading<'a> {
    source: &'a Source,
    members: &'a Members,
    stop: &'a Stop,
    /// Layers that were read, by where they lie and by what their diff ID is hashed with.
    layers: BTreeMap<(Span, &'static str), Measured>,
    found: Images,
}

impl Reading<'_> {
    fn image(&mut self, named: Named) -> Result<Image, ArchiveError> {
        let json = self.members.content(self.source, &named.config, MAX_CONFIG_SIZE)?;
        let digest = Digest::sha256(&json);
        check_name(&named.config, digest)?;
        let bad = |error: serde_json::Error| {
            ArchiveError::Document(
                "the configuration",
                format!("{} is not valid: {error}", quoted(named.config.as_bytes())),
            )
        };
        let config: Config = serde_json::from_slice(&json).map_err(bad)?;
        let diff_ids = config.rootfs.diff_ids.unwrap_or_default();
        let layers = named.layers.unwrap_or_default();
        if diff_ids.len() != layers.len() {
            let (config, expected, found) = (brief(named.config.as_bytes()), diff_ids.len(), layers.len());
            return Err(ArchiveError::LayerCount { config, expected, found });
        }
        self.found.blobs.insert(digest, self.members.file(&named.config)?);
        let sources = named.sources.unwrap_or_default();
        let layers = layers.iter().zip(diff_ids);
        let layers = layers.map(|(layer, diff_id)| self.layer(layer, diff_id, &sources));
        let manifest = Manifest {
            schema_version: 2,
            media_type: MediaType::DOCKER_MANIFEST,
            config: Part {
                media_type: MediaType::DOCKER_CONFIG,
                size: json.len() as u64,
                digest,
                urls: Vec::new(),
            },
            layers: layers.collect::<Result<_, _>>()?,
        };
        let json = |error: serde_json::Error| ArchiveError::Document(MANIFEST, error.to_string());
        let manifest = Bytes::from(serde_json::to_vec(&manifest).map_err(json)?);
        if manifest.len() > MAX_MANIFEST_SIZE {
            let image = format!("the manifest of {}", brief(named.config.as_bytes()));
            return Err(ArchiveError::LargeMember(image, MAX_MANIFEST_SIZE as u64));
        }
        let (digest, size) = (Digest::sha256(&manifest), manifest.len() as u64);
        let descriptor = Descriptor::new(MediaType::DOCKER_MANIFEST, digest, size);
        Ok(Image { names: named.names.unwrap_or_default(), descriptor, manifest })
    }

    fn layer(
        &mut self,
        name: &str,
        diff_id: Digest,
        sources: &BTreeMap<String, Part>,
    ) -> Result<Part, ArchiveError> {
        let span = match self.members.file(name) {
            Err(ArchiveError::NoMember(missing)) => {
                let foreign = |part: &&Part| FOREIGN.contains(&part.media_type.as_str());
                let elsewhere = sources.get(&diff_id.to_string()).filter(foreign);
                return elsewhere.cloned().ok_or(ArchiveError::NoMember(missing));
            }
            found => found?,
        };
        let algorithm = diff_id.algorithm();
        let measured = match self.layers.get(&(span, algorithm.as_str())) {
            Some(measured) => *measured,
            None => measure(self.source, span, algorithm, name, self.stop)?,
        };
        self.layers.insert((span, algorithm.as_str()), measured);
        if measured.diff_id != diff_id {
            let (member, found) = (brief(name.as_bytes()), measured.diff_id);
            return Err(ArchiveError::WrongContent { member, expected: diff_id, found });
        }
        check_name(name, measured.digest)?;
        self.found.blobs.insert(measured.digest, span);
        let media_type = match measured.compression {
            None => LAYER.to_owned(),
            Some(compression) => format!("{LAYER}.{compression}"),
        };
        let media_type = MediaType::from(media_type);
        Ok(Part { media_type, size: span.size, digest: measured.digest, urls: Vec::new() })
    }
}

/// A member whose name says the digest of its content must be that: `blobs/sha256/HEX`, or `HEX.json`.
fn check_name(name: &str, found: Digest) -> Result<(), ArchiveError> {
    let blob = name.trim_start_matches("./").strip_prefix("blobs/").map(|rest| rest.replacen('/', ":", 1));
    let claimed = blob.or_else(|| name.strip_suffix(".json").map(|hex| format!("sha256:{hex}")));
    match claimed.and_then(|text| text.parse().ok()) {
        Some(expected) if expected != found => {
            Err(ArchiveError::WrongContent { member: brief(name.as_bytes()), expected, found })
        }
        _ => Ok(()),
    }
}

/// Reads a layer once, as it lies there and unpacked.
fn measure(
    source: &Source,
    span: Span,
    algorithm: Algorithm,
    name: &str,
    stop: &Stop,
) -> Result<Measured, ArchiveError> {
    let start = source.start(span).map_err(read_error)?;
    let compression = Compression::of(&start);
    let mut raw = Hashing { from: source.section(span, stop), hasher: Algorithm::Sha256.hasher() };
    let diff_id = match compression {
        Some(compression) => {
            let failed = |error| ArchiveError::Unpack(quoted(name.as_bytes()), compression, error);
            let digest = hash_all(compression.unpack(&mut raw), algorithm, name, failed)?;
            // What a decoder leaves behind the end belongs to the blob all the same.
            io::copy(&mut raw, &mut io::sink()).map_err(read_error)?;
            Some(digest)
        }
        None => {
            let digest = hash_all(&mut raw, algorithm, name, read_error)?;
            (algorithm != Algorithm::Sha256).then_some(digest)
        }
    };
    let digest = raw.hasher.finish();
    Ok(Measured { compression, digest, diff_id: diff_id.unwrap_or(digest) })
}

fn hash_all(
    mut from: impl Read,
    algorithm: Algorithm,
    name: &str,
    failed: impl Fn(io::Error) -> ArchiveError,
) -> Result<Digest, ArchiveError> {
    let (mut hasher, mut buffer, mut size) = (algorithm.hasher(), vec![0; PIECE], 0_u64);
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        size = size.saturating_add(read as u64);
        if size > MAX_UNPACKED {
            return Err(ArchiveError::UnpackedTooLarge(quoted(name.as_bytes()), MAX_UNPACKED));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

/// A reader that hashes what passes.
struct Hashing<R> {
    from: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        self.hasher.update(to.get(..read).unwrap_or_default());
        Ok(read)
    }
}
