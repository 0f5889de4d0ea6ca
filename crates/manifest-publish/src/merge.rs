//! Two lists become one: ours, and what the tags of the others hold beside it.

use std::collections::BTreeSet;

use manifest_core::{Descriptor, Digest, Document, Encoded, List, Slot};
use manifest_store::{Source, Sources};
use manifest_transport::Place;

use crate::error::PublishError;
use crate::push::Content;
use crate::tags::Found;

/// An entry that was taken over from a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Merged {
    /// The tag, with its place.
    pub tag: String,
    /// The entry.
    pub entry: Descriptor,
}

/// What a tag meant when it was found in the way of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theirs<'a> {
    /// The tag, with its place.
    pub(crate) tag: &'a str,
    /// The repository or layout, as a source names it.
    pub(crate) place: &'a str,
    /// What it means, if it is there.
    pub(crate) found: Option<&'a Found>,
}

/// A list with what was taken over from tags.
#[derive(Debug)]
pub(crate) struct Union {
    pub(crate) list: Encoded,
    pub(crate) entries: Vec<Descriptor>,
    pub(crate) sources: Sources,
    pub(crate) merged: Vec<Merged>,
}

impl Union {
    pub(crate) const fn content<'a>(&'a self, here: Option<&'a Place>) -> Content<'a> {
        Content { list: &self.list, entries: self.entries.as_slice(), sources: &self.sources, here }
    }
}

