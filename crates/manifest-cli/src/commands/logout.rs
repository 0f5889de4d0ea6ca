//! `manifest logout`

use std::path::PathBuf;

use clap::Args;
use manifest_transport::auth::LoginKey;
use serde::Serialize;

use super::login::login_file;
use crate::context::Context;
use crate::error::CliError;

/// Forget a login that was kept for a registry
///
/// It is removed where manifest login keeps it: from the file, and from the helper that this file names.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest logout quay.io
  manifest logout --all")]
pub(crate) struct Logout {
    /// The registry, or what lies below a path in it
    #[arg(value_name = "HOST[/PATH]", required_unless_present = "all")]
    registry: Option<String>,
    /// Forget all logins
    #[arg(long, short, conflicts_with = "registry")]
    all: bool,
    /// File with logins, instead of the usual one
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// File with logins as docker writes it
    #[arg(long, value_name = "FILE", conflicts_with = "authfile")]
    compat_auth_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    registries: Vec<String>,
    removed_from: String,
}

impl Logout {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let key = self.registry.as_deref().map(str::parse::<LoginKey>).transpose()?;
        let (authfile, of_docker) = (self.authfile.as_ref(), self.compat_auth_file.as_ref());
        let file = login_file(context, key.as_ref(), authfile, of_docker)?;
        let registries = match &key {
            None => file.remove_all().await?,
            Some(key) if file.remove(key).await? => vec![key.to_string()],
            Some(key) => {
                self.tell_what_is_left(context, key).await?;
                return Err(CliError::NoLogin(format!("{key} in {}", file.path().display())));
            }
        };
        let removed_from = file.path().display().to_string();
        let text: String = registries.iter().map(|key| format!("Removed: {key}\n")).collect();
        context.ui.result(&text, &Report { schema: "logout/1", registries, removed_from })?;
        if let Some(key) = &key {
            self.tell_what_is_left(context, key).await?;
        }
        Ok(0)
    }

    /// Says so when later commands would still find a login.
    async fn tell_what_is_left(&self, context: &Context, key: &LoginKey) -> Result<(), CliError> {
        if self.authfile.is_some() || self.compat_auth_file.is_some() {
            return Ok(());
        }
        if let Some(found) =
            context.logins(context.configuration()?, None)?.lookup(key.host(), key.path()).await?
        {
            context.ui.note(format_args!("warning: there is another login for {key} in {}", found.origin));
        }
        Ok(())
    }
}
