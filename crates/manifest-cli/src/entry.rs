//! Which entry of a list is meant.

use clap::Args;
use manifest_core::{Digest, List, Match, Platform};
use manifest_store::Record;

use crate::args::RegistryArgs;
use crate::context::Context;
use crate::error::CliError;

/// How an entry is named.
#[derive(Clone, Debug, Args)]
pub(crate) struct EntryName {
    /// The digest of the entry, or the image it was made from (docker://…, oci:… or dir:…)
    #[arg(value_name = "ENTRY", conflicts_with = "platform")]
    pub(crate) entry: Option<String>,
    /// The entry for this platform, instead of its digest
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub(crate) platform: Option<Platform>,
}

/// An entry that is meant: by digest, or by what it is for.
#[derive(Clone, Debug)]
pub(crate) enum Meant {
    Digest(Digest),
    Platform(Platform),
}

impl EntryName {
    /// Understands which entry is meant; an image is asked for its digest, before any list is locked.
    pub(crate) async fn meant(&self, context: &Context, registry: &RegistryArgs) -> Result<Meant, CliError> {
        if let Some(platform) = &self.platform {
            return Ok(Meant::Platform(platform.clone()));
        }
        let Some(text) = &self.entry else {
            let message = "no entry is named".to_owned();
            return Err(CliError::Misuse(message, "give the digest of an entry, or --platform OS/ARCH"));
        };
        if let Ok(digest) = text.parse() {
            return Ok(Meant::Digest(digest));
        }
        if text.starts_with("sha256:") || text.starts_with("sha512:") {
            let message = format!("{text:?} is not a digest");
            return Err(CliError::Misuse(message, "manifest inspect LIST shows the digests"));
        }
        if ["linux/", "windows/", "darwin/", "freebsd/"].iter().any(|os| text.starts_with(os)) {
            let message = format!("{text} looks like a platform, and an entry is named by its digest");
            return Err(CliError::Misuse(message, "--platform OS/ARCH names the entry for a platform"));
        }
        let location = context.location(text)?;
        match context.transport(registry, &[&location])?.open(&location) {
            Some((place, which)) => Ok(Meant::Digest(place.manifest(&which).await?.digest)),
            None => {
                let message = format!("{text} is a list of the store, not an entry");
                Err(CliError::Misuse(message, "manifest inspect LIST shows the digests"))
            }
        }
    }
}

impl Meant {
    /// The digest of the entry in this list.
    pub(crate) fn find(&self, name: &str, list: &List) -> Result<Digest, CliError> {
        match self {
            Self::Digest(digest) => Ok(*digest),
            Self::Platform(platform) => {
                let images = || list.entries().iter().filter(|entry| !entry.is_attestation());
                let found = platform.select(Match::Strict, images().map(|entry| entry.platform.as_ref()));
                let first = found.first().and_then(|at| images().nth(*at));
                first.map(|entry| entry.digest).ok_or_else(|| {
                    let there = images().filter_map(|entry| entry.platform.as_ref()).map(ToString::to_string);
                    let there = there.collect::<Vec<_>>().join(", ");
                    let there = if there.is_empty() { "none".to_owned() } else { there };
                    CliError::NoSuchPlatform(name.to_owned(), platform.to_string(), there)
                })
            }
        }
    }
}

/// The name of a record for people: its first name, else the start of its id.
pub(crate) fn shown(record: &Record) -> String {
    record.names().first().map_or_else(|| record.id().short(), ToString::to_string)
}