/// Adds to a list what tags hold for other platforms; `None` when that is nothing.
///
/// All of ours stays as it is. Behind it stand the entries of the tags, in the order of the tags and of their lists: images of
/// platforms that are not there yet, the attestations of images that are there and have none, and what is no image, each digest
/// once.
///
/// # Errors
/// [`PublishError::NotMergeable`] when one of them is no list; [`PublishError::Encode`] when the format of ours has no place for
/// an entry.
pub(crate) fn merge(content: Content<'_>, theirs: &[Theirs<'_>]) -> Result<Option<Union>, PublishError> {
    let there: Vec<(&Theirs<'_>, &Found)> =
        theirs.iter().filter_map(|theirs| Some((theirs, theirs.found?))).collect();
    let Some((first, _)) = there.first() else { return Ok(None) };
    let refused = |tag: &str| PublishError::NotMergeable(tag.to_owned());
    if let Some((not_a_list, _)) = there.iter().find(|(_, found)| !found.is_list) {
        return Err(refused(not_a_list.tag));
    }
    let ours = Document::decode(&content.list.bytes, Some(&content.list.media_type));
    let Ok(Document::List(mut list, _)) = ours else { return Err(refused(first.tag)) };
    let mut merged = Vec::new();
    let mut sources = content.sources.clone();
    for (theirs, found) in there {
        let taken = beside(&list, &found.entries);
        if taken.is_empty() {
            continue;
        }
        sources.add(Source {
            from: theirs.tag.to_owned(),
            place: theirs.place.to_owned(),
            digest: found.digest,
            resolved: jiff::Timestamp::now(),
            entries: taken.iter().map(|entry| entry.digest).collect(),
            record: None,
        });
        for entry in taken {
            merged.push(Merged { tag: theirs.tag.to_owned(), entry: entry.clone() });
            list.append(entry);
        }
    }
    if merged.is_empty() {
        return Ok(None);
    }
    let encoded = list.encode(content.list.format)?;
    Ok(Some(Union { list: encoded, entries: list.entries().to_vec(), sources, merged }))
}

/// The entries that a list can take in beside its own.
fn beside(list: &List, theirs: &[Descriptor]) -> Vec<Descriptor> {
    let slots: BTreeSet<Slot> = list.entries().iter().filter_map(slot).collect();
    let digests: BTreeSet<Digest> = list.entries().iter().map(|entry| entry.digest).collect();
    let attested: BTreeSet<Digest> = list.entries().iter().filter_map(Descriptor::attested).collect();
    let is_new = |entry: &&Descriptor| !digests.contains(&entry.digest);
    let images: BTreeSet<Digest> = theirs
        .iter()
        .filter(is_new)
        .filter(|entry| slot(entry).is_some_and(|slot| !slots.contains(&slot)))
        .map(|entry| entry.digest)
        .collect();
    let mut seen = BTreeSet::new();
    let stays = |entry: &&Descriptor| match (slot(entry), entry.attested()) {
        (Some(_), _) => images.contains(&entry.digest),
        (None, Some(image)) => {
            images.contains(&image) || (digests.contains(&image) && !attested.contains(&image))
        }
        (None, None) => true,
    };
    let taken = theirs.iter().filter(is_new).filter(stays).filter(|entry| seen.insert(entry.digest));
    taken.cloned().collect()
}

/// What an entry stands for. Of the version of Windows the build counts and not the revision, as for the gate that lets no
/// tag shrink: an image that was made anew after a patch takes the place of the old one.
fn slot(entry: &Descriptor) -> Option<Slot> {
    let mut entry = entry.clone();
    if let Some(platform) = entry.platform.as_mut().filter(|platform| platform.os == "windows")
        && let Some(version) = &mut platform.os_version
    {
        *version = version.split('.').take(3).collect::<Vec<_>>().join(".");
    }
    entry.slot()
}

#[cfg(test)]
mod tests {
    use manifest_core::{ATTESTATION_TYPE_ANNOTATION, ATTESTED_ANNOTATION, Format, MediaType};

    use super::*;

    fn entry(name: &str, platform: &str) -> Descriptor {
        let mut entry = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(name.as_bytes()), 7);
        entry.platform = (!platform.is_empty()).then(|| platform.parse().unwrap());
        entry
    }

    fn attestation(name: &str, of: &str) -> Descriptor {
        let mut entry = entry(name, "unknown/unknown");
        let image = Digest::sha256(of.as_bytes()).to_string();
        entry.annotations.insert(ATTESTED_ANNOTATION.to_owned(), image);
        entry.annotations.insert(ATTESTATION_TYPE_ANNOTATION.to_owned(), "attestation-manifest".to_owned());
        entry
    }

    fn list(entries: &[Descriptor]) -> List {
        let mut list = List::new();
        entries.iter().cloned().for_each(|entry| list.append(entry));
        list
    }

    #[test]
    fn ours_wins_for_a_platform_and_the_rest_stands_behind_it() {
        let (a, b, c) = (entry("a", "linux/amd64"), entry("b", "linux/arm64/v8"), entry("c", "linux/s390x"));
        let (their_a, their_b) = (entry("A", "linux/amd64"), entry("B", "linux/arm64"));
        let artifact = entry("sbom", "");
        let windows = |name: &str, version: &str| entry(name, &format!("windows({version})/amd64"));
        let (patched, old) = (windows("w", "10.0.17763.2"), windows("W", "10.0.17763.1"));
        let another = windows("V", "10.0.20348.1");
        for (ours, theirs, taken) in [
            (vec![&a], vec![&b, &c], vec![&b, &c]),
            (vec![&a], vec![&their_a, &c], vec![&c]),
            (vec![&b], vec![&their_b], vec![]),
            (vec![], vec![&their_a, &artifact, &artifact], vec![&their_a, &artifact]),
            (vec![&a, &b], vec![&a], vec![]),
            // A patch is a new image of the same; another build is another one.
            (vec![&patched], vec![&old], vec![]),
            (vec![&patched], vec![&another], vec![&another]),
        ] {
            let entries = |entries: Vec<&Descriptor>| entries.into_iter().cloned().collect::<Vec<_>>();
            assert_eq!(beside(&list(&entries(ours)), &entries(theirs)), entries(taken));
        }
    }

    #[test]
    fn attestations_go_with_their_image() {
        let (ours, other) = (entry("a", "linux/amd64"), entry("b", "linux/arm64"));
        let (replaced, of_other) = (entry("A", "linux/amd64"), attestation("of b", "b"));
        let theirs = [replaced, attestation("of A", "A"), other.clone(), of_other.clone()];
        assert_eq!(beside(&list(std::slice::from_ref(&ours)), &theirs), [other, of_other]);
        // The same image: what is said of it stays, unless something else is said of it here.
        let theirs = [ours.clone(), attestation("of a", "a")];
        assert_eq!(beside(&list(std::slice::from_ref(&ours)), &theirs), theirs[1..]);
        assert_eq!(beside(&list(&[ours, attestation("newer", "a")]), &theirs), []);
    }

    #[test]
    fn everything_of_ours_stays_and_an_entry_is_read_where_its_tag_is() {
        let ours = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"a":"b"},"x-own":1}"#;
        let Ok(Document::List(decoded, _)) = Document::decode(ours, Some(&MediaType::OCI_INDEX)) else {
            panic!()
        };
        let encoded = decoded.encode(Format::Oci).unwrap();
        let (entries, sources) = (Vec::new(), Sources::default());
        let content = Content { list: &encoded, entries: &entries, sources: &sources, here: None };
        let found = Found {
            digest: Digest::sha256(b"theirs"),
            media_type: MediaType::OCI_INDEX,
            bytes: None,
            entries: vec![entry("b", "linux/arm64")],
            is_list: true,
        };
        let theirs = Theirs { tag: "docker://r/app:1", place: "docker://r/app", found: Some(&found) };
        let union = merge(content, &[theirs, theirs]).unwrap().unwrap();
        let text = String::from_utf8(union.list.bytes.clone()).unwrap();
        assert!(text.contains(r#""annotations":{"a":"b"}"#) && text.contains(r#""x-own":1"#), "{text}");
        assert_eq!(union.sources.place_of(&found.entries[0].digest).unwrap().place, "docker://r/app");
        assert_eq!((union.merged.len(), &*union.merged[0].tag), (1, "docker://r/app:1"));
        let absent = Theirs { found: None, ..theirs };
        assert!(merge(content, &[absent]).unwrap().is_none());
        let image = Found { is_list: false, ..found.clone() };
        let refused = merge(content, &[Theirs { found: Some(&image), ..theirs }]).unwrap_err();
        assert!(matches!(refused, PublishError::NotMergeable(tag) if tag == "docker://r/app:1"));
    }
}
