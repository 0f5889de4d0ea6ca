//! `manifest verify`

mod report;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use manifest_core::Platform;
use manifest_publish::verify::{
    AcceptedKeys, Answer, Checked, NameRule, Names, Refused, Required, Verified, VerifyBy, VerifyOptions,
    verify,
};
use manifest_sign::policy::{CheckError, KeyCheck as _, KeyFiles, Keys, Policy};
use manifest_sign::sigstore::SigstoreVerifier;
use manifest_transport::{Location, Transport};

pub(crate) use self::report::when;
use self::report::{PlaceReport, Report};
use super::sign::spot::{Spot, spots};
use crate::args::{RegistryArgs, duration};
use crate::context::Context;
use crate::error::{CliError, NotSigned};
use crate::keyfile::{self, Family};
use crate::policy;
use crate::words::short;

/// Verify that a list or an image is signed, and everything in it
///
/// Success means that everything which is required has a good signature by an accepted key that says what it must say. Anything
/// else exits with 10, and says for each digest whether it is unsigned, or its signatures are of unknown keys, bad, expired or
/// unreadable. An entry that is missing in the registry is an error. A LIST of the store is verified where it was pushed last, as
/// it was pushed then.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest verify --key cosign.pub docker://registry.example.com/app:1.0
  manifest verify --key release.asc --key cosign.pub --min-keys 2 app:1.0
  manifest verify --policy default --require-signed children --platform linux/arm64 docker://registry.example.com/app:1.0

With --key a signature of the list or image must name the tag that was asked for, or no tag at all (as cosign's do); one of what was
asked for by its digest, or of a child, must be of the same repository. Bundles name nothing but a digest.")]
pub(crate) struct Verify {
    /// What to verify: docker://HOST/REPOSITORY[:TAG][@DIGEST], oci:DIRECTORY[:NAME], dir:DIRECTORY, an archive, or a name or id in the store: wherever that was pushed to last
    image: String,
    /// Accept the signatures of this key: an OpenPGP certificate or ring, or a public key in PEM; may be repeated
    #[arg(long, value_name = "FILE", required_unless_present = "policy", conflicts_with = "policy")]
    key: Vec<PathBuf>,
    /// Accept what this policy.json of containers' tools demands: a file, or default for the one that they use
    #[arg(long, value_name = "FILE|default")]
    policy: Option<PathBuf>,
    /// What must be signed
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    require_signed: Require,
    /// Look only at the images for this platform; may be repeated
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Vec<Platform>,
    /// Look into lists in the list
    #[arg(long)]
    recursive: bool,
    /// Accept no signature that was made before: 2026-01-31, 2026-01-31T12:00:00Z, or an age as in 30d
    #[arg(long, value_name = "TIME", value_parser = time)]
    signed_after: Option<Timestamp>,
    /// How many different keys must have signed each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count)]
    min_keys: usize,
    /// What signatures must say that the image is: exact (what was asked for), repository (any tag of it), any, or a reference of
    /// another place; needed for what lies in files, which has no name
    #[arg(long, value_name = "RULE", value_parser = rule, conflicts_with = "policy")]
    identity: Option<NameRule>,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// What must be signed.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Require {
    /// The list itself
    List,
    /// Everything in it
    Children,
    /// The list and everything in it
    #[default]
    Both,
}

/// Who is accepted.
enum Who {
    Keys(Box<AcceptedKeys>),
    Policy(Policy),
}

impl Verify {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let who = self.who(context)?;
        let spots = spots(context, &self.image, "verified").await?;
        let locations: Vec<&Location> = spots.iter().map(|spot| &spot.location).collect();
        let transport = context.transport(&self.registry, &locations)?;
        let mut places = Vec::new();
        for spot in &spots {
            places.push(self.at(&transport, spot, &who).await?);
        }
        for (_, checked) in &places {
            checked.iter().for_each(|checked| warn(context, checked));
        }
        let refused = places.iter().find_map(|(place, checked)| not_signed(&place.target, checked));
        let report = Report::new(places.into_iter().map(|(place, _)| place).collect(), refused.is_none());
        context.ui.result(&report.text(), &report)?;
        refused.map_or(Ok(0), |refused| Err(CliError::NotVerified(refused)))
    }

    async fn at(
        &self,
        transport: &Transport,
        spot: &Spot,
        who: &Who,
    ) -> Result<(PlaceReport, Vec<Checked>), CliError> {
        let (place, which) = spot.look(transport)?;
        let reference = spot.reference();
        let by = self.by(spot, who)?;
        let subject = place.manifest(&which).await?;
        let simple = reference.as_ref().and_then(|reference| transport.signatures(reference));
        let check = Keys { now: Timestamp::now().into() };
        let mut checked = verify(&place, simple.as_ref(), &subject, (&by, &check), &self.options()).await?;
        // A policy may be content with anything. That is no verification.
        for checked in &mut checked {
            if matches!(&checked.answer, Answer::Verified(_)) && !checked.answer.is_signed() {
                checked.answer = Answer::Refused(Refused::unasked());
            }
        }
        Ok((PlaceReport::new(&spot.target, &subject, &checked), checked))
    }

    fn options(&self) -> VerifyOptions {
        VerifyOptions {
            required: match self.require_signed {
                Require::List => Required::List,
                Require::Children => Required::Children,
                Require::Both => Required::Both,
            },
            platforms: self.platform.clone(),
            recursive: self.recursive,
            min_keys: self.min_keys,
            signed_after: self.signed_after.map(Timestamp::as_second),
            jobs: self.registry.connection.jobs,
        }
    }

    fn who(&self, context: &Context) -> Result<Who, CliError> {
        if let Some(path) = &self.policy {
            return policy::open(context, path).map(Who::Policy);
        }
        let mut accepted = AcceptedKeys::default();
        let mut plain = Vec::new();
        for path in &self.key {
            let failed = |error| CliError::Key("open", path.clone(), error);
            let file = keyfile::read(path)?;
            match Family::of(&file) {
                Family::OpenPgp => {
                    let check = Keys { now: Timestamp::now().into() };
                    // Whether the keys can be used is told before anything is read.
                    if let Err(CheckError::Key(error)) = check.open_simple(&[&file], &[]) {
                        return Err(failed(error));
                    }
                    accepted.openpgp.push(file.to_vec());
                }
                Family::Sigstore => {
                    plain.extend(SigstoreVerifier::from_pem(&file).map_err(failed)?.keys().iter().cloned());
                }
            }
        }
        accepted.sigstore = SigstoreVerifier::new(plain);
        Ok(Who::Keys(Box::new(accepted)))
    }

    fn by<'a>(&self, spot: &Spot, who: &'a Who) -> Result<VerifyBy<'a>, CliError> {
        let asked = spot.reference();
        match who {
            Who::Keys(keys) => {
                let rule = self.identity.clone().unwrap_or_default();
                if asked.is_none() && !matches!(rule, NameRule::Any | NameRule::Reference(_)) {
                    let message =
                        format!("{} lies in files and has no name that a signature could state", spot.target);
                    let hint = "--identity HOST/REPOSITORY:TAG says what it must have been signed as, --identity any accepts anything";
                    return Err(CliError::Misuse(message, hint));
                }
                let mut keys = AcceptedKeys::clone(keys);
                keys.names = Names { rule, asked };
                Ok(VerifyBy::Keys(keys))
            }
            Who::Policy(policy) => {
                let image = match asked {
                    Some(reference) => manifest_sign::policy::Image::Registry(reference),
                    None => policy::image(&spot.location)?,
                };
                let rules = policy.rules(&image);
                let files = KeyFiles::read(rules.key_files())?;
                Ok(VerifyBy::Policy(rules, files))
            }
        }
    }
}

