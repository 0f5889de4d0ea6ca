//! The message around a payload, read strictly: one one-pass signature, one literal packet, one signature, optionally in
//! one compressed packet, and not a byte more.
//!
//! Other readers take more than that, and not all of them the same; what two readers understand differently is refused
//! before a key is looked at. Spec: RFC 4880, sections 4.2, 5.4, 5.6, 5.9 and 11.3.

mod compressed;

use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;

use sequoia_openpgp::packet::{Literal, OnePassSig, Signature};
use sequoia_openpgp::parse::{Dearmor, PacketParserBuilder, PacketParserResult, Parse as _};
use sequoia_openpgp::policy::Policy as _;
use sequoia_openpgp::types::{DataFormat, SignatureType};
use sequoia_openpgp::{Packet, armor};

use super::POLICY;
use crate::error::Refusal;
use crate::payload::MAX_PAYLOAD_SIZE;

/// A larger envelope is not read, in bytes, armoured or not.
pub const MAX_ENVELOPE_SIZE: usize = 6 * 1024 * 1024;

/// How many bytes a message may have, once armour and compression are gone: the payload, and a signature around it.
const MAX_MESSAGE_SIZE: usize = MAX_PAYLOAD_SIZE + 64 * 1024;

/// What begins and ends an armoured message.
const BEGIN: &[u8] = b"-----BEGIN PGP MESSAGE-----";
const END: &[u8] = b"-----END PGP MESSAGE-----";
const CLEARTEXT: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const DETACHED: &[u8] = b"-----BEGIN PGP SIGNATURE-----";

/// What is in an envelope. Nothing of it may be believed before the signature is checked, with the digest in it, which was
/// computed over the payload.
pub(super) struct Envelope {
    pub(super) payload: Vec<u8>,
    pub(super) signature: Signature,
}

/// Opens an envelope.
pub(super) fn read(bytes: &[u8]) -> Result<Envelope, Refusal> {
    if bytes.len() > MAX_ENVELOPE_SIZE {
        let size = bytes.len();
        return Err(unreadable(format_args!(
            "it has {size} bytes, and at most {MAX_ENVELOPE_SIZE} are read"
        )));
    }
    let binary = binary(bytes)?;
    let message = match compressed::body(&binary, MAX_MESSAGE_SIZE)? {
        Some(inner) => Cow::Owned(inner),
        None => binary,
    };
    let packets = packets(&message)?;
    for packet in &packets {
        POLICY.packet(packet).map_err(|error| Refusal::Bad(format!("{error:#}")))?;
    }
    match <[Packet; 3]>::try_from(packets) {
        Ok([Packet::OnePassSig(announced), Packet::Literal(literal), Packet::Signature(signature)]) => {
            check(&announced, &literal, &signature)
        }
        Ok(other) => Err(shape(&other)),
        Err(other) => Err(shape(&other)),
    }
}

/// Takes off the armour, if there is one.
fn binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        return Ok(Cow::Borrowed(bytes));
    }
    let text = bytes.trim_ascii();
    if text.is_empty() {
        return Err(unreadable("it is empty"));
    }
    if text.starts_with(CLEARTEXT) {
        return Err(unreadable("it is signed in cleartext, not a signed message"));
    }
    if text.starts_with(DETACHED) {
        return Err(unreadable("it is a detached signature, not a signed message"));
    }
    let Some(inside) = text.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)) else {
        return Err(unreadable("it is neither a binary nor a whole armoured OpenPGP message"));
    };
    if inside.windows(5).any(|five| five == b"-----") {
        return Err(unreadable("there is more than one block of armour"));
    }
    let mut message = Vec::with_capacity(text.len());
    let mode = armor::ReaderMode::Tolerant(Some(armor::Kind::Message));
    armor::Reader::from_bytes(text, mode).read_to_end(&mut message).map_err(unreadable)?;
    Ok(Cow::Owned(message))
}

/// The packets of a message: at most four, since one more than there may be is enough to know.
fn packets(message: &[u8]) -> Result<Vec<Packet>, Refusal> {
    if message.len() > MAX_MESSAGE_SIZE {
        let size = message.len();
        return Err(unreadable(format_args!("it has {size} bytes, and at most {MAX_MESSAGE_SIZE} are read")));
    }
    let parser = PacketParserBuilder::from_bytes(message).map_err(unreadable)?;
    let mut next = parser
        .dearmor(Dearmor::Disabled)
        .buffer_unread_content()
        .build()
        .map_err(|error| unreadable(chain(&error)))?;
    let mut found = Vec::with_capacity(4);
    while let PacketParserResult::Some(parser) = next {
        let (packet, after) = parser.next().map_err(|error| unreadable(chain(&error)))?;
        found.push(packet);
        if found.len() > 3 {
            break;
        }
        next = after;
    }
    Ok(found)
}

fn check(announced: &OnePassSig, literal: &Literal, signature: &Signature) -> Result<Envelope, Refusal> {
    if literal.format() != DataFormat::Binary || signature.typ() != SignatureType::Binary {
        return Err(unreadable("it is signed as text, not as bytes"));
    }
    if !announced.last()
        || announced.typ() != signature.typ()
        || announced.hash_algo() != signature.hash_algo()
    {
        return Err(unreadable("the signature is not the one that was announced"));
    }
    let size = literal.body().len();
    if size > MAX_PAYLOAD_SIZE {
        return Err(unreadable(format_args!(
            "the payload has {size} bytes, and at most {MAX_PAYLOAD_SIZE} are read"
        )));
    }
    Ok(Envelope { payload: literal.body().to_vec(), signature: signature.clone() })
}

/// Says what stands there instead of a signed message.
fn shape(packets: &[Packet]) -> Refusal {
    let count = |wanted: fn(&Packet) -> bool| packets.iter().filter(|packet| wanted(packet)).count();
    let literals = count(|packet| matches!(packet, Packet::Literal(_)));
    let signatures = count(|packet| matches!(packet, Packet::Signature(_)));
    let announced = count(|packet| matches!(packet, Packet::OnePassSig(_)));
    unreadable(match (announced, literals, signatures) {
        (0, 1, 0) => "it is a message without a signature",
        (0, 0, 1..) => "it is a detached signature, not a signed message",
        (2.., ..) | (_, _, 2..) => "there is more than one signature",
        (_, 2.., _) => "there is more than one message",
        (1, 1, 1) => "there are bytes behind the signature, or its packets are not in order",
        _ => "it is not a whole message with one signature",
    })
}

fn chain(error: &sequoia_openpgp::anyhow::Error) -> String {
    format!("{error:#}")
}

fn unreadable(why: impl fmt::Display) -> Refusal {
    Refusal::Unreadable(why.to_string())
}
