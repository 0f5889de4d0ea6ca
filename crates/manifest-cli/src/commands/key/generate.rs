//! `manifest key generate`

use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use manifest_sign::openpgp::{self, GeneratedKey, NewKey, RsaBits};
use manifest_sign::sigstore::{KeyKind, SigstoreSigner};
use manifest_sign::{Passphrase, SignError};

use super::NewFileArgs;
use super::report::KeyReport;
use crate::context::Context;
use crate::error::CliError;
use crate::keyfile::Family;
use crate::table::clean;

/// Make a key to sign with
///
/// A sigstore key is a file as cosign makes it, always encrypted (with --no-passphrase by an empty passphrase, which is
/// tried by itself). Files that are there stay, unless --replace is given.
///
/// An OpenPGP key is of version 4, which GnuPG 2.2 reads.
///
/// Printed is what names the key: the fingerprint of an OpenPGP key, the SHA-256 of the public half of others.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest key generate --output-prefix cosign
  manifest key generate --type ed25519 --output-prefix cosign --sign-passphrase-file secret
  manifest key generate --type openpgp --user-id 'Ann <ann@example.com>' --expires 2y --output-prefix ann")]
pub(super) struct Generate {
    /// What kind of key: a sigstore key (ecdsa over P-256, ed25519, rsa with 3072 bits), or openpgp
    #[arg(long = "type", value_enum, default_value_t, value_name = "TYPE")]
    kind: Kind,
    /// Whose key it is, as in 'Ann <ann@example.com>' (openpgp)
    #[arg(long, value_name = "NAME", value_parser = user_id, required_if_eq("kind", "openpgp"))]
    user_id: Option<String>,
    /// How long the key is, 3072 or 4096 (openpgp); it is RSA, since verifiers that are built without GnuPG refuse
    /// Ed25519 [default: 3072]
    #[arg(long, value_name = "N", value_parser = bits)]
    bits: Option<RsaBits>,
    /// After what time the key expires, as in 90d or 2y (openpgp); most verifiers then refuse what it has signed, however
    /// long ago [default: never]
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expires: Option<Expiry>,
    #[command(flatten)]
    files: NewFileArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Kind {
    // Comments and not docs: clap would print them as help of each value.
    #[default]
    Ecdsa,
    Ed25519,
    Rsa,
    Openpgp,
}

/// When a key expires.
#[derive(Clone, Debug)]
enum Expiry {
    Never,
    After(Span),
}

impl Generate {
    pub(super) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let kind = match self.kind {
            Kind::Openpgp => return self.openpgp(context).await,
            _ if self.user_id.is_some() || self.bits.is_some() || self.expires.is_some() => {
                let message = "--user-id, --bits and --expires are for OpenPGP keys".to_owned();
                return Err(CliError::Misuse(message, "--type openpgp makes one"));
            }
            Kind::Ecdsa => KeyKind::EcdsaP256,
            Kind::Ed25519 => KeyKind::Ed25519,
            Kind::Rsa => KeyKind::Rsa,
        };
        let files = self.files.prepare(Family::Sigstore)?;
        let passphrase = self.files.passphrase(context, &files, Family::Sigstore)?;
        let passphrase = passphrase.unwrap_or_else(|| Passphrase::new(""));
        self.files.sigstore(context, files, passphrase, move || SigstoreSigner::generate(kind)).await
    }

    async fn openpgp(&self, context: &Context) -> Result<u8, CliError> {
        let now = Timestamp::now();
        let user_id = self.user_id.clone().unwrap_or_default();
        let (bits, valid_for) = (self.bits.unwrap_or_default(), self.valid_for(now)?);
        let files = self.files.prepare(Family::OpenPgp)?;
        let passphrase = self.files.passphrase(context, &files, Family::OpenPgp)?;
        let made = super::apart(&files, move || {
            let passphrase = passphrase.as_ref();
            let created = SystemTime::from(now);
            let key = openpgp::generate(&NewKey { user_id: &user_id, bits, passphrase, created, valid_for })?;
            let told = openpgp::certificates(&key.certificate, created)?;
            Ok::<_, SignError>((key, told))
        });
        let (GeneratedKey { secret, certificate, .. }, told) = made.await?;
        let keys = told.iter().map(|certificate| KeyReport::of_certificate(certificate, now)).collect();
        self.files.finish(context, files, (&secret, &certificate), keys)
    }

    fn valid_for(&self, now: Timestamp) -> Result<Option<Duration>, CliError> {
        let span = match self.expires {
            None | Some(Expiry::Never) => return Ok(None),
            Some(Expiry::After(span)) => span,
        };
        let end = now.to_zoned(TimeZone::UTC).checked_add(span).ok();
        let time = end.and_then(|end| Duration::try_from(end.timestamp().duration_since(now)).ok());
        // OpenPGP counts seconds in 32 bits.
        match time.filter(|time| (1..=u32::MAX.into()).contains(&time.as_secs())) {
            Some(time) => Ok(Some(time)),
            None => Err(CliError::Misuse(
                "a key cannot expire then".to_owned(),
                "--expires takes a time from 1s to 136y, or never",
            )),
        }
    }
}

fn user_id(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty".to_owned()),
        _ if clean(text) != text => Err("it has characters that cannot be shown".to_owned()),
        name => Ok(name.to_owned()),
    }
}

fn bits(text: &str) -> Result<RsaBits, String> {
    match text {
        "3072" => Ok(RsaBits::Rsa3072),
        "4096" => Ok(RsaBits::Rsa4096),
        _ => Err("it is 3072 or 4096".to_owned()),
    }
}

fn expiry(text: &str) -> Result<Expiry, String> {
    match text {
        "never" => Ok(Expiry::Never),
        span => span
            .parse()
            .map(Expiry::After)
            .map_err(|_no_span| "it is written 90d, 18mo, 2y or never".to_owned()),
    }
}
