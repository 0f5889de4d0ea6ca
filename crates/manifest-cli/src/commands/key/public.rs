//! `manifest key public`

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use manifest_sign::openpgp;
use manifest_sign::sigstore::{PublicKey, SigstoreSigner};

use super::report::{KeyReport, Report};
use crate::context::Context;
use crate::error::CliError;
use crate::keyfile::{self, Family};
use crate::passphrase::PassphraseArgs;

/// Print what others need to verify: the public key or certificate of a secret key
///
/// The passphrase is needed for sigstore keys only, whose public half is encrypted, too. Of a public key or certificate the
/// same is printed, so that --output json tells what is in it.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest key public cosign.key > cosign.pub
  manifest key public ann.key --output json")]
pub(super) struct Public {
    /// The key file, armoured or binary
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl Public {
    pub(super) fn run(&self, context: &Context) -> Result<u8, CliError> {
        let file = keyfile::read(&self.file)?;
        let (keys, public) = match Family::of(&file) {
            Family::OpenPgp => self.certificates(&file)?,
            Family::Sigstore => {
                let key = match PublicKey::from_pem(&file) {
                    Ok(key) => key,
                    Err(_private) => {
                        self.passphrase.unlock(context, &self.file, Family::Sigstore, |passphrase| {
                            SigstoreSigner::open(&file, passphrase).map(|signer| signer.public_key().clone())
                        })?
                    }
                };
                (vec![KeyReport::from(&key)], key.to_pem().into_bytes())
            }
        };
        context.ui.result_bytes(&public, &Report::new(keys, &public))?;
        Ok(0)
    }

    fn certificates(&self, file: &[u8]) -> Result<(Vec<KeyReport>, Vec<u8>), CliError> {
        let failed = |error| CliError::Key("open", self.file.clone(), error);
        let now = Timestamp::now();
        let told = openpgp::certificates(file, now.into()).map_err(failed)?;
        let keys = told.iter().map(|certificate| KeyReport::of_certificate(certificate, now)).collect();
        Ok((keys, openpgp::public_certificate(file).map_err(failed)?))
    }
}
