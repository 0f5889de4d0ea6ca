//! Records as files, to the byte.

use std::path::Path;

use manifest_core::{Digest, Encoded};

use super::{Content, Header, Record};
use crate::{RecordId, StoreError};

/// The newest version of the format that is known here.
pub(crate) const VERSION: u64 = 1;

/// The largest record that is read or written, in bytes.
pub(crate) const MAX_SIZE: usize = 64 << 20;

/// What the first line begins with.
const MAGIC: &str = "manifest-record ";

/// From this size on, in bytes, parsing takes much longer than starting a thread.
const WORTH_A_THREAD: usize = 64 << 10;

/// The longest first line that is looked at, in bytes.
const LONGEST_LINE: usize = 200;

impl Record {
    /// What the file begins with, before the document.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`].
    pub(crate) fn file_head(&self) -> Result<Vec<u8>, StoreError> {
        let mut header =
            serde_json::to_vec(&self.header).map_err(|error| StoreError::damaged("", error.to_string()))?;
        header.push(b'\n');
        // The header holds the digest of the document, so that this vouches for the whole file.
        let mut head = format!("{MAGIC}{VERSION} {}\n", Digest::sha256(&header)).into_bytes();
        head.append(&mut header);
        let size = head.len().saturating_add(self.document.bytes.len());
        if size > MAX_SIZE { Err(StoreError::TooLarge(size)) } else { Ok(head) }
    }

    /// Reads the file of the record `id`; `path` is for messages.
    ///
    /// # Errors
    /// [`StoreError::NewerVersion`] and [`StoreError::Damaged`].
    pub(crate) fn from_file(path: &Path, id: RecordId, bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = |what: String| StoreError::damaged(path, what);
        let (checksum, body) = first_line(path, bytes)?;
        let (header, document) =
            split_line(body, body.len()).ok_or_else(|| damaged("its header does not end".to_owned()))?;
        let line = body.get(..=header.len()).unwrap_or(body);
        if !checksum.verifies(line) {
            return Err(damaged("its checksum does not fit its header".to_owned()));
        }
        let mut header: Header = serde_json::from_slice(header)
            .map_err(|error| damaged(format!("its header is not what it should be: {error}")))?;
        header.names.clone_from(&header.listed);
        if header.id != id {
            return Err(damaged(format!("it holds the record {}", header.id.short())));
        }
        // The digest says that these bytes are what was written, and then they were checked.
        let decode = || Content::decode_again(document, &header.document.media_type);
        let (read, digest) = both(document.len(), decode, || Digest::sha256(document));
        if (digest, document.len()) != (header.document.digest, header.document.size) {
            return Err(damaged("its document is not the one that its header names".to_owned()));
        }
        let (content, format) =
            read.map_err(|error| damaged(format!("its document cannot be read: {error}")))?;
        let bytes = document.to_vec();
        let document = match &content {
            Content::List(_) => Encoded::kept(bytes, digest, format),
            Content::Image(image) => Encoded::kept_image(bytes, digest, image.media_type.clone()),
        };
        if document.media_type != header.document.media_type {
            return Err(damaged("its document is not of the type that its header names".to_owned()));
        }
        Ok(Self { header, content, document })
    }
}

/// Does two pieces of work; on two threads when what they work on has so many bytes that it is worth it.
pub(super) fn both<A: Send, B>(size: usize, one: impl Fn() -> A + Sync, other: impl FnOnce() -> B) -> (A, B) {
    if size < WORTH_A_THREAD {
        return (one(), other());
    }
    std::thread::scope(|threads| {
        let started = std::thread::Builder::new().spawn_scoped(threads, &one);
        let other = other();
        let one = match started {
            Ok(started) => started.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // The system has no thread left to give.
            Err(_) => one(),
        };
        (one, other)
    })
}

/// Reads the first line: version and checksum of what follows.
fn first_line<'a>(path: &Path, bytes: &'a [u8]) -> Result<(Digest, &'a [u8]), StoreError> {
    let damaged = |what: &str| Err(StoreError::damaged(path, what));
    if bytes.is_empty() {
        return damaged("it is empty");
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return damaged("it holds nothing but zero bytes");
    }
    let Some((line, body)) = split_line(bytes, LONGEST_LINE) else {
        return damaged("it does not begin like a record");
    };
    let text = std::str::from_utf8(line).unwrap_or_default();
    let Some((version, checksum)) =
        text.strip_prefix(MAGIC).map(|rest| rest.split_once(' ').unwrap_or((rest, "")))
    else {
        return damaged("it does not begin like a record");
    };
    match version.parse() {
        Ok(VERSION) => {}
        Ok(found) if found > VERSION => {
            return Err(StoreError::NewerVersion { path: path.to_owned(), found, known: VERSION });
        }
        Ok(_) | Err(_) => return damaged("its version is not a number that was ever used"),
    }
    match checksum.parse() {
        Ok(checksum) => Ok((checksum, body)),
        Err(_) => damaged("its first line has no checksum"),
    }
}

/// Splits at the first newline, which must come within `limit` bytes.
fn split_line(bytes: &[u8], limit: usize) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'\n', bytes.get(..limit).unwrap_or(bytes))?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}
