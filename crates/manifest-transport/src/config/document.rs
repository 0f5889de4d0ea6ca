//! Documents in TOML, and what can be wrong with them.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not TOML of the expected shape: file, line from 1, what is wrong.
    #[error("{path}, line {1}: {2}", path = .0.display())]
    Syntax(PathBuf, usize, String),
    /// A value makes no sense: file, the value as `key = value`, what is wrong.
    #[error("{path}: {1}: {2}", path = .0.display())]
    Value(PathBuf, String, &'static str),
}

impl ConfigError {
    /// A value of a file that makes no sense.
    pub(super) fn value(file: &Path, key: &str, value: &str, why: &'static str) -> Self {
        Self::Value(file.to_owned(), format!("{key} = {value:?}"), why)
    }
}

/// Reads a document; `path` is for messages.
pub(super) fn read<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        ConfigError::Syntax(path.to_owned(), line, error.message().to_owned())
    })
}
