//! What a list must be, before a byte of it is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use manifest_core::{Descriptor, Digest, Platform, Slot};

/// What a list must be to be published.
///
/// Only entries that run somewhere count: attestations, artifacts and entries without a platform are passed over. What a list in
/// the list names counts as far as [`judge_truth`](crate::judge_truth) follows it: it must be allowed, and be one of its
/// platform in its own list; but it does not stand for a platform that is required or was there, since clients such as
/// docker and podman do not look for one in lists in lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct Gates {
    /// The platforms that must be there. A version of an operating system stands for all that it begins, and features
    /// that are named must be among those of the entry.
    pub require: Vec<Platform>,
    /// Unless empty, the only platforms that may be there.
    pub allow: Vec<Platform>,
    /// Whether a tag may come to stand for fewer platforms than it does.
    pub allow_shrink: bool,
    /// Whether several entries may stand for one platform.
    pub allow_duplicates: bool,
}

/// Why a list may not be published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A platform that is required is missing.
    Missing {
        /// The platform, as it was required.
        required: Platform,
        /// The lists in the list in which it is all the same, the outermost first; none when it is in none that was followed.
        only_in: Vec<Digest>,
    },
    /// An entry is for a platform that is not allowed.
    NotAllowed {
        /// The entry.
        entry: Digest,
        /// The lists in the list that it lies in, the outermost first.
        within: Vec<Digest>,
        /// Its platform.
        platform: Platform,
    },
    /// Several entries are for one platform.
    Duplicate {
        /// The platform.
        platform: Platform,
        /// The entries.
        entries: Vec<Digest>,
        /// The lists in the list that they lie in, the outermost first.
        within: Vec<Digest>,
    },
    /// A tag would stand for fewer platforms than it does.
    Shrinks {
        /// The target with its tag, as messages show it.
        target: String,
        /// The platforms that would be gone.
        lost: Vec<Platform>,
    },
    /// The list says of an entry what its configuration contradicts.
    Untrue {
        /// The entry.
        entry: Digest,
        /// The lists in the list that it lies in, the outermost first.
        within: Vec<Digest>,
        /// What is wrong, as a sentence without a full stop.
        what: String,
    },
    /// Programs of an entry are built for another machine than it is for.
    OtherMachine {
        /// The entry.
        entry: Digest,
        /// The lists in the list that it lies in, the outermost first.
        within: Vec<Digest>,
        /// What is wrong, as a sentence without a full stop.
        what: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { required, only_in } => {
                write!(f, "there is no entry for {required}, which is required")?;
                let Some((last, around)) = only_in.split_last() else { return Ok(()) };
                write!(f, "; one is in the list {last}{}, where many clients do not look", Within(around))
            }
            Self::NotAllowed { entry, within, platform } => {
                let within = Within(within);
                write!(f, "{entry}{within} is for {platform}, which is not among the platforms allowed")
            }
            Self::Duplicate { platform, entries, within } => {
                let (count, within) = (entries.len(), Within(within));
                write!(f, "{count} entries{within} are for {platform}: {}", listed(entries))
            }
            Self::Shrinks { target, lost } => {
                write!(f, "{target} would lose {}, which it has now", listed(lost))
            }
            Self::Untrue { entry, within, what } | Self::OtherMachine { entry, within, what } => {
                write!(f, "of {entry}{}, {what}", Within(within))
            }
        }
    }
}

/// The lists in the list that something lies in, as the next words after it.
pub(crate) struct Within<'a>(pub(crate) &'a [Digest]);

impl fmt::Display for Within<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|list| write!(f, " in the list {list}"))
    }
}

