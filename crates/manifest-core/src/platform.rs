//! Platforms: what a child of a list runs on.

mod normalize;
mod parse;
mod select;

use std::collections::BTreeSet;
use std::fmt;

use crate::json::Extra;

pub use parse::PlatformError;
pub use select::Match;

/// The platform of an image, as it was found.
///
/// Nothing is normalised on the way in, so that a list is written back as it was read; two platforms
/// are compared with [`same_machine_as`](Self::same_machine_as) or through their
/// [`key`](Self::key), never with `==`. An empty text stands for a field that was not given.
///
/// As text a platform is `OS[(VERSION+FEATURE…)]/ARCH[/VARIANT]`, such as `linux/arm/v7`,
/// `windows(10.0.17763+win32k)/amd64` or `linux(+gpu)/amd64`. A lone architecture is accepted and
/// means linux; a lone OS is refused, since nothing here depends on the machine it runs on. Reading a
/// text folds its case and replaces aliases (`x86_64`, `aarch64`, `macos`, …). Printing sorts the
/// features and prints an empty OS as `unknown`.
///
/// Spec: OCI image-spec v1.1.1 `image-index.md`, "platform"; Docker "Image Manifest V2, Schema 2",
/// "Manifest List".
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// The CPU architecture, by preference one of the names of Go, such as `amd64`.
    pub architecture: String,
    /// The operating system, by preference one of the names of Go, such as `linux`.
    pub os: String,
    /// The version of the operating system, such as `10.0.17763.2686`.
    pub os_version: Option<String>,
    /// Features of the operating system that the image needs, such as `win32k`.
    pub os_features: Vec<String>,
    /// The variant of the CPU, such as `v7`.
    pub variant: Option<String>,
    /// Features of the CPU that the image needs; Docker manifest lists only.
    pub features: Vec<String>,
    /// Members of the JSON object that this workspace does not know.
    pub extra: Extra,
}

/// What makes two entries of a list stand for the same platform.
///
/// The normalised OS, architecture and variant, the OS version as written, and the set of OS
/// features. Docker's CPU features take no part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlatformKey {
    os: String,
    architecture: String,
    variant: Option<String>,
    os_version: Option<String>,
    os_features: Vec<String>,
}

impl Platform {
    /// The key under which this platform stands in a list.
    pub fn key(&self) -> PlatformKey {
        let normal = self.normalized();
        PlatformKey {
            os: normal.os,
            architecture: normal.architecture,
            variant: normal.variant,
            os_version: normal.os_version.filter(|version| !version.is_empty()),
            os_features: normal.os_features,
        }
    }

    /// Whether OS, architecture and variant are the same once they are normalised.
    ///
    /// Versions and features are not looked at.
    pub fn same_machine_as(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.normalized(), other.normalized());
        ours.os == theirs.os && ours.architecture == theirs.architecture && ours.variant == theirs.variant
    }

    /// Whether the architecture is one of those that have a name in the field (those of Go), once it is normalised.
    pub fn is_of_known_architecture(&self) -> bool {
        parse::KNOWN_ARCHITECTURES.contains(&self.normalized().architecture.as_str())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = if self.os.is_empty() { "unknown".to_owned() } else { self.os.clone() };
        let version = self.os_version.as_deref().unwrap_or_default();
        let features: BTreeSet<&str> =
            self.os_features.iter().map(String::as_str).filter(|feature| !feature.is_empty()).collect();
        if !version.is_empty() || !features.is_empty() {
            text.push('(');
            parse::push_option(&mut text, version);
            for feature in features {
                text.push('+');
                parse::push_option(&mut text, feature);
            }
            text.push(')');
        }
        for part in [self.architecture.as_str(), self.variant.as_deref().unwrap_or_default()] {
            if !part.is_empty() {
                text.push('/');
                text.push_str(part);
            }
        }
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests;
