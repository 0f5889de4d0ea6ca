//! Tar archives, byte by byte: good ones, and such as no program writes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::Image;

/// A tar archive that is being written: whatever is said is written, whether it makes sense or not.
///
/// All members are owned by root and dated 1970, so the same calls give the same bytes in each run.
///
/// Spec: POSIX.1-2017 `pax`, "ustar Interchange Format" and "pax Interchange Format".
#[derive(Clone, Debug, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    /// An archive with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a regular file.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.member(b'0', name, "", content.as_ref())
    }

    /// Adds a regular file that can be executed.
    #[must_use]
    pub fn program(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        self.bytes.extend_from_slice(&header(0o755, b'0', name, "", content.len() as u64));
        self.content(content)
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, name: &str) -> Self {
        self.member(b'5', name, "", b"")
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(self, name: &str, to: &str) -> Self {
        self.member(b'2', name, to, b"")
    }

    /// Adds a hard link.
    #[must_use]
    pub fn hard_link(self, name: &str, to: &str) -> Self {
        self.member(b'1', name, to, b"")
    }

    /// Adds an extended header for the next member.
    #[must_use]
    pub fn extended(self, records: &[(&str, &str)]) -> Self {
        let content: String = records.iter().map(|(key, value)| record(key, value)).collect();
        self.member(b'x', "extended", "", content.as_bytes())
    }

    /// Adds a member of any kind, which is a type flag of the specification.
    ///
    /// # Panics
    /// If a name has more than 100 bytes.
    #[must_use]
    pub fn member(mut self, kind: u8, name: &str, link: &str, content: &[u8]) -> Self {
        self.bytes.extend_from_slice(&header(0o644, kind, name, link, content.len() as u64));
        self.content(content)
    }

    /// Adds the content of a member, up to a whole block.
    fn content(mut self, content: &[u8]) -> Self {
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// Adds the header of a file with a size, and no content.
    #[must_use]
    pub fn header_only(mut self, name: &str, size: u64) -> Self {
        self.bytes.extend_from_slice(&header(0o644, b'0', name, "", size));
        self
    }

    /// Adds all files of a directory, in the order of their names, `prefix` before each.
    ///
    /// # Panics
    /// If a file cannot be read.
    #[must_use]
    pub fn tree(self, root: &Path, prefix: &str) -> Self {
        let mut names: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names.iter().fold(self, |tar, name| {
            let (path, name) = (root.join(name), format!("{prefix}{}", name.to_str().unwrap()));
            match path.is_dir() {
                true => tar.directory(&format!("{name}/")).tree(&path, &format!("{name}/")),
                false => tar.file(&name, fs::read(path).unwrap()),
            }
        })
    }

    /// The archive, with its end.
    pub fn finish(mut self) -> Vec<u8> {
        // Two empty blocks.
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }

    /// What was written so far, without an end.
    pub fn unfinished(self) -> Vec<u8> {
        self.bytes
    }
}

/// A record of an extended header; its length counts its own digits.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let length = (1..).find(|digits| (rest.len() + digits).to_string().len() == *digits).unwrap();
    format!("{}{rest}", rest.len() + length)
}

fn header(mode: u32, kind: u8, name: &str, link: &str, size: u64) -> [u8; 512] {
    assert!(name.len() <= 100 && link.len() <= 100, "a header has no room for {name:?} or {link:?}");
    let mut header = [0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A Docker archive as `docker save` wrote them before version 25: configurations, layers as tar archives and
/// `manifest.json`. Each image comes with its names.
pub fn docker_archive(images: &[(&Image, &[&str])]) -> Vec<u8> {
    let (mut tar, mut entries) = (Tar::new(), Vec::<Value>::new());
    for (number, (image, names)) in images.iter().enumerate() {
        let config = image.blobs().pop().unwrap();
        let config_name = format!("{}.json", config.digest.hex());
        tar = tar.file(&config_name, &config.bytes);
        let mut layers = Vec::new();
        for (at, layer) in image.layer_archives().iter().enumerate() {
            let name = format!("{number}-{at}/layer.tar");
            tar = tar.file(&name, &layer.bytes);
            layers.push(name);
        }
        let names = if names.is_empty() { Value::Null } else { json!(names) };
        entries.push(json!({ "Config": config_name, "RepoTags": names, "Layers": layers }));
    }
    tar.file("manifest.json", Value::from(entries).to_string()).finish()
}

#[cfg(test)]
mod tests {
    use super::record;

    #[test]
    fn the_length_of_a_record_counts_itself() {
        for (value, length) in [("0", 9), ("12", 11), (&*"1".repeat(90), 99), (&*"1".repeat(91), 101)] {
            let record = record("size", value);
            assert_eq!(record, format!("{length} size={value}\n"));
            assert_eq!(record.len(), length);
        }
    }
}
