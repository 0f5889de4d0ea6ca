//! Registries and what lies in them.

use manifest_testkit::{DockerRegistry, Http, Image};

/// The platforms of a list, each with the tag of its image.
pub(crate) const PLATFORMS: [(&str, &str); 5] = [
    ("amd64", "linux/amd64"),
    ("arm64", "linux/arm64/v8"),
    ("armv7", "linux/arm/v7"),
    ("s390x", "linux/s390x"),
    ("ppc64le", "linux/ppc64le"),
];

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Five images in a repository of a registry.
#[derive(Debug)]
pub(crate) struct Images {
    /// `host:port/path`, without a transport.
    pub(crate) repository: String,
    /// Configuration digests, in the order of [`PLATFORMS`].
    pub(crate) configs: Vec<String>,
    /// All blobs, configurations too.
    pub(crate) blobs: Vec<String>,
}

impl Images {
    /// Pushes an image for each platform, with as many layers of noise of `size` bytes.
    pub(crate) fn push(registry: &DockerRegistry, path: &str, layers: usize, size: usize) -> Self {
        let repository = format!("{}/{path}", registry.address());
        let mut images = Self { repository, configs: Vec::new(), blobs: Vec::new() };
        for (seed, (tag, platform)) in PLATFORMS.into_iter().enumerate() {
            let image = Image::new(platform).layers(layers, size, seed as u64 + 1);
            image.push_http(&registry.address(), path, tag);
            let digests: Vec<String> = image.blobs().iter().map(|blob| blob.digest.to_string()).collect();
            images.configs.extend(digests.last().cloned());
            images.blobs.extend(digests);
        }
        images
    }

    /// A tag of the repository, with a transport.
    pub(crate) fn tagged(&self, tag: &str) -> String {
        format!("docker://{}:{tag}", self.repository)
    }

    /// The images, with a transport.
    pub(crate) fn references(&self) -> Vec<String> {
        PLATFORMS.iter().map(|(tag, _)| self.tagged(tag)).collect()
    }
}

/// Writes a manifest under a tag or digest.
pub(crate) fn put_manifest(registry: &DockerRegistry, path: &str, reference: &str, kind: &str, bytes: &[u8]) {
    let target = format!("/v2/{path}/manifests/{reference}");
    let put = Http::to(&registry.address()).send("PUT", &target, &[("content-type", kind)], bytes);
    assert_eq!(put.status, 201, "cannot write {reference}: {put:?}");
}

/// The words of a command: some, then these references, then some more.
pub(crate) fn words<'a>(first: &[&'a str], references: &'a [String], last: &[&'a str]) -> Vec<&'a str> {
    let references = references.iter().map(String::as_str);
    first.iter().copied().chain(references).chain(last.iter().copied()).collect()
}
