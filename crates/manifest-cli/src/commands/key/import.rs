//! `manifest key import`

use std::path::PathBuf;

use clap::Args;
use manifest_sign::Passphrase;
use manifest_sign::sigstore::SigstoreSigner;

use super::NewFileArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::keyfile::{self, Family};

/// Make a sigstore key out of a plain private key, as openssl writes it
///
/// It is ECDSA over P-256, Ed25519 or RSA, in PEM: PKCS#8, or the forms of EC and RSA keys before it. The new file is
/// encrypted as cosign does it; the plain one stays as it is. OpenPGP keys need no import: they are read as GnuPG exports
/// them.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Example:
  openssl genpkey -algorithm ed25519 -out plain.pem
  manifest key import plain.pem --output-prefix cosign")]
pub(super) struct Import {
    /// The plain private key
    file: PathBuf,
    #[command(flatten)]
    files: NewFileArgs,
}

impl Import {
    pub(super) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let failed = |error| CliError::Key("open", self.file.clone(), error);
        let plain = keyfile::read(&self.file)?;
        let misuse = |what, hint| Err(CliError::Misuse(format!("{} {what}", self.file.display()), hint));
        if Family::of(&plain) == Family::OpenPgp {
            return misuse("is an OpenPGP key", "it is used as it is");
        }
        if SigstoreSigner::is_encrypted(&plain).map_err(failed)? {
            return misuse("is encrypted already", "it is used as it is");
        }
        let signer = SigstoreSigner::open(&plain, None).map_err(failed)?;
        let files = self.files.prepare(Family::Sigstore)?;
        let passphrase = self.files.passphrase(context, &files, Family::Sigstore)?;
        let passphrase = passphrase.unwrap_or_else(|| Passphrase::new(""));
        self.files.sigstore(context, files, passphrase, move || Ok(signer)).await
    }
}
