//! Tiny images: one layer with one file, the same bytes on every run and machine.

use sha2::{Digest as _, Sha256};

/// Some content and its digest, as `sha256:hex`.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) digest: String,
    pub(super) bytes: Vec<u8>,
}

impl Blob {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let hex: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { digest: format!("sha256:{hex}"), bytes }
    }
}

/// A manifest, the config and the layer that it names.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) manifest: Blob,
    pub(super) config: Blob,
    pub(super) layer: Blob,
}

impl Image {
    /// An image for linux on `architecture`.
    ///
    /// The documents are written by hand: the order of a JSON library's keys may depend on its features.
    pub(super) fn linux(architecture: &str) -> Self {
        let layer = Blob::new(tar("hello", &format!("hello from linux/{architecture}\n")));
        let config = Blob::new(
            format!(
                concat!(
                    r#"{{"created":"1970-01-01T00:00:00Z","architecture":"{architecture}","os":"linux","#,
                    r#""config":{{"Cmd":["/hello"]}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#,
                ),
                architecture = architecture,
                layer = layer.digest,
            )
            .into_bytes(),
        );
        let manifest = Blob::new(
            format!(
                concat!(
                    r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
                    r#""config":{{"mediaType":"application/vnd.oci.image.config.v1+json","#,
                    r#""digest":"{config}","size":{config_size}}},"#,
                    r#""layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","#,
                    r#""digest":"{layer}","size":{layer_size}}}]}}"#,
                ),
                config = config.digest,
                config_size = config.bytes.len(),
                layer = layer.digest,
                layer_size = layer.bytes.len(),
            )
            .into_bytes(),
        );
        Self { manifest, config, layer }
    }
}

/// An uncompressed archive of one file: root's, mode 0644, of 1970.
///
/// Spec: POSIX.1-2017 `pax`, "ustar Interchange Format".
fn tar(name: &str, content: &str) -> Vec<u8> {
    const BLOCK: usize = 512;
    let header = |checksum: &str| {
        let fields: [(&str, usize); 11] = [
            (name, 100),
            ("0000644\0", 8),
            ("0000000\0", 8),
            ("0000000\0", 8),
            (&format!("{:011o}\0", content.len()), 12),
            ("00000000000\0", 12),
            (checksum, 8),
            ("0", 1),
            ("", 100),
            ("ustar\0", 6),
            ("00", 2),
        ];
        let mut header = Vec::with_capacity(BLOCK);
        for (text, width) in fields {
            let end = header.len() + width;
            header.extend_from_slice(text.as_bytes());
            header.resize(end, 0);
        }
        header.resize(BLOCK, 0);
        header
    };
    // The checksum counts its own field as blanks.
    let sum: u32 = header("        ").iter().map(|&byte| u32::from(byte)).sum();
    let mut archive = header(&format!("{sum:06o}\0 "));
    archive.extend_from_slice(content.as_bytes());
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_image_is_made_every_time() {
        let amd64 = "sha256:5cb7b87f8fd989c0a08f21cd4a56269384adabbccd7d013f8a6eb231a6d8ff6b";
        let arm64 = "sha256:0c8ee772951a14a0625a1d9a0e1da5459ce70a3bbd8c04ccfd9e175b1773c275";
        assert_eq!(Image::linux("amd64").manifest.digest, amd64);
        assert_eq!(Image::linux("arm64").manifest.digest, arm64);
    }

    #[test]
    fn config_and_manifest_are_json_and_name_what_they_should() {
        let image = Image::linux("arm64");
        let config: serde_json::Value = serde_json::from_slice(&image.config.bytes).unwrap();
        assert_eq!(config["architecture"], "arm64");
        assert_eq!(config["rootfs"]["diff_ids"][0], image.layer.digest);
        let manifest: serde_json::Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
        assert_eq!(manifest["config"]["digest"], image.config.digest);
        assert_eq!(manifest["layers"][0]["size"], image.layer.bytes.len());
    }

    #[test]
    fn the_layer_is_an_archive_that_tar_reads() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("layer.tar");
        std::fs::write(&file, tar("hello", "hello from here\n")).unwrap();
        let run = |arguments: &[&str]| {
            let output = std::process::Command::new("tar").args(arguments).arg(&file).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(run(&["-tf"]), "hello\n");
        assert_eq!(run(&["-xOf"]), "hello from here\n");
    }
}
