//! Signing with a key in a GnuPG home, by GnuPG itself: its keys can be reached no other way.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use zeroize::Zeroizing;

use super::program::{self, Output};
use crate::error::SignError;
use crate::passphrase::Passphrase;
use crate::signer::{KeyId, Signer};

/// What begins a line for programs.
const STATUS: &str = "[GNUPG:] ";

/// Its number for a passphrase that does not open the key, of libgpg-error's `err-codes.h`.
const BAD_PASSPHRASE: u32 = 11;

/// How GnuPG is run.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "settings are filled in by who has them")]
pub struct GpgSettings {
    /// The program: a path, or a name that is looked up in `PATH`. `gpg` by default.
    pub program: OsString,
    /// The directory of the keys; `None` leaves it to GnuPG.
    pub home: Option<PathBuf>,
    /// The passphrase of the key; `None` leaves it to GnuPG's agent, which may ask for it.
    pub passphrase: Option<Passphrase>,
    /// How long one run of it may take, with the time that somebody needs to type a passphrase. Two minutes by default.
    pub limit: Duration,
}

impl Default for GpgSettings {
    fn default() -> Self {
        Self { program: "gpg".into(), home: None, passphrase: None, limit: Duration::from_secs(120) }
    }
}

/// A key in a GnuPG home. Each signature is one run of `gpg`, which blocks; its agent keeps the key unlocked.
#[derive(Clone, Debug)]
pub struct GpgSigner {
    settings: GpgSettings,
    user: String,
    key: KeyId,
}

impl GpgSigner {
    /// Finds the key in the home. `user` is best a fingerprint; whatever else GnuPG understands must mean one key only.
    ///
    /// GnuPG signs with the newest subkey that may sign rather than with the primary key. skopeo 1.9 then wants the
    /// fingerprint of the subkey; one with an exclamation mark behind it makes GnuPG sign with exactly that key.
    ///
    /// # Errors
    /// [`SignError::Program`] when there is no GnuPG or it does not answer, [`SignError::CannotSign`],
    /// [`SignError::SeveralKeys`].
    pub fn open(settings: GpgSettings, user: &str) -> Result<Self, SignError> {
        if user.trim().is_empty() {
            return Err(SignError::NotAKey("no key is named".to_owned()));
        }
        let mut command = command(&settings);
        command.args(["--with-colons", "--list-secret-keys", "--", user]);
        let output = run(&settings, &mut command, Zeroizing::default())?;
        let name = || KeyId::new(user);
        if !output.status.success() {
            return Err(SignError::CannotSign(
                name(),
                format!("gpg has no secret key for it: {}", said(&output)),
            ));
        }
        let mut keys = listed(&String::from_utf8_lossy(&output.stdout));
        match (keys.len(), keys.pop()) {
            (1, Some(Listed { key, refused: None })) => Ok(Self { settings, user: user.to_owned(), key }),
            (1, Some(Listed { key, refused: Some(why) })) => Err(SignError::CannotSign(key, why.to_owned())),
            (0, _) | (_, None) => {
                Err(SignError::CannotSign(name(), "gpg has no secret key for it".to_owned()))
            }
            (_, Some(last)) => {
                keys.push(last);
                Err(SignError::SeveralKeys(keys.into_iter().map(|listed| listed.key).collect()))
            }
        }
    }

    /// Makes sure that it signs, so that a passphrase is asked for now and not in the middle of the work: GnuPG signs a few
    /// words, which are thrown away.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    pub fn unlock(&self) -> Result<(), SignError> {
        self.sign(b"nothing: a key is unlocked").map(drop)
    }

    /// The public half of the key, as GnuPG exports it: what its signatures are recognised by.
    ///
    /// # Errors
    /// [`SignError::Program`] when GnuPG does not answer.
    pub fn certificate(&self) -> Result<Vec<u8>, SignError> {
        let mut command = command(&self.settings);
        command.args(["--no-armor", "--export", "--", self.key.as_str()]);
        let output = run(&self.settings, &mut command, Zeroizing::default())?;
        if !output.status.success() || output.stdout.is_empty() {
            return Err(failed(&self.settings, format!("it exports no key: {}", said(&output))));
        }
        Ok(output.stdout)
    }

    /// Says why there is no signature.
    fn refused(&self, output: &Output) -> SignError {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let status: Vec<&str> = stderr.lines().filter_map(|line| line.strip_prefix(STATUS)).collect();
        let has = |word: &str| status.iter().any(|line| line.starts_with(word));
        let key = self.key.clone();
        if failure(&status) == Some(BAD_PASSPHRASE) {
            SignError::WrongPassphrase(key)
        } else if has("MISSING_PASSPHRASE") || has("PINENTRY_LAUNCHED") || stderr.contains("No pinentry") {
            // Its agent wanted to ask somebody, and could not, or got no answer.
            SignError::Locked(key)
        } else if has("INV_SGNR") {
            SignError::CannotSign(key, said(output))
        } else {
            failed(&self.settings, said(output))
        }
    }
}

