//! Many blobs.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use manifest_core::Digest;

use super::super::{Subject, Violation, ensure};
use crate::{Image, Index};

/// How many layers each image has; a manifest and a configuration come on top.
const LAYERS: usize = 8;

/// The age of all blobs.
const AGE: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// The blobs of a store.
#[derive(Debug)]
pub(super) struct Stock {
    /// The names of the files that belong to nobody.
    of_nobody: Vec<String>,
    /// Those of the list.
    of_list: Vec<String>,
}

impl Stock {
    /// Puts `count` blobs into a store, half of them those of a list, which is imported.
    pub(super) fn put(subject: &Subject, dir: &Path, count: usize) -> Result<Self, Violation> {
        // The directories of the store are its own.
        subject.done(["create", "first"])?;
        let blobs = subject.directory().expect("a store in a directory").join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("a directory");
        let images: Vec<Image> = (0..(count / 2).div_ceil(LAYERS + 2))
            .map(|at| Image::new(&format!("linux/cpu{at}")).layers(LAYERS, 40, at as u64))
            .collect();
        let layout = dir.join("layout");
        Index::of(&images.iter().collect::<Vec<_>>()).write_layout(&layout, "v");
        let mut of_list = Vec::new();
        for entry in fs::read_dir(layout.join("blobs/sha256")).expect("a layout") {
            let entry = entry.expect("a blob of a layout");
            of_list.push(entry.file_name().into_string().expect("digits"));
            put(&blobs.join(entry.file_name()), &fs::read(entry.path()).expect("a blob"));
        }
        let of_nobody: Vec<String> = (0..count / 2)
            .map(|at| {
                let content = format!("nobody needs number {at}");
                let name = Digest::sha256(content.as_bytes()).hex().to_string();
                put(&blobs.join(&name), content.as_bytes());
                name
            })
            .collect();
        subject.done(["import", "kept", "--oci-dir", layout.to_str().expect("a path that is text")])?;
        fs::remove_dir_all(layout).expect("a layout that may be removed");
        Ok(Self { of_nobody, of_list })
    }

    /// Whether the half of nobody is gone and the other half is there.
    pub(super) fn look(&self, subject: &Subject) -> Result<(), Violation> {
        let blobs = subject.directory().expect("a store in a directory").join("blobs/sha256");
        let there = |names: &[String]| names.iter().filter(|name| blobs.join(name).exists()).count();
        let (left, kept) = (there(&self.of_nobody), there(&self.of_list));
        ensure(left == 0, || format!("{left} of {} blobs of nobody stayed", self.of_nobody.len()))?;
        // The index itself may be kept as the document of its record only.
        ensure(kept + 1 >= self.of_list.len(), || {
            format!("of {} blobs that a list needs {kept} are there", self.of_list.len())
        })
    }
}

/// Writes a blob that has been there for long.
fn put(path: &Path, content: &[u8]) {
    let mut file = File::create(path).expect("a blob");
    file.write_all(content).expect("room for a blob");
    file.set_modified(SystemTime::now() - AGE).expect("a time that may be set");
}
