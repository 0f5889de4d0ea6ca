//! The keys of a command that signs, the same for every verb: `--sign-…`.

mod keys;

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use manifest_core::Reference;
use manifest_publish::{SignBy, SignatureForm, Signing};

use self::keys::{Given, by_file, by_gnupg};
use crate::context::Context;
use crate::error::CliError;
use crate::keyfile::Family;
use crate::passphrase::PassphraseArgs;
use crate::short::is_short;

/// Who signs, and how.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Signing")]
pub(crate) struct SignArgs {
    /// Sign with this key of the GnuPG home, by gpg; may be repeated
    #[arg(long, value_name = "FINGERPRINT")]
    sign_by: Vec<String>,
    /// Sign with the secret key in this file: an OpenPGP key as gpg exports it, or a sigstore key as cosign has them; may be
    /// repeated
    #[arg(long, value_name = "FILE")]
    sign_key: Vec<PathBuf>,
    /// Sign with the sigstore key in this file; may be repeated
    #[arg(long, value_name = "FILE")]
    sign_by_sigstore_private_key: Vec<PathBuf>,
    /// How signatures are kept: simple, in a lookaside store (registries.d) or by the registry's own API; cosign, under the
    /// tag sha256-….sig; both beside the images of dir:; bundle, as a referrer [default: simple of OpenPGP keys, which make no others; cosign of sigstore
    /// keys]
    #[arg(long, value_name = "simple|cosign|bundle", value_delimiter = ',', value_parser = form)]
    signature_format: Vec<SignatureForm>,
    /// Sign everything in the list, too; --sign-children=false signs the list only
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", value_name = "BOOL", action = clap::ArgAction::Set)]
    sign_children: bool,
    /// What signatures say that the images are [default: the target with its first tag, of the list and of everything in it]
    #[arg(long, value_name = "HOST/REPOSITORY[:TAG]", value_parser = identity)]
    sign_identity: Option<String>,
    #[arg(long, hide = true, value_name = "FINGERPRINT")]
    sign_by_sq_fingerprint: Option<String>,
    #[arg(long, hide = true, value_name = "FILE")]
    sign_by_sigstore: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

fn form(text: &str) -> Result<SignatureForm, String> {
    text.parse().map_err(|error| format!("{error}"))
}

fn identity(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("docker://").unwrap_or(text);
    if is_short(name) {
        return Err("it names no registry: it is written HOST/REPOSITORY:TAG".to_owned());
    }
    name.parse::<Reference>().map(|_it_is_one| name.to_owned()).map_err(|error| error.to_string())
}

impl SignArgs {
    /// Whether a key is given.
    pub(crate) const fn has_keys(&self) -> bool {
        !(self.sign_by.is_empty()
            && self.sign_key.is_empty()
            && self.sign_by_sigstore_private_key.is_empty()
            && self.sign_by_sq_fingerprint.is_none()
            && self.sign_by_sigstore.is_none())
    }

    /// Whether everything in a list is meant, too.
    pub(crate) const fn children(&self) -> bool {
        self.sign_children
    }

    /// Opens the keys, each once, so that a wrong passphrase is told before anything is sent.
    pub(crate) fn open(&self, context: &Context) -> Result<Signing, CliError> {
        self.refuse()?;
        let mut by: Vec<SignBy> = Vec::new();
        for given in self.given(context)? {
            for form in self.forms(&given)? {
                let one = given.signs(form);
                let is_same = |other: &SignBy| {
                    other.vouch.key() == one.vouch.key() && other.vouch.form() == one.vouch.form()
                };
                if !by.iter().any(is_same) {
                    by.push(one);
                }
            }
        }
        if let Some(form) =
            self.signature_format.iter().find(|form| !by.iter().any(|by| by.vouch.form() == **form))
        {
            let message = format!("--signature-format {form} is for a key that is not given");
            return Err(CliError::Misuse(message, FITS));
        }
        let is_any = !by.is_empty();
        Ok(Signing {
            by,
            children: self.sign_children,
            identity: self.sign_identity.clone(),
            creator: is_any.then(|| format!("manifest {}", env!("CARGO_PKG_VERSION"))),
            timestamp: is_any.then(|| Timestamp::now().as_second()),
        })
    }

    /// Keys that podman reaches and we do not, and settings without a key.
    fn refuse(&self) -> Result<(), CliError> {
        if self.sign_by_sq_fingerprint.is_some() {
            return Err(CliError::Misuse(
                "--sign-by-sq-fingerprint: keys in the store of sq are not reached".to_owned(),
                "sq key export writes the key into a file, and --sign-key FILE signs with it",
            ));
        }
        if self.sign_by_sigstore.is_some() {
            return Err(CliError::Misuse(
                "--sign-by-sigstore: parameter files are not read".to_owned(),
                "--sign-by-sigstore-private-key FILE names the key of the file, --sign-passphrase-file FILE its passphrase; \
                 signing without a key needs servers, and is not supported",
            ));
        }
        let says_how =
            !self.signature_format.is_empty() || self.sign_identity.is_some() || self.passphrase.is_named();
        if says_how && !self.has_keys() {
            return Err(CliError::Misuse(
                "it is said how to sign, and no key is given".to_owned(),
                "--sign-key FILE or --sign-by FINGERPRINT gives one",
            ));
        }
        Ok(())
    }

    /// All keys, in the order in which podman takes them.
    fn given(&self, context: &Context) -> Result<Vec<Given>, CliError> {
        let mut given = Vec::new();
        for user in &self.sign_by {
            given.push(by_gnupg(context, &self.passphrase, user)?);
        }
        for file in &self.sign_key {
            given.push(by_file(context, &self.passphrase, "--sign-key", file)?);
        }
        for file in &self.sign_by_sigstore_private_key {
            let key = by_file(context, &self.passphrase, "--sign-by-sigstore-private-key", file)?;
            if key.family() == Family::OpenPgp {
                let message = format!("{} is an OpenPGP key", file.display());
                return Err(CliError::Misuse(message, "--sign-key FILE signs with it"));
            }
            given.push(key);
        }
        Ok(given)
    }

    /// How the signatures of a key are kept.
    fn forms(&self, given: &Given) -> Result<Vec<SignatureForm>, CliError> {
        let (fitting, usual): (&[SignatureForm], _) = match given.family() {
            Family::OpenPgp => (&[SignatureForm::Simple], SignatureForm::Simple),
            Family::Sigstore => (&[SignatureForm::Cosign, SignatureForm::Bundle], SignatureForm::Cosign),
        };
        if self.signature_format.is_empty() {
            return Ok(vec![usual]);
        }
        let wanted: Vec<SignatureForm> =
            fitting.iter().copied().filter(|form| self.signature_format.contains(form)).collect();
        if wanted.is_empty() {
            let wanted: Vec<&str> = self.signature_format.iter().map(|form| form.as_str()).collect();
            let message = format!("{} makes no signatures of the form {}", given.given(), wanted.join(","));
            return Err(CliError::Misuse(message, FITS));
        }
        Ok(wanted)
    }
}

const FITS: &str = "OpenPGP keys make simple signatures, sigstore keys cosign and bundle ones; several forms are separated \
                    by commas";
