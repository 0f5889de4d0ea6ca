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

/// How many images each list has; more of them would show what a long list takes.
const IMAGES: usize = 50;

/// The age of all blobs.
const AGE: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// The blobs of a store.
#[derive(Debug)]
pub(super) struct Stock {
    /// The names of the files that belong to nobody.
    of_nobody: Vec<String>,
    /// Those of the lists.
    of_lists: Vec<String>,
    /// How many lists there are.
    lists: usize,
}

impl Stock {
    /// Puts `count` blobs into a store, half of them those of lists, which are imported.
    pub(super) fn put(subject: &Subject, dir: &Path, count: usize) -> Result<Self, Violation> {
        // The directories of the store are its own.
        subject.done(["create", "first"])?;
        let blobs = subject.directory().expect("a store in a directory").join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("a directory");
        let mut of_lists = Vec::new();
        let lists = (count / 2).div_ceil(IMAGES * (LAYERS + 2));
        for list in 0..lists {
            let layout = dir.join("layout");
            let image =
                |at| Image::new(&format!("linux/cpu{at}")).layers(LAYERS, 40, (list * IMAGES + at) as u64);
            let images: Vec<Image> = (0..IMAGES).map(image).collect();
            Index::of(&images.iter().collect::<Vec<_>>()).write_layout(&layout, "v");
            for entry in fs::read_dir(layout.join("blobs/sha256")).expect("a layout") {
                let entry = entry.expect("a blob of a layout");
                of_lists.push(entry.file_name().into_string().expect("digits"));
                put(&blobs.join(entry.file_name()), &fs::read(entry.path()).expect("a blob"));
            }
            let path = layout.to_str().expect("a path that is text");
            subject.done(["import", &format!("kept{list}"), "--oci-dir", path])?;
            fs::remove_dir_all(layout).expect("a layout that may be removed");
        }
        let of_nobody: Vec<String> = (0..count / 2)
            .map(|at| {
                let content = format!("nobody needs number {at}");
                let name = Digest::sha256(content.as_bytes()).hex().to_string();
                put(&blobs.join(&name), content.as_bytes());
                name
            })
            .collect();
        Ok(Self { of_nobody, of_lists, lists })
    }

    /// Whether the half of nobody is gone and the other half is there.
    pub(super) fn look(&self, subject: &Subject) -> Result<(), Violation> {
        let blobs = subject.directory().expect("a store in a directory").join("blobs/sha256");
        let there = |names: &[String]| names.iter().filter(|name| blobs.join(name).exists()).count();
        let (left, kept) = (there(&self.of_nobody), there(&self.of_lists));
        ensure(left == 0, || format!("{left} of {} blobs of nobody stayed", self.of_nobody.len()))?;
        // The index itself may be kept as the document of its record only.
        ensure(kept + self.lists >= self.of_lists.len(), || {
            format!("of {} blobs that lists need {kept} are there", self.of_lists.len())
        })
    }
}

/// Writes a blob that has been there for long.
fn put(path: &Path, content: &[u8]) {
    let mut file = File::create(path).expect("a blob");
    file.write_all(content).expect("room for a blob");
    file.set_modified(SystemTime::now() - AGE).expect("a time that may be set");
}
