//! Why a registry may have refused a list.

use manifest_core::{Document, Encoded, Format, Kind};

use super::{Ability, Probe, Verdict};

/// Something in a list that a registry may refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suspect {
    /// What the registry would have to be able to do.
    pub ability: Ability,
    /// What it is in the list, in words.
    pub what: String,
    /// What helps.
    pub advice: &'static str,
    /// Whether the registry is known not to take it.
    pub is_known: bool,
}

/// What in a list a registry may refuse: what the probe knows it does refuse, or else whatever lists have been refused for.
pub fn suspects(list: &Encoded, known: Option<&Probe>) -> Vec<Suspect> {
    let Ok(Document::List(document, format)) = Document::decode(&list.bytes, Some(&list.media_type)) else {
        return Vec::new();
    };
    let entries = document.entries();
    let first = |is: &dyn Fn(&manifest_core::Descriptor) -> bool| entries.iter().find(|entry| is(entry));
    let all_docker = !entries.is_empty() && entries.iter().all(|entry| entry.media_type.is_docker());
    let mut all = Vec::new();
    let mut add = |ability, what: String, advice| {
        let is_known = known.is_some_and(|known| known.verdict(ability) == Verdict::No);
        let is_fine = known.is_some_and(|known| known.verdict(ability) == Verdict::Yes);
        if !is_fine {
            all.push(Suspect { ability, what, advice, is_known });
        }
    };
    if entries.is_empty() {
        add(Ability::EmptyIndex, "it has no entries".to_owned(), "add an image before it is pushed");
    }
    if let Some(entry) = first(&|entry| entry.media_type.kind() == Kind::List) {
        let what = format!("its entry {} is a list itself", entry.digest);
        add(Ability::NestedIndex, what, "add the images of that list instead: manifest add --all");
    }
    if let (Format::Oci, Some(entry)) = (format, first(&|entry| entry.media_type.is_docker())) {
        let what =
            format!("its entry {} has the Docker type {} in an OCI index", entry.digest, entry.media_type);
        let advice = match all_docker {
            true => "push with --format v2s2",
            false => "let all its images be of one kind",
        };
        add(Ability::DockerInOci, what, advice);
    }
    if let Some(artifact_type) = document.artifact_type() {
        let what = format!("it has the artifact type {artifact_type}");
        add(Ability::IndexArtifactType, what, "manifest annotate --index --artifact-type '' clears that");
    }
    if let Some(entry) = first(&|entry| entry.artifact_type.is_some()) {
        let what = format!("its entry {} has an artifact type", entry.digest);
        add(Ability::ArtifactType, what, "manifest annotate clears that of an entry");
    }
    match format {
        Format::Docker => add(
            Ability::DockerList,
            "it is a Docker manifest list".to_owned(),
            "push with --format oci, with images in OCI's format",
        ),
        _ if known.is_some_and(|known| known.verdict(Ability::OciIndex) == Verdict::No) => {
            add(Ability::OciIndex, "it is an OCI image index".to_owned(), "push with --format v2s2");
        }
        _ => {}
    }
    if all.iter().any(|suspect| suspect.is_known) {
        all.retain(|suspect| suspect.is_known);
    }
    all
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use manifest_core::{Descriptor, Digest, List, MediaType, OnConflict};

    use super::*;
    use crate::probe::{Answer, ProbeDepth};

    fn entry(media_type: MediaType) -> Descriptor {
        Descriptor::new(media_type.clone(), Digest::sha256(media_type.as_str().as_bytes()), 2)
    }

    fn list(types: &[MediaType], format: Format) -> Encoded {
        let mut list = List::new();
        list.add_all(types.iter().cloned().map(entry), OnConflict::Allow).unwrap();
        list.encode(format).unwrap()
    }

    fn probe(answers: &[(Ability, Verdict)]) -> Probe {
        let answer = |(ability, verdict): &(Ability, Verdict)| Answer {
            ability: *ability,
            verdict: *verdict,
            why: None,
        };
        Probe {
            host: String::new(),
            repository: String::new(),
            probed: Timestamp::UNIX_EPOCH,
            depth: ProbeDepth::Whole,
            answers: answers.iter().map(answer).collect(),
            least_piece: None,
            left: Vec::new(),
        }
    }

    #[test]
    fn what_a_list_may_be_refused_for() {
        use Ability::{DockerInOci, DockerList, EmptyIndex, NestedIndex, OciIndex};
        let (oci, docker) = (MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST);
        for (types, format, expected) in [
            (&[][..], Format::Oci, &[EmptyIndex][..]),
            (std::slice::from_ref(&oci), Format::Oci, &[]),
            (&[oci.clone(), docker.clone()], Format::Oci, &[DockerInOci]),
            (&[MediaType::OCI_INDEX, docker.clone()], Format::Oci, &[NestedIndex, DockerInOci]),
            (std::slice::from_ref(&docker), Format::Docker, &[DockerList]),
        ] {
            let list = list(types, format);
            let found = |known: Option<&Probe>| {
                suspects(&list, known).iter().map(|one| one.ability).collect::<Vec<_>>()
            };
            assert_eq!(found(None), expected, "{types:?}");
            // What is known to be fine is no suspect, and what is known not to be is the only one.
            let fine: Vec<_> = expected.iter().map(|ability| (*ability, Verdict::Yes)).collect();
            assert_eq!(found(Some(&probe(&fine))), [], "{types:?}");
            if let Some(last) = expected.last() {
                assert_eq!(found(Some(&probe(&[(*last, Verdict::No)]))), [*last], "{types:?}");
            }
        }
        let only_docker = probe(&[(OciIndex, Verdict::No)]);
        assert_eq!(suspects(&list(&[oci], Format::Oci), Some(&only_docker)).len(), 1);
    }
}
