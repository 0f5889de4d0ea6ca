//! Whether what a signature says an image is, is what was asked for, where keys are given and no policy.

use manifest_core::{Digest, Reference};
use manifest_sign::policy::Identity;

use super::Role;

/// What the name in a signature must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a rule that is not known here would be passed over by who gives one"
)]
pub enum NameRule {
    /// The repository that was asked for; and where a list or image was asked for by its tag, and the signature names a tag, this
    /// tag. What names none, as cosign does not, is good for any tag of the repository.
    #[default]
    Tag,
    /// Exactly what was asked for, its tag or its digest.
    Exact,
    /// The repository that was asked for, with any tag.
    Repository,
    /// This reference, or any of this repository when it has neither tag nor digest, whatever was asked for.
    Reference(Reference),
    /// Anything.
    Any,
}

/// The names that are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a rule, and what it is about")]
pub struct Names {
    /// What the name must be.
    pub rule: NameRule,
    /// What was asked for, unless it lies in files, which have no name that a signature could state.
    pub asked: Option<Reference>,
}

impl Names {
    /// Whether a signature of `digest` that says `said` is one of what was asked for; the error says why not.
    pub(super) fn check(&self, said: &str, (digest, role): (&Digest, Role)) -> Result<(), String> {
        let asked = self.asked.as_ref();
        match &self.rule {
            NameRule::Any => Ok(()),
            NameRule::Exact => Identity::Exact.check(said, asked),
            NameRule::Repository => Identity::Repository.check(said, asked),
            NameRule::Reference(wanted) if wanted.tag().is_none() && wanted.digest().is_none() => {
                Identity::ExactRepository(wanted.repository()).check(said, asked)
            }
            NameRule::Reference(wanted) => Identity::ExactReference(wanted.clone()).check(said, asked),
            NameRule::Tag => {
                Identity::Repository.check(said, asked)?;
                let by_tag = asked.filter(|asked| role != Role::Child && asked.digest().is_none());
                by_tag.map_or(Ok(()), |asked| same_tag(said, asked, digest))
            }
        }
    }

    /// Whether a signature that states no name counts. It vouches for a digest wherever that is, so it cannot be one of exactly
    /// this name.
    pub(super) fn check_nameless(&self) -> Result<(), String> {
        match &self.rule {
            NameRule::Any | NameRule::Repository | NameRule::Tag => Ok(()),
            NameRule::Exact | NameRule::Reference(_) => {
                Err("it states no name, and one is demanded".to_owned())
            }
        }
    }
}

/// What a signature names beside the repository must be this one.
fn same_tag(said: &str, asked: &Reference, digest: &Digest) -> Result<(), String> {
    let Ok(signed) = said.parse::<Reference>() else { return Err("its name is not a reference".to_owned()) };
    let other_tag = signed.tag().is_some_and(|tag| Some(tag) != asked.tag());
    let other_digest = signed.digest().is_some_and(|signed| signed != *digest);
    if other_tag || other_digest {
        return Err(format!("it is of {signed}, and {asked} was asked for"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(rule: NameRule, said: &str, asked: &str, role: Role) -> bool {
        let digest = Digest::sha256(b"it");
        let with = |text: &str| {
            let (it, other) = (format!("@{digest}"), format!("@{}", Digest::sha256(b"other")));
            text.replace("@IT", &it).replace("@OTHER", &other)
        };
        let names = Names { rule, asked: Some(with(asked).parse().unwrap()) };
        names.check(&with(said), (&digest, role)).is_ok()
    }

    #[test]
    fn what_was_asked_for_by_a_tag_is_signed_for_that_tag_or_for_none() {
        // What it says, what was asked for, and whether it holds for the list and for a child.
        for (said, asked, expected) in [
            ("r.io/app:1", "r.io/app:1", [true, true]),
            ("r.io/app", "r.io/app:1", [true, true]),
            ("r.io/app:2", "r.io/app:1", [false, true]),
            ("r.io/app@IT", "r.io/app:1", [true, true]),
            ("r.io/app@OTHER", "r.io/app:1", [false, true]),
            ("r.io/app:1@IT", "r.io/app:1", [true, true]),
            ("r.io/app:2@IT", "r.io/app:1", [false, true]),
            ("r.io/app:2", "r.io/app@IT", [true, true]),
            ("r.io/app:2", "r.io/app:1@IT", [true, true]),
            ("r.io/other:1", "r.io/app:1", [false, false]),
            ("x.io/app:1", "r.io/app:1", [false, false]),
            ("r.io/app/more:1", "r.io/app@IT", [false, false]),
            ("", "r.io/app:1", [false, false]),
            ("docker://r.io/app:1", "r.io/app:1", [false, false]),
        ] {
            let found = [Role::List, Role::Child].map(|role| holds(NameRule::Tag, said, asked, role));
            assert_eq!(found, expected, "{said} for {asked}");
            assert_eq!(holds(NameRule::Tag, said, asked, Role::Image), expected[0], "{said} for {asked}");
        }
    }

    #[test]
    fn other_rules_are_as_strict_as_they_say() {
        let reference = |text: &str| NameRule::Reference(text.parse().unwrap());
        for (rule, said, expected) in [
            (NameRule::Exact, "r.io/app:1", true),
            (NameRule::Exact, "r.io/app", false),
            (NameRule::Repository, "r.io/app:2", true),
            (NameRule::Repository, "r.io/other:1", false),
            (reference("x.io/app:3"), "x.io/app:3", true),
            (reference("x.io/app:3"), "x.io/app:4", false),
            (reference("x.io/app"), "x.io/app:4", true),
            (reference("x.io/app"), "r.io/app:1", false),
            (NameRule::Any, "anything at all", true),
        ] {
            for role in [Role::List, Role::Child] {
                assert_eq!(holds(rule.clone(), said, "r.io/app:1", role), expected, "{rule:?} {said}");
            }
        }
    }

    #[test]
    fn what_lies_in_files_has_no_name_to_compare() {
        let digest = Digest::sha256(b"it");
        let check = |rule| Names { rule, asked: None }.check("r.io/app:1", (&digest, Role::List)).is_ok();
        assert!(!check(NameRule::Tag) && !check(NameRule::Exact) && !check(NameRule::Repository));
        assert!(check(NameRule::Any) && check(NameRule::Reference("r.io/app:1".parse().unwrap())));
    }

    #[test]
    fn a_signature_without_a_name_cannot_be_of_exactly_one() {
        let check = |rule| Names { rule, asked: None }.check_nameless().is_ok();
        assert!(check(NameRule::Tag) && check(NameRule::Repository) && check(NameRule::Any));
        assert!(!check(NameRule::Exact) && !check(NameRule::Reference("r.io/app".parse().unwrap())));
    }
}
