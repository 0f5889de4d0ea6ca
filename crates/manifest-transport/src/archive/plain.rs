//! What may be compressed, as it is when unpacked.

use std::io::{self, Cursor, Read};

use super::unpack::{Compression, MAGIC};

/// Gives the plain content of something that may be compressed with gzip or zstd, such as a layer; its first bytes tell.
///
/// It is unpacked as it is read, and nothing limits how large it becomes: that is up to whoever reads. A zstd frame
/// takes a window of at most 32 MiB.
///
/// # Errors
/// What reading the first bytes brings.
pub fn plain<'a>(mut packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut start = Vec::with_capacity(MAGIC);
    (&mut packed).take(MAGIC as u64).read_to_end(&mut start)?;
    let compression = Compression::of(&start);
    let whole = Cursor::new(start).chain(packed);
    Ok(match compression {
        Some(compression) => compression.unpack(whole),
        None => Box::new(whole),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_compressed_is_told_by_its_first_bytes() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"content").unwrap();
        // One frame of one raw block (RFC 8878 section 3.1.1).
        let zstd = [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, 7, 0x39, 0, 0][..], b"content"].concat();
        for packed in [gzip.finish().unwrap(), zstd, b"content".to_vec()] {
            let mut content = String::new();
            plain(packed.as_slice()).unwrap().read_to_string(&mut content).unwrap();
            assert_eq!(content, "content");
        }
    }
}
