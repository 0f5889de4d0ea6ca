//! `registries.d`: where the signatures of images are kept.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use manifest_core::Reference;
use serde::Deserialize;
use url::Url;

use super::document::{ConfigError, read_yaml};
use super::registries::ConfigFile;

/// What the files of `registries.d` say, and where signatures are kept of which they say nothing.
///
/// Files are read one after another, in any order: no two may speak of the same scope. Each question is answered by the
/// narrowest scope that says anything to it: where signatures are read, where they are written, and whether attachments
/// are used. Members that we do not know are passed over, since the files are those of other programs.
///
/// Spec: containers-registries.d(5).
#[derive(Clone, Debug, Default)]
pub struct SignatureStores {
    /// What stands under `default-docker`.
    default: Option<Section>,
    /// What stands under `docker`.
    scopes: BTreeMap<String, Section>,
    /// Where nothing is said.
    fallback: Option<Lookaside>,
}

/// Where a lookaside store begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookaside {
    /// In a directory.
    Directory(PathBuf),
    /// At a server, which is only read from.
    Web(Url),
}

/// What is said of one scope.
#[derive(Clone, Debug)]
struct Section {
    lookaside: Option<Lookaside>,
    staging: Option<Lookaside>,
    attachments: Option<bool>,
    file: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    default_docker: Option<Table>,
    docker: Option<BTreeMap<String, Option<Table>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Table {
    lookaside: Option<String>,
    lookaside_staging: Option<String>,
    sigstore: Option<String>,
    sigstore_staging: Option<String>,
    use_sigstore_attachments: Option<bool>,
}

impl SignatureStores {
    /// Reads one more file.
    ///
    /// # Errors
    /// [`ConfigError`] names the file and the place: what is no YAML, a scope of which an earlier file speaks already, an
    /// address that cannot be used. Nothing of the file counts then.
    pub fn read(&mut self, file: ConfigFile<'_>) -> Result<(), ConfigError> {
        let Some(document) = read_yaml::<Option<Document>>(file.path, file.text)?.flatten() else {
            return Ok(());
        };
        let default = match (document.default_docker, &self.default) {
            (None, _) => None,
            (Some(_), Some(first)) => return Err(twice("default-docker", &first.file, file.path)),
            (Some(table), None) => Some(Section::new(table, file.path)?),
        };
        let mut scopes = Vec::new();
        for (scope, table) in document.docker.unwrap_or_default() {
            if let Some(first) = self.scopes.get(&scope) {
                return Err(twice(&format!("docker: {scope}"), &first.file, file.path));
            }
            scopes.push((scope, Section::new(table.unwrap_or_default(), file.path)?));
        }
        self.default = default.or(self.default.take());
        self.scopes.extend(scopes);
        Ok(())
    }

    /// The same, with a directory for images of which nothing is said.
    #[must_use]
    pub fn with_fallback(mut self, directory: impl Into<PathBuf>) -> Self {
        self.fallback = Some(Lookaside::Directory(directory.into()));
        self
    }

    /// Where signatures of an image are read.
    pub fn lookaside(&self, reference: &Reference) -> Option<&Lookaside> {
        self.narrowest(reference, |section| section.lookaside.as_ref()).or(self.fallback.as_ref())
    }

    /// Whether a file says where signatures of an image are written; else it is a place that only this machine knows.
    pub fn is_said(&self, reference: &Reference) -> bool {
        let said = |section: &'_ Section| section.staging.is_some() || section.lookaside.is_some();
        self.narrowest(reference, |section| said(section).then_some(section)).is_some()
    }

    /// Where signatures of an image are written: staged for whoever publishes them, or where they are read.
    ///
    /// A narrow scope with a place to read goes before a wider one with a place to write, as in other programs.
    pub fn staging(&self, reference: &Reference) -> Option<&Lookaside> {
        let found =
            self.narrowest(reference, |section| section.staging.as_ref().or(section.lookaside.as_ref()));
        found.or(self.fallback.as_ref())
    }

    /// Whether sigstore signatures are attached to an image in its repository.
    pub fn attachments(&self, reference: &Reference) -> bool {
        self.narrowest(reference, |section| section.attachments.as_ref()).is_some_and(|attach| *attach)
    }

    /// What the narrowest scope that says anything says.
    fn narrowest<'a, T>(
        &'a self,
        reference: &Reference,
        say: impl Fn(&'a Section) -> Option<&'a T>,
    ) -> Option<&'a T> {
        let scopes = reference.scopes();
        let narrow = scopes.iter().filter_map(|scope| self.scopes.get(scope));
        narrow.chain(&self.default).find_map(say)
    }
}

impl Section {
    fn new(table: Table, file: &Path) -> Result<Self, ConfigError> {
        let store = |(key, now): (&str, Option<String>), (old_key, old): (&str, Option<String>)| {
            // Both are checked, although the new name goes before the old one.
            let now = now.map(|url| Lookaside::parse(key, &url, file)).transpose()?;
            let old = old.map(|url| Lookaside::parse(old_key, &url, file)).transpose()?;
            Ok(now.or(old))
        };
        Ok(Self {
            lookaside: store(("lookaside", table.lookaside), ("sigstore", table.sigstore))?,
            staging: store(
                ("lookaside-staging", table.lookaside_staging),
                ("sigstore-staging", table.sigstore_staging),
            )?,
            attachments: table.use_sigstore_attachments,
            file: file.to_owned(),
        })
    }
}

impl Lookaside {
    fn parse(key: &str, text: &str, file: &Path) -> Result<Self, ConfigError> {
        let wrong = |why| ConfigError::value(file, key, text, why);
        // A login must not be told in a message.
        let url =
            Url::parse(text).map_err(|_no_url| wrong("this is not a URL, such as file:///var/lib/sigs"))?;
        if !url.username().is_empty() || url.password().is_some() {
            let why = "a URL with a login in it is not used";
            return Err(ConfigError::Value(file.to_owned(), key.to_owned(), why));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("a store is a URL without `?` and `#`"));
        }
        match url.scheme() {
            "file" => {
                let path =
                    url.to_file_path().map_err(|()| wrong("this is not a directory of this machine"))?;
                Ok(Self::Directory(path))
            }
            "http" | "https" => Ok(Self::Web(url)),
            _ => Err(wrong("signatures are kept at file:, http: or https:")),
        }
    }
}

impl fmt::Display for Lookaside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Web(url) => url.fmt(f),
        }
    }
}

fn twice(what: &str, first: &Path, second: &Path) -> ConfigError {
    ConfigError::Twice(what.to_owned(), first.to_owned(), second.to_owned())
}

#[cfg(test)]
mod tests;
