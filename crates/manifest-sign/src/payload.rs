//! What a signature says: this digest is what that reference means.
//!
//! Spec: containers/image `docs/containers-signature.5.md`, "JSON data format"; cosign `specs/SIGNATURE_SPEC.md`,
//! "Simple Signing".

mod parse;

use manifest_core::{Digest, JsonError};
use serde_json::{Map, Value, json};

/// A larger payload is not read, in bytes.
pub const MAX_PAYLOAD_SIZE: usize = 4 * 1024 * 1024;

/// Who wrote a payload for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PayloadType {
    /// Simple signing, inside an OpenPGP message.
    Atomic,
    /// cosign's old form, signed by a sigstore key.
    Cosign,
}

impl PayloadType {
    /// What stands at `critical.type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Atomic => "atomic container signature",
            Self::Cosign => "cosign container image signature",
        }
    }
}

/// What a signature says.
///
/// The member `optional` may hold more than what is read here; nothing of it is believed but what stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "it is all that a signature can say, and is built by who signs")]
pub struct Payload {
    /// The member `critical.identity.docker-reference`: what the signer says that the image is.
    pub reference: String,
    /// The member `critical.image.docker-manifest-digest`.
    pub digest: Digest,
    /// The member `optional.creator`: which program signed.
    pub creator: Option<String>,
    /// The member `optional.timestamp`: when, as the signer says, in seconds since 1970.
    pub timestamp: Option<i64>,
}

/// Why bytes are not the payload of a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// There are too many bytes.
    #[error("the payload has {0} bytes, and at most {MAX_PAYLOAD_SIZE} are read")]
    TooLarge(usize),
    /// It is not JSON that two readers would understand alike.
    #[error("the payload is {0}")]
    Json(#[from] JsonError),
    /// Its members are not those that a payload has.
    #[error("the payload is not what a signature says: {0}")]
    Shape(String),
    /// It is a payload of the other family.
    #[error("the payload is of type {found:?}, not {wanted:?}", wanted = .wanted.as_str())]
    Type {
        /// The type it has.
        found: String,
        /// The type it must have.
        wanted: PayloadType,
    },
}

impl Payload {
    /// Says that `reference` means `digest`.
    pub fn new(reference: impl Into<String>, digest: Digest) -> Self {
        Self { reference: reference.into(), digest, creator: None, timestamp: None }
    }

    /// Writes it: one object without spaces, keys sorted. `optional` is `null` in cosign's form when there is nothing in it, as
    /// cosign has it, and an empty object in the other.
    pub fn encode(&self, kind: PayloadType) -> Vec<u8> {
        let mut optional = Map::new();
        if let Some(creator) = &self.creator {
            optional.insert("creator".to_owned(), json!(creator));
        }
        if let Some(timestamp) = self.timestamp {
            optional.insert("timestamp".to_owned(), json!(timestamp));
        }
        let optional = match kind {
            PayloadType::Cosign if optional.is_empty() => Value::Null,
            PayloadType::Cosign | PayloadType::Atomic => Value::Object(optional),
        };
        let document = json!({
            "critical": {
                "identity": { "docker-reference": self.reference },
                "image": { "docker-manifest-digest": self.digest.to_string() },
                "type": kind.as_str(),
            },
            "optional": optional,
        });
        document.to_string().into_bytes()
    }

