//! Tiny images whose bytes are the same in each run.

mod archive;
mod attachment;
mod deliver;
mod document;
mod index;
mod layer;

use std::path::Path;

use bytes::Bytes;
use manifest_core::{Digest, MediaType};

pub use self::archive::{Tar, docker_archive};
pub use self::attachment::Attachment;
use self::deliver::{Content, Manifest};
use self::document::{ConfigDocument, Descriptor, ManifestDocument, Platform, RootFs, to_json};
pub use self::index::Index;
use self::layer::Layer;
use crate::{FakeRegistry, Http};

/// A blob with its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// What the bytes hash to.
    pub digest: Digest,
    /// The bytes.
    pub bytes: Bytes,
}

impl Blob {
    fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::sha256(&bytes), bytes }
    }
}

/// Which family of media types a document uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Oci,
    Docker,
}

/// Whether a document names its own media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnType {
    Named,
    LeftOut,
}

/// A tiny image for one platform.
///
/// Its layers are gzipped tar archives with one file each, so every program can copy and unpack it.
/// The same calls give the same bytes in each run. Without a call of [`layer`](Self::layer) or
/// [`layers`](Self::layers) it has one small layer that names the platform.
#[derive(Clone, Debug)]
pub struct Image {
    platform: Platform,
    layers: Vec<Layer>,
    format: Format,
    own_type: OwnType,
    artifact_type: Option<String>,
    annotations: Vec<(String, String)>,
    run_as: serde_json::Value,
}

impl Image {
    /// An OCI image for a platform: `os/architecture` or `os/architecture/variant`.
    ///
    /// # Panics
    /// If there is no slash in the text.
    pub fn new(platform: &str) -> Self {
        Self {
            platform: Platform::parse(platform),
            layers: Vec::new(),
            format: Format::Oci,
            own_type: OwnType::Named,
            artifact_type: None,
            annotations: Vec::new(),
            run_as: serde_json::json!({}),
        }
    }

    /// Adds a layer that holds one file with this content.
    pub fn layer(mut self, content: impl AsRef<[u8]>) -> Self {
        self.layers.push(Layer::with_file(self.layers.len(), content.as_ref()));
        self
    }

    /// Adds a layer that holds these files.
    pub fn files(mut self, files: Tar) -> Self {
        self.layers.push(Layer::of(files));
        self
    }

    /// Sets how the image is run, such as `{"Env": ["A=1"]}`, in its configuration.
    ///
    /// # Panics
    /// If it is no object.
    pub fn run_as(mut self, config: serde_json::Value) -> Self {
        assert!(config.is_object(), "{config}");
        self.run_as = config;
        self
    }

