//! Which entry of one list stands where another stands in the other list.

use std::collections::{BTreeMap, VecDeque};

use manifest_core::{Descriptor, Digest, ZSTD_ANNOTATION};
use serde_json::Value;

/// An entry of a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    /// What it is called: entries of two lists that are called the same are compared.
    pub(super) name: String,
    pub(super) entry: Descriptor,
    /// What the list says of it, but for its digest; none where there is no list.
    pub(super) raw: Option<Value>,
}

impl Listed {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let says_same = self.raw.is_none() || other.raw.is_none() || self.raw == other.raw;
        self.entry.digest == other.entry.digest && says_same
    }
}

/// Calls the entries of a list by their names; `raw` is each as it stands in the document.
pub(super) fn listed(entries: &[Descriptor], raw: Vec<Value>) -> Vec<Listed> {
    let names: BTreeMap<Digest, String> = entries.iter().map(|entry| (entry.digest, name(entry))).collect();
    let raw = raw.into_iter().map(Some).chain(std::iter::repeat(None));
    let one = |(entry, mut raw): (&Descriptor, Option<Value>)| {
        if let Some(raw) = raw.as_mut().and_then(Value::as_object_mut) {
            raw.remove("digest");
        }
        let name = match entry.attested() {
            Some(attested) => {
                let what = names.get(&attested).map_or_else(|| attested.to_string(), Clone::clone);
                format!("attestation of {what}")
            }
            None => name(entry),
        };
        Listed { name, entry: entry.clone(), raw }
    };
    entries.iter().zip(raw).map(one).collect()
}

/// Its platform under the names that are compared; else what else is known of it.
fn name(entry: &Descriptor) -> String {
    if let Some(artifact_type) = &entry.artifact_type {
        return format!("artifact {artifact_type}");
    }
    match &entry.platform {
        _ if entry.is_attestation() => "attestation".to_owned(),
        Some(platform) if entry.annotations.get(ZSTD_ANNOTATION).is_some_and(|value| value == "true") => {
            format!("{} (zstd)", platform.normalized())
        }
        Some(platform) => platform.normalized().to_string(),
        None => "no platform".to_owned(),
    }
}

/// Entries of two lists, side by side.
#[derive(Debug)]
pub(super) struct Pairs<'a> {
    /// Those that both have, in the order of the first.
    pub(super) both: Vec<(&'a Listed, &'a Listed)>,
    pub(super) only_a: Vec<&'a Listed>,
    pub(super) only_b: Vec<&'a Listed>,
}

/// Pairs entries: those that are called the same and are the same, then those that are called the same, each in its
/// order, then those that are the same.
pub(super) fn pairs<'a>(a: &'a [Listed], b: &'a [Listed]) -> Pairs<'a> {
    let (mut left, mut right): (Vec<_>, Vec<_>) =
        (a.iter().map(Some).collect(), b.iter().map(Some).collect());
    let mut found: BTreeMap<usize, (&Listed, &Listed)> = BTreeMap::new();
    take(&mut left, &mut right, &mut found, |one| (one.name.as_str(), one.entry.digest));
    take(&mut left, &mut right, &mut found, |one| one.name.as_str());
    take(&mut left, &mut right, &mut found, |one| one.entry.digest);
    Pairs {
        both: found.into_values().collect(),
        only_a: left.into_iter().flatten().collect(),
        only_b: right.into_iter().flatten().collect(),
    }
}

/// Takes out those whose keys are the same, by their positions in the first list.
fn take<'a, K: Ord>(
    left: &mut [Option<&'a Listed>],
    right: &mut [Option<&'a Listed>],
    found: &mut BTreeMap<usize, (&'a Listed, &'a Listed)>,
    key: impl Fn(&'a Listed) -> K,
) {
    let mut there: BTreeMap<K, VecDeque<&mut Option<&'a Listed>>> = BTreeMap::new();
    for slot in right {
        if let Some(listed) = *slot {
            there.entry(key(listed)).or_default().push_back(slot);
        }
    }
    for (at, slot) in left.iter_mut().enumerate() {
        let Some(listed) = *slot else { continue };
        if let Some(other) = there.get_mut(&key(listed)).and_then(VecDeque::pop_front).and_then(Option::take)
        {
            found.insert(at, (listed, other));
            *slot = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use manifest_core::{ATTESTED_ANNOTATION, MediaType};

    use super::*;

    /// An entry written `PLATFORM=CONTENT`.
    fn entry(text: &str) -> Descriptor {
        let (platform, content) = text.split_once('=').unwrap();
        let mut entry = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(content.as_bytes()), 1);
        entry.platform = (!platform.is_empty()).then(|| platform.parse().unwrap());
        entry
    }

    /// Entries with a space between each.
    fn list(entries: &str) -> Vec<Listed> {
        listed(&entries.split_whitespace().map(entry).collect::<Vec<_>>(), Vec::new())
    }

    #[test]
    fn entries_are_paired_by_platform_and_then_by_digest() {
        for (a, b, expected) in [
            ("linux/amd64=a linux/arm64=b", "linux/arm64/v8=x linux/x86_64=a", &[(0, 1), (1, 0)][..]),
            ("linux/amd64=a", "linux/arm64=b", &[]),
            ("linux/amd64=a linux/amd64=b", "linux/amd64=b linux/amd64=c", &[(0, 1), (1, 0)]),
            ("linux/arm64=a", "linux/arm64/v9=a", &[(0, 0)]),
            ("=a =b", "=b", &[(1, 0)]),
            ("windows(10.0.1)/amd64=a", "windows(10.0.2)/amd64=b", &[]),
        ] {
            let (left, right) = (list(a), list(b));
            let found = pairs(&left, &right);
            let expected: Vec<_> = expected.iter().map(|(at, to)| (&left[*at], &right[*to])).collect();
            assert_eq!(found.both, expected, "{a:?} {b:?}");
            assert_eq!(found.only_a.len(), left.len() - expected.len(), "{a:?} {b:?}");
            assert_eq!(found.only_b.len(), right.len() - expected.len(), "{a:?} {b:?}");
        }
    }

    #[test]
    fn an_entry_is_called_by_what_it_is_for() {
        let mut attestation = entry("unknown/unknown=x");
        attestation.annotations.insert(ATTESTED_ANNOTATION.to_owned(), Digest::sha256(b"a").to_string());
        let mut artifact = entry("=y");
        artifact.artifact_type = Some("application/x".into());
        let mut zstd = entry("linux/arm64/v8=z");
        zstd.annotations.insert(ZSTD_ANNOTATION.to_owned(), "true".to_owned());
        let named = listed(&[entry("linux/amd64=a"), attestation, artifact, zstd, entry("=n")], Vec::new());
        assert_eq!(
            named.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
            [
                "linux/amd64",
                "attestation of linux/amd64",
                "artifact application/x",
                "linux/arm64 (zstd)",
                "no platform"
            ]
        );
    }
}
