//! Where the passphrase of a key comes from, the same for every verb.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use manifest_sign::{Passphrase, SignError};
use zeroize::Zeroizing;

use crate::context::{Context, ask_hidden};
use crate::error::CliError;
use crate::keyfile::Family;

/// The longest passphrase that a file may hold, in bytes.
const LONGEST: usize = 64 << 10;

/// Where the passphrase of a key comes from.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Passphrase")]
pub(crate) struct PassphraseArgs {
    /// File with the passphrase of the key, but for a newline at its end [default: $MANIFEST_SIGN_PASSPHRASE, for
    /// sigstore keys else $COSIGN_PASSWORD; else it is asked for]
    #[arg(long, value_name = "FILE")]
    sign_passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// Whether a passphrase is given on the command line, which without a key is a mistake; one in the environment is not.
    pub(crate) const fn is_named(&self) -> bool {
        self.sign_passphrase_file.is_some()
    }

    /// Opens the key in `file`; a passphrase is looked for only when it turns out to be locked.
    ///
    /// A sigstore key is always encrypted, if with an empty passphrase. That is tried before anybody is asked, and when the given
    /// one is wrong: it may be that of another key of the same command.
    pub(crate) fn unlock<T>(
        &self,
        context: &Context,
        file: &Path,
        family: Family,
        open: impl Fn(Option<&Passphrase>) -> Result<T, SignError>,
    ) -> Result<T, CliError> {
        let failed = |error| CliError::Key("open", file.to_owned(), error);
        match open(None) {
            Err(SignError::Locked(_)) => {}
            other => return other.map_err(failed),
        }
        let given = self.given(context, family)?;
        if let Some(given) = &given {
            match open(Some(given)) {
                Err(SignError::WrongPassphrase(_)) if family == Family::Sigstore => {}
                other => return other.map_err(failed),
            }
        }
        if family == Family::Sigstore {
            match (open(Some(&Passphrase::new(""))), given) {
                (Err(SignError::WrongPassphrase(_)), None) => {}
                (other, _) => return other.map_err(failed),
            }
        }
        if !context.can_ask() {
            let message =
                format!("the key in {} is locked by a passphrase, and nobody can be asked", file.display());
            return Err(CliError::Misuse(
                message,
                "--sign-passphrase-file FILE or $MANIFEST_SIGN_PASSPHRASE gives it",
            ));
        }
        let asked = ask(&format!("Passphrase of {}: ", file.display()))?;
        open(Some(&asked)).map_err(failed)
    }

    /// What is to lock the new key in `file`.
    pub(crate) fn for_new_key(
        &self,
        context: &Context,
        file: &Path,
        family: Family,
    ) -> Result<Passphrase, CliError> {
        if let Some(given) = self.given(context, family)? {
            return Ok(given);
        }
        if !context.can_ask() {
            return Err(CliError::Misuse(
                "a new key wants a passphrase, and nobody can be asked".to_owned(),
                "--sign-passphrase-file FILE holds it; --no-passphrase leaves the key open to whoever reads its file",
            ));
        }
        let asked = ask(&format!("New passphrase of {}: ", file.display()))?;
        if asked.expose().is_empty() {
            let message = "no passphrase was given".to_owned();
            return Err(CliError::Misuse(message, "--no-passphrase makes a key without one"));
        }
        if ask("The same again: ")?.expose() != asked.expose() {
            let message = "the two passphrases differ".to_owned();
            return Err(CliError::Misuse(message, "nothing was made; run the command again"));
        }
        Ok(asked)
    }

    /// What the user has said beforehand, so that nobody need be asked.
    pub(crate) fn given(&self, context: &Context, family: Family) -> Result<Option<Passphrase>, CliError> {
        if let Some(file) = &self.sign_passphrase_file {
            return of_file(context, file).map(Some);
        }
        let environment = context.environment();
        let ours = environment.get("MANIFEST_SIGN_PASSPHRASE");
        // cosign takes an empty one at its word.
        let theirs = || environment.get_even_empty("COSIGN_PASSWORD");
        let given = match family {
            Family::OpenPgp => ours,
            Family::Sigstore => ours.or_else(theirs),
        };
        Ok(given.map(|text| Passphrase::new(text.as_encoded_bytes())))
    }
}

fn of_file(context: &Context, path: &Path) -> Result<Passphrase, CliError> {
    let failed = |error| CliError::File("read the passphrase in", path.to_owned(), error);
    let file = File::open(path).map_err(failed)?;
    if is_read_by_others(&file).map_err(failed)? {
        context.ui.note(format_args!("warning: other users of this machine can read {}", path.display()));
    }
    // Room for all of it, so that no copy stays behind where the memory grew.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    match line.strip_suffix(b"\r").filter(|_| line.len() < bytes.len()).unwrap_or(line) {
        [] => Err(CliError::Misuse(
            format!("there is no passphrase in {}", path.display()),
            "a key without a passphrase is made with --no-passphrase, and is opened without such a file",
        )),
        _ if bytes.len() > LONGEST => Err(CliError::Misuse(
            format!("{} is longer than any passphrase ({LONGEST} bytes)", path.display()),
            "the file holds the passphrase and nothing else",
        )),
        passphrase => Ok(Passphrase::new(passphrase)),
    }
}

#[cfg(unix)]
fn is_read_by_others(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.permissions().mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn is_read_by_others(_file: &File) -> io::Result<bool> {
    Ok(false)
}

fn ask(prompt: &str) -> Result<Passphrase, CliError> {
    ask_hidden(prompt, "passphrase").map(Passphrase::new)
}
