//! What the verbs work with: wires the crates together as arguments and environment say.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use manifest_core::ListName;
use manifest_store::{Selector, Store, StoreOptions, Waiting};
use manifest_transport::auth::{self, CredentialError, CredentialSearch, Login};
use manifest_transport::{Location, RetryPolicy, Secret, Settings, Tls, Transport};

use crate::args::{ConnectionArgs, RegistryArgs};
use crate::cli::Global;
use crate::configuration::Configuration;
use crate::environment::Environment;
use crate::error::{CliError, Signal};
use crate::gather::location;
use crate::short::is_short;
use crate::ui::Ui;

/// What the verbs work with.
#[derive(Debug)]
pub(crate) struct Context {
    environment: Environment,
    pub(crate) ui: Ui,
    global: Global,
    /// What was typed, for the history and for those who wait for a lock; logins are left out.
    command_line: String,
    /// What the configuration files say, once they were read.
    configuration: OnceLock<Configuration>,
}

impl Context {
    pub(crate) fn new(environment: Environment, ui: Ui, global: Global, arguments: &[OsString]) -> Self {
        Self {
            environment,
            ui,
            global,
            command_line: command_line(arguments),
            configuration: OnceLock::new(),
        }
    }

    /// Whether only results are wanted.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.global.quiet
    }

    /// Whether everything is told.
    pub(crate) const fn is_verbose(&self) -> bool {
        self.global.verbose
    }

    /// What the program is told besides its arguments.
    pub(crate) const fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Whether standard input is a terminal, where somebody types.
    pub(crate) const fn can_ask(&self) -> bool {
        self.environment.asks
    }

    /// The store; nothing is opened before it is used.
    pub(crate) fn store(&self) -> Result<Store, CliError> {
        let place = self.global.store.clone().or_else(|| self.environment.store()).ok_or_else(|| {
            let message = "there is no place for the store: neither HOME nor XDG_DATA_HOME is set".to_owned();
            CliError::Misuse(message, "--store DIR or $MANIFEST_STORE names one")
        })?;
        let (lock_timeout, command) = (self.global.lock_timeout, self.command_line.clone());
        let ui = self.ui.clone();
        let waiting = Waiting::new(move |what, holder| ui.waits_for_lock(what, holder));
        let options = StoreOptions { lock_timeout, command, waiting, ..StoreOptions::default() };
        match place.to_str() {
            Some(url) => Ok(Store::connect(url, self.environment.texts(), options)?),
            // Only a path is not text.
            None => Ok(Store::open(place, options)),
        }
    }

    /// What reaches images; `--creds`, `--cert-dir` and `--tls-verify` are for the hosts of `named` and no others.
    pub(crate) fn transport(&self, args: &RegistryArgs, named: &[&Location]) -> Result<Transport, CliError> {
        let configuration = self.configuration()?;
        let hosts = named.iter().filter_map(|location| home(configuration, location));
        let hosts: BTreeSet<String> = hosts.collect();
        let mut search = self.logins(configuration, args.connection.authfile.as_deref())?;
        if let Some(text) = &args.creds {
            let mut hosts = hosts.iter();
            let (Some(host), None) = (hosts.next(), hosts.next()) else {
                let message = "--creds needs exactly one registry to be named".to_owned();
                return Err(CliError::Misuse(message, "--authfile FILE holds logins for several registries"));
            };
            search = search.with_login(host, self.login(text, host)?, "--creds");
        }
        self.connect(&args.connection, configuration, hosts, search)
    }

    /// Understands where an image is, also by a name that leaves its registry out.
    pub(crate) fn location(&self, text: &str) -> Result<Location, CliError> {
        if !is_short(text) {
            return location(text);
        }
        location(&self.configuration()?.full(text)?)
    }

    /// What the configuration files say.
    pub(crate) fn configuration(&self) -> Result<&Configuration, CliError> {
        match self.configuration.get() {
            Some(known) => Ok(known),
            None => {
                let read = Configuration::read(&self.environment)?;
                Ok(self.configuration.get_or_init(|| read))
            }
        }
    }

    /// Where logins are looked for.
    pub(crate) fn logins(
        &self,
        configuration: &Configuration,
        authfile: Option<&Path>,
    ) -> Result<CredentialSearch, CliError> {
        let search = CredentialSearch::new(&self.environment.logins());
        match authfile {
            Some(file) if file.exists() => Ok(search.with_auth_file(file)),
            // What is named is there, also when nobody comes to ask for a login.
            Some(file) => Err(CredentialError::Missing(file.to_owned()).into()),
            None => Ok(configuration.logins(search)),
        }
    }

    /// What decides where logins lie.
    pub(crate) fn login_places(&self) -> auth::Environment {
        self.environment.logins()
    }

    /// What reaches registries with these logins; `--cert-dir` and `--tls-verify` are for these hosts.
    pub(crate) fn connect(
        &self,
        args: &ConnectionArgs,
        configuration: &Configuration,
        hosts: BTreeSet<String>,
        credentials: CredentialSearch,
    ) -> Result<Transport, CliError> {
        if let Some(dir) = &args.cert_dir {
            std::fs::metadata(dir).map_err(|error| CliError::File("read", dir.clone(), error))?;
        }
        let verify = args.tls_verify.or(args.insecure.map(|insecure| !insecure));
        let tls = Tls { verify, cert_dir: args.cert_dir.clone(), ..Tls::default() };
        let mut settings = Settings {
            credentials: Arc::new(credentials),
            hosts: hosts.into_iter().map(|host| (host, tls.clone())).collect(),
            retry: RetryPolicy {
                retries: args.retry,
                base: args.retry_delay,
                budget: args.retry_budget,
                ..RetryPolicy::default()
            },
            jobs: args.jobs,
            ..Settings::default()
        };
        configuration.complete(&mut settings);
        if let Some(named) = &args.registries_d {
            settings.signatures = self.environment.signature_stores(named)?;
        }
        Ok(Transport::new(settings, Arc::new(self.ui.clone())))
    }

    /// The login of `--creds`; what is missing in it is asked for where somebody can answer.
    fn login(&self, text: &str, host: &str) -> Result<Login, CliError> {
        if let Some(login) = Login::from_pair(text) {
            return Ok(login);
        }
        if !self.environment.asks {
            let message = "--creds holds no password, and nobody can be asked".to_owned();
            return Err(CliError::Misuse(
                message,
                "it is written USER:PASSWORD; --authfile FILE keeps it off the command line",
            ));
        }
        Ok(Login::new(text, ask_password(text, host)?))
    }
}