    /// Adds `n` layers with `size` pseudo-random bytes each. Equal seeds give equal layers; the blob of
    /// a layer is up to 4 KiB and 0.01 % longer than `size`.
    pub fn layers(mut self, n: usize, size: usize, seed: u64) -> Self {
        for number in 0..n {
            let content = layer::noise(size, seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
            self = self.layer(content);
        }
        self
    }

    /// Uses Docker's media types.
    pub fn docker(mut self) -> Self {
        self.format = Format::Docker;
        self
    }

    /// Leaves `mediaType` out of the manifest.
    pub fn without_media_type(mut self) -> Self {
        self.own_type = OwnType::LeftOut;
        self
    }

    /// Sets `os.version`.
    pub fn os_version(mut self, version: &str) -> Self {
        self.platform.os_version = Some(version.to_owned());
        self
    }

    /// Sets `artifactType`.
    pub fn artifact_type(mut self, artifact_type: &str) -> Self {
        self.artifact_type = Some(artifact_type.to_owned());
        self
    }

    /// Adds an annotation to the manifest.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The manifest.
    pub fn manifest(&self) -> Vec<u8> {
        let (layer_type, config_type) = match self.format {
            Format::Oci => ("application/vnd.oci.image.layer.v1.tar+gzip", MediaType::OCI_CONFIG),
            Format::Docker => ("application/vnd.docker.image.rootfs.diff.tar.gzip", MediaType::DOCKER_CONFIG),
        };
        let layers = self.all_layers();
        to_json(&ManifestDocument {
            schema_version: 2,
            media_type: (self.own_type == OwnType::Named).then(|| self.media_type().to_string()),
            artifact_type: self.artifact_type.clone(),
            config: Descriptor::of(config_type.as_str(), &Blob::new(self.config())),
            layers: layers.iter().map(|layer| Descriptor::of(layer_type, &layer.blob)).collect(),
            annotations: self.annotations.iter().cloned().collect(),
        })
    }

    /// The media type of the manifest.
    pub fn media_type(&self) -> MediaType {
        match self.format {
            Format::Oci => MediaType::OCI_MANIFEST,
            Format::Docker => MediaType::DOCKER_MANIFEST,
        }
    }

    /// The digest of the manifest.
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest())
    }

    /// The configuration.
    pub fn config(&self) -> Vec<u8> {
        let diff_ids = self.all_layers().iter().map(|layer| layer.archive.digest).collect();
        to_json(&ConfigDocument {
            created: "1970-01-01T00:00:00Z",
            platform: self.platform.clone(),
            config: self.run_as.clone(),
            rootfs: RootFs { kind: "layers", diff_ids },
        })
    }

    /// The blobs: the layers in order, then the configuration.
    pub fn blobs(&self) -> Vec<Blob> {
        let layers = self.all_layers().into_iter().map(|layer| layer.blob);
        layers.chain([Blob::new(self.config())]).collect()
    }

    /// The layers before they were compressed, whose digests are the diff IDs.
    pub fn layer_archives(&self) -> Vec<Blob> {
        self.all_layers().into_iter().map(|layer| layer.archive).collect()
    }

    /// Stores the image in the fake registry without a request.
    pub fn push_to(&self, registry: &FakeRegistry, repository: &str, tag: &str) -> Digest {
        self.content().push_to(registry, repository, tag)
    }

    /// Pushes the image to a plain HTTP registry that asks for no login.
    pub fn push_http(&self, address: &str, repository: &str, tag: &str) -> Digest {
        self.push_with(&Http::to(address), repository, tag)
    }

    /// Pushes the image with this client, its login included.
    ///
    /// # Panics
    /// If the registry refuses something.
    pub fn push_with(&self, client: &Http, repository: &str, tag: &str) -> Digest {
        self.content().push_with(client, repository, tag)
    }

    /// Appends the image to an OCI layout, which is made if there is none, under this reference name.
    ///
    /// # Panics
    /// If a file cannot be written.
    ///
    /// Spec: OCI image-spec v1.1.1 `image-layout.md`.
    pub fn write_layout(&self, dir: &Path, ref_name: &str) -> Digest {
        self.content().write_layout(dir, ref_name)
    }

    fn content(&self) -> Content {
        Content { blobs: self.blobs(), children: Vec::new(), top: self.as_child() }
    }

    fn as_child(&self) -> Manifest {
        Manifest { media_type: self.media_type(), blob: Blob::new(self.manifest()) }
    }

    fn all_layers(&self) -> Vec<Layer> {
        match self.layers.as_slice() {
            [] => vec![Layer::with_file(0, self.platform.to_string().as_bytes())],
            layers => layers.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Image, Index};

    #[test]
    fn equal_calls_give_equal_bytes() {
        let image =
            || Image::new("linux/arm64/v8").layers(2, 5000, 7).annotation("b", "2").annotation("a", "1");
        assert_eq!(image().manifest(), image().manifest());
        assert_eq!(image().blobs(), image().blobs());
        assert_ne!(image().digest(), image().docker().digest());
        assert_ne!(Image::new("linux/amd64").digest(), Image::new("linux/arm64").digest());
        let index = Index::of(&[&image(), &Image::new("linux/amd64")]);
        let text = String::from_utf8(index.manifest()).unwrap();
        assert!(
            text.contains(r#""platform":{"architecture":"arm64","os":"linux","variant":"v8"}"#),
            "{text}"
        );
    }

    #[test]
    fn the_size_of_a_layer_is_near_what_was_asked_for() {
        let image = Image::new("linux/amd64").layers(1, 1_000_000, 1);
        let size = image.blobs()[0].bytes.len();
        assert!((1_000_000..1_004_200).contains(&size), "{size}");
    }
}