fn listed<T: fmt::Display>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Gates {
    /// What is wrong with a list as it stands, whatever it would replace.
    pub fn judge(&self, entries: &[Descriptor]) -> Vec<Refusal> {
        let missing = |required: &&Platform| !has(entries, required);
        let missing = self.require.iter().filter(missing);
        let mut refusals: Vec<_> = missing
            .map(|required| Refusal::Missing { required: required.clone(), only_in: Vec::new() })
            .collect();
        refusals.extend(self.judge_within(&[], entries));
        refusals
    }

    /// What is wrong with a list that lies in others, the outermost first.
    pub(crate) fn judge_within(&self, within: &[Digest], entries: &[Descriptor]) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        if !self.allow.is_empty() {
            let refused = runnable(entries)
                .filter(|(_, platform)| !self.allow.iter().any(|allowed| covers(allowed, platform)));
            refusals.extend(refused.map(|(entry, platform)| Refusal::NotAllowed {
                entry: entry.digest,
                within: within.to_vec(),
                platform: platform.clone(),
            }));
        }
        if !self.allow_duplicates {
            refusals.extend(duplicates(within, entries));
        }
        refusals
    }

    /// What is wrong with putting a list in the place of another one, which `target` stands for now.
    pub fn judge_change(&self, target: &str, now: &[Descriptor], then: &[Descriptor]) -> Option<Refusal> {
        if self.allow_shrink {
            return None;
        }
        let kept: BTreeSet<Kind> = runnable(then).map(|(_, platform)| Kind::of(platform)).collect();
        let lost: BTreeMap<Kind, Platform> = runnable(now)
            .map(|(_, platform)| (Kind::of(platform), platform.clone()))
            .filter(|(kind, _)| !kept.contains(kind))
            .collect();
        let lost: Vec<_> = lost.into_values().collect();
        (!lost.is_empty()).then(|| Refusal::Shrinks { target: target.to_owned(), lost })
    }
}

/// The entries that run somewhere, with their platforms.
pub(crate) fn runnable(entries: &[Descriptor]) -> impl Iterator<Item = (&Descriptor, &Platform)> {
    entries
        .iter()
        .filter(|entry| entry.slot().is_some())
        .filter_map(|entry| Some((entry, entry.platform.as_ref()?)))
}

/// Whether a list has an entry for a platform that is required.
pub(crate) fn has(entries: &[Descriptor], required: &Platform) -> bool {
    runnable(entries).any(|(_, platform)| covers(required, platform))
}

/// Whether an entry of a platform is one of those that are `asked` for.
fn covers(asked: &Platform, platform: &Platform) -> bool {
    let (asked, normal) = (asked.normalized(), platform.normalized());
    let version = asked.os_version.as_deref().unwrap_or_default();
    let has = normal.os_version.as_deref().unwrap_or_default();
    asked.same_machine_as(&normal)
        && (has == version || version.is_empty() || has.starts_with(&format!("{version}.")))
        && asked.os_features.iter().all(|feature| normal.os_features.contains(feature))
}

fn duplicates(within: &[Digest], entries: &[Descriptor]) -> impl Iterator<Item = Refusal> {
    let mut slots = BTreeMap::<Slot, (Platform, BTreeSet<Digest>)>::new();
    for entry in entries {
        if let (Some(slot), Some(platform)) = (entry.slot(), &entry.platform) {
            let (_, digests) = slots.entry(slot).or_insert_with(|| (platform.clone(), BTreeSet::new()));
            digests.insert(entry.digest);
        }
    }
    slots.into_values().filter(|(_, digests)| digests.len() > 1).map(move |(platform, digests)| {
        Refusal::Duplicate { platform, entries: digests.into_iter().collect(), within: within.to_vec() }
    })
}

/// What a user misses when it is gone. Windows images are made anew for each patch, so that of their version the build
/// counts and not the revision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    os: String,
    architecture: String,
    variant: Option<String>,
    build: Option<String>,
}

impl Kind {
    fn of(platform: &Platform) -> Self {
        let Platform { os, architecture, variant, os_version, .. } = platform.normalized();
        let version = os_version.filter(|version| os == "windows" && !version.is_empty());
        let build = version.map(|version| version.split('.').take(3).collect::<Vec<_>>().join("."));
        Self { os, architecture, variant, build }
    }
}

#[cfg(test)]
mod tests {
    use manifest_core::MediaType;

    use super::*;

