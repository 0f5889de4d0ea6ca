//! The bytes of an archive: a file that is read by offset, unpacked into a temporary one first when needed.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::ArchiveError;
use super::unpack::{Compression, MAGIC, MAX_UNPACKED};

/// Bytes that are read at once.
pub(super) const PIECE: usize = 256 << 10;

/// Whether somebody still waits for the work of a thread that may block.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// An error when nobody waits any more.
    pub(super) fn check(&self) -> io::Result<()> {
        // Not `Interrupted`, which readers take for a reason to try again.
        if self.0.load(Ordering::Relaxed) { Err(io::Error::other("nobody waits for it")) } else { Ok(()) }
    }
}

/// Ends the work when whoever waited for it is dropped.
struct Waiting(Stop);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs work on a thread where blocking does no harm; it ends early when the future is dropped.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&Stop) -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    let waiting = Waiting(Stop::default());
    let stop = waiting.0.clone();
    let outcome = tokio::task::spawn_blocking(move || work(&stop)).await;
    outcome.map_err(|error| ArchiveError::Io("read", io::Error::other(error)))?
}

/// Opens a regular file; a pipe does not keep us waiting.
pub(crate) fn open(path: &Path, links: Links) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut flags = rustix::fs::OFlags::NONBLOCK;
        flags.set(rustix::fs::OFlags::NOFOLLOW, links == Links::Refuse);
        options.custom_flags(flags.bits().cast_signed());
    }
    #[cfg(not(unix))]
    if links == Links::Refuse && std::fs::symlink_metadata(path)?.is_symlink() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a link"));
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// Whether a link is followed when a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Refuse,
}

/// A tar archive, as a file that is read by offset.
#[derive(Clone, Debug)]
pub(super) struct Source {
    file: Arc<File>,
    len: u64,
}

impl Source {
    /// Takes a file as it is, or unpacks it into an unnamed temporary one.
    pub(super) fn of_file(file: File, stop: &Stop) -> Result<Self, ArchiveError> {
        let len = file.metadata().map_err(read_error)?.len();
        let source = Self { file: Arc::new(file), len };
        let start = source.start(Span { at: 0, size: len }).map_err(read_error)?;
        match Compression::of(&start) {
            None => Ok(source),
            Some(compression) => {
                let packed = source.section(Span { at: 0, size: len }, stop);
                Self::unpacked(compression, packed, MAX_UNPACKED)
            }
        }
    }

    /// Keeps what a reader gives in an unnamed temporary file, unpacked.
    pub(super) fn of_reader(mut reader: impl Read, stop: &Stop) -> Result<Self, ArchiveError> {
        let mut start = Vec::with_capacity(MAGIC);
        (&mut reader).take(MAGIC as u64).read_to_end(&mut start).map_err(read_error)?;
        let compression = Compression::of(&start);
        let whole = io::Cursor::new(start).chain(Watched { reader, stop: stop.clone() });
        match compression {
            Some(compression) => Self::unpacked(compression, whole, MAX_UNPACKED),
            None => Self::spooled(whole, MAX_UNPACKED, |error| ArchiveError::Io("read", error)),
        }
    }

    fn unpacked(compression: Compression, packed: impl Read, limit: u64) -> Result<Self, ArchiveError> {
        let failed = |error| ArchiveError::Unpack("the archive".to_owned(), compression, error);
        Self::spooled(compression.unpack(packed), limit, failed)
    }

    fn spooled(
        mut from: impl Read,
        limit: u64,
        failed: impl Fn(io::Error) -> ArchiveError,
    ) -> Result<Self, ArchiveError> {
        let mut file = tempfile::tempfile().map_err(ArchiveError::Spool)?;
        let (mut buffer, mut len) = (vec![0; PIECE], 0_u64);
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => return Ok(Self { file: Arc::new(file), len }),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            len = len.saturating_add(read as u64);
            if len > limit {
                return Err(ArchiveError::UnpackedTooLarge("the archive".to_owned(), limit));
            }
            file.write_all(buffer.get(..read).unwrap_or_default()).map_err(ArchiveError::Spool)?;
        }
    }

    /// Its bytes.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Reads some bytes at an offset; none at the end.
    #[cfg(unix)]
    pub(super) fn read_at(&self, to: &mut [u8], at: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&*self.file, to, at)
    }

    /// Reads some bytes at an offset; none at the end.
    #[cfg(windows)]
    pub(super) fn read_at(&self, to: &mut [u8], at: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&*self.file, to, at)
    }

    /// The first bytes of a member, enough to tell how it is compressed.
    pub(super) fn start(&self, span: Span) -> io::Result<Vec<u8>> {
        let mut start = Vec::with_capacity(MAGIC);
        self.section(span, &Stop::default()).take(MAGIC as u64).read_to_end(&mut start)?;
        Ok(start)
    }

    /// Reads one member, as long as somebody waits for it.
    pub(super) fn section(&self, span: Span, stop: &Stop) -> Section {
        Section { source: self.clone(), at: span.at, left: span.size, stop: stop.clone() }
    }
}

/// Where the content of a member lies, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) at: u64,
    pub(super) size: u64,
}

impl Span {
    /// What is left of it behind so many bytes.
    pub(super) const fn after(self, bytes: u64) -> Self {
        Self { at: self.at.saturating_add(bytes), size: self.size.saturating_sub(bytes) }
    }
}

/// A reader of one member.
#[derive(Debug)]
pub(super) struct Section {
    source: Source,
    at: u64,
    left: u64,
    stop: Stop,
}

impl Read for Section {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.stop.check()?;
        let wanted = to.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.source.read_at(to.get_mut(..wanted).unwrap_or_default(), self.at)?;
        self.at = self.at.saturating_add(read as u64);
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// A reader that ends when nobody waits any more.
struct Watched<R> {
    reader: R,
    stop: Stop,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.stop.check()?;
        self.reader.read(to)
    }
}

pub(super) fn read_error(error: io::Error) -> ArchiveError {
    ArchiveError::Io("read", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(content).unwrap();
        packer.finish().unwrap()
    }

    /// SEC-52.
    #[test]
    fn what_is_too_large_unpacked_is_refused_while_it_is_unpacked() {
        let packed = gzip(&vec![0; 4 << 20]);
        let unpack = |limit| Source::unpacked(Compression::Gzip, packed.as_slice(), limit);
        assert_eq!(unpack(4 << 20).unwrap().len(), 4 << 20);
        let error = unpack((4 << 20) - 1).unwrap_err();
        assert!(matches!(error, ArchiveError::UnpackedTooLarge(_, 4_194_303)), "{error:?}");
    }

    #[test]
    fn several_members_are_unpacked_as_one_and_half_of_one_is_an_error() {
        let packed = [gzip(b"one "), gzip(b"two")].concat();
        let source = Source::of_reader(packed.as_slice(), &Stop::default()).unwrap();
        let mut text = String::new();
        source.section(Span { at: 0, size: 7 }, &Stop::default()).read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), source.len()), ("one two", 7));
        let cut = &packed[..packed.len() - 3];
        let error = Source::of_reader(cut, &Stop::default()).unwrap_err();
        assert!(matches!(error, ArchiveError::Unpack(_, Compression::Gzip, _)), "{error:?}");
    }

    #[test]
    fn work_ends_when_nobody_waits_for_it() {
        let stop = Stop::default();
        drop(Waiting(stop.clone()));
        let error = Source::of_reader(io::repeat(0), &stop).unwrap_err();
        assert!(matches!(error, ArchiveError::Io("read", _)), "{error:?}");
    }
}