    /// Reads it strictly: exactly the members of the spec, each once, of the right type, and nothing behind the object.
    ///
    /// # Errors
    /// [`PayloadError`] names the first thing that is not as it must be.
    pub fn decode(bytes: &[u8], kind: PayloadType) -> Result<Self, PayloadError> {
        parse::decode(bytes, kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> Digest {
        Digest::sha256(b"list")
    }

    fn good() -> String {
        let digest = digest();
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"r.test/app:1"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"atomic container signature"}},"optional":{{"creator":"manifest 1","timestamp":1700000000}}}}"#
        )
    }

    fn decode(text: &str) -> Result<Payload, PayloadError> {
        Payload::decode(text.as_bytes(), PayloadType::Atomic)
    }

    #[test]
    fn what_is_written_is_what_other_programs_write_and_reads_back() {
        let payload = Payload {
            creator: Some("manifest 1".to_owned()),
            timestamp: Some(1_700_000_000),
            ..Payload::new("r.test/app:1", digest())
        };
        let bytes = payload.encode(PayloadType::Atomic);
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), good());
        assert_eq!(Payload::decode(&bytes, PayloadType::Atomic), Ok(payload));
    }

    #[test]
    fn a_payload_of_cosign_says_null_where_nothing_is_said() {
        let payload = Payload::new("r.test/app", digest());
        let bytes = payload.encode(PayloadType::Cosign);
        assert!(bytes.ends_with(br#""type":"cosign container image signature"},"optional":null}"#));
        assert_eq!(Payload::decode(&bytes, PayloadType::Cosign), Ok(payload));
    }

    #[test]
    fn members_that_nobody_knows_may_stand_in_optional_and_spaces_behind() {
        let text = good().replace("\"creator\"", "\"more\":{\"a\":[1]},\"creator\"") + " \n\t";
        assert_eq!(decode(&text).unwrap().creator.as_deref(), Some("manifest 1"));
    }

    #[test]
    fn a_payload_that_is_not_exactly_as_it_must_be_is_refused() {
        let good = good();
        let digest = digest().to_string();
        let cases = [
            ("empty", String::new()),
            ("an array", format!("[{good}]")),
            ("a byte order mark", format!("\u{feff}{good}")),
            ("something behind", format!("{good}{{}}")),
            ("a letter behind", format!("{good}x")),
            ("cut", good[..good.len() - 1].to_owned()),
            ("a key twice", good.replace("\"optional\"", "\"critical\":{},\"optional\"")),
            ("a key twice, escaped", good.replace("\"optional\"", "\"\\u0063ritical\":{},\"optional\"")),
            ("more at the top", good.replace("\"optional\"", "\"more\":1,\"optional\"")),
            ("more in critical", good.replace("\"type\"", "\"more\":1,\"type\"")),
            ("more in the identity", good.replace("\"docker-reference\"", "\"more\":1,\"docker-reference\"")),
            (
                "more in the image",
                good.replace("\"docker-manifest-digest\"", "\"more\":1,\"docker-manifest-digest\""),
            ),
            ("a key of another case", good.replace("\"critical\"", "\"Critical\"")),
            ("no optional", good[..good.find(",\"optional\"").unwrap()].to_owned() + "}"),
            ("optional is null", good[..good.find(":{\"creator\"").unwrap()].to_owned() + ":null}"),
            ("optional is a list", good[..good.find(":{\"creator\"").unwrap()].to_owned() + ":[]}"),
            ("no critical", "{\"optional\":{}}".to_owned()),
            ("critical is text", "{\"critical\":\"x\",\"optional\":{}}".to_owned()),
            ("a time with a fraction", good.replace("1700000000", "1700000000.5")),
            ("a time as a float", good.replace("1700000000", "1.7e9")),
            ("a time as text", good.replace("1700000000", "\"1700000000\"")),
            ("a time beyond 64 bits", good.replace("1700000000", "99999999999999999999")),
            ("a creator that is a number", good.replace("\"manifest 1\"", "1")),
            ("a creator that is null", good.replace("\"manifest 1\"", "null")),
            ("a digest that is none", good.replace(&digest, "sha256:12")),
            ("a digest in capitals", good.replace(&digest, &digest.to_uppercase())),
            ("a reference that is a number", good.replace("\"r.test/app:1\"", "1")),
            ("another type", good.replace("atomic container", "cosign container image")),
            (
                "lists for objects",
                format!(
                    r#"{{"critical":[["r.test/app:1"],["{digest}"],"atomic container signature"],"optional":{{}}}}"#
                ),
            ),
            ("deep", good.replace("\"manifest 1\"", &("[".repeat(100) + &"]".repeat(100)))),
        ];
        for (name, text) in cases {
            assert!(decode(&text).is_err(), "{name}: {text}");
        }
        assert!(decode(&good).is_ok());
    }

    #[test]
    fn a_payload_larger_than_the_limit_is_not_parsed() {
        let bytes = vec![b' '; MAX_PAYLOAD_SIZE + 1];
        let refused = Payload::decode(&bytes, PayloadType::Atomic);
        assert_eq!(refused, Err(PayloadError::TooLarge(MAX_PAYLOAD_SIZE + 1)));
    }
}
