//! An OCI image layout on disk.
//!
//! Spec: OCI image-spec v1.1.1 `image-layout.md`.

use std::fs;
use std::path::Path;

use super::image::{Blob, Image};
use crate::failure::Failure;

/// Writes a layout with one image for each pair of tag and image.
pub(super) fn write(dir: &Path, images: &[(&str, &Image)]) -> Result<(), Failure> {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(Failure::file("make", &blobs))?;
    for (_, image) in images {
        for blob in [&image.layer, &image.config, &image.manifest] {
            write_file(&blobs.join(hex(blob)), &blob.bytes)?;
        }
    }
    write_file(&dir.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    write_file(&dir.join("index.json"), index(images).as_bytes())
}

fn index(images: &[(&str, &Image)]) -> String {
    let entry = |(tag, image): &(&str, &Image)| {
        format!(
            concat!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{size},"#,
                r#""annotations":{{"org.opencontainers.image.ref.name":"{tag}"}}}}"#,
            ),
            digest = image.manifest.digest,
            size = image.manifest.bytes.len(),
            tag = tag,
        )
    };
    let entries: Vec<_> = images.iter().map(entry).collect();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}}"#,
        entries.join(",")
    )
}

fn hex(blob: &Blob) -> &str {
    blob.digest.trim_start_matches("sha256:")
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(Failure::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_found_by_its_tag_and_every_blob_by_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let (amd64, arm64) = (Image::linux("amd64"), Image::linux("arm64"));
        write(dir.path(), &[("amd64", &amd64), ("arm64", &arm64)]).unwrap();
        let index: serde_json::Value =
            serde_json::from_slice(&fs::read(dir.path().join("index.json")).unwrap()).unwrap();
        for (at, (tag, image)) in [("amd64", &amd64), ("arm64", &arm64)].into_iter().enumerate() {
            let entry = &index["manifests"][at];
            assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], tag);
            assert_eq!(entry["digest"], image.manifest.digest);
            assert_eq!(entry["size"], image.manifest.bytes.len());
            let manifest = dir.path().join("blobs/sha256").join(hex(&image.manifest));
            assert_eq!(fs::read(manifest).unwrap(), image.manifest.bytes);
        }
        assert_eq!(fs::read_dir(dir.path().join("blobs/sha256")).unwrap().count(), 6);
    }
}
