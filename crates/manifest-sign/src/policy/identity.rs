//! Whether what a signature says an image is, is what was asked for.

use std::fmt;

use manifest_core::{Reference, Repository};

/// What the reference in a signature must be.
///
/// Spec: containers-policy.json(5), "signedIdentity".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identity {
    /// `matchExact`: the one that was asked for.
    Exact,
    /// `matchRepoDigestOrExact`: the one that was asked for by a tag; any of the same repository when it was asked for by a
    /// digest.
    #[default]
    RepoDigestOrExact,
    /// `matchRepository`: any of the same repository.
    Repository,
    /// `exactReference`: this one, whatever was asked for.
    ExactReference(Reference),
    /// `exactRepository`: any of this repository, whatever was asked for.
    ExactRepository(Repository),
    /// `remapIdentity`: as `matchRepoDigestOrExact`, of a copy that lies elsewhere than when it was signed.
    Remap {
        /// A registry, namespace or repository.
        prefix: String,
        /// What stood in its place when the image was signed.
        signed: String,
    },
}

/// As policies name it.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "matchExact",
            Self::RepoDigestOrExact => "matchRepoDigestOrExact",
            Self::Repository => "matchRepository",
            Self::ExactReference(_) => "exactReference",
            Self::ExactRepository(_) => "exactRepository",
            Self::Remap { .. } => "remapIdentity",
        })
    }
}

impl Identity {
    /// Whether a signature that says `said` is one of what was `asked` for; the error says why not.
    ///
    /// A reference with tag and digest was asked for by its digest. Short names are completed as everywhere.
    ///
    /// # Errors
    /// A sentence for people, when it is not.
    pub fn check(&self, said: &str, asked: Option<&Reference>) -> Result<(), String> {
        let Ok(signed) = said.parse::<Reference>() else {
            return Err(format!("it says that it is of {:?}, which is not a reference", short(said)));
        };
        let asked = asked.map(by_digest);
        let asked =
            || asked.clone().ok_or_else(|| format!("{self} needs the name of an image in a registry"));
        let (fits, wanted) = match self {
            Self::Exact => asked().map(|asked| (exact(&signed, &asked), asked.to_string()))?,
            Self::RepoDigestOrExact => asked().map(|asked| (fits(&signed, &asked), asked.to_string()))?,
            Self::Repository => {
                let asked = asked()?.repository();
                (signed.repository() == asked, asked.to_string())
            }
            Self::ExactReference(wanted) => (exact(&signed, wanted), wanted.to_string()),
            Self::ExactRepository(wanted) => (signed.repository() == *wanted, wanted.to_string()),
            Self::Remap { prefix, signed: new } => {
                let asked = remapped(&asked()?, prefix, new)?;
                (fits(&signed, &asked), asked.to_string())
            }
        };
        if fits { Ok(()) } else { Err(format!("it is of {signed}, and {self} wants {wanted}")) }
    }
}

/// The digest decides where both are given.
fn by_digest(asked: &Reference) -> Reference {
    match asked.digest() {
        Some(digest) => Reference::from(asked.repository()).with_digest(digest),
        None => asked.clone(),
    }
}

/// Whether both are the same tag or digest; a bare name says too little.
fn exact(signed: &Reference, wanted: &Reference) -> bool {
    signed == wanted && (wanted.tag().is_some() || wanted.digest().is_some())
}

fn fits(signed: &Reference, asked: &Reference) -> bool {
    if asked.digest().is_none() {
        return exact(signed, asked);
    }
    let names_one = signed.tag().is_some() || signed.digest().is_some();
    names_one && signed.repository() == asked.repository()
}

/// The reference that was there before the copy; one that does not lie below the prefix stays as it is.
fn remapped(asked: &Reference, prefix: &str, new: &str) -> Result<Reference, String> {
    let repository = asked.repository().to_string();
    match repository.strip_prefix(prefix) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {}
        _ => return Ok(asked.clone()),
    }
    let whole = asked.to_string();
    let text = format!("{new}{}", whole.strip_prefix(prefix).unwrap_or_default());
    text.parse().map_err(|error| format!("remapIdentity makes no reference of {whole}: {error}"))
}

