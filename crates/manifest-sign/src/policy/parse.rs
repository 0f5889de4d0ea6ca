//! Reading `policy.json`, strictly: what is not known is not passed over, since it may be what makes an image acceptable
//! to whoever wrote it.

use std::collections::BTreeMap;
use std::path::Path;

use manifest_core::{Reference, Repository, check_json};
use serde_json::Value;

use super::Policy;
use super::error::PolicyError;
use super::identity::Identity;
use super::image::check_scope;
use super::members::{At, Material, Members};
use super::requirement::{KeySource, Requirement, Unsupported};

pub(super) fn decode(bytes: &[u8], file: &Path) -> Result<Policy, PolicyError> {
    let failed = |error| PolicyError::Json(file.to_owned(), error);
    check_json(bytes).map_err(failed)?;
    let top = At::top(file);
    let document = serde_json::from_slice(bytes).map_err(|error| top.wrong(error.to_string()))?;
    let mut members = top.object(document)?;
    let (at, value) = members.need("default")?;
    let default = requirements(&at, value)?;
    let transports = match members.take("transports") {
        None => BTreeMap::new(),
        Some((at, value)) => {
            let each = at.object(value)?.rest();
            each.map(|(at, name, value)| Ok((name.clone(), scopes(at, &name, value)?)))
                .collect::<Result<_, _>>()?
        }
    };
    members.end()?;
    Ok(Policy { default, transports })
}

fn scopes(
    at: At<'_>,
    transport: &str,
    value: Value,
) -> Result<BTreeMap<String, Vec<Requirement>>, PolicyError> {
    let each = at.object(value)?.rest();
    each.map(|(at, scope, value)| {
        check_scope(transport, &scope).map_err(|why| at.wrong(why))?;
        Ok((scope, requirements(&at, value)?))
    })
    .collect()
}

fn requirements(at: &At<'_>, value: Value) -> Result<Vec<Requirement>, PolicyError> {
    at.items(value)?.into_iter().map(|(at, item)| requirement(at.object(item)?)).collect()
}

fn requirement(mut members: Members<'_>) -> Result<Requirement, PolicyError> {
    let kind = members.text("type")?;
    let read = match kind.as_str() {
        "insecureAcceptAnything" => Requirement::Accept,
        "reject" => Requirement::Reject,
        "signedBy" => signed_by(&mut members)?,
        "signedBaseLayer" => {
            let (at, value) = members.need("baseLayerIdentity")?;
            identity(at.object(value)?)?;
            Requirement::Unsupported(Unsupported::BaseLayer)
        }
        "sigstoreSigned" => sigstore_signed(&mut members)?,
        other => return Err(members.at.member("type").wrong(format!("{other:?} is not known"))),
    };
    members.end()?;
    Ok(read)
}

fn signed_by(members: &mut Members<'_>) -> Result<Requirement, PolicyError> {
    let key_type = members.text("keyType")?;
    let (name, at, value) = members.one_of(&["keyPath", "keyPaths", "keyData"])?;
    let keys = keys(Material::read(name, &at, value)?);
    let identity = signed_identity(members)?;
    match key_type.as_str() {
        "GPGKeys" => Ok(Requirement::SignedBy(keys, identity)),
        "signedByGPGKeys" | "X509Certificates" | "signedByX509CAs" => {
            Ok(Requirement::Unsupported(Unsupported::KeyType(key_type)))
        }
        other => Err(members.at.member("keyType").wrong(format!("{other:?} is not known"))),
    }
}

