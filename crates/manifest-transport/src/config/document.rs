//! Documents in TOML and YAML, and what can be wrong with them.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not TOML or YAML of the expected shape: file, line from 1, what is wrong.
    #[error("{path}, line {1}: {2}", path = .0.display())]
    Syntax(PathBuf, usize, String),
    /// A value makes no sense: file, the value as `key = value`, what is wrong.
    #[error("{path}: {1}: {2}", path = .0.display())]
    Value(PathBuf, String, &'static str),
    /// Two files say something of the same: what it is, and the two.
    #[error("{0} stands in {first} and in {second}", first = .1.display(), second = .2.display())]
    Twice(String, PathBuf, PathBuf),
    /// A file or directory cannot be read.
    #[error("cannot read {path}", path = .0.display())]
    Read(PathBuf, #[source] io::Error),
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

/// Reads a document in YAML, which is none (`None`) when nothing stands in it; `path` is for messages.
///
/// Anchors and aliases have their uses in files that people write, but a few are enough for them.
pub(super) fn read_yaml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<Option<T>, ConfigError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 16,
            max_nodes: 100_000,
            max_events: 300_000,
            max_anchors: 64,
            max_aliases: 256,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 4,
        },
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::Error,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(1, |at| usize::try_from(at.line()).unwrap_or(usize::MAX));
        ConfigError::Syntax(path.to_owned(), line, error.to_string())
    })
}
