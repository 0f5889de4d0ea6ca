//! Where something lies that is to be signed.

use manifest_core::{Digest, Reference, Tag};
use manifest_publish::Effort;
use manifest_transport::{Location, Place, Transport, Which};

use super::super::push::target::named;
use crate::context::Context;
use crate::entry::shown;
use crate::error::CliError;
use crate::named::{Named, load};

/// A list or an image at one place.
#[derive(Debug)]
pub(in crate::commands) struct Spot {
    pub(in crate::commands) location: Location,
    /// As it can be given again.
    pub(in crate::commands) target: String,
    /// The tag as which it is signed.
    pub(in crate::commands) tag: Option<String>,
    /// What it is, where that is known before.
    digest: Option<Digest>,
}

impl Spot {
    /// Its place, and which of the manifests there is meant, for somebody who only reads.
    pub(crate) fn look(&self, transport: &Transport) -> Result<(Place, Which), CliError> {
        match transport.open(&self.location) {
            Some((place, which)) => Ok((place, self.digest.map_or(which, Which::from))),
            None => Err(CliError::Misuse(
                format!("{} cannot be read from", self.target),
                "docker://…, oci:…, dir:… and archives can",
            )),
        }
    }

    /// The reference by which it is asked for: what was typed, or the tag that it was pushed to.
    pub(crate) fn reference(&self) -> Option<Reference> {
        let Location::Registry(reference) = &self.location else { return None };
        let Some(digest) = self.digest else { return Some(reference.clone()) };
        let repository = Reference::from(reference.repository());
        let tag = self.tag.as_ref().and_then(|tag| tag.parse().ok());
        Some(
            tag.map_or_else(
                || repository.clone().with_digest(digest),
                |tag| repository.clone().with_tag(tag),
            ),
        )
    }

    /// Its place, and which of the manifests there is meant.
    pub(in crate::commands) fn open(&self, transport: &Transport) -> Result<(Place, Which), CliError> {
        match (transport.open(&self.location), &self.location) {
            (
                Some((place, which)),
                Location::Registry(_) | Location::Layout(..) | Location::Directory(..),
            ) => Ok((place, self.digest.map_or(which, Which::from))),
            _ => Err(CliError::Misuse(
                format!("{} cannot be signed", self.target),
                "what is in a registry, an OCI layout or a directory (dir:) can; manifest push LIST oci-archive:FILE --sign-key FILE writes a \
                 signed archive",
            )),
        }
    }
}

/// The places of what is named: it has one, and a list in the store all those that it was pushed to last. `done` is what happens
/// there, in words.
pub(in crate::commands) async fn spots(
    context: &Context,
    text: &str,
    done: &str,
) -> Result<Vec<Spot>, CliError> {
    let name = match Named::parse(text)? {
        Named::Elsewhere(location) => {
            let tag = match &location {
                Location::Registry(reference) => {
                    reference.clone().with_default_tag().tag().map(Tag::to_string)
                }
                _ => None,
            };
            return Ok(vec![Spot { target: location.to_string(), location, tag, digest: None }]);
        }
        Named::Here(name) => name,
    };
    let record = load(&context.store()?, &name).await?;
    let pushed = record.pushed().ok_or_else(|| CliError::NotPushed(shown(&record)))?;
    if pushed.digest != record.encoded().digest {
        context.ui.note(format_args!(
            "{} is another one than what was pushed; {} is {done}, which is there",
            shown(&record),
            pushed.digest
        ));
    }
    let spot = |text: &str| {
        let target = named(text, Effort::Required, false)?;
        let tag = target.tags.first().cloned();
        Ok(Spot { location: target.location, target: text.to_owned(), tag, digest: Some(pushed.digest) })
    };
    pushed.target.split(' ').map(spot).collect()
}
