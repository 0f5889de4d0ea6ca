//! Which entries of a list serve a wanted platform.

use std::cmp::Reverse;

use super::Platform;

/// How near an entry must come to the wanted platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Match {
    /// OS, architecture and variant are the wanted ones.
    Strict,
    /// Older variants serve too, and so do 32-bit entries on the 64-bit machines that run them: 386 on
    /// amd64, arm on arm64.
    Lenient,
}

/// An architecture with its variant, both normalised.
type Machine = (String, Option<String>);

impl Platform {
    /// The positions of the entries that serve this platform, best first.
    ///
    /// `entries` are the platforms of a list, in its order, `None` for an entry without one; an
    /// attestation is to be given as `None` too. Better are: the nearer machine, then the larger
    /// number of OS features, then (Windows only) the newer OS version; entries that are alike stay in
    /// the order of the list.
    ///
    /// An entry serves when its machine is accepted under `matching` and all its OS features are
    /// wanted. The OS version counts on Windows only: without a wanted version every entry passes;
    /// builds below 20348 must be equal; from 20348 on a build serves those up to the next long-term
    /// release after it. An entry without an OS, or of the platform `unknown/unknown`, serves nobody.
    pub fn select<'a>(
        &self,
        matching: Match,
        entries: impl IntoIterator<Item = Option<&'a Self>>,
    ) -> Vec<usize> {
        let wanted = self.normalized();
        let mut machines = vec![(wanted.architecture.clone(), wanted.variant.clone())];
        match matching {
            Match::Strict => {}
            Match::Lenient => machines.extend(fallbacks(&wanted)),
        }
        let mut found: Vec<_> = entries
            .into_iter()
            .enumerate()
            .filter_map(|(index, entry)| {
                let entry = entry?.normalized();
                if entry.is_nowhere() || !wanted.accepts_system(&entry) {
                    return None;
                }
                let version = if entry.is_windows() { numbers(&entry) } else { Vec::new() };
                let machine = (entry.architecture, entry.variant);
                let distance = machines.iter().position(|accepted| *accepted == machine)?;
                Some((distance, Reverse(entry.os_features.len()), Reverse(version), index))
            })
            .collect();
        found.sort();
        found.into_iter().map(|(.., index)| index).collect()
    }

    /// Whether no machine is meant: the OS is not known, or this is an attestation.
    fn is_nowhere(&self) -> bool {
        self.os.is_empty() || (self.os == "unknown" && self.architecture == "unknown")
    }

    fn is_windows(&self) -> bool {
        self.os == "windows"
    }

    /// Whether `entry` runs on this operating system; both are normalised.
    fn accepts_system(&self, entry: &Self) -> bool {
        let ignored = |feature: &str| self.is_windows() && feature == "win32k";
        self.os == entry.os
            && entry.os_features.iter().all(|feature| ignored(feature) || self.os_features.contains(feature))
            && (!self.is_windows()
                || windows_accepts(self.os_version.as_deref(), entry.os_version.as_deref()))
    }
}

/// The machines that run in place of the wanted one, nearest first.
fn fallbacks(wanted: &Platform) -> Vec<Machine> {
    let variant = wanted.variant.as_deref();
    match wanted.architecture.as_str() {
        "amd64" => {
            let level = variant.and_then(level).unwrap_or(1);
            let lower = (1..level).rev().map(|lower| machine("amd64", (lower > 1).then_some(lower)));
            lower.chain([machine("386", None)]).collect()
        }
        "arm" => arm_below(variant.and_then(level).unwrap_or_default()).collect(),
        "arm64" => arm64_fallbacks(variant),
        _ => Vec::new(),
    }
}

/// The number in a variant such as `v3`; a byte bounds the length of the chain.
fn level(variant: &str) -> Option<u8> {
    variant.strip_prefix('v').unwrap_or(variant).parse().ok()
}

fn machine(architecture: &str, level: Option<u8>) -> Machine {
    (architecture.to_owned(), level.map(|level| format!("v{level}")))
}

fn arm_below(level: u8) -> impl Iterator<Item = Machine> {
    (5..level).rev().map(|lower| machine("arm", Some(lower)))
}

/// What an arm64 revision runs: the older ones, where v9.k contains v8.(k+5), then all of 32-bit arm.
fn arm64_fallbacks(variant: Option<&str>) -> Vec<Machine> {
    let v8 = (0..=9).map(|minor| (8, minor));
    let v9 = (0..=7).map(|minor| (9, minor));
    let Some((major, minor)) =
        v8.chain(v9).find(|&(major, minor)| arm64_variant(major, minor).as_deref() == variant)
    else {
        return Vec::new();
    };
    let mut older: Vec<(u8, u8)> = (0..minor).rev().map(|minor| (major, minor)).collect();
    if major == 9 {
        older.extend((0..=9.min(minor + 5)).rev().map(|minor| (8, minor)));
    }
    let older = older.into_iter().map(|(major, minor)| ("arm64".to_owned(), arm64_variant(major, minor)));
    older.chain(arm_below(9)).collect()
}

/// The normalised variant of an arm64 revision.
fn arm64_variant(major: u8, minor: u8) -> Option<String> {
    match (major, minor) {
        (8, 0) => None,
        (_, 0) => Some(format!("v{major}")),
        _ => Some(format!("v{major}.{minor}")),
    }
}

/// Whether a container of the version `entry` runs on a Windows host of the version `wanted`.
fn windows_accepts(wanted: Option<&str>, entry: Option<&str>) -> bool {
    /// The first long-term release that runs containers of other builds.
    const LTSC_2022: u16 = 20348;
    const LTSC_2025: u16 = 26100;

    let Some((major, minor, build)) = wanted.and_then(windows_version) else {
        return true;
    };
    let Some(entry) = entry.filter(|version| !version.is_empty()) else {
        return true;
    };
    let oldest = match build {
        ..LTSC_2022 => build,
        LTSC_2022..=LTSC_2025 => LTSC_2022,
        _ => LTSC_2025,
    };
    windows_version(entry).is_some_and(|(entry_major, entry_minor, entry_build)| {
        (entry_major, entry_minor) == (major, minor) && (oldest..=build).contains(&entry_build)
    })
}

/// Major, minor and build; the revision never decides whether an entry matches.
fn windows_version(text: &str) -> Option<(u8, u8, u16)> {
    let mut numbers = text.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The numbers at the head of the OS version, for ordering; none when there is no version.
fn numbers(entry: &Platform) -> Vec<u64> {
    let version = entry.os_version.as_deref().unwrap_or_default();
    version.split('.').map_while(|number| number.parse().ok()).collect()
}