fn sigstore_signed(members: &mut Members<'_>) -> Result<Requirement, PolicyError> {
    let (name, at, value) =
        members.one_of(&["keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki"])?;
    let rekor = ["rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas"];
    let rekor = members.at_most_one_of(&rekor)?;
    if let Some((name, at, value)) = &rekor {
        Material::read(name, at, value.clone())?;
    }
    let identity = signed_identity(members)?;
    let unsupported = match (name, rekor) {
        ("fulcio", rekor) => {
            fulcio(at.clone().object(value)?)?;
            if rekor.is_none() {
                return Err(at.wrong("it needs a key of rekor beside it, such as `rekorPublicKeyPath`"));
            }
            Unsupported::Fulcio
        }
        ("pki", Some((name, at, _))) => return Err(at.wrong(format!("`{name}` does not go with `pki`"))),
        ("pki", None) => {
            pki(at.object(value)?)?;
            Unsupported::Pki
        }
        (_, rekor) => {
            let keys = keys(Material::read(name, &at, value)?);
            if rekor.is_none() {
                return Ok(Requirement::SigstoreSigned(keys, identity));
            }
            Unsupported::Rekor
        }
    };
    Ok(Requirement::Unsupported(unsupported))
}

fn fulcio(mut members: Members<'_>) -> Result<(), PolicyError> {
    let (name, at, value) = members.one_of(&["caPath", "caData"])?;
    Material::read(name, &at, value)?;
    members.text("oidcIssuer")?;
    members.text("subjectEmail")?;
    members.end()
}

fn pki(mut members: Members<'_>) -> Result<(), PolicyError> {
    let (name, at, value) = members.one_of(&["caRootsPath", "caRootsData"])?;
    Material::read(name, &at, value)?;
    if let Some((name, at, value)) =
        members.at_most_one_of(&["caIntermediatesPath", "caIntermediatesData"])?
    {
        Material::read(name, &at, value)?;
    }
    let (email, host) = (members.take("subjectEmail"), members.take("subjectHostname"));
    if email.is_none() && host.is_none() {
        return Err(members.at.wrong("there must be `subjectEmail`, `subjectHostname` or both"));
    }
    for (at, value) in email.into_iter().chain(host) {
        at.text(value)?;
    }
    members.end()
}

fn keys(material: Material) -> Vec<KeySource> {
    match material {
        Material::Files(paths) => paths.into_iter().map(KeySource::File).collect(),
        Material::Data(keys) => keys.into_iter().map(KeySource::Data).collect(),
    }
}

fn signed_identity(members: &mut Members<'_>) -> Result<Identity, PolicyError> {
    match members.take("signedIdentity") {
        None => Ok(Identity::default()),
        Some((at, value)) => identity(at.object(value)?),
    }
}

fn identity(mut members: Members<'_>) -> Result<Identity, PolicyError> {
    let read = match members.text("type")?.as_str() {
        "matchExact" => Identity::Exact,
        "matchRepoDigestOrExact" => Identity::RepoDigestOrExact,
        "matchRepository" => Identity::Repository,
        "exactReference" => {
            let (at, value) = members.need("dockerReference")?;
            let reference: Reference =
                at.text(value)?.parse().map_err(|error| at.wrong(format!("{error}")))?;
            if reference.tag().is_none() && reference.digest().is_none() {
                return Err(at.wrong("it has neither a tag nor a digest"));
            }
            Identity::ExactReference(reference)
        }
        "exactRepository" => {
            let (at, value) = members.need("dockerRepository")?;
            Identity::ExactRepository(at.text(value)?.parse().map_err(|error| at.wrong(format!("{error}")))?)
        }
        "remapIdentity" => Identity::Remap {
            prefix: prefix(&mut members, "prefix")?,
            signed: prefix(&mut members, "signedPrefix")?,
        },
        other => return Err(members.at.member("type").wrong(format!("{other:?} is not known"))),
    };
    members.end()?;
    Ok(read)
}

/// A registry, or a namespace or repository with its registry.
fn prefix(members: &mut Members<'_>, name: &str) -> Result<String, PolicyError> {
    let (at, value) = members.need(name)?;
    let text = at.text(value)?;
    let whole = if text.contains('/') { text.clone() } else { format!("{text}/x") };
    match whole.parse::<Repository>() {
        Ok(repository) if repository.to_string() == whole => Ok(text),
        _ => Err(
            at.wrong("it is not a registry, perhaps with a path behind it, as in registry.example.com/team")
        ),
    }
}
