//! What is compressed: told by its first bytes, and unpacked as it is read.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The most bytes that something compressed may have unpacked: 64 GiB, for an archive as for a layer in it.
pub const MAX_UNPACKED: u64 = 64 << 30;
/// Bytes that tell how something is compressed.
pub(super) const MAGIC: usize = 4;
/// The longest way that a zstd frame may look back, in bytes, all of which are kept in memory: what encoders use up to
/// level 20. RFC 8878 asks for 8 MiB.
const MAX_WINDOW: u64 = 32 << 20;
/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// How something is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// With gzip.
    Gzip,
    /// With zstd.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

impl Compression {
    /// What the first bytes say; fewer than [`MAGIC`] are too few for anything compressed.
    ///
    /// Spec: RFC 1952 section 2.3.1; RFC 8878 sections 3.1.1 and 3.1.2.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Unpacks what `packed` gives, all members or frames of it.
    pub(super) fn unpack<'a>(self, packed: impl Read + 'a) -> Box<dyn Read + 'a> {
        let packed = BufReader::with_capacity(BUFFER, packed);
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Self::Zstd => {
                let mut frame = FrameDecoder::new();
                frame.set_max_window_size(MAX_WINDOW);
                Box::new(Zstd { packed, frame, inside: false })
            }
        }
    }
}

/// Unpacks frame after frame; the library knows only single ones.
struct Zstd<R> {
    packed: R,
    frame: FrameDecoder,
    inside: bool,
}

impl<R: BufRead> Zstd<R> {
    /// Begins the next frame; false at the end of all.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.packed.fill_buf()?.is_empty() {
            match self.frame.init(&mut self.packed) {
                Ok(()) => {
                    self.inside = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.packed).take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.inside || self.next_frame()? {
            while self.frame.can_collect() == 0 && !self.frame.is_finished() {
                let some = BlockDecodingStrategy::UptoBlocks(1);
                let decoded = self.frame.decode_blocks(&mut self.packed, some);
                decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            }
            match self.frame.read(to)? {
                0 if !to.is_empty() => self.inside = false,
                read => return Ok(read),
            }
        }
        Ok(0)
    }
}
