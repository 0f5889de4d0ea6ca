//! Where a push goes, as it is written.

use std::fmt;

use manifest_core::Tag;
use manifest_publish::{Effort, Target};
use manifest_store::Record;
use manifest_transport::{ArchiveKind, Location, Pick, Transport};

use crate::entry::shown;
use crate::error::CliError;
use crate::gather::location;
use crate::short::is_short;

/// A target with its tags.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// The repository, with one of the tags; or the layout or archive.
    pub(crate) location: Location,
    pub(crate) tags: Vec<String>,
    effort: Effort,
}

/// As it can be given again.
impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Location::Registry(reference) = &self.location else { return self.location.fmt(f) };
        write!(f, "docker://{}", reference.repository())?;
        if self.tags.is_empty() { Ok(()) } else { write!(f, ":{}", self.tags.join(",")) }
    }
}

/// Reads a target: `docker://HOST/REPOSITORY[:TAG,…]`, `oci:DIRECTORY[:NAME]`,
/// `dir:DIRECTORY` or `oci-archive:FILE[:NAME]`.
pub(in crate::commands) fn named(text: &str, effort: Effort, by_digest: bool) -> Result<Named, CliError> {
    if is_short(text) {
        let message = format!("{text} names no registry to push to");
        return Err(CliError::Misuse(message, "docker.io/NAMESPACE/NAME:TAG is in the Docker Hub"));
    }
    // Only a list of tags has a comma behind the last colon and no slash.
    let several = text.rsplit_once(':').filter(|(_, tags)| tags.contains(',') && !tags.contains('/'));
    let (location, tags) = match several {
        Some((place, tags)) => (location(place)?, Some(tags)),
        None => (location(text)?, None),
    };
    let refuse = |message: &str, hint| Err(CliError::Misuse(format!("{text}: {message}"), hint));
    let tags = match (&location, tags) {
        (Location::Registry(reference), _) if reference.digest().is_some() => {
            return refuse(
                "a target has a tag, not a digest",
                "the digest follows from the list; --digestfile writes it down",
            );
        }
        (Location::Registry(_), _) if by_digest && has_tag(text) => {
            return refuse("--by-digest moves no tag, and the target has one", "leave the tag out");
        }
        (Location::Registry(_), Some(tags)) => several_tags(text, tags)?,
        (Location::Registry(_), None) if by_digest => Vec::new(),
        (Location::Registry(reference), None) => reference.tag().map(Tag::to_string).into_iter().collect(),
        (_, Some(_)) => return refuse("only a repository takes several tags", "give a target for each name"),
        (Location::Directory(_, Pick::Digest(_)), None) => {
            return refuse("a target has no digest", "it is written dir:DIRECTORY");
        }
        (Location::Layout(_, Pick::Digest(_) | Pick::Position(_)), None) => {
            return refuse(
                "a target has a name, not a digest or position",
                "it is written oci:DIRECTORY[:NAME]",
            );
        }
        (Location::Layout(_, Pick::Name(_)), None) if by_digest => {
            return refuse("--by-digest gives no name, and the target has one", "leave the name out");
        }
        (Location::Layout(_, Pick::Name(name)), None) => vec![name.clone()],
        (Location::Archive(ArchiveKind::Oci, _, Pick::Digest(_) | Pick::Position(_)), None) => {
            return refuse(
                "a target has a name, not a digest or position",
                "it is written oci-archive:FILE[:NAME]",
            );
        }
        (Location::Archive(ArchiveKind::Oci, _, Pick::Name(_)), None) if by_digest => {
            return refuse("--by-digest gives no name, and the target has one", "leave the name out");
        }
        (Location::Archive(ArchiveKind::Oci, _, Pick::Name(name)), None) => vec![name.clone()],
        (Location::Archive(ArchiveKind::Oci, _, Pick::Only), None) => Vec::new(),
        (Location::Archive(..), None) => {
            return refuse(
                "an archive of that kind holds no list",
                "oci-archive:FILE[:NAME] does, and so does what manifest export writes; docker load reads it, too",
            );
        }
        (Location::Store(_), None) => {
            return refuse(
                "a list is pushed out of the store, not into it",
                "manifest tag gives it another name",
            );
        }
        (_, None) => Vec::new(),
    };
    Ok(Named { location, tags, effort })
}

/// Whether a reference was written with a tag: a colon behind the last slash.
fn has_tag(text: &str) -> bool {
    text.trim_start_matches("docker://").rsplit('/').next().is_some_and(|name| name.contains(':'))
}

fn several_tags(text: &str, tags: &str) -> Result<Vec<String>, CliError> {
    let mut all = Vec::new();
    for tag in tags.split(',') {
        let tag: Tag = tag.parse().map_err(|error| {
            CliError::Misuse(
                format!("{text}: {error}"),
                "several tags are written docker://HOST/REPOSITORY:1.0,1",
            )
        })?;
        if !all.contains(&tag.to_string()) {
            all.push(tag.to_string());
        }
    }
    Ok(all)
}

/// The registry that the own name of a list names.
pub(super) fn of_own_name(record: &Record, by_digest: bool) -> Result<Named, CliError> {
    let own = record.names().iter().find(|name| !name.is_local()).ok_or_else(|| {
        let message = format!("{} names no registry to push to", shown(record));
        CliError::Misuse(
            message,
            "give a target: docker://HOST/REPOSITORY:TAG, oci:DIRECTORY:NAME, dir:DIRECTORY or oci-archive:FILE",
        )
    })?;
    let reference = own.reference().clone();
    let tags = reference.tag().filter(|_| !by_digest).map(Tag::to_string).into_iter().collect();
    Ok(Named { location: Location::Registry(reference), tags, effort: Effort::Required })
}

impl Named {
    /// Whether both are one file, which is written once.
    pub(super) fn is_same_archive(&self, other: &Self) -> bool {
        match (&self.location, &other.location) {
            (Location::Archive(_, one, _), Location::Archive(_, two, _)) => one == two,
            _ => false,
        }
    }

    /// Gives an archive that has no name that of the list, as an export does.
    pub(super) fn name_archive(&mut self, own: Option<String>) {
        if let (Location::Archive(_, _, pick @ Pick::Only), Some(own)) = (&mut self.location, own) {
            *pick = Pick::Name(own.clone());
            self.tags = vec![own];
        }
    }

    /// Whether both are tags of one repository, which may both fail or neither.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        match (&self.location, &other.location) {
            (Location::Registry(one), Location::Registry(two)) => {
                one.repository() == two.repository() && self.effort == other.effort
            }
            _ => false,
        }
    }

    pub(super) fn take_tags(&mut self, other: Self) {
        for tag in other.tags {
            if !self.tags.contains(&tag) {
                self.tags.push(tag);
            }
        }
    }

    pub(super) fn open(&self, transport: &Transport) -> Result<Target, CliError> {
        match (transport.open(&self.location), &self.location) {
            (
                Some((place, _)),
                Location::Registry(_)
                | Location::Layout(..)
                | Location::Directory(..)
                | Location::Archive(..),
            ) => Ok(Target { place, names: self.tags.clone(), effort: self.effort }),
            _ => {
                let message = format!("{} cannot be pushed to", self.location);
                Err(CliError::Misuse(
                    message,
                    "a target is docker://HOST/REPOSITORY:TAG, oci:DIRECTORY:NAME, dir:DIRECTORY or oci-archive:FILE:NAME",
                ))
            }
        }
    }
}