/// Asks for a password where somebody can answer, without showing it.
pub(crate) fn ask_password(user: &str, host: &str) -> Result<Secret, CliError> {
    ask_hidden(&format!("Password of {user} at {host}: "), "password").map(Secret::new)
}

/// Asks for something that is not shown while it is typed.
pub(crate) fn ask_hidden(prompt: &str, what: &str) -> Result<String, CliError> {
    rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => CliError::Interrupted(Signal::Interrupt),
        _ => CliError::Misuse(format!("no {what} was given: {error}"), "there is nobody to ask"),
    })
}

/// The registry that a location is really at.
fn home(configuration: &Configuration, location: &Location) -> Option<String> {
    match location {
        Location::Registry(reference) => {
            Some(configuration.registries().route(&reference.repository()).home.host)
        }
        _ => None,
    }
}

/// The name that a list has or gets.
pub(crate) fn list_name(text: &str) -> Result<ListName, CliError> {
    text.parse().map_err(|error| CliError::Name(text.to_owned(), error))
}

/// The list that a LIST argument names.
pub(crate) fn selector(text: &str) -> Result<Selector, CliError> {
    text.parse().map_err(|error| CliError::Name(text.to_owned(), error))
}

/// The arguments as one line, without the values that may be secret.
fn command_line(arguments: &[OsString]) -> String {
    let mut words = vec!["manifest".to_owned()];
    let mut hide = false;
    for argument in arguments.iter().skip(1) {
        let word = argument.to_string_lossy();
        words.push(match word.split_once('=') {
            _ if hide => "***".to_owned(),
            Some(("--creds", _)) => "--creds=***".to_owned(),
            _ => word.clone().into_owned(),
        });
        hide = word == "--creds";
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_keeps_no_passwords() {
        let line = |text: &str| command_line(&text.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(line("manifest add --creds u:p app x"), "manifest add --creds *** app x");
        assert_eq!(line("/usr/bin/manifest add --creds=u:p app"), "manifest add --creds=*** app");
    }
}
