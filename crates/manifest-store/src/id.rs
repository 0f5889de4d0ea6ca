//! The ids of records.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// The number of hex digits of an id.
const LENGTH: usize = 64;

/// The fewest leading hex digits of an id that may stand for it.
pub(crate) const SHORTEST_PREFIX: usize = 12;

/// The id of a record: 32 random bytes, written as 64 lower-case hex digits.
///
/// The first twelve digits are never all decimal, since a short id that reads like a number is taken for
/// one by tools that write YAML.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId([u8; LENGTH / 2]);

impl RecordId {
    /// A new id that nobody else has.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        loop {
            let mut bytes = [0; LENGTH / 2];
            getrandom::fill(&mut bytes)?;
            let id = Self(bytes);
            if !id.reads_like_a_number() {
                return Ok(id);
            }
        }
    }

    /// The first twelve digits, which serve wherever an id is asked for as long as no other record shares them.
    pub fn short(&self) -> String {
        self.to_string().chars().take(SHORTEST_PREFIX).collect()
    }

    fn reads_like_a_number(&self) -> bool {
        self.short().bytes().all(|digit| digit.is_ascii_digit())
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not the id of a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid record id: it has 64 lower-case hex digits")]
pub struct InvalidRecordId;

impl FromStr for RecordId {
    type Err = InvalidRecordId;

    fn from_str(text: &str) -> Result<Self, InvalidRecordId> {
        if text.len() != LENGTH || !is_hex(text) {
            return Err(InvalidRecordId);
        }
        let mut bytes = [0; LENGTH / 2];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_not_hex| InvalidRecordId)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_not_hex| InvalidRecordId)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for RecordId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer)
    }
}

/// Whether there are only lower-case hex digits.
pub(crate) fn is_hex(text: &str) -> bool {
    text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_64_hex_digits() {
        let text = "00ff".repeat(16);
        assert_eq!(text.parse::<RecordId>().unwrap().to_string(), text);
        assert_eq!(text.parse::<RecordId>().unwrap().short(), "00ff00ff00ff");
        for bad in ["", "00ff", &"00FF".repeat(16), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
            assert!(bad.parse::<RecordId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn new_ids_differ_and_never_read_like_a_number() {
        let ids: std::collections::BTreeSet<_> = (0..2000).map(|_| RecordId::random().unwrap()).collect();
        assert_eq!(ids.len(), 2000);
        assert!(!ids.iter().any(RecordId::reads_like_a_number));
        let digits: RecordId = format!("123456789012{}", "ab".repeat(26)).parse().unwrap();
        assert!(digits.reads_like_a_number());
    }
}
