//! Values of a policy with the place where they stand, taken one by one so that nothing is left unread.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::error::PolicyError;

/// Where in a policy something stands.
#[derive(Clone, Debug)]
pub(super) struct At<'f> {
    file: &'f Path,
    path: String,
}

impl<'f> At<'f> {
    pub(super) const fn top(file: &'f Path) -> Self {
        Self { file, path: String::new() }
    }

    pub(super) fn member(&self, name: &str) -> Self {
        let separator = if self.path.is_empty() { "" } else { "." };
        Self { file: self.file, path: format!("{}{separator}{name}", self.path) }
    }

    pub(super) fn key(&self, name: &str) -> Self {
        Self { file: self.file, path: format!("{}[{name:?}]", self.path) }
    }

    pub(super) fn item(&self, at: usize) -> Self {
        Self { file: self.file, path: format!("{}[{at}]", self.path) }
    }

    pub(super) fn wrong(&self, what: impl Into<String>) -> PolicyError {
        let at = if self.path.is_empty() { "at the top".to_owned() } else { self.path.clone() };
        PolicyError::Value { file: self.file.to_owned(), at, what: what.into() }
    }

    pub(super) fn text(&self, value: Value) -> Result<String, PolicyError> {
        match value {
            Value::String(text) if text.is_empty() => Err(self.wrong("it is empty")),
            Value::String(text) => Ok(text),
            _ => Err(self.wrong("it is not a string")),
        }
    }

    pub(super) fn data(&self, value: Value) -> Result<Vec<u8>, PolicyError> {
        let text = self.text(value)?;
        STANDARD.decode(text).map_err(|error| self.wrong(format!("it is not base64: {error}")))
    }

    /// The items of a list that has some.
    pub(super) fn items(&self, value: Value) -> Result<Vec<(Self, Value)>, PolicyError> {
        match value {
            Value::Array(items) if items.is_empty() => Err(self.wrong("the list is empty")),
            Value::Array(items) => {
                Ok(items.into_iter().enumerate().map(|(at, item)| (self.item(at), item)).collect())
            }
            _ => Err(self.wrong("it is not a list")),
        }
    }

    pub(super) fn object(self, value: Value) -> Result<Members<'f>, PolicyError> {
        match value {
            Value::Object(left) => Ok(Members { at: self, left }),
            _ => Err(self.wrong("it is not an object")),
        }
    }
}

/// The members of an object that were not taken yet.
#[derive(Debug)]
pub(super) struct Members<'f> {
    pub(super) at: At<'f>,
    left: Map<String, Value>,
}

impl<'f> Members<'f> {
    pub(super) fn take(&mut self, name: &str) -> Option<(At<'f>, Value)> {
        self.left.remove(name).map(|value| (self.at.member(name), value))
    }

    pub(super) fn need(&mut self, name: &str) -> Result<(At<'f>, Value), PolicyError> {
        self.take(name).ok_or_else(|| self.at.wrong(format!("there is no `{name}`")))
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, PolicyError> {
        let (at, value) = self.need(name)?;
        at.text(value)
    }

    /// All that is left, by name.
    pub(super) fn rest(self) -> impl Iterator<Item = (At<'f>, String, Value)> {
        let at = self.at;
        self.left.into_iter().map(move |(name, value)| (at.key(&name), name, value))
    }

    /// Takes one of several members, of which there must be exactly one.
    pub(super) fn one_of(
        &mut self,
        names: &[&'static str],
    ) -> Result<(&'static str, At<'f>, Value), PolicyError> {
        match self.at_most_one_of(names)? {
            Some(found) => Ok(found),
            None => Err(self.at.wrong(format!("there must be one of {}", list(names)))),
        }
    }

    /// Takes one of several members, of which there may be one.
    pub(super) fn at_most_one_of(
        &mut self,
        names: &[&'static str],
    ) -> Result<Option<(&'static str, At<'f>, Value)>, PolicyError> {
        let mut found = names.iter().filter_map(|name| self.take(name).map(|(at, value)| (*name, at, value)));
        let first = found.next();
        match (&first, found.next()) {
            (Some((one, ..)), Some((other, ..))) => {
                Err(self.at.wrong(format!("`{one}` and `{other}` do not go together")))
            }
            _ => Ok(first),
        }
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), PolicyError> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.at.wrong(format!("`{}` is not known here", name.escape_debug()))),
        }
    }
}

/// Key material that stands in a file or in the policy itself.
pub(super) enum Material {
    Files(Vec<PathBuf>),
    Data(Vec<Vec<u8>>),
}

impl Material {
    /// Reads the value of a member whose name says which of the two it is, and whether it is one or many.
    pub(super) fn read(name: &str, at: &At<'_>, value: Value) -> Result<Self, PolicyError> {
        let many = name.ends_with("Paths") || name.ends_with("Datas");
        let items = if many { at.items(value)? } else { vec![(at.clone(), value)] };
        if name.contains("Path") {
            let paths = items.into_iter().map(|(at, item)| at.text(item).map(PathBuf::from));
            paths.collect::<Result<_, _>>().map(Self::Files)
        } else {
            items.into_iter().map(|(at, item)| at.data(item)).collect::<Result<_, _>>().map(Self::Data)
        }
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
