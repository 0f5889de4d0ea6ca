//! What a user types to name a record.

use std::fmt;
use std::str::FromStr;

use manifest_core::{ListName, ReferenceError};

use crate::RecordId;
use crate::id::{SHORTEST_PREFIX, is_hex};

/// Which record is meant: the name of a list, or the id of a record or a unique prefix of it.
///
/// `app` is `localhost/app:latest`. A prefix has at least 12 hex digits; where such a text is also the name
/// of a list that exists, the name wins. The text is kept for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    text: String,
    name: Option<ListName>,
    id_prefix: Option<String>,
}

impl Selector {
    /// The text as it was typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name that the text is, if it can be one.
    pub const fn name(&self) -> Option<&ListName> {
        self.name.as_ref()
    }

    /// The leading hex digits of an id that the text is, if it can be that.
    pub(crate) fn id_prefix(&self) -> Option<&str> {
        self.id_prefix.as_deref()
    }
}

impl FromStr for Selector {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let is_prefix = (SHORTEST_PREFIX..=64).contains(&text.len()) && is_hex(text);
        let id_prefix = is_prefix.then(|| text.to_owned());
        let name = match text.parse() {
            Ok(name) => Some(name),
            Err(_) if is_prefix => None,
            Err(error) => return Err(error),
        };
        Ok(Self { text: text.to_owned(), name, id_prefix })
    }
}

impl From<ListName> for Selector {
    fn from(name: ListName) -> Self {
        Self { text: name.to_string(), name: Some(name), id_prefix: None }
    }
}

impl From<&ListName> for Selector {
    fn from(name: &ListName) -> Self {
        name.clone().into()
    }
}

impl From<RecordId> for Selector {
    fn from(id: RecordId) -> Self {
        Self { text: id.to_string(), name: None, id_prefix: Some(id.to_string()) }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_name_or_an_id_or_could_be_both() {
        let hex = "0123456789ab".repeat(6);
        for (text, name, prefix) in [
            ("app", Some("localhost/app:latest"), None),
            ("ghcr.io/acme/app:1.0", Some("ghcr.io/acme/app:1.0"), None),
            ("abcdef01234", Some("localhost/abcdef01234:latest"), None),
            ("abcdef012345", Some("localhost/abcdef012345:latest"), Some("abcdef012345")),
            (&hex[..64], None, Some(&hex[..64])),
            (&hex[..65], Some(&*format!("localhost/{}:latest", &hex[..65])), None),
        ] {
            let selector: Selector = text.parse().unwrap();
            assert_eq!(selector.name().map(ToString::to_string).as_deref(), name, "{text}");
            assert_eq!(selector.id_prefix(), prefix, "{text}");
            assert_eq!(selector.to_string(), text);
        }
        for bad in ["", "App", "a b", "ABCDEF0123456789", "../../etc/passwd"] {
            assert!(bad.parse::<Selector>().is_err(), "{bad}");
        }
    }
}
