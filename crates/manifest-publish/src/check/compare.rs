//! A list against itself, its entries against their manifests, and these against their configurations. All of it is pure.

use std::collections::{BTreeMap, BTreeSet};

use manifest_core::{Descriptor, Digest, Format, ImageManifest, Kind, MediaType, Platform, Slot};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::finding::{About, Finding};

/// What is to be said of the entries of a list without reading them.
pub(super) fn list(entries: &[Descriptor], format: Format) -> Vec<Finding> {
    let mut findings = Vec::new();
    if entries.is_empty() {
        findings.push(Finding::fault(About::Empty, "the list has no entries"));
    }
    findings.extend(mixed(entries, format));
    let digests: BTreeSet<Digest> = entries.iter().map(|entry| entry.digest).collect();
    let mut slots: BTreeMap<Slot, Digest> = BTreeMap::new();
    for entry in entries {
        if let Some(first) = entry.slot().and_then(|slot| slots.insert(slot, entry.digest)) {
            let what = format!("the list has {first} for the same platform, and only one can be chosen");
            findings.push(Finding::fault(About::Duplicate, what).of(entry));
        }
        if entry.media_type.kind() == Kind::Other {
            let what =
                format!("{} is not known here, so only that it is there was checked", entry.media_type);
            findings.push(Finding::note(About::UnknownType, what).of(entry));
        }
        findings.extend(attestation(entry, &digests));
    }
    findings
}

/// Images of one format in a list of the other.
fn mixed(entries: &[Descriptor], format: Format) -> Option<Finding> {
    let count =
        |strange: fn(&MediaType) -> bool| entries.iter().filter(|entry| strange(&entry.media_type)).count();
    let (docker, oci) = (count(MediaType::is_docker), count(MediaType::is_oci));
    match format {
        Format::Oci if docker > 0 => {
            let what = format!("an OCI image index with Docker images in it: {docker}");
            Some(Finding::note(About::MixedFormats, what))
        }
        Format::Docker if oci > 0 => {
            let what = format!(
                "a Docker manifest list with OCI images in it, which some clients cannot read: {oci}"
            );
            Some(Finding::fault(About::MixedFormats, what))
        }
        _ => None,
    }
}

fn attestation(entry: &Descriptor, digests: &BTreeSet<Digest>) -> Option<Finding> {
    let finding = match entry.attested() {
        _ if !entry.is_attestation() => return None,
        Some(attested) if digests.contains(&attested) => return None,
        Some(attested) => {
            Finding::fault(About::Attestation, format!("it describes {attested}, which is not in the list"))
        }
        None => Finding::note(About::Attestation, "it does not say what it describes"),
    };
    Some(finding.of(entry))
}

/// What a manifest is, whatever a list says of it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) size: u64,
    pub(super) media_type: MediaType,
    pub(super) artifact_type: Option<MediaType>,
}

/// An entry against its manifest.
pub(super) fn descriptor(entry: &Descriptor, found: &Found) -> Vec<Finding> {
    let mut findings = Vec::new();
    if entry.size != found.size {
        let what = format!("the list says that it has {} bytes, but it has {}", entry.size, found.size);
        findings.push(Finding::fault(About::Size, what));
    }
    if entry.media_type != found.media_type {
        let what = format!("the list says that it is {}, but it is {}", entry.media_type, found.media_type);
        findings.push(Finding::fault(About::MediaType, what));
    }
    match (&entry.artifact_type, &found.artifact_type) {
        (Some(says), Some(is)) if says != is => {
            let what = format!("the list says that its artifact type is {says}, but it is {is}");
            findings.push(Finding::fault(About::ArtifactType, what));
        }
        (Some(says), None) => {
            let what = format!("the list says that its artifact type is {says}, but it is an image");
            findings.push(Finding::fault(About::ArtifactType, what));
        }
        (None, Some(is)) if !entry.is_attestation() => {
            let what = format!("the list does not say that its artifact type is {is}");
            findings.push(Finding::note(About::ArtifactType, what));
        }
        _ => {}
    }
    findings.into_iter().map(|finding| finding.of(entry)).collect()
}

/// The artifact type of a manifest; one that does not name it has that of its configuration.
///
/// Spec: OCI image-spec v1.1.1 `manifest.md`, "Guidelines for Artifact Usage".
pub(super) fn artifact_type(image: &ImageManifest) -> Option<MediaType> {
    let config = || Some(&image.config.media_type).filter(|config| !config.is_image_config());
    image.artifact_type.as_ref().or_else(config).cloned()
}

