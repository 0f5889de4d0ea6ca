//! Reading JSON of which every member must be accounted for.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use manifest_core::check_json;
use serde_json::value::RawValue;

use crate::error::{Refusal, SignError};

/// Why something does not have the shape it must have.
#[derive(Debug)]
pub(super) struct Shape(pub(super) String);

impl From<Shape> for Refusal {
    fn from(shape: Shape) -> Self {
        Self::Unreadable(shape.0)
    }
}

impl From<Shape> for SignError {
    fn from(shape: Shape) -> Self {
        Self::NotAKey(shape.0)
    }
}

/// The members of an object that were not taken yet, each as it was written.
pub(super) struct Members<'a> {
    of: &'static str,
    left: BTreeMap<String, &'a RawValue>,
}

impl<'a> Members<'a> {
    /// Those of a whole document, which must be JSON that every reader understands alike.
    pub(super) fn of_document(bytes: &'a [u8], of: &'static str) -> Result<Self, Shape> {
        check_json(bytes).map_err(|error| Shape(format!("{of} is {error}")))?;
        let document = serde_json::from_slice(bytes).map_err(|error| Shape(format!("{of}: {error}")))?;
        Self::of(document, of)
    }

    /// Those of a value inside a document that was checked.
    pub(super) fn of(value: &'a RawValue, of: &'static str) -> Result<Self, Shape> {
        let left = serde_json::from_str(value.get());
        Ok(Self { of, left: left.map_err(|_other| Shape(format!("{of} is not an object")))? })
    }

    /// A member that may be missing; `null` is missing.
    pub(super) fn take_if(&mut self, name: &str) -> Option<&'a RawValue> {
        self.left.remove(name).filter(|value| value.get() != "null")
    }

    pub(super) fn take(&mut self, name: &str) -> Result<&'a RawValue, Shape> {
        self.left.remove(name).ok_or_else(|| Shape(format!("{} has no `{name}`", self.of)))
    }

    pub(super) fn object(&mut self, name: &'static str) -> Result<Self, Shape> {
        Self::of(self.take(name)?, name)
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, Shape> {
        text(self.take(name)?, name)
    }

    pub(super) fn text_if(&mut self, name: &str) -> Result<Option<String>, Shape> {
        self.take_if(name).map(|value| text(value, name)).transpose()
    }

    pub(super) fn number(&mut self, name: &str) -> Result<u64, Shape> {
        serde_json::from_str(self.take(name)?.get())
            .map_err(|_other| Shape(format!("`{name}` is not a whole number")))
    }

    /// Bytes, written in base64.
    pub(super) fn bytes(&mut self, name: &str) -> Result<Vec<u8>, Shape> {
        base64(&self.text(name)?, name)
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Vec<&'a RawValue>, Shape> {
        list(self.take(name)?, name)
    }

    /// A list that may be missing, which is an empty one.
    pub(super) fn list_if(&mut self, name: &str) -> Result<Vec<&'a RawValue>, Shape> {
        self.take_if(name).map_or_else(|| Ok(Vec::new()), |value| list(value, name))
    }

    /// Members whose names are not known beforehand.
    pub(super) fn rest(self) -> BTreeMap<String, &'a RawValue> {
        self.left
    }

    /// Refuses what is left: nobody knows what it would mean.
    pub(super) fn end(self) -> Result<(), Shape> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(Shape(format!("{} must not have {:?}", self.of, brief(name)))),
        }
    }
}

/// Bytes, written in base64 with its padding.
pub(super) fn base64(text: &str, name: &str) -> Result<Vec<u8>, Shape> {
    STANDARD.decode(text).map_err(|_other| Shape(format!("`{name}` is not base64")))
}

/// Text of others for a message, cut where a hostile document would fill the screen.
pub(super) fn brief(text: &str) -> String {
    text.chars().take(80).collect()
}

fn text(value: &RawValue, name: &str) -> Result<String, Shape> {
    serde_json::from_str(value.get()).map_err(|_other| Shape(format!("`{name}` is not a string")))
}

fn list<'a>(value: &'a RawValue, name: &str) -> Result<Vec<&'a RawValue>, Shape> {
    serde_json::from_str(value.get()).map_err(|_other| Shape(format!("`{name}` is not a list")))
}
