//! Platforms as text: `OS[(VERSION+FEATURE…)]/ARCH[/VARIANT]`.

use std::str::FromStr;

use super::{Platform, normalize};

/// Operating systems that are known by name; only a text of one part is checked against them.
const KNOWN_OS: [&str; 17] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];

/// Architectures that are known by name; only a text of one part is checked against them.
pub(super) const KNOWN_ARCHITECTURES: [&str; 24] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

/// Why a text is not a platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// There is an asterisk in the text.
    #[error("invalid platform {0:?}: an asterisk is not allowed, a platform is named in full")]
    Wildcard(String),
    /// There are more than three parts.
    #[error("invalid platform {0:?}: at most three parts, OS/ARCH/VARIANT, may be given")]
    TooManyParts(String),
    /// A part is empty, or the whole text is.
    #[error("invalid platform {0:?}: a part is empty, it is written OS/ARCH or OS/ARCH/VARIANT")]
    EmptyPart(String),
    /// A part holds a character that does not belong there.
    #[error("invalid platform {platform:?}: {part:?} holds a character that is not allowed there")]
    Character {
        /// The text as given.
        platform: String,
        /// The part that is wrong.
        part: String,
    },
    /// The parentheses behind the OS are not closed, or a feature in them is empty.
    #[error("invalid platform {0:?}: OS options are written OS(VERSION+FEATURE)/ARCH")]
    Options(String),
    /// A percent sign is not followed by two hex digits, or the result is not UTF-8.
    #[error("invalid platform {0:?}: a percent sign in the OS options needs two hex digits")]
    PercentCode(String),
    /// Only an operating system was given.
    #[error("platform {0:?} names no architecture: write OS/ARCH, as in {0}/amd64")]
    OsAlone(String),
    /// The only part is no known architecture.
    #[error("platform {0:?} is not a known architecture: write OS/ARCH, as in linux/amd64")]
    UnknownName(String),
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        if text.contains('*') {
            return Err(PlatformError::Wildcard(shown(text)));
        }
        let mut parts = text.split('/');
        let first = parts.next().unwrap_or_default();
        let rest: Vec<&str> = parts.collect();
        if rest.len() > 2 {
            return Err(PlatformError::TooManyParts(shown(text)));
        }
        if first.is_empty() || rest.contains(&"") {
            return Err(PlatformError::EmptyPart(shown(text)));
        }
        let system = parse_os(text, first)?;
        for part in &rest {
            check(text, part, |c| is_name(c) || c == '.')?;
        }
        match rest.as_slice() {
            [architecture, variant, ..] => {
                let (architecture, normal) = normalize::machine(architecture, variant);
                // The default variant of arm64 may be left out, yet whoever wrote it wants to see it.
                let variant = normal.or_else(|| (architecture == "arm64").then(|| "v8".to_owned()));
                Ok(Self { architecture, variant, ..system })
            }
            [architecture] => {
                let (architecture, variant) = without_variant(architecture);
                Ok(Self { architecture, variant, ..system })
            }
            [] if KNOWN_OS.contains(&system.os.as_str()) => Err(PlatformError::OsAlone(shown(text))),
            [] => {
                let (architecture, variant) = without_variant(text);
                if !KNOWN_ARCHITECTURES.contains(&architecture.as_str()) {
                    return Err(PlatformError::UnknownName(shown(text)));
                }
                Ok(Self { os: "linux".to_owned(), architecture, variant, ..Self::default() })
            }
        }
    }
}

/// The normal name of an architecture that was given without a variant; `v7` is not written out.
fn without_variant(architecture: &str) -> (String, Option<String>) {
    let (architecture, variant) = normalize::machine(architecture, "");
    let variant = variant.filter(|variant| !(architecture == "arm" && variant == "v7"));
    (architecture, variant)
}

/// Reads `OS` or `OS(VERSION+FEATURE…)`, the first part of `text`.
fn parse_os(text: &str, part: &str) -> Result<Platform, PlatformError> {
    let malformed = || PlatformError::Options(shown(text));
    let (name, options) = match part.split_once('(') {
        None => (part, ""),
        Some(("", _)) => return Err(malformed()),
        Some((name, rest)) => (name, rest.strip_suffix(')').ok_or_else(malformed)?),
    };
    check(text, name, is_name)?;
    check(text, options, |c| is_name(c) || matches!(c, '.' | '%' | '+'))?;
    let mut options = options.split('+');
    let version = decode(text, options.next().unwrap_or_default())?;
    let mut os_features = Vec::new();
    for feature in options {
        if feature.is_empty() {
            return Err(malformed());
        }
        os_features.push(decode(text, feature)?);
    }
    Ok(Platform {
        os: normalize::os(name),
        os_version: (!version.is_empty()).then_some(version),
        os_features,
        ..Platform::default()
    })
}

fn check(text: &str, part: &str, allowed: impl Fn(char) -> bool) -> Result<(), PlatformError> {
    if part.chars().all(allowed) {
        return Ok(());
    }
    Err(PlatformError::Character { platform: shown(text), part: shown(part) })
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

fn decode(text: &str, option: &str) -> Result<String, PlatformError> {
    let malformed = || PlatformError::PercentCode(shown(text));
    let mut pieces = option.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2).ok_or_else(malformed)?;
        if !code.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(malformed());
        }
        bytes.push(u8::from_str_radix(code, 16).map_err(|_not_hex| malformed())?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_not_utf8| malformed())
}

/// Appends an OS version or feature, with everything that the grammar has no place for percent-coded.
pub(super) fn push_option(to: &mut String, option: &str) {
    for byte in option.bytes() {
        let c = char::from(byte);
        if is_name(c) || c == '.' {
            to.push(c);
        } else {
            to.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// So much of a refused text as fits a message.
fn shown(text: &str) -> String {
    text.chars().take(160).collect()
}