/// What the list says an image is for, against what its configuration says.
pub(super) fn platform(entry: &Descriptor, config: Option<&Platform>) -> Vec<Finding> {
    let whole = |p: &&Platform| !p.os.is_empty() && !p.architecture.is_empty();
    let finding = match (entry.platform.as_ref().filter(whole), config) {
        (None, config) => {
            let is = config.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            let what = format!("the list does not say what it is for; its configuration says {is}");
            vec![Finding::fault(About::NoPlatform, what)]
        }
        (Some(says), None) => {
            let what = format!("the list says that it is for {says}; its configuration says nothing");
            vec![Finding::note(About::NoPlatform, what)]
        }
        (Some(says), Some(is)) => both(says, is),
    };
    finding.into_iter().map(|finding| finding.of(entry)).collect()
}

/// Two platforms that should be the same.
fn both(says: &Platform, is: &Platform) -> Vec<Finding> {
    let (list, config) = (says.normalized(), is.normalized());
    let two = format!("the list says that it is for {says}, its configuration {is}");
    let same_machine = list.os == config.os && list.architecture == config.architecture;
    if !same_machine || (list.variant != config.variant && is.variant.is_some()) {
        return vec![Finding::fault(About::Platform, two)];
    }
    let mut findings = Vec::new();
    if list.variant != config.variant {
        // What a configuration leaves out it does not contradict.
        findings.push(Finding::note(About::Platform, format!("{two}, without a variant")));
    }
    match (&list.os_version, &config.os_version) {
        (Some(one), Some(other)) if one != other => {
            findings.push(Finding::fault(About::Platform, two.clone()))
        }
        (Some(_), None) | (None, Some(_)) => {
            findings
                .push(Finding::note(About::Platform, format!("{two}, and one of them has no os.version")));
        }
        _ => {}
    }
    if list.os_features != config.os_features {
        findings.push(Finding::note(About::Platform, format!("{two}, with other os.features")));
    }
    findings
}

/// The layers of a manifest against those that its configuration counts.
pub(super) fn layers(image: &ImageManifest, config: &[u8]) -> Option<Finding> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        rootfs: RootFs,
    }
    #[derive(Default, Deserialize)]
    struct RootFs {
        #[serde(default)]
        diff_ids: Vec<IgnoredAny>,
    }
    let (has, counts) = match serde_json::from_slice::<Config>(config) {
        Ok(config) => (image.layers.len(), config.rootfs.diff_ids.len()),
        Err(error) => {
            let what = format!("the configuration {} is not usable: {error}", image.config.digest);
            return Some(Finding::fault(About::Unreadable, what));
        }
    };
    let what = || format!("its configuration counts {counts} layers, and its manifest has {has}");
    (has != counts).then(|| Finding::fault(About::Layers, what()))
}

#[cfg(test)]
mod tests {
    use manifest_core::{ATTESTATION_TYPE_ANNOTATION, ATTESTED_ANNOTATION};

    use super::*;
    use crate::check::finding::Severity;

