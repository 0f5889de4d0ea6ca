//! Content digests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256, Sha512};

/// A hash algorithm that this workspace computes.
///
/// Spec: OCI image-spec v1.1.1 `descriptor.md`, "Registered algorithms".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256: 64 hex digits.
    Sha256,
    /// SHA-512: 128 hex digits.
    Sha512,
}

impl Algorithm {
    /// The registered name, as it stands before the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The number of hex digits after the colon.
    pub const fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    /// Hashes `content`.
    pub fn digest(self, content: &[u8]) -> Digest {
        let mut hasher = self.hasher();
        hasher.update(content);
        hasher.finish()
    }

    /// Starts a hash that is fed piece by piece.
    pub fn hasher(self) -> Hasher {
        Hasher(match self {
            Self::Sha256 => State::Sha256(Sha256::new()),
            Self::Sha512 => State::Sha512(Sha512::new()),
        })
    }
}

/// A digest that is computed while content streams by.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Adds the next bytes of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of everything that was added.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(hash) => Digest::new(Algorithm::Sha256, &hash.finalize()),
            State::Sha512(hash) => Digest::new(Algorithm::Sha512, &hash.finalize()),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

/// The digest of some content, in canonical form: `algorithm:hex`, hex in lower case.
///
/// Only sha256 and sha512 exist here, so a `Digest` is always safe as part of a path or a URL and can
/// always be checked against bytes.
///
/// Spec: OCI image-spec v1.1.1 `descriptor.md`, "Digests".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// The hash; for sha256 the second half is zero.
    bytes: [u8; 64],
}

impl Digest {
    fn new(algorithm: Algorithm, hash: &[u8]) -> Self {
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(hash) {
            *to = *from;
        }
        Self { algorithm, bytes }
    }

    /// The sha256 digest of `content`.
    pub fn sha256(content: &[u8]) -> Self {
        Algorithm::Sha256.digest(content)
    }

    /// The algorithm that made this digest.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hash in lower-case hex, without the algorithm.
    pub fn hex(&self) -> String {
        self.hex_after(&[])
    }

    /// Whether `content` has this digest.
    pub fn verifies(&self, content: &[u8]) -> bool {
        self.algorithm.digest(content) == *self
    }

    /// The whole text: algorithm, colon, hex.
    fn text(&self) -> String {
        self.hex_after(&[self.algorithm.as_str(), ":"])
    }

    fn hex_after(&self, parts: &[&str]) -> String {
        // Two digits for each byte, taken from a table, and all seen to be text at once: a list has tens of thousands.
        let mut text = Vec::with_capacity(8 + self.algorithm.hex_len());
        parts.iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
        let hash = self.bytes.iter().take(self.algorithm.hex_len() / 2);
        hash.filter_map(|byte| PAIRS.get(usize::from(*byte))).for_each(|pair| text.extend_from_slice(pair));
        String::from_utf8(text).unwrap_or_default()
    }
}

/// Every byte as two hex digits.
const PAIRS: [[u8; 2]; 256] = {
    let (digits, mut pairs, mut at) = (b"0123456789abcdef", [[0; 2]; 256], 0);
    while at < 256 {
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            pairs[at] = [digits[at >> 4], digits[at & 15]];
        }
        at += 1;
    }
    pairs
};

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// There is no `algorithm:hex` in the text.
    #[error("invalid digest {0:?}: it is written algorithm:hex, as in sha256:e3b0…")]
    Format(String),
    /// The algorithm is none that this workspace computes.
    #[error("invalid digest {0:?}: only sha256 and sha512 are supported")]
    Algorithm(String),
    /// The number of hex digits is not that of the algorithm.
    #[error("invalid digest {text:?}: {algorithm} has {expected} hex digits, this one has {found}", algorithm = .algorithm.as_str(), expected = .algorithm.hex_len())]
    Length {
        /// The text as given.
        text: String,
        /// The algorithm that it names.
        algorithm: Algorithm,
        /// The number of characters found after the colon.
        found: usize,
    },
    /// A character is not a lower-case hex digit.
    #[error("invalid digest {0:?}: only the hex digits 0-9 and a-f may stand behind the colon")]
    Hex(String),
}

/// The value of each byte as a lower-case hex digit; 255 for those that are none. A list has tens of thousands.
const VALUES: [u8; 128] = {
    let mut values = [255; 128];
    let (mut at, digits) = (0, b"0123456789abcdef");
    while at < digits.len() {
        #[allow(
            clippy::indexing_slicing,
            clippy::cast_possible_truncation,
            reason = "evaluated by the compiler"
        )]
        {
            values[digits[at] as usize] = at as u8;
        }
        at += 1;
    }
    values
};

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let shown = || text.chars().take(160).collect::<String>();
        let (name, hex) = text.split_once(':').ok_or_else(|| DigestError::Format(shown()))?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            "" => return Err(DigestError::Format(shown())),
            _ => return Err(DigestError::Algorithm(shown())),
        };
        if hex.len() != algorithm.hex_len() {
            let found = hex.chars().count();
            return Err(DigestError::Length { text: shown(), algorithm, found });
        }
        let mut bytes = [0; 64];
        for (to, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            for digit in pair {
                match VALUES.get(usize::from(*digit)) {
                    Some(value) if *value < 16 => *to = (*to << 4) | value,
                    _ => return Err(DigestError::Hex(shown())),
                }
            }
        }
        Ok(Self { algorithm, bytes })
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Digest;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a digest, algorithm:hex")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Digest, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_is_what_the_bytes_hash_to() {
        assert_eq!(Digest::sha256(b"").to_string(), EMPTY);
        let long = Algorithm::Sha512.digest(b"abc");
        assert!(long.to_string().starts_with("sha512:ddaf35a193617aba"));
        assert_eq!(long.to_string().parse(), Ok(long));
        assert!(long.verifies(b"abc"));
        assert!(!long.verifies(b"abd"));
    }

    /// SEC-30.
    #[test]
    fn text_that_is_not_a_digest_is_refused_with_the_reason() {
        let hex = "a".repeat(64);
        for (text, part) in [
            (String::new(), "algorithm:hex"),
            ("sha256".to_owned(), "algorithm:hex"),
            (format!(":{hex}"), "algorithm:hex"),
            ("sha256:".to_owned(), "has 64 hex digits, this one has 0"),
            (format!("sha256:{}", &hex[1..]), "this one has 63"),
            (format!("sha256:{hex}a"), "this one has 65"),
            (format!("sha256:{}", hex.to_uppercase()), "0-9 and a-f"),
            (format!("sha384:{}", "a".repeat(96)), "only sha256 and sha512"),
            (format!("md5:{}", "a".repeat(32)), "only sha256 and sha512"),
            ("sha256:../../etc/passwd".to_owned(), "this one has 16"),
            (format!("sha256:{}\0", "a".repeat(63)), "0-9 and a-f"),
            (format!("sha256:{}", "٠".repeat(32)), "0-9 and a-f"),
            (format!("{}:{hex}", "x".repeat(4096)), "only sha256 and sha512"),
        ] {
            let error = text.parse::<Digest>().unwrap_err().to_string();
            assert!(error.contains(part), "{text:.80}: {error}");
            assert!(error.len() < 400, "the message repeats a hostile text at full length");
        }
    }
}