impl Signer for GpgSigner {
    fn key(&self) -> &KeyId {
        &self.key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut command = command(&self.settings);
        let mut input = Zeroizing::new(Vec::new());
        if let Some(passphrase) = &self.settings.passphrase {
            let passphrase = passphrase.expose();
            if passphrase.contains(&b'\n') {
                return Err(SignError::WrongPassphrase(self.key.clone()));
            }
            // GnuPG takes the first line of its input for itself, byte by byte, and then signs what follows. Room for all of
            // it, so that no copy stays behind where the memory grew.
            input.reserve_exact(passphrase.len() + 1 + message.len());
            input.extend_from_slice(passphrase);
            input.push(b'\n');
            command.args(["--pinentry-mode", "loopback", "--passphrase-fd", "0"]);
        }
        input.extend_from_slice(message);
        command.args(["--no-armor", "--no-textmode", "--digest-algo", "SHA512"]);
        command.args(["--output", "-", "--local-user", &self.user, "--sign"]);
        let output = run(&self.settings, &mut command, input)?;
        let is_made = String::from_utf8_lossy(&output.stderr).contains("[GNUPG:] SIG_CREATED S ");
        if !output.status.success() || !is_made || output.stdout.is_empty() {
            return Err(self.refused(&output));
        }
        Ok(output.stdout)
    }
}

fn command(settings: &GpgSettings) -> Command {
    let mut command = Command::new(&settings.program);
    // What it says is read here, and shown to whoever reads English.
    command.env("LC_ALL", "C").args(["--batch", "--no-tty", "--status-fd", "2"]);
    if let Some(home) = &settings.home {
        command.arg("--homedir").arg(home);
    }
    command
}

fn run(
    settings: &GpgSettings,
    command: &mut Command,
    input: Zeroizing<Vec<u8>>,
) -> Result<Output, SignError> {
    program::run(command, input, settings.limit).map_err(|error| {
        failed(
            settings,
            match error.kind() {
                io::ErrorKind::NotFound => {
                    "it is not installed (Debian: apt-get install gnupg); a key file needs none".to_owned()
                }
                io::ErrorKind::TimedOut => format!("it did not end within {} s", settings.limit.as_secs()),
                _ => error.to_string(),
            },
        )
    })
}

fn failed(settings: &GpgSettings, what: String) -> SignError {
    SignError::Program { program: settings.program.to_string_lossy().into_owned(), what }
}

/// The number of what went wrong: the lower half of the last word of the line `FAILURE`.
fn failure(status: &[&str]) -> Option<u32> {
    let line = status.iter().find(|line| line.starts_with("FAILURE "))?;
    let code: u32 = line.rsplit(' ').next()?.parse().ok()?;
    Some(code & 0xffff)
}

/// What it said to people, on one line.
fn said(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.starts_with(STATUS)).map(str::trim).collect();
    if lines.is_empty() { output.status.to_string() } else { lines.join("; ") }
}

/// A secret key, as GnuPG lists it.
struct Listed {
    key: KeyId,
    refused: Option<&'static str>,
}

/// Reads a listing: a `sec` line begins a key, the first `fpr` line behind it has the fingerprint of the primary key.
/// Format: GnuPG `doc/DETAILS`, "Format of the colon listings".
fn listed(text: &str) -> Vec<Listed> {
    let mut keys = Vec::new();
    let mut refused = None;
    for line in text.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        match field(0) {
            "sec" => refused = Some(why_not(field(1), field(11))),
            "fpr" => {
                if let Some(refused) = refused.take() {
                    keys.push(Listed { key: KeyId::new(field(9)), refused });
                }
            }
            _ => {}
        }
    }
    keys
}

/// Why a key cannot sign: `validity` tells most; a capital `S` among the capabilities says that some part of it can.
fn why_not(validity: &str, capabilities: &str) -> Option<&'static str> {
    match validity {
        "e" => Some("it has expired"),
        "r" => Some("it was revoked"),
        "i" | "d" | "n" => Some("it is not valid"),
        _ if !capabilities.contains('S') => Some("neither it nor a subkey of it may sign"),
        _ => None,
    }
}
