//! `manifest key`

mod generate;
mod import;
mod public;
mod report;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use manifest_sign::sigstore::SigstoreSigner;
use manifest_sign::{Passphrase, SignError};

use self::report::{KeyReport, Report};
use crate::context::Context;
use crate::error::CliError;
use crate::keyfile::{Family, IfThere, NewKeyFiles};
use crate::passphrase::PassphraseArgs;

/// Make keys to sign with, and show what others need to verify
///
/// Two families of keys sign: sigstore keys, as cosign has them, and OpenPGP keys, as GnuPG has them. Their files are those of
/// cosign and GnuPG, so that each program reads the keys of the others.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest key generate --output-prefix cosign
  manifest key generate --type openpgp --user-id 'Ann <ann@example.com>' --output-prefix ann
  manifest key import plain.pem --output-prefix cosign
  manifest key public cosign.key > cosign.pub")]
pub(crate) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    Generate(generate::Generate),
    Import(import::Import),
    Public(public::Public),
}

impl Key {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        match &self.command {
            Command::Generate(verb) => verb.run(context).await,
            Command::Import(verb) => verb.run(context).await,
            Command::Public(verb) => verb.run(context),
        }
    }
}

/// Where the files of a new key lie, and what locks it.
#[derive(Clone, Debug, Args)]
struct NewFileArgs {
    /// What the names of the two files begin with: PREFIX.key holds the secret key, PREFIX.pub (of OpenPGP
    /// PREFIX.pub.asc) what others need to verify
    #[arg(long, value_name = "PREFIX", visible_alias = "output-key-prefix")]
    output_prefix: PathBuf,
    /// Take the place of files that are there
    #[arg(long)]
    replace: bool,
    /// Leave the key open to whoever reads its file
    #[arg(long, conflicts_with = "sign_passphrase_file")]
    no_passphrase: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl NewFileArgs {
    /// Finds out whether the files can be made, before anything is asked or computed.
    fn prepare(&self, family: Family) -> Result<NewKeyFiles, CliError> {
        let ending = match family {
            Family::OpenPgp => ".pub.asc",
            Family::Sigstore => ".pub",
        };
        let if_there = if self.replace { IfThere::Replace } else { IfThere::Refuse };
        NewKeyFiles::prepare(&self.output_prefix, ending, if_there)
    }

    /// What is to lock the key.
    fn passphrase(
        &self,
        context: &Context,
        files: &NewKeyFiles,
        family: Family,
    ) -> Result<Option<Passphrase>, CliError> {
        match self.no_passphrase {
            true => Ok(None),
            false => self.passphrase.for_new_key(context, files.secret(), family).map(Some),
        }
    }

    /// Makes a sigstore key and writes its files.
    async fn sigstore(
        &self,
        context: &Context,
        files: NewKeyFiles,
        passphrase: Passphrase,
        make: impl FnOnce() -> Result<SigstoreSigner, SignError> + Send + 'static,
    ) -> Result<u8, CliError> {
        let made = apart(&files, move || {
            let signer = make()?;
            Ok((signer.seal(&passphrase)?, signer.public_key().clone()))
        });
        let (sealed, public) = made.await?;
        let keys = vec![KeyReport::from(&public)];
        self.finish(context, files, (sealed.as_bytes(), public.to_pem().as_bytes()), keys)
    }

    /// Writes the files and tells of them.
    fn finish(
        &self,
        context: &Context,
        files: NewKeyFiles,
        (secret, public): (&[u8], &[u8]),
        keys: Vec<KeyReport>,
    ) -> Result<u8, CliError> {
        let (secret_file, public_file) = (files.secret().to_owned(), files.public().to_owned());
        files.write(secret, public)?;
        let (secret_name, public_name) = (secret_file.display(), public_file.display());
        context
            .ui
            .note(format_args!("the secret key is in {secret_name}, what others need in {public_name}"));
        if self.no_passphrase {
            context.ui.note(format_args!("warning: whoever can read {secret_name} can sign with it"));
        }
        let text: String = keys.iter().map(|key| format!("{}\n", key.id)).collect();
        context.ui.result(&text, &Report::new(keys, public).with_files(&secret_file, &public_file))?;
        Ok(0)
    }
}

/// Does what takes a while in another thread, so that it keeps no signal waiting.
async fn apart<T: Send + 'static>(
    files: &NewKeyFiles,
    make: impl FnOnce() -> Result<T, SignError> + Send + 'static,
) -> Result<T, CliError> {
    let made = tokio::task::spawn_blocking(make).await.map_err(|error| CliError::Start(error.into()))?;
    made.map_err(|error| CliError::Key("make", files.secret().to_owned(), error))
}
