//! The compressed packet that GnuPG puts around what it signs.
//!
//! It is unpacked here and not by the parser of packets: that one passes over bytes behind the end of the compressed data,
//! where a second message could hide. Spec: RFC 4880, sections 4.2 and 5.6.

use std::io::{self, Read};

use flate2::bufread::{DeflateDecoder, ZlibDecoder};

use super::unreadable;
use crate::error::Refusal;

/// The tag of a compressed packet.
const TAG: u8 = 8;

/// The numbers of its algorithms.
const ZIP: u8 = 1;
const ZLIB: u8 = 2;

/// What is inside, of at most `limit` bytes, if `message` is one compressed packet; `None` if it begins with another one.
pub(super) fn body(message: &[u8], limit: usize) -> Result<Option<Vec<u8>>, Refusal> {
    let Some((&first, rest)) = message.split_first() else { return Ok(None) };
    let new_format = first & 0x40 != 0;
    let tag = if new_format { first & 0x3f } else { (first >> 2) & 0x0f };
    if tag != TAG {
        return Ok(None);
    }
    let packed = if new_format { new_body(rest) } else { old_body(rest, first & 3) };
    let packed = packed.ok_or_else(|| unreadable("the compressed packet is cut, or bytes follow it"))?;
    let (unpacked, behind) = match packed.split_first() {
        Some((&ZIP, data)) => {
            let mut decoder = DeflateDecoder::new(data);
            (unpack(&mut decoder, limit), decoder.into_inner())
        }
        Some((&ZLIB, data)) => {
            let mut decoder = ZlibDecoder::new(data);
            (unpack(&mut decoder, limit), decoder.into_inner())
        }
        _ => return Err(unreadable("it is compressed by something else than ZIP and ZLIB")),
    };
    let unpacked = unpacked.map_err(|error| unreadable(format_args!("it cannot be unpacked: {error}")))?;
    if unpacked.len() > limit {
        return Err(unreadable(format_args!(
            "it has more than the {limit} bytes that are read, once unpacked"
        )));
    }
    if !behind.is_empty() {
        return Err(unreadable("there are bytes behind the compressed data"));
    }
    Ok(Some(unpacked))
}

fn unpack(packed: &mut impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    packed.take(limit as u64 + 1).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

/// The body of a packet in the new format, whose length stands before it, or before each part of it.
fn new_body(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let [first] = take(&mut rest)?;
        let (length, is_last) = match first {
            0..192 => (usize::from(first), true),
            192..224 => {
                let [second] = take(&mut rest)?;
                ((usize::from(first) - 192) * 256 + usize::from(second) + 192, true)
            }
            224..255 => (1 << (first & 0x1f), false),
            255 => (usize::try_from(u32::from_be_bytes(take(&mut rest)?)).ok()?, true),
        };
        let (part, after) = rest.split_at_checked(length)?;
        body.extend_from_slice(part);
        rest = after;
        if is_last {
            return rest.is_empty().then_some(body);
        }
    }
}

/// The body of a packet in the old format: `kind` says how many bytes its length has, or that it goes to the end.
fn old_body(mut rest: &[u8], kind: u8) -> Option<Vec<u8>> {
    let length = match kind {
        0 => usize::from(u8::from_be_bytes(take(&mut rest)?)),
        1 => usize::from(u16::from_be_bytes(take(&mut rest)?)),
        2 => usize::try_from(u32::from_be_bytes(take(&mut rest)?)).ok()?,
        _ => rest.len(),
    };
    (rest.len() == length).then(|| rest.to_vec())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}
