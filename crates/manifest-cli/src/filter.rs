//! Which records `ls` shows.

use std::mem::discriminant;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use manifest_core::{ListName, Match, Platform};
use manifest_store::Record;

use crate::args::duration;
use crate::holders::HolderReport;

/// What a record must be like to be shown.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    /// What its id begins with.
    Id(String),
    /// A pattern for one of its names.
    Name(String),
    /// What its digest begins with, with or without the algorithm.
    Digest(String),
    /// What one of its entries is for.
    Platform(Platform),
    /// A pattern for one who holds it.
    Holder(String),
    /// How long it was not changed.
    OlderThan(Duration),
    /// What its id, its digest or one of its names begins with.
    Text(String),
}

/// The keys, for messages.
const KEYS: &str = "id=, name=, digest=, platform=, holder= and older-than=, or a text without a key";

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((key, value)) = text.split_once('=') else { return Ok(Self::Text(text.to_owned())) };
        let value = value.to_owned();
        Ok(match key {
            "id" => Self::Id(value),
            "name" => Self::Name(value),
            "digest" => Self::Digest(value),
            "platform" => Self::Platform(value.parse().map_err(|error| format!("{error}"))?),
            "holder" => Self::Holder(value),
            "older-than" => Self::OlderThan(duration(&value)?),
            _ => return Err(format!("there is no key {key:?}; there are {KEYS}")),
        })
    }
}

/// Whether a record passes: for each key, one of the filters with that key.
pub(crate) fn passes(filters: &[Filter], record: &Record, holders: &[HolderReport], now: Timestamp) -> bool {
    let passes_one_like = |filter: &Filter| {
        let mut alike = filters.iter().filter(|other| discriminant(*other) == discriminant(filter));
        alike.any(|filter| filter.passes(record, holders, now))
    };
    filters.iter().all(passes_one_like)
}

impl Filter {
    fn passes(&self, record: &Record, holders: &[HolderReport], now: Timestamp) -> bool {
        let digest = || record.encoded().digest;
        let mut names = record.names().iter();
        match self {
            Self::Id(start) => record.id().to_string().starts_with(start),
            Self::Name(pattern) if pattern.is_empty() => true,
            Self::Name(pattern) => names.any(|name| forms(name).iter().any(|form| matches(pattern, form))),
            Self::Digest(start) => {
                digest().to_string().starts_with(start) || digest().hex().starts_with(start)
            }
            Self::Platform(wanted) => {
                let platforms = record.entries().iter().filter(|entry| !entry.is_attestation());
                let platforms = platforms.map(|entry| entry.platform.as_ref());
                !wanted.select(Match::Strict, platforms).is_empty()
            }
            Self::Holder(pattern) if pattern.is_empty() => true,
            Self::Holder(pattern) => {
                holders.iter().any(|holder| !holder.expired && is_holder(pattern, holder))
            }
            Self::OlderThan(age) => {
                let age = SignedDuration::try_from(*age).unwrap_or(SignedDuration::MAX);
                now.duration_since(record.updated()) >= age
            }
            Self::Text(start) => {
                let starts = [Some(start.clone()), whole(start)];
                let begins = |text: &str| starts.iter().flatten().any(|start| text.starts_with(&**start));
                begins(&record.id().to_string())
                    || begins(&digest().to_string())
                    || names.any(|name| forms(name).iter().any(|form| begins(form)))
            }
        }
    }
}

fn is_holder(pattern: &str, holder: &HolderReport) -> bool {
    let names = holder.names.iter().filter_map(|name| name.parse::<ListName>().ok());
    holder.by.as_ref().is_some_and(|by| matches(pattern, by))
        || holder.list.as_ref().is_some_and(|list| matches(pattern, list))
        || names.flat_map(|name| forms(&name)).any(|form| matches(pattern, &form))
}

/// The texts that people write for a name: the whole one, the short one, and both without `:latest`.
fn forms(name: &ListName) -> Vec<String> {
    let whole = name.to_string();
    let local = whole.strip_prefix("localhost/").filter(|_| name.is_local());
    let short = local.map_or_else(|| name.reference().familiar(), ToOwned::to_owned);
    let mut forms = vec![whole, short];
    let untagged: Vec<String> =
        forms.iter().filter_map(|form| form.strip_suffix(":latest")).map(ToOwned::to_owned).collect();
    forms.extend(untagged);
    forms
}

/// A text completed as a name is; only a tag that was given is kept.
fn whole(text: &str) -> Option<String> {
    let name: ListName = text.parse().ok()?;
    let tagged = name.to_string();
    let has_tag = text.rsplit_once(':').is_some_and(|(_, tag)| tagged.ends_with(&format!(":{tag}")));
    Some(if has_tag { tagged } else { name.reference().repository().to_string() })
}

/// Whether a text is what a pattern says: `*` stands for any characters, `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut in_pattern, mut in_text) = (0, 0);
    // After the last star, and how far it reached: where to go on when the rest does not fit.
    let mut back = None;
    while in_text < text.len() {
        match pattern.get(in_pattern) {
            Some('*') => {
                in_pattern += 1;
                back = Some((in_pattern, in_text));
            }
            Some(c) if *c == '?' || Some(c) == text.get(in_text) => {
                in_pattern += 1;
                in_text += 1;
            }
            _ => {
                let Some((after_star, reached)) = back else { return false };
                (in_pattern, in_text) = (after_star, reached + 1);
                back = Some((after_star, in_text));
            }
        }
    }
    pattern.iter().skip(in_pattern).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_stars_and_question_marks() {
        for (pattern, text, fits) in [
            ("app", "app", true),
            ("app", "app:1", false),
            ("app*", "app:1", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("?", "é", true),
            ("?", "", false),
            ("*/app:?.*", "localhost/team/app:1.0", true),
            ("*a*b", "aaaaaaaab", true),
            ("*a*b", "aaaaaaaac", false),
            ("a*a*a*a*a*a*a*a*b", &"a".repeat(200), false),
            ("[a]", "a", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn names_are_found_as_people_write_them() {
        for (name, expected) in [
            ("app", &["localhost/app:latest", "app:latest", "localhost/app", "app"][..]),
            ("team/app:1", &["localhost/team/app:1", "team/app:1"]),
            ("docker.io/foo:2", &["docker.io/library/foo:2", "foo:2"]),
            ("ghcr.io/a/b:1", &["ghcr.io/a/b:1", "ghcr.io/a/b:1"]),
        ] {
            assert_eq!(forms(&name.parse().unwrap()), expected, "{name}");
        }
        for (text, completed) in [
            ("docker.io/foo", "docker.io/library/foo"),
            ("docker.io/foo:latest", "docker.io/library/foo:latest"),
            ("localhost:5000/app", "localhost:5000/app"),
            ("app:1", "localhost/app:1"),
        ] {
            assert_eq!(whole(text).as_deref(), Some(completed), "{text}");
        }
        assert_eq!(whole("ghcr.io/"), None);
    }

    #[test]
    fn an_unknown_key_is_told_the_known_ones() {
        let refused = "size=3".parse::<Filter>().unwrap_err();
        assert!(refused.contains("\"size\"") && refused.contains("older-than="), "{refused}");
        assert!("older-than=soon".parse::<Filter>().is_err() && "platform=".parse::<Filter>().is_err());
    }
}
