//! Stores, lists and names for tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use manifest_core::{Descriptor, Digest, List, ListName, MediaType, OnConflict, Platform};
use manifest_store::{Clock, Draft, Record, Selector, Source, Store, StoreOptions};
use tempfile::TempDir;

/// A directory with a store in it.
pub(crate) struct Home {
    dir: TempDir,
    time: Arc<AtomicI64>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), time: Arc::new(AtomicI64::new(1_800_000_000_000)) }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("some/where/store")
    }

    pub(crate) fn store(&self) -> Store {
        self.store_of("manifest test", Duration::from_secs(300))
    }

    /// A store whose clock goes on by a second each time it is asked.
    pub(crate) fn store_of(&self, command: &str, lock_timeout: Duration) -> Store {
        Store::open(self.root(), self.options(command, lock_timeout))
    }

    /// A store in memory.
    #[cfg(feature = "shared")]
    pub(crate) fn memory(&self) -> Store {
        Store::in_memory(self.options("manifest test", Duration::from_secs(300))).unwrap()
    }

    pub(crate) fn options(&self, command: &str, lock_timeout: Duration) -> StoreOptions {
        let time = self.time.clone();
        let clock =
            Clock::new(move || Timestamp::from_millisecond(time.fetch_add(1000, Ordering::SeqCst)).unwrap());
        StoreOptions { lock_timeout, command: command.to_owned(), clock, ..StoreOptions::default() }
    }

    /// A blob in the store that nobody holds.
    pub(crate) async fn blob(&self, content: &[u8]) -> Digest {
        let digest = Digest::sha256(content);
        let intake = self.store().blobs().intake().await.unwrap();
        intake.put(&digest, content).await.unwrap();
        intake.finish().await.unwrap();
        digest
    }

    pub(crate) fn record_file(&self, record: &Record) -> PathBuf {
        self.root().join("records").join(record.id().to_string())
    }

    pub(crate) fn name_file(&self, escaped: &str) -> PathBuf {
        self.root().join("names").join(escaped)
    }
}

pub(crate) fn name(text: &str) -> ListName {
    text.parse().unwrap()
}

pub(crate) fn which(text: &str) -> Selector {
    text.parse().unwrap()
}

pub(crate) fn entry(n: usize) -> Descriptor {
    let digest = Digest::sha256(format!("image {n}").as_bytes());
    let mut entry = Descriptor::new(MediaType::OCI_MANIFEST, digest, 400 + n as u64);
    let mut platform = Platform::default();
    (platform.architecture, platform.os) = ("amd64".to_owned(), "linux".to_owned());
    platform.os_version = Some(n.to_string());
    entry.platform = Some(platform);
    entry
}

pub(crate) fn list(entries: impl IntoIterator<Item = usize>) -> List {
    let mut list = List::new();
    list.add_all(entries.into_iter().map(entry), OnConflict::Refuse).unwrap();
    list
}

pub(crate) fn draft(entries: impl IntoIterator<Item = usize>) -> Draft {
    list(entries).into()
}

pub(crate) fn source(from: &str, digest: Digest, entries: &[usize]) -> Source {
    Source {
        from: from.to_owned(),
        place: format!("docker://{from}"),
        digest,
        resolved: "2026-01-02T03:04:05Z".parse().unwrap(),
        entries: entries.iter().map(|n| entry(*n).digest).collect(),
        record: None,
    }
}

pub(crate) fn digests(record: &Record) -> Vec<Digest> {
    record.entries().iter().map(|entry| entry.digest).collect()
}

/// An edit that adds an entry.
pub(crate) fn add(n: usize) -> impl FnMut(&mut Draft) -> Result<(), manifest_core::EditError> {
    move |draft| draft.list.add(entry(n), OnConflict::Refuse).map(drop)
}

/// Replaces what follows the first line of a record and makes the first line fit.
pub(crate) fn reseal(file: &Path, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(file).unwrap();
    let (_, body) = text.split_once('\n').unwrap();
    let body = change(body.to_owned());
    let header = body.find('\n').map_or(&*body, |end| &body[..=end]);
    overwrite(file, format!("manifest-record 1 {}\n{body}", Digest::sha256(header.as_bytes())).as_bytes());
}

/// Overwrites a file as nobody should.
pub(crate) fn overwrite(file: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    std::fs::File::create(file).unwrap().write_all(bytes).unwrap();
}

/// The names of the files in a directory.
pub(crate) fn files(dir: &Path) -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    files
}
