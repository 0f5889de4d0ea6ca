//! `manifest login`

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, Read as _};
use std::path::PathBuf;

use clap::Args;
use manifest_transport::auth::{Login as Credential, LoginFile, LoginKey};
use manifest_transport::{Check, Secret};
use serde::Serialize;

use crate::args::ConnectionArgs;
use crate::context::{Context, ask_password};
use crate::error::CliError;

/// Check a login for a registry and keep it for later, where podman, skopeo and docker find it, too
///
/// The registry is asked first; a login that it does not take is not kept. It is kept in --authfile, $REGISTRY_AUTH_FILE
/// or $DOCKER_CONFIG/config.json, else in containers/auth.json below $XDG_RUNTIME_DIR, or $XDG_CONFIG_HOME where there
/// is no runtime directory; or by the helper that this file names.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest login quay.io
  manifest login --username ci --password-stdin registry.example.com < token
  manifest login --username ann registry.example.com/team
  manifest login --get-login quay.io")]
pub(crate) struct Login {
    /// The registry, or what lies below a path in it
    #[arg(value_name = "HOST[/PATH]")]
    registry: String,
    /// The name of the user; asked for when it is left out
    #[arg(long, short, value_name = "NAME")]
    username: Option<String>,
    /// Read the password from standard input instead of asking for it
    #[arg(long, requires = "username")]
    password_stdin: bool,
    /// Print whose login is kept, and change nothing
    #[arg(long, conflicts_with_all = ["username", "password_stdin", "compat_auth_file"])]
    get_login: bool,
    /// Keep the login in this file as docker writes it
    #[arg(long, value_name = "FILE", conflicts_with = "authfile")]
    compat_auth_file: Option<PathBuf>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    registry: String,
    username: &'a str,
    kept_in: String,
}

impl Login {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let key: LoginKey = self.registry.parse()?;
        if self.get_login {
            return self.whose(context, &key).await;
        }
        let named = (self.connection.authfile.as_ref(), self.compat_auth_file.as_ref());
        let file = login_file(context, Some(&key), named.0, named.1)?;
        let username = match &self.username {
            Some(username) => username.clone(),
            None => ask_username(context, &key).await?,
        };
        let password = self.password(context, &username, &key).await?;
        let login = Credential::Basic { username: username.clone(), password: password.clone() };
        self.check(context, &key, login.clone()).await?;
        let kept_in = file.save(&key, &username, &password).await?;
        let text = format!("Login of {username} at {key} kept in {kept_in}\n");
        let report = Report { schema: "login/1", registry: key.to_string(), username: &username, kept_in };
        context.ui.result(&text, &report)?;
        if self.connection.authfile.is_none() && self.compat_auth_file.is_none() {
            tell_what_goes_first(context, &key, &login).await?;
        }
        Ok(0)
    }

    /// Prints whose login later commands would use.
    async fn whose(&self, context: &Context, key: &LoginKey) -> Result<u8, CliError> {
        let search = context.logins(context.configuration()?, self.connection.authfile.as_deref())?;
        let Some(found) = search.lookup(key.host(), key.path()).await? else {
            return Err(CliError::NoLogin(key.to_string()));
        };
        let username = match &found.login {
            Credential::Basic { username, .. } => username,
            // Nobody's name comes with a token.
            _ => "<token>",
        };
        let report = Report { schema: "login/1", registry: key.to_string(), username, kept_in: found.origin };
        context.ui.result(&format!("{username}\n"), &report)?;
        Ok(0)
    }

    async fn check(&self, context: &Context, key: &LoginKey, login: Credential) -> Result<(), CliError> {
        let configuration = context.configuration()?;
        let search = context.logins(configuration, None)?.with_login(key.host(), login, "this command");
        let hosts = BTreeSet::from([key.host().to_owned()]);
        let transport = context.connect(&self.connection, configuration, hosts, search)?;
        let checked = transport.check_login(key.host()).await.map_err(|error| {
            CliError::from(error)
                .advise("not_authorised", "nothing was kept; check the name and the password")
        })?;
        if checked == Check::NotAsked {
            let host = key.host();
            context.ui.note(format_args!("warning: {host} asks for no login, so this one was not checked"));
        }
        Ok(())
    }

    async fn password(&self, context: &Context, username: &str, key: &LoginKey) -> Result<Secret, CliError> {
        if self.password_stdin {
            return read_line("password", read_password).await.map(Secret::from);
        }
        if !context.can_ask() {
            return Err(CliError::Misuse(
                "no password is given, and nobody can be asked".to_owned(),
                "--password-stdin reads it from standard input",
            ));
        }
        ask_password(username, key.host())
    }
}

/// Says so when another place would be found before the one that the login was kept in.
async fn tell_what_goes_first(context: &Context, key: &LoginKey, kept: &Credential) -> Result<(), CliError> {
    match context.logins(context.configuration()?, None)?.lookup(key.host(), key.path()).await? {
        Some(found) if found.login != *kept => {
            let origin = found.origin;
            context.ui.note(format_args!("warning: the login in {origin} is found before this one"));
        }
        _ => {}
    }
    Ok(())
}

/// The file that the login of a registry is kept in, or all logins.
pub(crate) fn login_file(
    context: &Context,
    key: Option<&LoginKey>,
    authfile: Option<&PathBuf>,
    of_docker: Option<&PathBuf>,
) -> Result<LoginFile, CliError> {
    let places = context.login_places();
    match (of_docker, authfile) {
        (Some(file), _) => return Ok(LoginFile::of_docker(file, &places)),
        (None, Some(file)) => return Ok(LoginFile::at(file, &places)),
        (None, None) => {}
    }
    if let Some(key) = key {
        let configuration = context.configuration()?;
        if let Some(file) = configuration.authfile(key.host()) {
            return Ok(LoginFile::at(file, &places));
        }
        if let Some(name) = configuration.helper(key.host()) {
            let message =
                format!("config.toml leaves the login for {} to docker-credential-{name}", key.host());
            return Err(CliError::Misuse(message, "docker-credential-NAME store keeps a login with it"));
        }
    }
    LoginFile::usual(&places).ok_or_else(|| {
        let message = "there is no place for logins: neither HOME nor XDG_RUNTIME_DIR is set".to_owned();
        CliError::Misuse(message, "--authfile FILE names one")
    })
}

async fn ask_username(context: &Context, key: &LoginKey) -> Result<String, CliError> {
    if !context.can_ask() {
        let message = "no user name is given, and nobody can be asked".to_owned();
        return Err(CliError::Misuse(message, "--username NAME with --password-stdin gives a login"));
    }
    context.ui.ask(format_args!("User name at {}: ", key.host()));
    read_line("user name", || {
        let mut line = String::new();
        io::stdin().lock().take(LONGEST).read_line(&mut line).map(|_| line)
    })
    .await
}

/// Bytes of standard input that are read.
const LONGEST: u64 = 64 << 10;

fn read_password() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().lock().take(LONGEST).read_to_string(&mut text).map(|_| text)
}

/// Reads what is typed or sent, without the end of its line; it does not keep a signal waiting.
async fn read_line(
    what: &str,
    read: impl FnOnce() -> io::Result<String> + Send + 'static,
) -> Result<String, CliError> {
    let read = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).and_then(|read| read);
    let hint = "standard input holds it";
    let text = read.map_err(|error| CliError::Misuse(format!("no {what} was given: {error}"), hint))?;
    match text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)) {
        "" => Err(CliError::Misuse(format!("no {what} was given"), hint)),
        line => Ok(line.to_owned()),
    }
}
