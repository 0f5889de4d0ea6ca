//! Policies: which one holds, and whether it lets an image in.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use manifest_core::Digest;
use manifest_publish::verify::{Answer, VerifyBy, judge_taken};
use manifest_sign::policy::{Image, KeyFiles, Keys, Policy};
use manifest_transport::{ArchiveKind, Location, Pick, Place, Transport};

use crate::context::Context;
use crate::error::{CliError, NotSigned};

/// What stands for the policy of containers' tools.
const DEFAULT: &str = "default";
/// What stands for no policy.
const NONE: &str = "none";

/// Opens a policy: that of containers' tools for `default`, or else a file.
pub(crate) fn open(context: &Context, path: &Path) -> Result<Policy, CliError> {
    if path == Path::new(DEFAULT) {
        return Ok(Policy::find(context.environment().path("HOME").as_deref())?);
    }
    Ok(Policy::open(path)?)
}

/// The policy that holds: the one that was given, or that of `config.toml`.
pub(crate) fn holding(context: &Context, given: Option<&Path>) -> Result<Option<Policy>, CliError> {
    let configured = context.configuration()?.policy();
    match given.or(configured) {
        Some(path) if path == Path::new(NONE) => Ok(None),
        Some(path) => open(context, path).map(Some),
        None => Ok(None),
    }
}

/// What a policy is asked about.
pub(crate) fn image(location: &Location) -> Result<Image, CliError> {
    let whole =
        |path: &PathBuf| path.canonicalize().map_err(|error| CliError::File("find", path.clone(), error));
    Ok(match location {
        Location::Registry(reference) => Image::Registry(reference.clone()),
        Location::Layout(path, pick) => {
            let name = if let Pick::Name(name) = pick { Some(name.clone()) } else { None };
            Image::Layout(whole(path)?, name)
        }
        Location::Directory(path, _) => Image::Directory(whole(path)?),
        Location::Archive(ArchiveKind::Oci, path, _) => Image::OciArchive(whole(path)?),
        Location::Archive(..) => Image::DockerArchive,
        // Names of the store, and places that are not known yet: of these no policy says anything narrower.
        _ => Image::Store,
    })
}

/// Refuses what a policy does not let in. `place` is none for what is taken from the store, where no signatures are.
pub(crate) async fn let_in(
    policy: &Policy,
    (location, place): (&Location, Option<(&Transport, &Place)>),
    digests: &[Digest],
) -> Result<(), CliError> {
    let rules = policy.rules(&image(location)?);
    let files = KeyFiles::read(rules.key_files())?;
    let by = VerifyBy::Policy(rules, files);
    let check = Keys { now: Timestamp::now().into() };
    let simple = match (location, place) {
        (Location::Registry(reference), Some((transport, _))) => transport.signatures(reference),
        _ => None,
    };
    let place = place.map(|(_, place)| place);
    let answers = judge_taken(place, simple.as_ref(), digests, (&by, &check), AT_ONCE).await?;
    let refused = answers.into_iter().filter_map(|(digest, answer)| match answer {
        Answer::Refused(refused) => Some((digest.to_string(), refused)),
        Answer::Verified(_) => None,
    });
    let refused: Vec<_> = refused.collect();
    match NotSigned::new(&location.to_string(), digests.len(), refused) {
        Some(not_signed) => Err(CliError::NotLetIn(not_signed)),
        None => Ok(()),
    }
}

/// Signatures that are looked for at once.
const AT_ONCE: usize = 8;