/// Tells of signatures that do not count although others do.
fn warn(context: &Context, checked: &Checked) {
    let Answer::Verified(Verified { passed_over, .. }) = &checked.answer else { return };
    let Some(first) = passed_over.first() else { return };
    let more = match passed_over.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    context.ui.note(format_args!(
        "warning: {}: a {} signature does not count: {}{more}",
        name(checked),
        first.form,
        first.refusal
    ));
}

fn not_signed(target: &str, checked: &[Checked]) -> Option<NotSigned> {
    let refused = checked.iter().filter_map(|one| match &one.answer {
        Answer::Refused(refused) => Some((name(one), refused.clone())),
        Answer::Verified(_) => None,
    });
    NotSigned::new(target, checked.len(), refused.collect())
}

/// What it is, for people.
fn name(checked: &Checked) -> String {
    let digest = short(&checked.subject.digest);
    match &checked.subject.platform {
        Some(platform) => format!("{platform} ({digest})"),
        None => format!("the {} {digest}", checked.role.as_str()),
    }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1000) => Ok(count),
        _ => Err("it is a number from 1 to 1000".to_owned()),
    }
}

fn rule(text: &str) -> Result<NameRule, String> {
    match text {
        "exact" => Ok(NameRule::Exact),
        "repository" => Ok(NameRule::Repository),
        "any" => Ok(NameRule::Any),
        _ if text.contains('/') => {
            let reference = text.strip_prefix("docker://").unwrap_or(text);
            reference.parse().map(NameRule::Reference).map_err(|error| format!("{error}"))
        }
        _ => Err("it is exact, repository, any, or HOST/REPOSITORY[:TAG]".to_owned()),
    }
}

/// Reads a time, a day in UTC, or an age.
fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    if let Ok(day) = text.parse::<Date>() {
        return day.to_zoned(TimeZone::UTC).map(|day| day.timestamp()).map_err(|error| error.to_string());
    }
    let ago =
        duration(text).map_err(|_no| "it is written 2026-01-31, 2026-01-31T12:00:00Z or 30d".to_owned())?;
    Timestamp::now().checked_sub(ago).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_points_or_ages() {
        let start: Timestamp = "2026-01-31T00:00:00Z".parse().unwrap();
        assert_eq!(time("2026-01-31"), Ok(start));
        assert_eq!(time("2026-01-31T01:00:00+01:00"), Ok(start));
        let age = Timestamp::now().as_second() - time("30d").unwrap().as_second();
        assert!((30 * 86_400..30 * 86_400 + 60).contains(&age), "{age}");
        assert!(time("soon").is_err() && time("2026-13-01").is_err());
    }

    #[test]
    fn rules_are_words_or_references() {
        assert_eq!(rule("any"), Ok(NameRule::Any));
        let reference = NameRule::Reference("r.io/app:1".parse().unwrap());
        assert_eq!(rule("docker://r.io/app:1"), Ok(reference.clone()));
        assert_eq!(rule("r.io/app:1"), Ok(reference));
        assert!(rule("app").is_err() && rule("r.io/App").is_err());
    }
}