    fn entry(number: u8, platform: &str) -> Descriptor {
        let mut entry = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(&[number]), 1);
        entry.platform = (!platform.is_empty()).then(|| platform.parse().unwrap());
        entry
    }

    fn entries(platforms: &[&str]) -> Vec<Descriptor> {
        (0..).zip(platforms).map(|(number, platform)| entry(number, platform)).collect()
    }

    fn platforms(texts: &[&str]) -> Vec<Platform> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn texts(refusals: &[Refusal]) -> Vec<String> {
        refusals.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_required_platform_must_be_there_and_variants_are_normalised() {
        let there =
            entries(&["linux/amd64", "linux/arm64/v8", "linux/arm", "windows(10.0.17763.2686)/amd64", ""]);
        for (required, missing) in [
            (&["linux/amd64", "linux/arm64"][..], &[][..]),
            (&["linux/arm64/v8", "linux/arm/v7"], &[]),
            (&["linux/arm/v6", "linux/s390x"], &["linux/arm/v6", "linux/s390x"]),
            (&["windows/amd64", "windows(10.0.17763)/amd64", "windows(10.0.17763.2686)/amd64"], &[]),
            (&["windows(10.0.177)/amd64"], &["windows(10.0.177)/amd64"]),
            (&["windows(10.0.17763+win32k)/amd64"], &["windows(10.0.17763+win32k)/amd64"]),
        ] {
            let gates = Gates { require: platforms(required), ..Gates::default() };
            let wanted: Vec<_> = missing
                .iter()
                .map(|text| format!("there is no entry for {text}, which is required"))
                .collect();
            assert_eq!(texts(&gates.judge(&there)), wanted, "{required:?}");
        }
    }

    #[test]
    fn what_does_not_run_is_neither_required_nor_refused() {
        let mut there = entries(&["linux/amd64", "unknown/unknown", "linux/arm64"]);
        there[2].artifact_type = Some(MediaType::from("application/example"));
        let gates = Gates { allow: platforms(&["linux/amd64"]), ..Gates::default() };
        assert_eq!(gates.judge(&there), []);
        let gates = Gates { require: platforms(&["linux/arm64"]), ..Gates::default() };
        assert_eq!(gates.judge(&there).len(), 1);
    }

    #[test]
    fn a_platform_that_is_not_allowed_is_named_with_its_entry() {
        let there = entries(&["linux/amd64", "linux/s390x"]);
        let gates = Gates { allow: platforms(&["linux/amd64", "linux/arm64"]), ..Gates::default() };
        let [refusal] = &gates.judge(&there)[..] else { panic!() };
        assert_eq!(
            *refusal,
            Refusal::NotAllowed {
                entry: there[1].digest,
                within: Vec::new(),
                platform: "linux/s390x".parse().unwrap()
            }
        );
    }

    #[test]
    fn two_entries_for_one_platform_are_refused_unless_that_is_wanted() {
        let there = entries(&["linux/arm64", "linux/arm64/v8", "linux/amd64"]);
        assert!(
            texts(&Gates::default().judge(&there))[0].starts_with("2 entries are for linux/arm64: sha256:")
        );
        assert_eq!(Gates { allow_duplicates: true, ..Gates::default() }.judge(&there), []);
        // The same entry twice is one image.
        let twice = [there[0].clone(), there[0].clone()];
        assert_eq!(Gates::default().judge(&twice), []);
    }

    #[test]
    fn a_tag_may_not_come_to_stand_for_less() {
        let change = |now: &[&str], then: &[&str]| {
            let refusal = Gates::default().judge_change("r/app:1", &entries(now), &entries(then));
            refusal.map(|refusal| refusal.to_string())
        };
        assert_eq!(change(&["linux/amd64"], &["linux/amd64", "linux/arm64"]), None);
        assert_eq!(change(&["linux/arm64/v8"], &["linux/arm64"]), None);
        assert_eq!(change(&["windows(10.0.17763.1)/amd64"], &["windows(10.0.17763.2)/amd64"]), None);
        assert_eq!(change(&["unknown/unknown"], &[]), None);
        assert_eq!(
            change(&["linux/amd64", "linux/arm/v6", "linux/arm/v7"], &["linux/amd64"]).unwrap(),
            "r/app:1 would lose linux/arm/v6, linux/arm/v7, which it has now"
        );
        assert!(change(&["windows(10.0.17763.1)/amd64"], &["windows(10.0.20348.1)/amd64"]).is_some());
        let gates = Gates { allow_shrink: true, ..Gates::default() };
        assert_eq!(gates.judge_change("r/app:1", &entries(&["linux/amd64"]), &[]), None);
    }
}
