//! What a policy is asked about.

use std::path::{Path, PathBuf};

use manifest_core::Reference;

/// An image that a policy is asked about, and so the scopes that apply to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Image {
    /// In a registry (`docker`), under the name that was asked for.
    Registry(Reference),
    /// In a directory (`dir`); the path is absolute and without links.
    Directory(PathBuf),
    /// In an OCI image layout (`oci`); the path is absolute and without links; the name that it has there, if any.
    Layout(PathBuf, Option<String>),
    /// In an OCI archive (`oci-archive`); the path is absolute and without links.
    OciArchive(PathBuf),
    /// In a Docker archive (`docker-archive`), for all of which one scope stands.
    DockerArchive,
    /// In a store of our own (`store`), for all of which one scope stands.
    Store,
}

impl Image {
    /// The transport, as policies name it.
    pub(super) const fn transport(&self) -> &'static str {
        match self {
            Self::Registry(_) => "docker",
            Self::Directory(_) => "dir",
            Self::Layout(..) => "oci",
            Self::OciArchive(_) => "oci-archive",
            Self::DockerArchive => "docker-archive",
            Self::Store => "store",
        }
    }

    /// The name that signatures speak of.
    pub(super) const fn reference(&self) -> Option<&Reference> {
        match self {
            Self::Registry(reference) => Some(reference),
            Self::Directory(_)
            | Self::Layout(..)
            | Self::OciArchive(_)
            | Self::DockerArchive
            | Self::Store => None,
        }
    }

    /// The scopes of its transport that it lies in, the narrowest first; the last one is that of all the transport.
    pub(super) fn scopes(&self) -> Vec<String> {
        let mut scopes = match self {
            Self::Registry(reference) => reference.clone().with_default_tag().scopes(),
            Self::Directory(path) | Self::OciArchive(path) => directories(path),
            Self::DockerArchive | Self::Store => Vec::new(),
            Self::Layout(path, name) => {
                let named = name.iter().map(|name| format!("{}:{name}", path.display()));
                named.chain(directories(path)).collect()
            }
        };
        scopes.push(String::new());
        scopes
    }
}

/// A directory and those above it, but for the root.
fn directories(path: &Path) -> Vec<String> {
    path.ancestors().filter(|path| path.parent().is_some()).map(|path| path.display().to_string()).collect()
}

/// Why a text cannot be a scope of this transport; nobody would notice that such a scope applies to nothing.
pub(super) fn check_scope(transport: &str, scope: &str) -> Result<(), &'static str> {
    if scope.is_empty() || !matches!(transport, "dir" | "oci" | "oci-archive") {
        return Ok(());
    }
    let inner = scope.strip_prefix('/').ok_or("a scope of this transport is an absolute path")?;
    let path = if transport == "oci" { inner.split(':').next().unwrap_or_default() } else { inner };
    match path {
        "" => Err("the root is no scope; all of the transport is \"\""),
        path if path.split('/').any(|part| matches!(part, "" | "." | "..")) => {
            Err("a scope of this transport is a path without `.`, `..` and needless slashes")
        }
        _ => Ok(()),
    }
}