/// So much of a refused text as fits a message.
fn short(text: &str) -> String {
    text.chars().take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const OTHER: &str = "@sha256:0000000000000000000000000000000000000000000000000000000000000000";

    fn check(identity: &Identity, said: &str, asked: &str) -> bool {
        let digests = |text: &str| text.replace("@D", DIGEST).replace("@E", OTHER);
        identity.check(&digests(said), Some(&digests(asked).parse().unwrap())).is_ok()
    }

    #[test]
    fn what_a_signature_says_is_compared_by_the_rule() {
        // What it says, what was asked for, and whether matchExact, matchRepoDigestOrExact and matchRepository hold.
        for (said, asked, expected) in [
            ("r.io/ns/app:1", "r.io/ns/app:1", [true, true, true]),
            ("r.io/ns/app:2", "r.io/ns/app:1", [false, false, true]),
            ("r.io/ns/app", "r.io/ns/app:1", [false, false, true]),
            ("r.io/ns/app@D", "r.io/ns/app:1", [false, false, true]),
            ("r.io/ns/app:1@D", "r.io/ns/app:1", [false, false, true]),
            ("r.io/ns/app:1", "r.io/ns/app@D", [false, true, true]),
            ("r.io/ns/app@D", "r.io/ns/app@D", [true, true, true]),
            ("r.io/ns/app@E", "r.io/ns/app@D", [false, true, true]),
            ("r.io/ns/app", "r.io/ns/app@D", [false, false, true]),
            ("r.io/ns/app:2", "r.io/ns/app:1@D", [false, true, true]),
            ("r.io/ns/app:1", "r.io/ns/app:1@D", [false, true, true]),
            ("r.io/ns/app:1", "r.io/ns/app", [false, false, true]),
            ("r.io/ns/app", "r.io/ns/app", [false, false, true]),
            ("r.io/ns/other:1", "r.io/ns/app:1", [false, false, false]),
            ("r.io/ns/app/more:1", "r.io/ns/app@D", [false, false, false]),
            ("x.io/ns/app:1", "r.io/ns/app:1", [false, false, false]),
            ("r.io:5000/ns/app:1", "r.io/ns/app:1", [false, false, false]),
            ("ns/app:1", "r.io/ns/app:1", [false, false, false]),
            ("busybox:1", "docker.io/library/busybox:1", [true, true, true]),
            ("docker.io/library/busybox:1", "busybox:1", [true, true, true]),
            ("R.io/ns/app:1", "r.io/ns/app:1", [false, false, false]),
            ("", "r.io/ns/app:1", [false, false, false]),
            ("r.io/ns/App:1", "r.io/ns/app:1", [false, false, false]),
            ("docker://r.io/ns/app:1", "r.io/ns/app:1", [false, false, false]),
            ("r.io/ns/app:1 ", "r.io/ns/app:1", [false, false, false]),
            ("sha256:e3b0", "r.io/ns/app:1", [false, false, false]),
        ] {
            let rules = [Identity::Exact, Identity::RepoDigestOrExact, Identity::Repository];
            assert_eq!(rules.map(|rule| check(&rule, said, asked)), expected, "{said} for {asked}");
        }
    }

    #[test]
    fn a_fixed_identity_does_not_look_at_what_was_asked_for() {
        let reference = Identity::ExactReference("r.io/ns/app:1".parse().unwrap());
        let repository = Identity::ExactRepository("r.io/ns/app".parse().unwrap());
        for (said, expected) in [
            ("r.io/ns/app:1", (true, true)),
            ("r.io/ns/app:2", (false, true)),
            ("r.io/ns/app", (false, true)),
            ("r.io/ns/app@D", (false, true)),
            ("r.io/ns/app/x:1", (false, false)),
            ("x.io/any:1", (false, false)),
        ] {
            let found = (check(&reference, said, "x.io/any:1"), check(&repository, said, "x.io/any:1"));
            assert_eq!(found, expected, "{said}");
        }
        assert_eq!(reference.check("r.io/ns/app:1", None), Ok(()));
        assert!(Identity::Repository.check("r.io/ns/app:1", None).is_err());
    }

    #[test]
    fn a_copy_is_known_by_where_it_was_signed() {
        // Prefix, signed prefix, what the signature says, what was asked for.
        for (prefix, signed, said, asked, expected) in [
            ("mirror.io", "r.io", "r.io/ns/app:1", "mirror.io/ns/app:1", true),
            ("mirror.io", "r.io", "r.io/ns/app:2", "mirror.io/ns/app:1", false),
            ("mirror.io", "r.io", "r.io/ns/app:2", "mirror.io/ns/app@D", true),
            ("mirror.io", "r.io", "mirror.io/ns/app:1", "mirror.io/ns/app:1", false),
            ("mirror.io/hub", "docker.io/library", "busybox:1", "mirror.io/hub/busybox:1", true),
            ("mirror.io/hub", "r.io", "mirror.io/hubs/app:1", "mirror.io/hubs/app:1", true),
            ("mirror.io/hub", "r.io", "r.io/s/app:1", "mirror.io/hubs/app:1", false),
            ("mirror.io/app", "r.io/ns/app", "r.io/ns/app:1", "mirror.io/app:1", true),
            ("mirror.io", "r.io", "r.io:5000/app:1", "mirror.io:5000/app:1", false),
            ("mirror.io", "r.io", "mirror.io:5000/app:1", "mirror.io:5000/app:1", true),
            ("mirror.io", "r.io", "x.io/app:1", "x.io/app:1", true),
        ] {
            let identity = Identity::Remap { prefix: prefix.to_owned(), signed: signed.to_owned() };
            assert_eq!(check(&identity, said, asked), expected, "{prefix} {signed} {said} {asked}");
        }
    }

    #[test]
    fn the_reason_names_both_and_the_rule() {
        let asked = "r.io/app:1".parse().unwrap();
        let why = Identity::default().check("r.io/app:2", Some(&asked)).unwrap_err();
        assert_eq!(why, "it is of r.io/app:2, and matchRepoDigestOrExact wants r.io/app:1");
    }
}
