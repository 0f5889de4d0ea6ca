//! What entries of a list have become at their sources. Everything here is pure.

use manifest_core::{Added, Descriptor, Digest, EditError, List, OnConflict};
use manifest_store::Source;

/// What an entry has become at its source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "these are all the answers there are")]
pub enum Became {
    /// It is still there.
    Unchanged,
    /// This stands in its place: platform and annotations are those that it has in the list.
    Moved(Box<Descriptor>),
    /// Nothing there is for its platform.
    Gone,
    /// Several there are for its platform.
    Several(usize),
}

/// What an entry of a list has become, when its source has these entries now.
pub fn became(entry: &Descriptor, source: &Source, now: &[Descriptor]) -> Became {
    if now.iter().any(|other| other.digest == entry.digest) {
        return Became::Unchanged;
    }
    let images = || now.iter().filter(|other| !other.is_attestation());
    let was_image = source.entries == [source.digest];
    let fits: Vec<&Descriptor> = match (was_image, images().count()) {
        // An image is what it is, whatever platform the list says it is for.
        (true, 1) => images().collect(),
        _ => images().filter(|other| other.slot().is_some() && other.slot() == entry.slot()).collect(),
    };
    match fits.as_slice() {
        [] => Became::Gone,
        [new] => {
            let mut moved = entry.clone();
            (moved.media_type, moved.artifact_type) = (new.media_type.clone(), new.artifact_type.clone());
            (moved.digest, moved.size) = (new.digest, new.size);
            Became::Moved(Box::new(moved))
        }
        several => Became::Several(several.len()),
    }
}

/// Puts what an entry has become in its place, with the attestations that the source has for it if there were some.
///
/// `false` when the entry has left the list meanwhile.
///
/// # Errors
/// [`EditError`] when the list already has another entry in that place.
pub fn renew(
    list: &mut List,
    before: &Digest,
    new: &Descriptor,
    now: &[Descriptor],
) -> Result<Option<Vec<Digest>>, EditError> {
    if list.entry(before).is_none() {
        return Ok(None);
    }
    let describes = |entry: &Descriptor, digest: &Digest| entry.attested().as_ref() == Some(digest);
    let had_attestations = list.entries().iter().any(|entry| describes(entry, before));
    let mut came = Vec::new();
    match list.add(new.clone(), OnConflict::Replace)? {
        Added::Unchanged => drop(list.remove(before)?),
        _ => came.push(new.digest),
    }
    if had_attestations {
        for attestation in now.iter().filter(|entry| describes(entry, &new.digest)) {
            list.add(attestation.clone(), OnConflict::Allow)?;
            came.push(attestation.digest);
        }
    }
    Ok(Some(came))
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifest_core::{MediaType, Platform};

    fn entry(name: &str, platform: Option<&str>) -> Descriptor {
        let mut entry = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(name.as_bytes()), 7);
        entry.platform = platform.map(|text| text.parse::<Platform>().unwrap());
        entry
    }

    fn source(top: &str, entries: &[&str]) -> Source {
        Source {
            from: "r/app:1".to_owned(),
            place: "docker://r/app".to_owned(),
            digest: Digest::sha256(top.as_bytes()),
            resolved: jiff::Timestamp::UNIX_EPOCH,
            entries: entries.iter().map(|name| Digest::sha256(name.as_bytes())).collect(),
            record: None,
        }
    }

    #[test]
    fn an_entry_of_a_list_is_found_by_its_platform() {
        let old = entry("old", Some("linux/arm64"));
        let of_list = source("list", &["old", "other"]);
        let amd = entry("amd", Some("linux/amd64"));
        let arm = entry("arm", Some("linux/arm64/v8"));
        let mut moved = arm.clone();
        moved.platform.clone_from(&old.platform);
        for (now, expected) in [
            (vec![old.clone(), arm.clone()], Became::Unchanged),
            (vec![amd.clone(), arm.clone()], Became::Moved(Box::new(moved))),
            (vec![amd.clone()], Became::Gone),
            (vec![arm.clone(), entry("arm2", Some("linux/arm64"))], Became::Several(2)),
        ] {
            assert_eq!(became(&old, &of_list, &now), expected, "{now:?}");
        }
    }

    #[test]
    fn an_image_keeps_the_platform_that_the_list_says() {
        let old = entry("old", Some("linux/riscv64"));
        let became = became(&old, &source("old", &["old"]), &[entry("new", Some("linux/amd64"))]);
        let Became::Moved(new) = became else { panic!("{became:?}") };
        assert_eq!((new.digest, new.platform), (Digest::sha256(b"new"), old.platform));
    }

    #[test]
    fn what_is_renewed_stays_where_it_was() {
        let mut list = List::new();
        for (name, platform) in [("a", "linux/amd64"), ("b", "linux/arm64"), ("c", "linux/s390x")] {
            list.add(entry(name, Some(platform)), OnConflict::Refuse).unwrap();
        }
        let new = entry("new", Some("linux/arm64"));
        let old = Digest::sha256(b"b");
        assert_eq!(renew(&mut list, &old, &new, std::slice::from_ref(&new)).unwrap(), Some(vec![new.digest]));
        assert_eq!(list.entries()[1].digest, new.digest);
        assert_eq!(renew(&mut list, &old, &new, &[]).unwrap(), None, "it is gone by now");
    }
}
