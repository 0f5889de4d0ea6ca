//! Keys as they are given, opened.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use manifest_publish::{SignBy, SignatureForm, SigstoreVouch, SimpleVouch, Vouch};
use manifest_sign::Signer;
use manifest_sign::openpgp::{GpgSettings, GpgSigner, OpenPgpSigner, OpenPgpVerifier};
use manifest_sign::sigstore::SigstoreSigner;

use crate::context::Context;
use crate::error::CliError;
use crate::keyfile::{Family, read};
use crate::passphrase::PassphraseArgs;

/// A key that was opened.
#[derive(Debug)]
pub(super) struct Given {
    key: Key,
    given: String,
}

#[derive(Debug)]
enum Key {
    OpenPgp(Arc<dyn Signer>, OpenPgpVerifier),
    Sigstore(Arc<SigstoreSigner>),
}

impl Given {
    /// What kind of key it is.
    pub(super) const fn family(&self) -> Family {
        match self.key {
            Key::OpenPgp(..) => Family::OpenPgp,
            Key::Sigstore(_) => Family::Sigstore,
        }
    }

    /// How it was given.
    pub(super) fn given(&self) -> &str {
        &self.given
    }

    /// The key as one that signs in this form, which fits it.
    pub(super) fn signs(&self, form: SignatureForm) -> SignBy {
        let vouch: Arc<dyn Vouch> = match &self.key {
            Key::OpenPgp(signer, verifier) => Arc::new(simple(signer, verifier)),
            Key::Sigstore(signer) => {
                let (signer, verifier) = (Arc::clone(signer), signer.verifier());
                Arc::new(match form {
                    SignatureForm::Bundle => SigstoreVouch::bundle(signer, verifier),
                    _ => SigstoreVouch::cosign(signer, verifier),
                })
            }
        };
        SignBy { vouch, given: self.given.clone() }
    }
}

/// A key of OpenPGP, which knows what it has signed itself.
fn simple(signer: &Arc<dyn Signer>, verifier: &OpenPgpVerifier) -> SimpleVouch {
    let (key, verifier) = (signer.key().clone(), verifier.clone());
    let open = move |message: &[u8]| {
        let opened = verifier.open(message, Timestamp::now().into()).ok()?;
        (opened.key == key).then_some(opened.payload)
    };
    SimpleVouch::new(Arc::clone(signer), Arc::new(open))
}

/// Opens the key in a file, of whichever kind it is.
pub(super) fn by_file(
    context: &Context,
    passphrase: &PassphraseArgs,
    flag: &str,
    path: &Path,
) -> Result<Given, CliError> {
    let file = read(path)?;
    let given = format!("{flag} {}", path.display());
    let key = match Family::of(&file) {
        Family::OpenPgp => {
            let now = Timestamp::now();
            let signer = passphrase.unlock(context, path, Family::OpenPgp, |passphrase| {
                OpenPgpSigner::open(&file, None, passphrase, now.into())
            })?;
            let verifier = OpenPgpVerifier::from_keyring(&file);
            let verifier = verifier.map_err(|error| CliError::Key("open", path.to_owned(), error))?;
            Key::OpenPgp(Arc::new(signer), verifier)
        }
        Family::Sigstore => {
            let open = |passphrase: Option<&_>| SigstoreSigner::open(&file, passphrase);
            Key::Sigstore(Arc::new(passphrase.unlock(context, path, Family::Sigstore, open)?))
        }
    };
    Ok(Given { key, given })
}

/// Finds a key of GnuPG's, and makes sure that it signs. Without a passphrase it is left to GnuPG's agent to ask.
pub(super) fn by_gnupg(
    context: &Context,
    passphrase: &PassphraseArgs,
    user: &str,
) -> Result<Given, CliError> {
    let home = context.environment().path("GNUPGHOME");
    let passphrase = passphrase.given(context, Family::OpenPgp)?;
    let failed = |error| CliError::GnupgKey(user.to_owned(), error);
    let signer = GpgSigner::open(GpgSettings { home, passphrase, ..GpgSettings::default() }, user);
    let signer = signer.map_err(failed)?;
    signer.unlock().map_err(failed)?;
    let verifier = OpenPgpVerifier::from_keyring(&signer.certificate().map_err(failed)?).map_err(failed)?;
    Ok(Given { key: Key::OpenPgp(Arc::new(signer), verifier), given: format!("--sign-by {user}") })
}