    fn entry(name: &str, platform: &str) -> Descriptor {
        let mut entry = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(name.as_bytes()), 3);
        entry.platform = (!platform.is_empty()).then(|| platform.parse().unwrap());
        entry
    }

    fn told(findings: &[Finding]) -> Vec<(Severity, About)> {
        findings.iter().map(|finding| (finding.severity, finding.about)).collect()
    }

    #[test]
    fn what_a_list_says_against_itself_is_told() {
        use Severity::{Fault, Note};
        let typed = |media_type, mut entry: Descriptor| {
            entry.media_type = media_type;
            entry
        };
        let attests = |attested: Option<&str>| {
            let mut attestation = entry("attestation", "unknown/unknown");
            attestation.annotations.insert(ATTESTATION_TYPE_ANNOTATION.to_owned(), "x".to_owned());
            if let Some(name) = attested {
                let digest = Digest::sha256(name.as_bytes()).to_string();
                attestation.annotations.insert(ATTESTED_ANNOTATION.to_owned(), digest);
            }
            attestation
        };
        let one = || entry("a", "linux/amd64");
        for (entries, format, expected) in [
            (vec![], Format::Oci, vec![(Fault, About::Empty)]),
            (vec![one(), entry("b", "linux/arm64")], Format::Oci, vec![]),
            (vec![one(), entry("b", "linux/x86_64")], Format::Oci, vec![(Fault, About::Duplicate)]),
            (
                vec![entry("a", "linux/arm64"), entry("b", "linux/arm64/v8")],
                Format::Oci,
                vec![(Fault, About::Duplicate)],
            ),
            (vec![entry("a", ""), entry("b", "")], Format::Oci, vec![]),
            (vec![one(), attests(Some("a"))], Format::Oci, vec![]),
            (vec![one(), attests(Some("gone"))], Format::Oci, vec![(Fault, About::Attestation)]),
            (vec![one(), attests(None)], Format::Oci, vec![(Note, About::Attestation)]),
            (vec![typed(MediaType::DOCKER_MANIFEST, one())], Format::Oci, vec![(Note, About::MixedFormats)]),
            (vec![typed(MediaType::DOCKER_MANIFEST, one())], Format::Docker, vec![]),
            (vec![one()], Format::Docker, vec![(Fault, About::MixedFormats)]),
            (vec![typed("application/x".into(), one())], Format::Oci, vec![(Note, About::UnknownType)]),
        ] {
            assert_eq!(told(&list(&entries, format)), expected, "{entries:?}");
        }
    }

    #[test]
    fn a_descriptor_must_say_what_the_manifest_is() {
        use Severity::{Fault, Note};
        let x = || Some(MediaType::from("application/x"));
        let found = |size, media_type, artifact_type| Found { size, media_type, artifact_type };
        let (oci, docker) = (|| MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST);
        for (says, found, expected) in [
            (None, found(3, oci(), None), vec![]),
            (x(), found(3, oci(), x()), vec![]),
            (None, found(4, docker, None), vec![(Fault, About::Size), (Fault, About::MediaType)]),
            (x(), found(3, oci(), Some("application/y".into())), vec![(Fault, About::ArtifactType)]),
            (x(), found(3, oci(), None), vec![(Fault, About::ArtifactType)]),
            (None, found(3, oci(), x()), vec![(Note, About::ArtifactType)]),
        ] {
            let mut entry = entry("a", "linux/amd64");
            entry.artifact_type = says;
            assert_eq!(told(&descriptor(&entry, &found)), expected, "{found:?}");
        }
    }

    #[test]
    fn a_list_and_a_configuration_must_tell_the_same_platform() {
        use Severity::{Fault, Note};
        for (says, is, expected) in [
            ("linux/amd64", "linux/amd64", vec![]),
            ("linux/arm64/v8", "linux/arm64", vec![]),
            ("linux/arm64", "linux/aarch64/v8", vec![]),
            ("linux/arm", "linux/arm/v7", vec![]),
            ("linux/arm64", "linux/amd64", vec![(Fault, About::Platform)]),
            ("linux/amd64", "windows/amd64", vec![(Fault, About::Platform)]),
            ("linux/arm/v6", "linux/arm/v7", vec![(Fault, About::Platform)]),
            ("linux/arm", "linux/arm/v6", vec![(Fault, About::Platform)]),
            ("linux/amd64", "linux/amd64/v3", vec![(Fault, About::Platform)]),
            ("linux/arm/v6", "linux/arm", vec![(Note, About::Platform)]),
            ("linux/amd64/v3", "linux/amd64", vec![(Note, About::Platform)]),
            ("windows(10.0.1)/amd64", "windows(10.0.1)/amd64", vec![]),
            ("windows(10.0.1)/amd64", "windows(10.0.2)/amd64", vec![(Fault, About::Platform)]),
            ("windows/amd64", "windows(10.0.2)/amd64", vec![(Note, About::Platform)]),
            ("windows(10.0.1)/amd64", "windows/amd64", vec![(Note, About::Platform)]),
            ("windows(10.0.1+win32k)/amd64", "windows(10.0.1)/amd64", vec![(Note, About::Platform)]),
            ("linux/amd64", "", vec![(Note, About::NoPlatform)]),
            ("", "linux/amd64", vec![(Fault, About::NoPlatform)]),
            ("", "", vec![(Fault, About::NoPlatform)]),
        ] {
            let config: Option<Platform> = (!is.is_empty()).then(|| is.parse().unwrap());
            assert_eq!(told(&platform(&entry("a", says), config.as_ref())), expected, "{says:?} {is:?}");
        }
        let lies = platform(&entry("a", "linux/arm64"), Some(&"linux/amd64".parse().unwrap()));
        assert_eq!(lies[0].what, "the list says that it is for linux/arm64, its configuration linux/amd64");
        let half = Platform { architecture: "arm64".to_owned(), ..Platform::default() };
        let mut untold = entry("a", "");
        untold.platform = Some(half);
        assert_eq!(told(&platform(&untold, None)), [(Fault, About::NoPlatform)]);
    }

    #[test]
    fn a_configuration_must_count_the_layers_of_its_manifest() {
        let digest = Digest::sha256(b"");
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{digest}","size":0}},
                "layers":[{{"mediaType":"a/b","digest":"{digest}","size":0}}]}}"#
        );
        let image = ImageManifest::decode(manifest.as_bytes()).unwrap();
        for (config, about) in [
            (r#"{"rootfs":{"diff_ids":["x"]}}"#, None),
            (r#"{"rootfs":{"diff_ids":["x","y"]}}"#, Some(About::Layers)),
            ("{}", Some(About::Layers)),
            (r#"{"rootfs":7}"#, Some(About::Unreadable)),
        ] {
            assert_eq!(layers(&image, config.as_bytes()).map(|finding| finding.about), about, "{config}");
        }
    }
}
