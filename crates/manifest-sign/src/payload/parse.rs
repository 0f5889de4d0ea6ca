//! Reading a payload, strictly.
//!
//! By hand and not derived, since a derived reader takes a list for an object.

use manifest_core::{Digest, check_json};
use serde_json::{Map, Value};

use super::{MAX_PAYLOAD_SIZE, Payload, PayloadError, PayloadType};

pub(super) fn decode(bytes: &[u8], kind: PayloadType) -> Result<Payload, PayloadError> {
    if bytes.len() > MAX_PAYLOAD_SIZE {
        return Err(PayloadError::TooLarge(bytes.len()));
    }
    check_json(bytes)?;
    let document = serde_json::from_slice(bytes).map_err(|error| PayloadError::Shape(error.to_string()))?;
    let mut top = Members::of(document, "it")?;
    let mut critical = Members::of(top.take("critical")?, "critical")?;
    let mut identity = Members::of(critical.take("identity")?, "identity")?;
    let mut image = Members::of(critical.take("image")?, "image")?;

    let found = critical.text("type")?;
    if found != kind.as_str() {
        return Err(PayloadError::Type { found: found.chars().take(80).collect(), wanted: kind });
    }
    let reference = identity.text("docker-reference")?;
    let digest: Digest = image
        .text("docker-manifest-digest")?
        .parse()
        .map_err(|error| PayloadError::Shape(format!("docker-manifest-digest: {error}")))?;
    let (creator, timestamp) = match (top.take("optional")?, kind) {
        (Value::Null, PayloadType::Cosign) => (None, None),
        (optional, _) => said(&Members::of(optional, "optional")?)?,
    };
    for members in [top, critical, identity, image] {
        members.end()?;
    }
    Ok(Payload { reference, digest, creator, timestamp })
}

/// What is read of `optional`, which may hold anything else.
fn said(optional: &Members) -> Result<(Option<String>, Option<i64>), PayloadError> {
    let wrong = |name, what| PayloadError::Shape(format!("`{name}` is not {what}"));
    let creator = match optional.left.get("creator") {
        None => None,
        Some(Value::String(creator)) => Some(creator.clone()),
        Some(_) => return Err(wrong("creator", "a string")),
    };
    let timestamp = match optional.left.get("timestamp") {
        None => None,
        Some(time) => Some(time.as_i64().ok_or_else(|| wrong("timestamp", "a whole number of seconds"))?),
    };
    Ok((creator, timestamp))
}

/// The members of an object that were not taken yet.
struct Members {
    of: &'static str,
    left: Map<String, Value>,
}

impl Members {
    fn of(value: Value, of: &'static str) -> Result<Self, PayloadError> {
        match value {
            Value::Object(left) => Ok(Self { of, left }),
            _ => Err(PayloadError::Shape(format!("{of} is not an object"))),
        }
    }

    fn take(&mut self, name: &str) -> Result<Value, PayloadError> {
        self.left.remove(name).ok_or_else(|| PayloadError::Shape(format!("{} has no `{name}`", self.of)))
    }

    fn text(&mut self, name: &str) -> Result<String, PayloadError> {
        match self.take(name)? {
            Value::String(text) => Ok(text),
            _ => Err(PayloadError::Shape(format!("`{name}` is not a string"))),
        }
    }

    fn end(self) -> Result<(), PayloadError> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(PayloadError::Shape(format!("{} must not have {name:?}", self.of))),
        }
    }
}
